// One message: made once, and changed part by part, so that a picture stays while somebody reacts to it.

import { clock, day, list, moment, nodes, sentence, t } from "../i18n.js";
import { excerpt, isEmojiOnly, isLong, parse } from "../text.js";
import { avatar, button, element, hueOf } from "./dom.js";
import { makeFile } from "./files.js";
import { icon } from "./icons.js";
import { subject } from "./notices.js";

const BREATH = 180_000; // ms
const MARKS = { sending: "clock", sent: "check", seen: "checks", failed: "warning", withdrawn: "clock" };

const NOTICE_ICONS = { locked: "lock", unlocked: "unlock" };

/** An empty message; update() fills it. */
export function makeItem(item) {
  if (item.kind === "unread") return element("li", { class: "unread", testid: "unread" });
  if (item.kind !== "message") return element("li", { class: "notice", testid: "notice" });
  const node = element("li", {
    class: item.own ? "message own" : `message ${hueOf(item.person)}`, testid: "message", tabindex: "-1",
  });
  node.shown = {};
  return node;
}

/** Brings a node up to date. `previous`: the item before it; `before`: the message before it; `files`: the room's. */
export function updateItem(node, item, { previous, before, files }) {
  if (node.item === item && node.previous === previous) return; // the same object has not changed
  Object.assign(node, { item, previous });
  if (item.kind === "unread") return void (node.textContent = t("talk.unread"));
  if (item.kind !== "message") return updateNotice(node, item);
  Object.assign(node.dataset, { state: item.state, key: item.key, id: item.id, seq: item.seq ?? "" });
  const parts = partsOf(item, previous, before);
  node.classList.toggle("follows", parts.follows);
  node.classList.toggle("gone", item.deleted || item.unreadable);
  node.classList.toggle("bare", parts.isBare);
  patch(node, "day", [parts.day], () => parts.day && element("p", { class: "day", text: parts.day }));
  patch(node, "from", [item.name, item.own, parts.follows, item.imitates], () => makeFrom(item, parts));
  patch(node, "bubble", parts.bubble, () => makeBubble(item));
  patch(node, "file", fileSignature(item), () => shownFile(item) && makeFile(item, files));
  patch(node, "meta", [item.state, item.at, item.edited, item.deleted], () => makeMeta(item));
  patch(node, "progress", [isUploading(item)], () => isUploading(item) && makeProgress(item));
  if (isUploading(item)) node.querySelector("progress").value = item.progress; // its button stays, to be pressed
  patch(node, "trouble", [item.state, item.error, item.errorCode, item.misplaced], () => makeTrouble(item));
  patch(node, "reactions", item.deleted ? [] : item.reactions, () => makeReactions(item));
  patch(node, "tools", [item.deleted, item.state, item.unreadable, !item.seq], () => makeTools(item));
}

function updateNotice(node, item) {
  const drawn = NOTICE_ICONS[item.kind] ? [icon(NOTICE_ICONS[item.kind])] : [];
  node.replaceChildren(...drawn, ...nodes(`notice.${item.kind}`, subject(item)));
}

function partsOf(item, previous, before) {
  // A room that began today need not say so.
  const startsDay = dayOf(item.at) !== dayOf(before?.at ?? Date.now());
  return {
    day: startsDay ? day(item.at) : "",
    follows: !startsDay && followsOn(item, previous),
    isBare: !item.deleted && !item.unreadable && !item.file && isEmojiOnly(item.text ?? ""),
    bubble: [item.text, item.reply, item.deleted, item.unreadable],
  };
}

const dayOf = (at) => new Date(at).toDateString();

// Said by the same person in the same breath: shown together, under one name.
const followsOn = (item, previous) =>
  previous?.kind === "message" && previous.own === item.own && previous.person === item.person &&
  previous.name === item.name && item.at - previous.at < BREATH;

const ORDER = ["day", "from", "bubble", "file", "progress", "meta", "trouble", "reactions", "tools"];

/** Replaces a part of a message if what it shows has changed; focus in it goes to its like. */
function patch(node, name, shows, make) {
  const shown = JSON.stringify(shows);
  if (node.shown[name] === shown) return;
  node.shown[name] = shown;
  const before = node.querySelector(`:scope > [data-part=${name}]`);
  const focused = before?.contains(document.activeElement) ? document.activeElement.dataset.testid : null;
  const label = focused && document.activeElement.dataset.emoji;
  const after = make() || null;
  if (after) after.dataset.part = name;
  if (before && after) before.replaceWith(after);
  else if (before) before.remove();
  else if (after) {
    const rest = ORDER.slice(ORDER.indexOf(name) + 1);
    node.insertBefore(after, [...node.children].find((child) => rest.includes(child.dataset.part)) ?? null);
  }
  if (!focused) return;
  const like = [...(after?.querySelectorAll(`[data-testid=${focused}]`) ?? [])].find((e) => e.dataset.emoji === label);
  (like ?? node).focus({ preventScroll: true });
}

function makeFrom(item, { follows }) {
  const className = follows ? "from unseen" : "from";
  if (item.own) return element("p", { class: "from unseen", text: t("message.you") });
  const said = t("message.imitates");
  const mark = item.imitates
    ? element("span", { class: "imitates", title: said, role: "img", label: said }, icon("warning"))
    : null;
  return element("p", { class: className }, avatar(item.name), element("bdi", { text: item.name }), mark);
}

function makeBubble(item) {
  if (item.deleted || item.unreadable) {
    const said = t(item.deleted ? "message.deleted" : "message.unreadable");
    return element("div", { class: "bubble" },
      item.deleted ? null : icon("warning"), element("p", { class: "text", text: said }));
  }
  if (!item.text && !item.reply) return null;
  const bubble = element("div", { class: "bubble" });
  if (item.reply) bubble.append(makeQuote(item.reply));
  const blocks = parse(item.text);
  bubble.append(...(isLong(blocks) ? makeFold(blocks) : makeText(blocks)));
  return bubble;
}

