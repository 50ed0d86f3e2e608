// Files in messages: pictures are shown once they are near, anything else is offered for saving.
//
// What somebody sent is never a document of this origin: only bitmaps are shown; everything else is bytes to be saved
// (application/octet-stream), SVG and HTML above all.

import { isPicture } from "../chat/files.js";
import { isShowable } from "../chat/pictures.js";
import { size, t } from "../i18n.js";
import { toast } from "./attention.js";
import { $, button, element } from "./dom.js";
import { icon } from "./icons.js";
import { Viewer } from "./viewer.js";

const WIDEST = 320; // CSS pixels
const HIGHEST = 320;
const SMALLEST = 48;
const KEPT = 40; // pictures whose bytes stay in memory

/** The files of one room: fetched once each, forgotten when the room is left. */
export class Files {
  #chat;
  #viewer;
  #urls = new Map(); // file id → object URL of a picture, the one used last at the end
  #loads = new Map(); // file id → Promise of its Blob, while it is on its way
  #items = new WeakMap(); // placeholder → message
  #near = new IntersectionObserver((entries) => this.#came(entries), { root: $("scroller"), rootMargin: "400px" });

  constructor(chat) {
    this.#chat = chat;
    const pictures = () => chat.timeline.filter(isShown);
    this.#viewer = new Viewer({ load: (item) => this.load(item, () => {}), pictures });
  }

  close() {
    this.#near.disconnect();
    for (const url of this.#urls.values()) URL.revokeObjectURL(url);
    this.#urls.clear();
  }

  /** Shows a picture in its frame now, or once it comes near to what is seen. */
  show(frame, item) {
    this.#items.set(frame, item);
    const url = this.#urls.get(item.file.id);
    if (url) this.#put(frame, item, url);
    else this.#near.observe(frame);
  }

  /** Loads a file's bytes; `onProgress` hears 0 to 1. */
  load(item, onProgress) {
    const { id } = item.file;
    if (!this.#loads.has(id)) {
      this.#loads.set(id, this.#chat.download(item, onProgress).finally(() => this.#loads.delete(id)));
    }
    return this.#loads.get(id);
  }

  #came(entries) {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      this.#near.unobserve(target);
      this.#fetch(target);
    }
  }

  async #fetch(frame) {
    const item = this.#items.get(frame);
    frame.replaceChildren(icon("file"));
    frame.dataset.state = "loading";
    frame.setAttribute("aria-label", t("file.loading", { name: item.file.name }));
    try {
      const blob = await this.load(item, () => {});
      if (!(await isShowable(blob))) return frame.replaceWith(this.card(item));
      this.#put(frame, item, this.#keep(item.file.id, blob));
    } catch {
      failed(frame, () => this.#fetch(frame));
    }
  }

  #keep(id, blob) {
    const url = this.#urls.get(id) ?? URL.createObjectURL(blob);
    this.#urls.delete(id);
    this.#urls.set(id, url);
    const [oldest] = this.#urls.keys();
    if (this.#urls.size > KEPT) {
      URL.revokeObjectURL(this.#urls.get(oldest)); // what is drawn stays drawn
      this.#urls.delete(oldest);
    }
    return url;
  }

  #put(frame, item, url) {
    const image = element("img", { alt: item.file.name, src: url, draggable: "false" });
    image.addEventListener("error", () => frame.replaceWith(this.card(item))); // no picture, whatever it said it was
    frame.dataset.state = "loaded";
    frame.setAttribute("aria-label", t("file.enlarge", { name: item.file.name }));
    frame.onclick = () => this.#viewer.open(item);
    frame.replaceChildren(image);
  }

  /** A file to be saved: its name, its size, and a button that fetches it first. */
  card(item) {
    const { name, size: bytes } = item.file;
    const detail = element("span", { class: "hint", text: size(bytes) });
    const card = button({ class: "file", testid: "file", "data-part": "file" },
      icon("file"), element("span", { class: "file-name" }, element("bdi", { text: name }), detail),
      icon("download"), element("span", { class: "unseen", text: t("file.save") }));
    card.addEventListener("click", async () => {
      card.ariaDisabled = "true";
      try {
        const blob = await this.load(item, (done) => { detail.textContent = `${Math.round(done * 100)} %`; });
        save(blob, name);
        detail.textContent = size(bytes);
      } catch {
        detail.textContent = t("file.failed");
        toast(t("file.failed"));
      }
      card.ariaDisabled = "false";
    });
    return card;
  }
}

/** What a message shows of its file. */
export function makeFile(item, files) {
  if (!isPicture(item.file.type)) return files.card(item);
  const { width, height } = sizeOf(item.file);
  const frame = button({ class: "picture", testid: "picture", label: t("file.enlarge", { name: item.file.name }) });
  // Room is kept before the picture is there, so that nothing moves when it comes.
  frame.style.width = `${width}px`;
  frame.style.aspectRatio = `${width} / ${height}`;
  if (item.state === "sending" && !item.seq) frame.append(icon("file"));
  else files.show(frame, item);
  return frame;
}

const isShown = ({ file, deleted, unreadable, seq }) => seq && file && !deleted && !unreadable && isPicture(file.type);

// A sender says how large a picture is, and may say anything.
function sizeOf({ width, height }) {
  if (!(width > 0 && height > 0)) return { width: 240, height: 180 };
  const scale = Math.min(1, WIDEST / width, HIGHEST / height);
  const scaled = (side) => Math.max(SMALLEST, Math.round(side * scale));
  return { width: scaled(width), height: scaled(height) };
}

function failed(frame, again) {
  frame.dataset.state = "failed";
  frame.setAttribute("aria-label", `${t("file.failed")} ${t("message.retry")}`);
  frame.replaceChildren(icon("retry"), element("span", { text: t("file.failed") }));
  frame.onclick = again;
}

function save(blob, name) {
  const url = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
  const link = element("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser is reading it
}
