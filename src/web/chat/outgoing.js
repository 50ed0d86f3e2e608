// What one says oneself: each thing at least once, one at a time, in order. Frames sent together may arrive in another.
//
// What waits is taken back without a trace until it is handed to the line. From then on nobody here can tell whether the
// server has it: so it is deleted there, now if it is there, and else should it come after all.

import { ChatError } from "./errors.js";
import { prepare } from "./files.js";
import { randomId } from "./seals.js";

const REVISIONS = 4; // tries to be the next one, where others change the same message
const STREAM_BYTES = 6;

/** Work that is done one after the other, whatever becomes of each. */
function queue() {
  let last = Promise.resolve();
  return (work) => {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  };
}

export class Outgoing {
  #stream = randomId(STREAM_BYTES);
  #n = 0;
  #underWay = new Map(); // message id → what stops sending it
  #withdrawn = new Map(); // message id → its file, {file: id} or {}
  #inTurn = { files: queue(), uploads: queue(), messages: queue(), changes: queue() };
  #room;

  /**
   * room: {keys, line, timeline, files, history, name(), now(): Unix ms, person: Promise of one's id, place(entries),
   * onChange(), onError(error)}
   */
  constructor(room) {
    this.#room = room;
  }

  send(text, { reply } = {}) {
    this.#push(this.#wait({ text, reply }));
  }

  /** Throws a ChatError, `empty` or `too_large`, before there is anything to see. */
  async sendFile(chosen, { reply, text = "" } = {}) {
    const { file, blob } = await this.#inTurn.files(() => prepare(chosen));
    this.#room.files.keep(file.id, blob);
    this.#push(this.#wait({ text, reply, file }, blob));
  }

