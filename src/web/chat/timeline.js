// What there is to read, in order: what was said, what happened in between, and what waits to be sent.
//
// Everything is keyed (messages by id and number, edits by revision, reactions by counter), so it may come late, twice
// or in another order, and the same stands there in the end.

import { itemOf, waitingItemOf } from "./items.js";
import { Order } from "./order.js";

export const KEPT = 2_000; // messages; the oldest go, and can be loaded again
const MOST = 10_000; // who loads older ones may have so many
const SLACK = 500; // what may still come in before those are let go again

/** person: one's own; names: who is called what; seenBy(): the number up to which all others have seen all. */
export class Timeline {
  hasOlder = false;
  #records = []; // messages in order of seq
  #byId = new Map();
  #repliesTo = new Map(); // id → ids of its replies
  #notices = []; // {key, after: seq, kind, name}, in order
  #pending = new Map(); // id → a message that has no number yet
  #whole = null; // the number up to which nothing is missing
  #limit = KEPT;
  #items = null; // what `items` returned, until something changes
  #order = new Order(); // null if it is to be found out anew
  #shown = { version: -1, seen: 0 }; // the names' version and seenBy() at that time

  constructor({ person, names, seenBy }) {
    this.person = person;
    this.names = names;
    this.seenBy = seenBy;
  }

  /** [number, id] of the last message, [0, ""] before the first. */
  get last() {
    const { seq = 0, id = "" } = this.#records.at(-1) ?? {};
    return [seq, id];
  }

  /** The number of the oldest message that is here; 0 if there is none. */
  get first() {
    return this.#records[0]?.seq ?? 0;
  }

  get canLoadOlder() {
    return this.hasOlder && this.#records.length < MOST;
  }

  get(id) {
    return this.#byId.get(id);
  }

  /** The people, oneself aside, whose messages have numbers in (from, to]. */
  authors(from, to) {
    const authors = new Set();
    for (let at = this.#records.length - 1; at >= 0 && this.#records[at].seq > from; at--) {
      if (this.#records[at].seq <= to) authors.add(this.#records[at].person);
    }
    authors.delete(this.person);
    return authors;
  }

  // Messages that have a number

  /**
   * Puts a message in its place: {id, seq, at, person, rev, message, reactions: [{person, n, emoji}]}; `message` is as
   * in values.js, null if deleted, undefined if it does not open. → whether it was not here before.
   */
  place({ id, seq, at, person, rev, message, reactions = [] }) {
    const known = this.#byId.get(id);
    if (known) this.change({ id, rev, message });
    else this.#insert({ id, seq, at, person, rev, message, draft: null, reactions: new Map(), item: null });
    for (const reaction of reactions) this.react(id, reaction);
    return !known;
  }

  /** Takes another revision of a message. → whether that message is here. */
  change({ id, rev, message }) {
    const record = this.#byId.get(id);
    if (!record) return false;
    if (rev > record.rev) {
      Object.assign(record, { rev, message });
      this.#order = null;
      this.#touch(record);
    }
    return true;
  }

  /** Takes somebody's reactions to a message. → whether that message is here. */
  react(id, { person, n, emoji }) {
    const record = this.#byId.get(id);
    if (!record) return false;
    if (n >= (record.reactions.get(person)?.n ?? 0)) {
      record.reactions.set(person, { n, emoji });
      this.#touch(record);
    }
    return true;
  }

  /** Shows an own message with another text, until the server has it; null shows what it has. */
  draft(id, text) {
    const record = this.#byId.get(id);
    if (!record) return;
    record.draft = text;
    this.#touch(record);
  }

  #insert(record) {
    this.#pending.delete(record.id);
    const at = this.#indexAfter(record.seq);
    if (at === this.#records.length) this.#order?.append(record);
    else this.#order = null;
    this.#records.splice(at, 0, record);
    this.#byId.set(record.id, record);
    const target = record.message?.reply;
    if (target) this.#repliesTo.set(target, [...(this.#repliesTo.get(target) ?? []), record.id]);
    this.#touch(record);
    if (this.#records.length > this.#limit) this.#forget(this.#records.length - this.#limit);
  }

  #touch(record) {
    this.#items = null;
    record.item = null;
    for (const id of this.#repliesTo.get(record.id) ?? []) {
      const reply = this.#byId.get(id);
      if (reply) reply.item = null;
    }
  }

  #forget(count) {
    for (const record of this.#records.splice(0, count)) {
      const { id, message } = record;
      this.#byId.delete(id);
      this.#order?.forget(record);
      const replies = this.#repliesTo.get(message?.reply)?.filter((reply) => reply !== id) ?? [];
      if (replies.length) this.#repliesTo.set(message.reply, replies);
      else this.#repliesTo.delete(message?.reply);
    }
    this.#notices = this.#notices.filter(({ after }) => after >= this.first);
    this.hasOlder = true;
    this.#items = null;
  }

