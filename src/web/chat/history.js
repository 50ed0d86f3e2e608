// What was said before, and what is missing.

import { KEPT } from "./timeline.js";

const GAP_PATIENCE = 1_500; // what is missing may only be late
const GAP_ATTEMPTS = 3;
const PAGE = 100;

export class History {
  isLoading = false;
  #line;
  #reader;
  #timeline;
  #place;
  #onChange;
  #timer = null; // while a gap is watched
  #attempts = 0;

  /** place(entries, {isLive, isOld}): puts opened entries into the timeline; live ones are news. */
  constructor({ line, reader, timeline, place, onChange }) {
    this.#line = line;
    this.#reader = reader;
    this.#timeline = timeline;
    this.#place = place;
    this.#onChange = onChange;
  }

  /** Loads what stands before the oldest message that is here. */
  async loadOlder() {
    if (this.isLoading || !this.#timeline.canLoadOlder) return;
    this.isLoading = true;
    this.#onChange();
    try {
      this.#timeline.extend(PAGE);
      const before = this.#timeline.first;
      const { entries, more } = await this.#page(before);
      if (this.#timeline.first !== before) return; // the oldest were let go meanwhile: there would be a hole between
      await this.#place(entries, { isOld: true });
      this.#timeline.hasOlder = more && entries.length > 0;
    } finally {
      this.isLoading = false;
      this.#onChange();
    }
  }

  /** Takes one message as the server has it. → its sealed body; undefined if there is no such message. */
  async refresh({ id, seq }) {
    const { history } = await this.#line.say("history", { before: seq + 1 });
    const entry = history.find((each) => each.id === id);
    if (entry) await this.#place([await this.#reader.entry(entry)]);
    return entry?.body;
  }

  /** To be called when messages came, and when the line is back. */
  watch(patience = GAP_PATIENCE) {
    if (this.#timeline.gap) {
      this.#timer ??= setTimeout(() => this.#close(), patience);
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#attempts = 0;
  }

  async #close() {
    let isProgress = false;
    try {
      if (this.#timeline.gap && this.#line.isReady) isProgress = await this.#fill(this.#timeline.gap);
    } catch { /* it is asked again */ }
    this.#timer = null;
    if (!this.#line.isReady) return; // it is watched again when the line is back
    this.watch(isProgress ? 0 : GAP_PATIENCE);
    this.#onChange();
  }

  async #fill(gap) {
    if (gap.to - gap.from >= KEPT) {
      this.#timeline.startAt(gap.to + 1);
      return true;
    }
    const { entries } = await this.#page(gap.to + 1);
    await this.#place(entries.filter(({ seq }) => seq >= gap.from), { isLive: true });
    const left = this.#timeline.gap;
    this.#attempts = left?.from === gap.from && left.to === gap.to ? this.#attempts + 1 : 0;
    if (this.#attempts < GAP_ATTEMPTS) return this.#attempts === 0;
    this.#timeline.giveUp(gap);
    this.#attempts = 0;
    return true;
  }

  async #page(before) {
    const { history, more } = await this.#line.say("history", { before });
    return { entries: await Promise.all(history.map((entry) => this.#reader.entry(entry))), more };
  }

  close() {
    clearTimeout(this.#timer);
  }
}
