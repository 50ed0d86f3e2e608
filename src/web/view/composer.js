// Where messages are written: the text, what it answers or changes, and the files that go with it.

import { isPicture } from "../chat/files.js";
import { nodes, size, t } from "../i18n.js";
import { excerpt, lengthOf } from "../text.js";
import { announce } from "./attention.js";
import { $, button, element } from "./dom.js";
import { icon } from "./icons.js";

export const TEXT_LIMIT = 4_000;
const COUNT_FROM = 500; // characters left
const TYPING_PAUSE = 3_000;
const TOUCH = matchMedia("(hover: none) and (pointer: coarse)");

/**
 * Events: `send` ({text, files, reply}), `edit` ({id, text}), `typing` (boolean), `last`: to change the last one,
 * `page` (-1 or 1): to look at what stands above or below.
 */
export class Composer extends EventTarget {
  #field = $("composer");
  #files = []; // {file, url}
  #about = null; // {kind: "reply" | "edit", item}
  #draft = ""; // what was being written before an edit
  #pause = null;

  constructor() {
    super();
    $("composer-form").addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
    this.#field.addEventListener("keydown", (event) => this.#pressed(event));
    this.#field.addEventListener("input", () => this.#typed());
    this.#field.addEventListener("paste", (event) => this.#pasted(event));
    $("about-close").addEventListener("click", () => this.cancel());
    $("attach").addEventListener("click", () => $("picker").click());
    $("picker").addEventListener("change", () => {
      this.attach($("picker").files);
      $("picker").value = "";
    });
    this.#wireDrop();
  }

  /** Ready for a room, where this may have been begun before. */
  reset(text = "") {
    this.#field.value = text;
    this.#draft = "";
    this.#about = null;
    this.#clearFiles();
    this.#show();
  }

  /** What is being written, and not a change of what was said. */
  get text() {
    return this.#isEditing ? this.#draft : this.#field.value;
  }

