// What can be done with a message: its menu, its buttons, its keys.

import { t } from "../i18n.js";
import { toast, tryTo } from "./attention.js";
import { ask } from "./dialogs.js";
import { $, button, element } from "./dom.js";
import { icon } from "./icons.js";
import { Menu } from "./menu.js";

const PALETTE = ["👍", "❤️", "😂", "🎉", "😮", "😢"];
export const MORE = [
  "👎", "👏", "🙏", "🙌", "👌", "💪", "🤝", "👋", "😀", "😊", "😍", "🥰", "😎", "🤔",
  "😅", "😉", "😴", "🙄", "😬", "😭", "😡", "🤯", "🥳", "🤷", "👀", "🔥", "💯", "✅",
  "❌", "❓", "❗", "⭐", "💡", "🚀", "🎂", "☕", "🍕", "🌈", "🌻", "🐢", "🖤", "💔", "🎈",
];
const ICONS = { reply: "reply", copy: "copy", edit: "edit", delete: "discard", withdraw: "discard" };

const isThere = (item) => ["sent", "seen"].includes(item.state) && !item.deleted;

/** Whether a message has not been sent, or nobody knows whether it was. */
const isWaiting = (item) => item.own && !item.seq && ["sending", "failed"].includes(item.state);

export const canEdit = (item) =>
  item.own && (isThere(item) || isWaiting(item)) && Boolean(item.text) && !item.unreadable;

export class Actions {
  #room;
  #menu = new Menu("message-menu", { onClose: () => $("messages").querySelector(".open")?.classList.remove("open") });

  /** room: {chat (the one of the moment), timeline, composer, jump(id)} */
  constructor(room) {
    this.#room = room;
    $("messages").addEventListener("click", ({ target }) => {
      const place = target.closest("[data-act]");
      const item = place && room.timeline.itemOf(place);
      if (item) this.#do(place.dataset.act, item, place);
    });
    $("messages").addEventListener("keydown", (event) => {
      if (!event.target.matches(".message") || !["Enter", " ", "ContextMenu"].includes(event.key)) return;
      event.preventDefault();
      this.#open(room.timeline.itemOf(event.target), event.target);
    });
  }

  #do(what, item, place) {
    const { chat, composer, jump } = this.#room;
    if (what === "retry") chat.retry(item.id);
    else if (what === "discard") chat.discard(item.id);
    else if (what === "react") tryTo(() => chat.react(item.id, place.dataset.emoji));
    else if (what === "jump") jump(place.dataset.jump);
    else if (what === "reply") composer.reply(item);
    else if (what === "edit") composer.edit(item);
    else if (what === "copy") copy(item.text);
    else if (what === "copy-code") copy(place.closest(".code").querySelector("pre").textContent);
    else if (what === "delete") ask("delete", () => chat.remove(item.id));
    else if (what === "withdraw") tryTo(() => this.#withdraw(item));
    else if (what === "more") this.#open(item, place);
  }

  async #withdraw({ id }) {
    await this.#room.chat.remove(id); // also where it was sent a moment ago
    toast(t("message.withdrawn"));
  }

  #open(item, place) {
    if (this.#menu.isOpen) return this.#menu.close();
    const choices = isThere(item) || isWaiting(item) ? this.#choices(item) : [];
    if (!choices.length) return;
    this.#menu.fill(...choices);
    place.closest(".message").classList.add("open");
    this.#menu.open(place);
  }

  #choices(item) {
    const may = {
      reply: isThere(item) && !item.unreadable,
      copy: item.text,
      edit: canEdit(item),
      delete: isThere(item) && (item.own || this.#room.chat.isOwner),
      withdraw: isWaiting(item),
    };
    const choices = Object.keys(ICONS).filter((what) => may[what]).map((what) => {
      const properties = { class: ICONS[what] === "discard" ? "danger" : "", testid: `message-${what}` };
      return this.#choice(what, item, button(properties, icon(ICONS[what]), t(`message.${what}`)));
    });
    return item.unreadable || !isThere(item) ? choices : [this.#palette(item), ...choices];
  }

  #palette(item) {
    const own = item.reactions.filter((reaction) => reaction.own).map(({ emoji }) => emoji);
    const choices = (all) => all.map((emoji) => this.#choice("react", item, button({
      testid: "react", text: emoji, "data-emoji": emoji,
      label: t("message.react", { emoji }), "aria-pressed": String(own.includes(emoji)),
    })));
    const said = t("message.react_more");
    const more = button({ testid: "react-more", label: said, title: said }, icon("plus"));
    more.addEventListener("click", () => {
      const others = choices(MORE);
      this.#menu.fill(element("div", { class: "palette all" }, ...choices(PALETTE), ...others));
      others[0].focus();
    });
    return element("div", { class: "palette" }, ...choices(PALETTE), more);
  }

  #choice(what, item, made) {
    made.addEventListener("click", () => {
      this.#menu.close();
      this.#do(what, item, made);
    });
    return made;
  }
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("message.copied"));
  } catch {
    toast(t("error.other"));
  }
}
