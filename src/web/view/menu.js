// What opens beside a button and closes by Escape, by a click elsewhere or by a choice: the browser's own popovers.

import { $ } from "./dom.js";

const GAP = 6; // pixels
const COLUMNS = 7; // of what is laid out as a grid: .palette.all
const PHONE = matchMedia("(max-width: 44rem)");

/** A popover, and the button that it belongs to while it is open. */
export class Menu {
  #opener = null;

  constructor(id, { onClose } = {}) {
    this.node = $(id);
    this.node.addEventListener("toggle", ({ newState }) => {
      if (newState === "open") return;
      if (this.#opener?.ariaExpanded) this.#opener.ariaExpanded = "false";
      // Focus that was in the menu is lost with it; where a click elsewhere took it, it stays there.
      if (this.#opener?.isConnected && [null, document.body].includes(document.activeElement)) this.#opener.focus();
      this.#opener = null;
      onClose?.();
    });
    this.node.addEventListener("keydown", (event) => this.#move(event));
  }

  get isOpen() {
    return this.node.matches(":popover-open");
  }

  toggle(opener) {
    if (this.isOpen) return this.close();
    this.open(opener);
  }

  open(opener) {
    this.#opener = opener;
    if (opener.matches("button")) opener.ariaExpanded = "true"; // it may be a message
    this.node.showPopover();
    this.#place(opener);
    this.#stops[0]?.focus({ preventScroll: true });
  }

  close() {
    const inside = this.node.contains(document.activeElement);
    const opener = this.#opener;
    if (this.isOpen) this.node.hidePopover();
    if (inside && opener?.isConnected) opener.focus({ preventScroll: true });
  }

  /** Shows these instead of what there is. */
  fill(...choices) {
    this.node.replaceChildren(...choices);
    if (this.isOpen) this.#place(this.#opener);
  }

  /** Below the button or above it, whichever has the room; on a phone it is a sheet at the bottom, by CSS. */
  #place(opener) {
    const { style } = this.node;
    style.left = style.top = "";
    if (PHONE.matches) return;
    const at = opener.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.node;
    const isRight = at.left + at.width / 2 > innerWidth / 2;
    const left = isRight ? at.right - width : at.left;
    const top = at.bottom + GAP + height <= innerHeight ? at.bottom + GAP : at.top - GAP - height;
    style.left = `${Math.max(GAP, Math.min(left, innerWidth - width - GAP))}px`;
    style.top = `${Math.max(GAP, top)}px`;
  }

  get #stops() {
    return [...this.node.querySelectorAll("button:not([hidden]), select")];
  }

  #move(event) {
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
    const isGrid = event.target.closest(".all") && ["ArrowDown", "ArrowUp"].includes(event.key);
    const step = steps[event.key] * (isGrid ? COLUMNS : 1);
    if (!step || event.target.matches("select")) return;
    event.preventDefault();
    const stops = this.#stops;
    stops.at((stops.indexOf(document.activeElement) + step) % stops.length).focus();
  }
}
