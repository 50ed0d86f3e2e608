// A picture as large as the page, and from it to those before and after.

import { t } from "../i18n.js";
import { $ } from "./dom.js";

/** load(item): Promise of a picture's Blob; pictures(): the items of all that there are, in order. */
export class Viewer {
  #room;
  #item = null;
  #url = null; // of what is shown

  constructor(room) {
    this.#room = room;
  }

  open(item) {
    $("image-previous").onclick = () => this.#step(-1);
    $("image-next").onclick = () => this.#step(1);
    $("image-dialog").onkeydown = ({ key }) => this.#step({ ArrowLeft: -1, ArrowRight: 1 }[key]);
    $("image-dialog").onclose = () => this.#clear();
    $("image-dialog").showModal();
    $("image-dialog").querySelector("[data-close]").focus();
    this.#show(item);
  }

  #step(by) {
    const pictures = this.#room.pictures();
    const next = by && pictures[pictures.findIndex(({ id }) => id === this.#item.id) + by];
    if (next) this.#show(next);
  }

  async #show(item) {
    this.#clear();
    this.#item = item;
    const { name } = item.file;
    $("image-name").textContent = name;
    $("image-large").alt = name;
    const ids = this.#room.pictures().map(({ id }) => id);
    $("image-previous").ariaDisabled = String(ids.indexOf(item.id) <= 0);
    $("image-next").ariaDisabled = String(ids.at(-1) === item.id);
    try {
      const blob = await this.#room.load(item);
      if (this.#item !== item) return;
      this.#url = URL.createObjectURL(blob);
      $("image-large").src = $("image-save").href = this.#url;
      $("image-save").download = name;
    } catch {
      if (this.#item === item) $("image-name").textContent = t("file.failed");
    }
  }

  #clear() {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#item = this.#url = null;
    $("image-name").textContent = $("image-large").alt = "";
    for (const [id, attribute] of [["image-large", "src"], ["image-save", "href"]]) $(id).removeAttribute(attribute);
    $("image-save").removeAttribute("download");
  }
}
