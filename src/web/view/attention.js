// What reaches people who are not looking: the title, notifications, and what a screen reader says.

import { sentence, t } from "../i18n.js";
import { excerpt } from "../text.js";
import { $, element } from "./dom.js";

const SAID = 5; // announcements that stay in the document: only what is added is read out
const TOAST_FOR = 5_000;

let title = "Fleeting";
let unread = 0;
let wantsNotes = false;
let toastTimer = null;

export function setTitle(text) {
  title = text;
  unread = 0;
  document.title = title;
}

/** Somebody wrote: announced where the page is looked at, counted and perhaps notified where it is not. */
export function heard(item) {
  if (!document.hidden) return announce(describe(item));
  unread += 1;
  document.title = `(${unread}) ${title}`;
  if (wantsNotes && Notification.permission === "granted") notify(item);
}

export function seenAll() {
  if (unread) setTitle(title);
}

function describe({ name, text, file }) {
  if (text || !file) return t("message.said", { name, text: excerpt(text, 300) });
  return t("message.file_said", { name, file: file.name });
}

// Who wrote, and not what: notifications are shown over locked screens and kept by systems.
function notify({ name }) {
  try {
    const note = new Notification(t("bell.note", { name }), { body: t("bell.note_body"), tag: location.pathname });
    note.onclick = () => {
      window.focus();
      note.close();
    };
  } catch { /* on Android only service workers may, and this page leaves none behind */ }
}

export function announce(text) {
  $("announcer").append(element("p", { text }));
  while ($("announcer").childElementCount > SAID) $("announcer").firstElementChild.remove();
}

/** Nothing is left of what was announced. */
export function hush() {
  $("announcer").replaceChildren();
}

/** Says something for a moment, above whatever is open. */
export function toast(text) {
  if ($("toast").matches(":popover-open")) $("toast").hidePopover();
  $("toast").showPopover();
  $("toast").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    $("toast").hidePopover();
    $("toast").textContent = "";
  }, TOAST_FOR);
}

/** Does what the room may refuse, and says so. */
export async function tryTo(action) {
  try {
    await action();
  } catch (error) {
    toast(sentence(error));
  }
}

export function showBell() {
  $("bell").hidden = !("Notification" in window);
  $("bell").setAttribute("aria-pressed", String(wantsNotes));
  $("bell").title = t(wantsNotes ? "bell.off" : "bell.on");
}

export async function toggleBell() {
  if (wantsNotes) {
    wantsNotes = false;
    toast(t("bell.is_off"));
  } else {
    wantsNotes = (await Notification.requestPermission()) === "granted";
    toast(t(wantsNotes ? "bell.is_on" : "bell.denied"));
  }
  showBell();
}