  retry(id) {
    if (this.#room.timeline.waiting(id)?.state !== "failed") return;
    this.#update(id, { state: "sending", error: null, errorCode: null });
    this.#push(id);
  }

  /** Takes back a message that waits. */
  discard(id) {
    const { timeline, files, onChange } = this.#room;
    const entry = timeline.waiting(id);
    if (!entry || entry.state === "withdrawn") return;
    this.#underWay.get(id)?.abort();
    const { file } = entry.message;
    if (entry.isOut) {
      this.#withdrawn.set(id, file ? { file: file.id } : {});
      this.#update(id, { state: "withdrawn", error: null, errorCode: null });
      this.#takeBack(id);
      return;
    }
    timeline.drop(id);
    if (file) files.discard(file.id);
    onChange();
  }

  /** One leaves: what was uploaded for a message that will not be said goes, too. */
  abandon() {
    const { timeline, files } = this.#room;
    for (const { id, message, isOut } of timeline.allWaiting) {
      if (!message.file || isOut) continue;
      this.#underWay.get(id)?.abort();
      files.abandon(message.file.id);
    }
  }

  /** It is here: nothing more is to be sent of it; unless it was not to come. */
  arrived(id) {
    this.#underWay.get(id)?.abort();
    if (this.#withdrawn.has(id) && this.#room.timeline.get(id)?.message !== null) this.#takeBack(id);
  }

  /** Deletes for everybody what was withdrawn too late; what is not there yet, arrived() meets when it comes. */
  async #takeBack(id) {
    const { line, timeline, files, onChange } = this.#room;
    const file = this.#withdrawn.get(id);
    const remove = () =>
      timeline.get(id) ? this.#revise(id, "delete", () => null) : line.say("delete", { id, rev: 1, ...file });
    await this.#inTurn.changes(async () => {
      let error;
      do error = await remove().then(() => null, (failed) => failed);
      while (error?.code === "unreachable"); // which takes its time
      if (error?.code === "no_such_message" && file.file) files.discard(file.file);
    });
    timeline.drop(id);
    onChange();
  }

  #wait({ text, reply, file }, blob = null) {
    const { timeline, now, name, onChange } = this.#room;
    const id = randomId();
    const message = { text: wellFormed(text), name: name(), ...(reply && { reply }), ...(file && { file }) };
    const progress = blob ? 0 : null;
    timeline.wait({ id, at: now(), message, blob, state: "sending", error: null, errorCode: null, progress });
    timeline.extend(0);
    onChange();
    return id;
  }

  #push(id) {
    const { uploads, messages } = this.#inTurn;
    if (this.#room.timeline.waiting(id).blob) uploads(() => this.#attempt(id, (...how) => this.#upload(...how)));
    else messages(() => this.#attempt(id, (...how) => this.#deliver(...how)));
  }

  async #attempt(id, work) {
    const { timeline, onError } = this.#room;
    const entry = timeline.waiting(id);
    if (!entry || entry.state === "withdrawn") return;
    const stop = new AbortController();
    this.#underWay.set(id, stop);
    const onWait = ({ message, code }) => this.#update(id, { error: message, errorCode: code });
    try {
      await work(entry, { signal: stop.signal, onWait });
    } catch (error) {
      if (stop.signal.aborted) return; // it has arrived by another way, or was discarded
      const isOut = entry.isOut && error.code === "unreachable"; // else the server has said that it does not take it
      this.#update(id, { state: "failed", error: error.message, errorCode: error.code ?? "other", isOut });
      onError(error);
    } finally {
      if (this.#underWay.get(id) === stop) this.#underWay.delete(id); // an upload's message may be under way already
    }
  }

  async #upload(entry, options) {
    const person = await this.#room.person;
    const onProgress = (progress) => this.#update(entry.id, { progress });
    await this.#room.files.upload(entry.message.file, entry.blob, person, { ...options, onProgress });
    this.#update(entry.id, { blob: null, progress: null, error: null, errorCode: null });
    this.#push(entry.id);
  }

  async #deliver(entry, options) {
    const { keys, line, timeline, place } = this.#room;
    const { id } = entry;
    const person = await this.#room.person;
    await line.whenReady(options.signal);
    entry.isOut = true;
    const message = { ...entry.message, stream: this.#stream, n: ++this.#n, after: timeline.last };
    const body = await keys.seal("message", message, person, id);
    const { seq, at } = await line.say("message", { id, body }, options);
    if (seq <= message.after[0]) delete message.after; // an earlier try was heard, with another place in its seal
    await place([{ id, seq, at, person, rev: 0, message }]);
  }

  #update(id, fields) {
    this.#room.timeline.update(id, fields);
    this.#room.onChange();
  }

  // What was said, changed

  /**
   * Also of a message that waits. Rejects with a ChatError; `no_such_message` if it was deleted meanwhile, or has not
   * come there.
   */
  async edit(id, text) {
    const { timeline, onChange } = this.#room;
    const entry = timeline.waiting(id);
    if (entry && !entry.isOut) {
      this.#update(id, { message: { ...entry.message, text: wellFormed(text) } });
      return this.retry(id);
    }
    if (entry) {
      // Another text under the same id would pass for the same message.
      this.#update(id, { draft: wellFormed(text) });
      this.retry(id);
      await this.#inTurn.messages(() => {});
      this.#update(id, { draft: null });
    }
    timeline.draft(id, wellFormed(text));
    onChange();
    try {
      await this.#inTurn.changes(() => this.#revise(id, "edit", (message) => {
        if (!message) throw new ChatError("no_such_message", "That message is not here any more.");
        return { ...message, text: wellFormed(text), edited: true };
      }));
    } finally {
      timeline.draft(id, null);
      onChange();
    }
  }

  /** Deletes what was said, and takes back what waits to be. */
  async remove(id) {
    if (this.#room.timeline.waiting(id)) return this.discard(id);
    await this.#inTurn.changes(() => this.#revise(id, "delete", () => null));
  }

  /** The next revision of a message; where another came first, the one after that. */
  async #revise(id, event, change) {
    const { keys, line, timeline, history, place, onChange } = this.#room;
    for (let tries = 1; ; tries++) {
      const record = timeline.get(id);
      if (!record) throw new ChatError("no_such_message", "That message is not here any more.");
      const { person, rev, message } = record;
      const next = change(message);
      if (next === message) return; // deleted already
      const body = next && (await keys.seal("message", next, person, id));
      const file = message?.file ? { file: message.file.id } : {};
      try {
        await line.say(event, { id, rev: rev + 1, ...(next ? { body } : file) });
        await place([{ ...record, rev: rev + 1, message: next, reactions: [] }]);
        return onChange();
      } catch (error) {
        if (error.code !== "stale" || tries === REVISIONS) throw error;
        if ((await history.refresh(record)) === body) return; // it was heard the first time, and the answer was lost
      }
    }
  }

  /** Adds one's reaction to a message, or takes it back. */
  async react(id, emoji) {
    const { keys, line, timeline, onChange } = this.#room;
    const person = await this.#room.person;
    const record = timeline.get(id);
    if (!record?.message) return;
    const before = record.reactions.get(person) ?? { n: 0, emoji: [] };
    const isThere = before.emoji.includes(emoji);
    const after = isThere ? before.emoji.filter((each) => each !== emoji) : [...before.emoji, emoji];
    const n = before.n + 1;
    timeline.react(id, { person, n, emoji: after });
    onChange();
    try {
      await this.#inTurn.changes(async () => {
        await line.say("react", { id, body: await keys.seal("reaction", { n, emoji: after }, person, id) });
      });
    } catch (error) {
      if (record.reactions.get(person).n === n) timeline.react(id, { person, n, emoji: before.emoji });
      onChange();
      throw error;
    }
  }
}

/** Half a surrogate pair is no character, and does not survive UTF-8. */
const wellFormed = (text) => new TextDecoder().decode(new TextEncoder().encode(text));
