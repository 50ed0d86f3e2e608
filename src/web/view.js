// All that touches the document. Other people's words go in as text only.

export const $ = (id) => document.getElementById(id);

const ENDINGS = {
  burned: ["This room has burned", "Its time was up, or its owner burned it. Every message is gone, for everyone."],
  no_such_room: ["There is no such room", "It may have burned, or the link is not complete."],
  unreachable: ["Fleeting cannot be reached", "Are you online? The room may still be there."],
};
ENDINGS.expired = ENDINGS.burned;

const NOTICES = {
  joined: (name) => `${name} joined`,
  left: (name) => `${name} left`,
  back: (name) => `${name} is back`,
  missed: () => "Messages are missing here: you were away for too many",
};
const TRANSPORTS = { websocket: "connected by WebSocket", polling: "connected by long polling" };
const STATUSES = { connecting: "connecting …", online: "online", offline: "offline – reconnecting" };
const HUES = 6;
const COUNT_FROM = 500; // characters left
const BREATH = 120_000; // ms
const LINK = /https?:\/\/[^\s<>"]*[^\s<>"'.,;:!?)\]]/g;

const nodes = new Map(); // key of the timeline → its <li>
let atEnd = true;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Writes only what differs: a live region reads out what is written.
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// Screens

export const titleOf = (title) => title || "Untitled room";

export function setTitle(title) {
  document.title = title;
}

export function show(screen, title) {
  if ($("burn-dialog").open) $("burn-dialog").close();
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== screen;
  setTitle(title);
  scrollTo(0, 0);
}

export function showEntrance(title, isOwner, name, error = "") {
  show("entrance", titleOf(title));
  $("entrance-title").textContent = titleOf(title);
  $("entrance-error").textContent = error;
  $("entrance-lead").dataset.text = isOwner
    ? "Your room is ready, and its fuse is lit:"
    : "You are invited. Everything said here goes with the room:";
  $("name").value = name;
  $("name").focus();
  $("name").select();
}

export function showRoom(title, isOwner, link) {
  show("room", titleOf(title));
  $("room-title").textContent = titleOf(title);
  $("room-link").textContent = $("room-link").href = link;
  $("burn").hidden = !isOwner;
  $("messages").replaceChildren();
  $("scroller").ariaBusy = "true";
  nodes.clear();
  $("composer").value = "";
  renderComposer(Infinity);
  togglePeople(false);
  scrollToEnd();
  if (matchMedia("(pointer: fine)").matches) $("composer").focus(); // not where it raises a keyboard
}

export function showEnd(why) {
  const [title, lead] = ENDINGS[why] ?? ENDINGS.unreachable;
  show("ended", `${title} – Fleeting`);
  $("ended").dataset.reason = why;
  $("ended-title").textContent = title;
  $("ended-lead").textContent = lead;
  $("ended-again").hidden = why in ENDINGS && why !== "unreachable";
  $("ended-title").focus();
}

// Forms

/** Runs what a form or a button asks for, once at a time, and says there what went wrong. */
export async function attempt(button, errors, action) {
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  errors.textContent = "";
  try {
    await action();
  } catch (error) {
    errors.textContent = error.message;
  }
  button.ariaDisabled = "false";
}

export function onSubmit(id, action) {
  const form = $(id);
  const errors = form.querySelector(".error");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(form.querySelector("button"), errors, action);
  });
}

// The room

export function renderRoom(chat) {
  $("status").dataset.state = chat.status;
  $("status").dataset.transport = chat.transport ?? "";
  $("status").title = TRANSPORTS[chat.transport] ?? "";
  setText($("status"), STATUSES[chat.status] + (chat.transport === "polling" ? " · long polling" : ""));
  renderPeople([...chat.members.values()], chat.you);
  renderTimeline(chat.timeline);
  setText($("typing"), typingLine(chat.typists));
  if (!chat.you) return;
  $("scroller").ariaBusy = "false";
  $("alone").hidden = chat.members.size > 1 || nodes.size > 0;
}

function renderPeople(members, you) {
  const people = members.map(({ id, name }) => {
    const person = element("li", `person hue-${hueOf(name)}`, name);
    person.dataset.testid = "person";
    if (id === you?.id) person.append(element("span", "hint", " (you)"));
    return person;
  });
  people.sort((a, b) => a.textContent.localeCompare(b.textContent));
  $("people-list").replaceChildren(...people);
  $("people-count").textContent = people.length;
  $("people-toggle").textContent = people.length === 1 ? "1 person" : `${people.length} people`;
}

function renderTimeline(timeline) {
  const keys = new Set(timeline.map(({ key }) => key));
  for (const [key, node] of nodes) {
    if (keys.has(key)) continue;
    node.remove();
    nodes.delete(key);
  }
  let added = false;
  let previous = null;
  let place = $("messages").firstElementChild;
  for (const item of timeline) {
    let node = nodes.get(item.key);
    if (!node) {
      node = item.kind === "message" ? makeMessage(item) : element("li", "notice");
      nodes.set(item.key, node);
      added ||= item.kind === "message" && !item.own;
    }
    if (item.kind === "message") updateMessage(node, item, previous);
    else setText(node, NOTICES[item.kind](item.name));
    if (node === place) place = place.nextElementSibling;
    else $("messages").insertBefore(node, place);
    previous = item;
  }
  if (atEnd) scrollToEnd();
  else if (added) $("news").hidden = false;
}

