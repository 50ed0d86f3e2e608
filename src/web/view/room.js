// The room around the messages: its heading and fuse, the people in it, who is typing.

import { nodes, t, timeLeft } from "../i18n.js";
import { $, avatar, button, element, hueOf, setText } from "./dom.js";
import { icon } from "./icons.js";

const TRANSPORTS = { websocket: "status.websocket_title", polling: "status.polling_title" };
const LEAST_KEYBOARD = 120; // pixels
const SAID_AT = [600, 300, 60]; // seconds left at which it is announced

let shownPeople = "";
let lastSeconds = Infinity;

export function showStatus({ status, transport, locked }) {
  const place = $("status");
  place.dataset.state = status;
  place.dataset.transport = transport ?? "";
  place.title = TRANSPORTS[transport] ? t(TRANSPORTS[transport]) : "";
  setText(place, t(transport === "polling" ? "status.polling" : `status.${status}`));
  $("locked").hidden = $("invitation-locked").hidden = !locked;
  setText($("lock-text"), t(locked ? "room.unlock" : "room.lock"));
}

/** Everybody who is here; the owner may remove the others. */
export function showPeople(people, { isOwner }) {
  const shown = JSON.stringify([document.documentElement.lang, people, isOwner]);
  if (shown === shownPeople) return;
  shownPeople = shown;
  const focused = document.activeElement.dataset.remove;
  listPeople(people, isOwner);
  if (focused) $("people-list").querySelector(`[data-remove="${focused}"]`)?.focus();
  const count = t("people.count", { count: people.length });
  $("people-count").textContent = people.length;
  $("people-toggle-count").textContent = people.length;
  $("people-toggle").ariaLabel = $("people-toggle").title = count;
}

/** Makes the rows of those who are new or shown differently: of 500 people one comes or goes at a time. */
function listPeople(people, byOwner) {
  const list = $("people-list");
  const here = new Set(people.map(({ person }) => person));
  for (const row of [...list.children]) if (!here.has(row.dataset.person)) row.remove();
  const rows = new Map([...list.children].map((row) => [row.dataset.person, row]));
  let place = list.firstElementChild;
  for (const person of people) {
    const shows = JSON.stringify([document.documentElement.lang, person, byOwner]);
    const before = rows.get(person.person);
    const row = before?.shows === shows ? before : Object.assign(makePerson(person, byOwner), { shows });
    if (before && before === place) place = place.nextElementSibling;
    else list.insertBefore(before ?? row, place);
    if (before && before !== row) before.replaceWith(row);
  }
}

function makePerson({ person, name, isYou, isOwner, tabs, imitates }, byOwner) {
  const marks = [isYou && t("people.you"), isOwner && t("people.owner"), tabs > 1 && t("people.tabs", { count: tabs })];
  const words = marks.filter(Boolean).join(" · ");
  const mark = imitates
    ? element("span", { class: "imitates", testid: "imitates", title: t("people.imitates") },
      icon("warning"), t("people.imitates_short"))
    : null;
  const row = element("li", { class: `person ${hueOf(person)}`, testid: "person", "data-person": person },
    avatar(name),
    element("span", { class: "who" },
      element("bdi", { class: "person-name", testid: "person-name", text: name }),
      words ? element("span", { class: "hint", text: words }) : null,
      mark));
  if (byOwner && !isYou) {
    const label = t("people.remove", { name });
    row.append(button({ class: "quiet", testid: "remove", "data-remove": person, label, title: label }, icon("close")));
  }
  return row;
}

/** Who is typing; while one is offline, what comes of what one writes. */
export function showTyping(names, { isOffline = false } = {}) {
  const line = isOffline ? [t("talk.offline")] : names.length === 0 ? []
    : names.length === 1 ? nodes("talk.typing_1", { a: names[0] })
      : names.length === 2 ? nodes("talk.typing_2", { a: names[0], b: names[1] })
        : [t("talk.typing_many")];
  const shown = JSON.stringify([isOffline, names.slice(0, 3), document.documentElement.lang]);
  if ($("typing").dataset.shown === shown) return;
  $("typing").dataset.shown = shown;
  $("typing").replaceChildren(...line);
}

/** The fuse burns down from `lifetime` (seconds); `announce` is told when little is left. */
export function showCountdown(seconds, lifetime, announce) {
  showTime(timeLeft(seconds));
  const left = `${(100 * Math.min(1, seconds / lifetime)).toFixed(2)}%`;
  $("fuse-cord").setAttribute("x2", left);
  $("fuse-ember").setAttribute("cx", left);
  $("room").classList.toggle("last-minute", seconds <= 60);
  const said = SAID_AT.find((at) => lastSeconds > at && seconds <= at && lastSeconds < Infinity);
  if (said) announce(t("room.minutes_left", { count: said / 60 }));
  lastSeconds = seconds;
}

// The words around the time are left to be heard where there is no room to see them.
function showTime(time) {
  const shown = `${document.documentElement.lang} ${time}`;
  if ($("countdown").dataset.shown === shown) return;
  $("countdown").dataset.shown = shown;
  const pieces = nodes("room.burns_in", { time }).filter((piece) => piece !== "");
  $("countdown").replaceChildren(...pieces.map((text) => (text.nodeType ? text : element("span", { text }))));
}

export function togglePeople(open) {
  $("people").classList.toggle("open", open);
  $("people-toggle").ariaExpanded = String(open);
}

export function wireRoom() {
  const isOpen = () => $("people-toggle").ariaExpanded === "true";
  $("people-toggle").addEventListener("click", () => togglePeople(!isOpen()));
  document.addEventListener("click", ({ target }) => {
    if (isOpen() && !target.closest("#people, #people-toggle, dialog")) togglePeople(false);
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !isOpen()) return;
    togglePeople(false);
    $("people-toggle").focus();
  });
}

/** Where a keyboard on the screen covers the page instead of making it smaller (Safari), the room stays above it. */
export function wireKeyboard() {
  const fit = () => {
    const { height, scale } = visualViewport;
    const isCovered = scale === 1 && innerHeight - height > LEAST_KEYBOARD;
    $("room").style.height = isCovered ? `${height}px` : "";
    if (isCovered) scrollTo(0, 0);
  };
  globalThis.visualViewport?.addEventListener("resize", fit);
}

/** A new room: nothing is known of it yet. */
export function clearRoom() {
  shownPeople = "";
  lastSeconds = Infinity;
  $("people-list").replaceChildren();
  $("typing").replaceChildren();
  delete $("typing").dataset.shown;
  togglePeople(false);
}