/** What is long shows its beginning, and a button for the rest. */
function makeFold(blocks) {
  const words = element("div", { class: "fold" }, ...makeText(blocks));
  const unfold = button({ class: "link", testid: "unfold", "aria-expanded": "false", text: t("message.unfold") });
  unfold.addEventListener("click", () => {
    const isOpen = words.classList.toggle("open");
    unfold.ariaExpanded = String(isOpen);
    unfold.textContent = t(isOpen ? "message.fold" : "message.unfold");
    if (!isOpen) words.parentElement.scrollIntoView({ block: "nearest" });
    words.closest(".scroller").dispatchEvent(new Event("scroll")); // the end may not be in view any more
  });
  return [words, unfold];
}

function makeQuote(reply) {
  const text = reply.text ? excerpt(reply.text) : t("message.reply_gone");
  return button(
    { class: "quote", testid: "quote", "data-act": "jump", "data-jump": reply.id },
    element("bdi", { class: "quoted-name", text: reply.name ?? "" }), element("span", { dir: "auto", text }),
  );
}

function makeText(blocks) {
  return blocks.map((block) => {
    if (block.kind === "code") {
      // It scrolls sideways, so the keyboard must get there.
      const properties = { dir: "ltr", tabindex: "0", role: "group", label: t("message.code") };
      const said = t("message.copy_code");
      const copy = { class: "quiet", testid: "copy-code", "data-act": "copy-code", label: said, title: said };
      return element("div", { class: "code" },
        element("pre", properties, element("code", { text: block.text })), button(copy, icon("copy")));
    }
    const paragraph = element("p", { class: "text", dir: "auto" });
    paragraph.append(...block.parts.flatMap(makePart));
    return paragraph;
  });
}

function makePart({ kind, text, href, host }) {
  if (kind === "text") return [text];
  if (kind === "code") return [element("code", { text })];
  // It has its own direction, whatever turned that of the words around it.
  const link = element("a", { text, href, title: href, dir: "ltr", target: "_blank", rel: "noopener noreferrer" });
  return host ? [link, " ", element("bdi", { class: "host", testid: "host", text: `(${host})` })] : [link];
}

function makeMeta(item) {
  const isEdited = item.edited && !item.deleted;
  const meta = element("p", { class: isEdited ? "meta edited" : "meta" });
  if (isEdited) meta.append(element("span", { text: t("message.edited"), testid: "edited" }));
  if (item.at) meta.append(makeTime(item.at));
  if (item.own && !item.deleted) {
    const said = t(`message.${item.state}`);
    const properties = { class: "mark", testid: "mark", role: "img", label: said, title: said };
    meta.append(element("span", properties, icon(MARKS[item.state])));
  }
  return meta;
}

const makeTime = (at) =>
  element("time", { text: clock(at), title: moment(at), datetime: new Date(at).toISOString() });

const isUploading = ({ state, progress }) => state === "sending" && progress != null;

function makeProgress({ file }) {
  const name = file?.name ?? "";
  const stop = t("file.stop", { name });
  return element("div", { class: "progress" },
    element("progress", { max: 1, testid: "progress", label: t("file.sending", { name }) }),
    button({ class: "quiet", testid: "stop", "data-act": "discard", label: stop, title: stop }, icon("close")));
}

function makeTrouble(item) {
  const said = item.error && sentence({ code: item.errorCode, message: item.error });
  if (item.state === "failed") {
    return element("div", { class: "trouble" }, element("p", { text: said || t("message.failed"), testid: "trouble" }),
      button({ class: "link", testid: "retry", "data-act": "retry", text: t("message.retry") }),
      button({ class: "link", testid: "discard", "data-act": "discard", text: t("message.discard") }));
  }
  if (item.state === "withdrawn") {
    return element("div", { class: "trouble" }, element("p", { text: t("message.withdrawing"), testid: "trouble" }));
  }
  if (said) return element("div", { class: "trouble" }, element("p", { text: said, testid: "trouble" }));
  if (!item.misplaced) return null;
  return element("div", { class: "trouble" },
    icon("warning"), element("p", { text: t("message.misplaced"), testid: "misplaced" }));
}

function makeReactions({ reactions, deleted }) {
  if (deleted || !reactions?.length) return null;
  return element("div", { class: "reactions" }, ...reactions.map(({ emoji, names, own }) => button(
    {
      class: "reaction", testid: "reaction", "data-act": "react", "data-emoji": emoji, "aria-pressed": String(own),
      title: list(names), label: t("message.reaction", { emoji, count: names.length, names: list(names) }),
    },
    element("span", { text: emoji }), element("span", { class: "count", text: String(names.length) }),
  )));
}

function makeTools({ deleted, state, unreadable, seq }) {
  const isWaiting = !seq && ["sending", "failed"].includes(state);
  if (deleted || unreadable || !(isWaiting || ["sent", "seen"].includes(state))) return null;
  // By keyboard, Enter on the message opens the menu.
  const tool = (act, testid) => {
    const said = t(`message.${act}`);
    return button({ class: "quiet", testid, "data-act": act, tabindex: "-1", label: said, title: said }, icon(act));
  };
  const more = tool("more", "message-more");
  more.ariaExpanded = "false";
  return element("div", { class: "tools" }, isWaiting ? null : tool("reply", "reply"), more);
}

const shownFile = (item) => item.file && !item.deleted && !item.unreadable;

const fileSignature = (item) => (shownFile(item) ? [item.file, item.state === "sending"] : []);