  /** Whether there is something that would be lost with the page. */
  get hasWork() {
    return Boolean(this.#field.value.trim() || this.#draft.trim() || this.#files.length);
  }

  /** Only where this does not raise a keyboard over what there is to read. */
  focus({ always = false } = {}) {
    if (always || matchMedia("(pointer: fine)").matches) this.#field.focus();
  }

  reply(item) {
    this.cancel();
    this.#about = { kind: "reply", item };
    this.#show();
    this.focus({ always: true });
  }

  edit(item) {
    this.cancel();
    this.#about = { kind: "edit", item };
    this.#draft = this.#field.value;
    this.#field.value = item.text;
    this.#show();
    this.focus({ always: true });
    this.#field.setSelectionRange(item.text.length, item.text.length);
  }

  cancel() {
    if (this.#about?.kind === "edit") this.#field.value = this.#draft;
    this.#about = null;
    this.#draft = "";
    this.#show();
  }

  /** What could not be sent is there again, unless something else is. */
  putBack(text) {
    this.#field.value ||= text;
    this.#show();
  }

  attach(files) {
    for (const file of files) {
      this.#files.push({ file, url: isPicture(file.type) ? URL.createObjectURL(file) : null });
    }
    this.#showTray();
    if (files.length) this.focus();
  }

  /** Texts in another language. */
  refresh() {
    this.#show();
    this.#showTray();
  }

  #submit() {
    const text = this.#field.value.trim();
    if (lengthOf(text) > TEXT_LIMIT || (!text && (!this.#files.length || this.#isEditing))) return;
    clearTimeout(this.#pause); // that nobody types any more, the message says
    if (this.#isEditing) {
      const { id } = this.#about.item;
      this.cancel();
      this.#tell("edit", { id, text });
    } else {
      const files = this.#files.map(({ file }) => file);
      const reply = this.#about?.item.id;
      this.reset();
      this.#tell("send", { text, files, reply });
    }
    this.#field.focus();
  }

  get #isEditing() {
    return this.#about?.kind === "edit";
  }

  #pressed(event) {
    if (event.isComposing) return;
    const isSend = event.ctrlKey || event.metaKey || (!event.shiftKey && !TOUCH.matches); // a phone has no Shift+Enter
    if (event.key === "Enter" && isSend) {
      event.preventDefault();
      this.#submit();
    } else if (["PageUp", "PageDown"].includes(event.key) && this.#field.scrollHeight <= this.#field.clientHeight) {
      event.preventDefault();
      this.#tell("page", event.key === "PageUp" ? -1 : 1);
    } else if (event.key === "Escape" && this.#about) {
      this.cancel();
    } else if (event.key === "ArrowUp" && !this.#field.value && !this.#about) {
      event.preventDefault();
      this.#tell("last");
    }
  }

  #typed() {
    this.#show();
    if (!this.#field.value.trim() || this.#isEditing) return this.#stopTyping();
    this.#tell("typing", true);
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => this.#stopTyping(), TYPING_PAUSE);
  }

  #stopTyping() {
    clearTimeout(this.#pause);
    this.#tell("typing", false);
  }

  #pasted(event) {
    const { files, types } = event.clipboardData;
    // Of text with its looks, from a table or a document, there is a picture as well: it is the text that is meant.
    if (!files.length || (types.includes("text/plain") && types.includes("text/html"))) return;
    event.preventDefault();
    this.attach(files);
  }

  #wireDrop() {
    let depth = 0; // dragenter and dragleave come for each element that is crossed
    const room = $("room");
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    const show = (change) => {
      depth = change ? Math.max(0, depth + change) : 0;
      $("drop").hidden = depth === 0;
    };
    room.addEventListener("dragenter", (event) => { if (hasFiles(event)) show(1); });
    room.addEventListener("dragleave", (event) => { if (hasFiles(event)) show(-1); });
    room.addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
    room.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      show(0);
      this.attach(event.dataTransfer.files);
    });
  }

  #show() {
    const text = this.#field.value;
    const left = TEXT_LIMIT - lengthOf(text);
    this.#field.rows = Math.min(text.split("\n").length, 6); // where CSS cannot size a field by its content
    const count = left < 0 ? t("composer.over", { count: -left }) : t("composer.left", { count: left });
    if (left < 0 && this.#field.ariaInvalid !== "true") announce(count); // once, and not with every letter
    this.#field.ariaInvalid = String(left < 0);
    $("composer-left").textContent = left > COUNT_FROM ? "" : count;
    $("about").hidden = !this.#about;
    $("composer-form").classList.toggle("editing", this.#isEditing);
    const action = t(this.#isEditing ? "composer.save" : "composer.send");
    $("send").ariaLabel = $("send").title = action;
    if (this.#about) $("about-text").replaceChildren(...this.#describe(this.#about));
  }

  #describe({ kind, item }) {
    const heading = element("strong");
    if (kind === "edit") heading.append(t("composer.editing"));
    else if (item.own) heading.append(t("composer.replying_own"));
    else heading.append(...nodes("composer.replying", { name: item.name }));
    return [heading, element("span", { dir: "auto", text: excerpt(item.text || item.file?.name || "") })];
  }

  #showTray() {
    $("tray").replaceChildren(...this.#files.map((entry) => {
      const { name, size: bytes } = entry.file;
      const drop = button({ class: "quiet", testid: "tray-remove", label: t("file.remove", { name }) }, icon("close"));
      drop.addEventListener("click", () => this.#drop(entry));
      const picture = entry.url ? element("img", { src: entry.url, alt: "" }) : icon("file");
      return element("li", { testid: "tray-file" }, picture,
        element("span", { class: "file-name" },
          element("bdi", { text: name }), element("span", { class: "hint", text: size(bytes) })),
        drop);
    }));
  }

  #drop(entry) {
    if (entry.url) URL.revokeObjectURL(entry.url);
    this.#files = this.#files.filter((other) => other !== entry);
    this.#showTray();
    this.#field.focus();
  }

  #clearFiles() {
    for (const { url } of this.#files) if (url) URL.revokeObjectURL(url);
    this.#files = [];
    this.#showTray();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