function makeMessage({ own, from, text }) {
  const node = element("li", own ? "message own" : `message hue-${hueOf(from.name)}`);
  node.dataset.testid = "message";
  const bubble = element("p", "text");
  bubble.append(...linked(text));
  node.append(element("span", "from", own ? "You" : from.name), bubble, element("span", "fate"));
  return node;
}

function updateMessage(node, item, previous) {
  node.classList.toggle("follows", follows(item, previous));
  if (item.seq) node.dataset.seq = item.seq;
  const shown = `${item.state} ${item.at}`;
  if (node.dataset.shown === shown) return;
  Object.assign(node.dataset, { shown, state: item.state });
  node.querySelector(".fate").replaceChildren(...fateOf(item));
}

// Said by the same person in the same breath: shown together, under one name and one time.
function follows(item, previous) {
  if (previous?.kind !== "message" || previous.own !== item.own) return false;
  return (item.own || previous.from.id === item.from.id) && item.at - previous.at < BREATH;
}

function fateOf({ state, at, id }) {
  if (state === "sending") return ["sending …"];
  if (state === "sent") return [timeOf(at)];
  const retry = element("button", "retry", "retry");
  retry.type = "button";
  retry.dataset.id = id;
  retry.dataset.testid = "retry";
  return ["not sent – ", retry];
}

function timeOf(at) {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  const time = element("time", "", date.toLocaleString([], {
    ...(today ? {} : { weekday: "short" }), hour: "2-digit", minute: "2-digit",
  }));
  time.dateTime = date.toISOString();
  return time;
}

function linked(text) {
  const parts = [];
  let from = 0;
  for (const { 0: url, index } of text.matchAll(LINK)) {
    const link = element("a", "", url);
    link.href = url;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    parts.push(text.slice(from, index), link);
    from = index + url.length;
  }
  return [...parts, text.slice(from)];
}

function hueOf(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 9_973;
  return sum % HUES;
}

function typingLine(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing …`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing …`;
  return "Several people are typing …";
}

export function renderCountdown(seconds, lifetime) {
  const days = Math.floor(seconds / 86_400);
  const [hours, minutes, rest] = [seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60].map(Math.floor);
  const two = (number) => String(number).padStart(2, "0");
  const clock = hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
  const left = `burns in ${days ? `${days} d ${hours} h` : clock}`;
  $("countdown").textContent = left;
  $("entrance-lead").textContent = `${$("entrance-lead").dataset.text} it ${left}.`;
  const burnt = `${(100 * Math.min(1, seconds / lifetime)).toFixed(2)}%`;
  $("fuse-cord").setAttribute("x2", burnt);
  $("fuse-ember").setAttribute("cx", burnt);
  $("room").classList.toggle("last-minute", seconds <= 60);
}

export function renderComposer(left) {
  const lines = $("composer").value.split("\n").length;
  $("composer").rows = Math.min(lines, 6); // where CSS cannot size a field by its content
  $("composer").ariaInvalid = String(left < 0);
  const count = left < 0 ? `${-left} characters too many` : `${left} characters left`;
  setText($("composer-left"), left > COUNT_FROM ? "" : count);
}

export function scrollToEnd() {
  atEnd = true;
  $("news").hidden = true;
  $("scroller").scrollTop = $("scroller").scrollHeight;
}

export async function copyLink() {
  const button = $("copy-link");
  try {
    await navigator.clipboard.writeText($("room-link").href);
    button.textContent = "Copied ✓";
    setTimeout(() => { button.textContent = "Copy link"; }, 2_000);
  } catch {
    prompt("The link of this room:", $("room-link").href);
  }
}

export function askToBurn() {
  $("burn-error").textContent = "";
  $("burn-dialog").showModal();
  $("burn-cancel").focus();
}

function togglePeople(open) {
  $("people").classList.toggle("open", open);
  $("people-toggle").ariaExpanded = String(open);
}

$("burn-cancel").addEventListener("click", () => $("burn-dialog").close());
$("people-toggle").addEventListener("click", () => togglePeople($("people-toggle").ariaExpanded !== "true"));
document.addEventListener("click", ({ target }) => {
  if (!target.closest("#people, #people-toggle")) togglePeople(false);
});
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape") togglePeople(false);
});
$("news").addEventListener("click", scrollToEnd);
$("scroller").addEventListener("scroll", () => {
  const { scrollHeight, scrollTop, clientHeight } = $("scroller");
  atEnd = scrollHeight - scrollTop - clientHeight < 48;
  if (atEnd) $("news").hidden = true;
});
new ResizeObserver(() => { if (atEnd) scrollToEnd(); }).observe($("scroller"));