  // Older ones, and missing ones

  /** Room for older messages; without `more` there is again room for the latest only. */
  extend(more) {
    this.#limit = more ? Math.min(MOST, Math.max(KEPT, this.#records.length + more) + SLACK) : KEPT;
    if (this.#records.length > this.#limit) this.#forget(this.#records.length - this.#limit);
  }

  /** From `seq` on, nothing is to be missing; what is older is not waited for. */
  expectFrom(seq) {
    this.#whole = Math.max(this.#whole ?? 0, seq - 1);
  }

  /** The missing numbers that come first, {from, to}; null if nothing is missing. */
  get gap() {
    if (this.#whole === null) return null;
    const [last] = this.last;
    let at = this.#indexAfter(this.#whole);
    while (at < this.#records.length && this.#records[at].seq <= this.#whole + 1) this.#whole = this.#records[at++].seq;
    return this.#whole < last ? { from: this.#whole + 1, to: this.#records[at].seq - 1 } : null;
  }

  /** What is missing in `gap` will not come: that is said there. */
  giveUp({ from, to }) {
    this.#whole = to;
    this.notice("missed", "", from - 1);
  }

  /** Too much is missing to be fetched: all before `seq` goes, and can be loaded by going back. */
  startAt(seq) {
    this.#forget(this.#indexAfter(seq - 1));
    this.expectFrom(seq);
    this.hasOlder = true;
  }

  #indexAfter(seq) {
    let [low, high] = [0, this.#records.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#records[middle].seq > seq) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  // What happened, and what waits

  /** Says what happened after the message with this number; who left and is back at once is one notice. */
  notice(kind, name = "", after = this.last[0]) {
    const latest = this.#notices.at(-1);
    this.#items = null;
    if (kind === "joined" && latest?.kind === "left" && latest.name === name && latest.after === after) {
      this.#notices[this.#notices.length - 1] = { ...latest, kind: "back" };
      return;
    }
    this.#notices.push({ key: Symbol(kind), after, kind, name }); // no message can have that key, whatever its id
    this.#notices.sort((a, b) => a.after - b.after);
    if (this.#notices.length > KEPT) this.#notices.shift();
  }

  /**
   * A message of one's own on its way: {id, at, message, state, error, errorCode, progress}; see `items`. `isOut`: the
   * server may have it; draft: its text as it is to be then.
   */
  wait(entry) {
    this.#pending.set(entry.id, entry);
    this.#items = null;
  }

  waiting(id) {
    return this.#pending.get(id);
  }

  get allWaiting() {
    return [...this.#pending.values()];
  }

  /** Changes something of a message that waits. */
  update(id, fields) {
    if (!this.#pending.has(id)) return;
    Object.assign(this.#pending.get(id), fields);
    this.#items = null;
  }

  drop(id) {
    this.#pending.delete(id);
    this.#items = null;
  }

  // What is shown

  /** All in order; an item that is the same object as before is unchanged. */
  get items() {
    const [version, seen] = [this.names.version, this.seenBy()];
    if (this.#items && this.#shown.version === version && this.#shown.seen === seen) return this.#items;
    if (this.#shown.version !== version) for (const record of this.#records) record.item = null;
    this.#shown = { version, seen };
    this.#order ??= new Order(this.#records);
    this.#items = [];
    let next = 0;
    for (const record of this.#records) {
      while (this.#notices[next]?.after < record.seq) this.#items.push(this.#notices[next++]);
      this.#items.push(this.#itemOf(record));
    }
    this.#items.push(...this.#notices.slice(next));
    for (const entry of this.#pending.values()) this.#items.push(waitingItemOf(entry, this));
    return this.#items;
  }

  /** The item of a message that has its number. */
  item(id) {
    this.#order ??= new Order(this.#records);
    return this.#itemOf(this.#byId.get(id));
  }

  #itemOf(record) {
    const isMisplaced = this.#order.isMisplaced(record);
    const state = record.draft !== null ? "sending" : this.#isSeen(record) ? "seen" : "sent";
    if (record.item?.state !== state || record.item.misplaced !== isMisplaced) {
      record.item = itemOf(record, { isMisplaced, state }, this);
    }
    return record.item;
  }

  #isSeen({ person, seq }) {
    return person === this.person && seq <= this.#shown.seen;
  }
}
