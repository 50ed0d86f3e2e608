// The messages that are in the document: a window of the timeline, however long that is. It moves with the scrolling,
// and what is looked at stays where it is while something is added or taken away above it.

import { $ } from "./dom.js";
import { makeItem, updateItem } from "./message.js";

const PAGE = 60; // items that are added at a time, and shown at the end
const MOST = 180; // items in the document
const NEAR_END = 48; // pixels

/** Events: `older` (the beginning of what is known is near), `moved` (other items are in view). */
export class Timeline extends EventTarget {
  isFollowing = true; // the end stays in view
  #items = [];
  #nodes = new Map(); // key → <li>
  #first = 0; // of the window, in #items
  #last = 0; // behind the window
  #key = null; // of the first item in the window: its place changes when older ones come
  #files = null;
  #hasOlder = false;
  #current = null; // key of the message that Tab goes to
  #scroller = $("scroller");
  #list = $("messages");

  constructor() {
    super();
    this.#scroller.addEventListener("scroll", () => this.#scrolled());
    this.#list.addEventListener("focusin", ({ target }) => this.#focused(target.closest(".message")));
    this.#list.addEventListener("keydown", (event) => this.#pressed(event));
    new ResizeObserver(() => { if (this.isFollowing) this.toEnd(); }).observe(this.#scroller);
  }

  clear() {
    this.#list.replaceChildren();
    this.#nodes.clear();
    this.#items = [];
    this.#first = this.#last = 0;
    this.#key = this.#current = null;
    this.#files = null;
    this.isFollowing = true;
  }

  /** Shows a room's timeline as it is now; `above` changes what stands above it. */
  render(items, { files, hasOlder, above }) {
    const reachedEnd = this.#last === this.#items.length;
    this.#files = files;
    this.#hasOlder = hasOlder;
    const count = this.#last - this.#first;
    this.#items = items;
    if (this.isFollowing) {
      this.#last = items.length;
      this.#first = Math.max(0, items.length - PAGE);
    } else {
      const found = items.findIndex(({ key }) => key === this.#key);
      const from = found < 0 ? Math.min(this.#first, Math.max(0, items.length - count)) : found;
      // What came above is drawn with the rest: at the very top there is nothing that scrolling could make up for.
      this.#first = this.#isNearStart ? Math.max(0, from - PAGE) : from;
      this.#last = Math.min(items.length, from + (reachedEnd ? MOST : count), this.#first + MOST);
    }
    this.#draw(above);
    if (!this.isFollowing) this.#extend();
  }

  toEnd() {
    this.isFollowing = true;
    if (this.#last !== this.#items.length || this.#last - this.#first > PAGE) {
      this.#last = this.#items.length;
      this.#first = Math.max(0, this.#last - PAGE);
      this.#draw();
    }
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.dispatchEvent(new Event("moved"));
  }

  /** Goes up to where an item begins, if that is above what is in view. */
  rise(key) {
    const index = this.#items.findIndex((item) => item.key === key);
    if (index < 0) return;
    if (index < this.#first) {
      this.isFollowing = false;
      this.#first = Math.max(0, index - PAGE / 2);
      this.#last = Math.min(this.#items.length, this.#first + MOST);
      this.#draw();
    }
    const distance = this.#nodes.get(key).getBoundingClientRect().top - this.#scroller.getBoundingClientRect().top;
    if (distance >= 0) return;
    this.isFollowing = false;
    this.#scroller.scrollTop += distance;
  }

  /** One page up (-1) or down (1). */
  scroll(pages) {
    this.#scroller.scrollBy({ top: pages * this.#scroller.clientHeight * 0.85 });
  }

  /** Brings a message into view, lights it up and gives it the focus; false where it is not known. */
  reveal(id) {
    const index = this.#items.findIndex((item) => item.id === id);
    if (index < 0) return false;
    if (index < this.#first || index >= this.#last) {
      this.#first = Math.max(0, index - PAGE / 2);
      this.#last = Math.min(this.#items.length, this.#first + PAGE);
    }
    this.isFollowing = false;
    this.#draw();
    const node = this.#nodes.get(this.#items[index].key);
    node.scrollIntoView({ block: "center" });
    node.classList.remove("lit");
    void node.offsetWidth; // the light starts anew
    node.classList.add("lit");
    node.focus({ preventScroll: true });
    return true;
  }

  /** The message that a node in it belongs to. */
  itemOf(node) {
    const key = node.closest(".message")?.dataset.key;
    return this.#items.find((item) => item.key === key);
  }

  nodeOf(id) {
    return [...this.#nodes.values()].find((node) => node.dataset.id === id);
  }

  /** The number of the last message that can be seen; 0 if there is none. */
  get lastSeen() {
    const end = this.#scroller.getBoundingClientRect().bottom;
    for (let index = this.#last - 1; index >= this.#first; index--) {
      const { key, seq } = this.#items[index];
      if (seq && (this.isFollowing || this.#nodes.get(key).getBoundingClientRect().top < end)) return seq;
    }
    return 0;
  }

  /** How far it is to the end, in heights of what is seen. */
  get distance() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return (scrollHeight - scrollTop - clientHeight) / clientHeight + (this.#last < this.#items.length ? 1 : 0);
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.isFollowing = this.#last === this.#items.length && scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.#extend();
    this.dispatchEvent(new Event("moved"));
  }

  get #isNearStart() {
    return this.#scroller.scrollTop < this.#scroller.clientHeight;
  }

  /** Adds what is near to the window, at either end, and takes away what is far at the other. */
  #extend() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    if (this.#isNearStart && this.#first > 0) {
      this.#first = Math.max(0, this.#first - PAGE);
      this.#last = Math.min(this.#last, this.#first + MOST);
      this.#draw();
    } else if (this.#isNearStart && this.#hasOlder) {
      this.dispatchEvent(new Event("older"));
    } else if (scrollHeight - scrollTop - clientHeight < clientHeight && this.#last < this.#items.length) {
      this.#last = Math.min(this.#items.length, this.#last + PAGE);
      this.#first = Math.max(this.#first, this.#last - MOST);
      this.#draw();
    }
  }

  #draw(above) {
    const anchor = this.isFollowing ? null : this.#topmost();
    const before = anchor?.getBoundingClientRect().top;
    above?.();
    this.#reconcile();
    this.#key = this.#items[this.#first]?.key ?? null;
    if (this.isFollowing) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    else if (anchor?.isConnected) this.#scroller.scrollTop += anchor.getBoundingClientRect().top - before;
  }

  /** The first node that begins in view, for one that is cut off may change its height; else the one in view. */
  #topmost() {
    const { top, bottom } = this.#scroller.getBoundingClientRect();
    const places = [...this.#list.children].map((node) => [node, node.getBoundingClientRect()]);
    const begins = places.find(([, at]) => at.top >= top && at.top < bottom);
    return (begins ?? places.find(([, at]) => at.bottom > top))?.[0];
  }

  #reconcile() {
    const shown = this.#items.slice(this.#first, this.#last);
    const keys = new Set(shown.map(({ key }) => key));
    for (const [key, node] of this.#nodes) {
      if (keys.has(key)) continue;
      if (node.contains(document.activeElement)) this.#scroller.focus({ preventScroll: true });
      node.remove();
      this.#nodes.delete(key);
    }
    let place = this.#list.firstElementChild;
    let previous = this.#items[this.#first - 1] ?? null;
    let before = this.#items.slice(0, this.#first).findLast(isMessage);
    for (const item of shown) {
      let node = this.#nodes.get(item.key);
      if (!node) this.#nodes.set(item.key, (node = makeItem(item)));
      updateItem(node, item, { previous, before, files: this.#files });
      if (node === place) place = place.nextElementSibling;
      else this.#list.insertBefore(node, place);
      previous = item;
      if (isMessage(item)) before = item;
    }
    this.#settleStop();
  }

  // One message takes part in the Tab order: the one that has the focus, or the newest.

  #settleStop() {
    if (this.#nodes.get(this.#current)?.contains(document.activeElement)) return;
    this.#setStop(this.#items.slice(0, this.#last).findLast(isMessage)?.key);
  }

  #setStop(key) {
    const before = this.#nodes.get(this.#current);
    if (before) before.tabIndex = -1;
    this.#current = this.#nodes.has(key) ? key : null;
    if (this.#current) this.#nodes.get(key).tabIndex = 0;
  }

  #focused(node) {
    if (node) this.#setStop(node.dataset.key);
  }

  #pressed(event) {
    const node = event.target.closest(".message");
    if (!node || event.target !== node || event.ctrlKey || event.metaKey || event.altKey) return;
    const messages = [...this.#list.querySelectorAll(".message")];
    const index = messages.indexOf(node);
    const target = { ArrowUp: index - 1, ArrowDown: index + 1, Home: 0, End: messages.length - 1 }[event.key];
    if (target === undefined || !messages[target]) return;
    event.preventDefault();
    messages[target].focus({ preventScroll: true });
    messages[target].scrollIntoView({ block: "nearest" });
  }
}

const isMessage = ({ kind }) => kind === "message";
