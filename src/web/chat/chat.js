// One person in one room: the line and what is known. No DOM.
//
// Events may come late, twice or in another order, and some not at all. So everything is keyed (messages by id, members
// by socket, what we send by an id of ours), and what is in doubt is asked for again.

import { Door } from "./door.js";
import { Files } from "./files.js";
import { History } from "./history.js";
import { Line } from "./line.js";
import { Names } from "./names.js";
import { Outgoing } from "./outgoing.js";
import { People } from "./people.js";
import { Reader } from "./reader.js";
import { personOf } from "./seals.js";
import { Seen } from "./seen.js";
import { Timeline } from "./timeline.js";

const TYPING_REPEAT = 4_000; // while somebody types, it is said again this often
const GOODBYE = 1_500; // what leaving waits for an answer
const MOST_EARLY = 200; // messages whose changes came before them

const ABSENCE = 5_000; // who comes back within this time, from another network say, was never away

const GONE = { burned: "burned", expired: "burned", no_such_room: "no_such_room" };

/**
 * Events: `change` (anything), `message` (detail: the item of a message of somebody else, newly come),
 * `refused` (detail: a ChatError; one is not let in, and this chat is closed),
 * `ended` (detail: "burned" | "no_such_room" | "removed" | another code of docs/chat.md).
 */
export class Chat extends EventTarget {
  status = "connecting"; // | "online" | "offline"
  person = null; // one's own id, once it is known
  isOwner = false;
  locked = false;
  burnsWhenEmpty = false; // when the last one leaves

  #keys;
  #names = new Names();
  #people;
  #timeline;
  #line;
  #door;
  #reader;
  #history;
  #outgoing;
  #files;
  #seen;
  #inbox; // settled when all that came has been handled
  #early = new Map(); // message id → what is to be done once it is here
  #you = null; // the id of one's socket
  #leaving = new Map(); // person → timer, after which it is said that they left
  #typingSaid = 0;
  #closed = false;

  /**
   * room: {room, skew: ms that this machine's clock is behind}; keys: seals.js; me: rooms.js; ownerKey: if one has it;
   * socket: rooms.js; connect: instead of Socket.IO's `io`.
   */
  constructor({ room, keys, me, name, ownerKey, socket, connect }) {
    super();
    this.#keys = keys;
    this.name = name;
    const onChange = () => this.#change();
    const onDoubt = () => this.#door.check(this.#people.persons.size);
    const place = (entries, how) => this.#inTurn(() => this.#place(entries, how));
    this.#reader = new Reader(keys);
    this.#people = new People({ names: this.#names, onChange, onDoubt });
    const seenBy = () => this.#seen.by(this.#people.persons, this.person);
    const timeline = (this.#timeline = new Timeline({ person: null, names: this.#names, seenBy }));
    this.#seen = new Seen({ say: (data) => line.tell("seen", data), people: this.#people, timeline });
    const line = (this.#line = new Line({ socket, connect, onChange, events: this.#events() }));
    this.#door = new Door({ line, room: this.#inside({ me, ownerKey }) });
    const history = (this.#history = new History({ line, reader: this.#reader, timeline, place, onChange }));
    const files = (this.#files = new Files({ keys, line }));
    const person = personOf(room.room, me);
    this.#inbox = person.then((own) => { this.person = timeline.person = own; });
    const now = () => Date.now() + (room.skew ?? 0);
    const onError = ({ code }) => { if (code in GONE) this.#end(code); };
    const parts = { keys, line, timeline, files, history };
    this.#outgoing = new Outgoing({ ...parts, name: () => this.name, now, person, place, onChange, onError });
  }

  // What the view shows

  /** How the socket is connected: "websocket", "polling", or undefined while it is not. */
  get transport() {
    return this.status === "online" ? this.#line.transport : undefined;
  }

  /** Everybody here, by name: {person, name, isOwner, isYou, tabs, imitates: whether that name was another's first} */
  get people() {
    return this.#people.list(this.person);
  }

  /** The names of those who are typing. */
  get typists() {
    return [...this.#people.typing.keys()].map((person) => this.#names.of(person));
  }

  /** What there is to read, in order: items.js for messages, else {kind, key, name}. The same object is unchanged. */
  get timeline() {
    return this.#timeline.items;
  }

  get hasOlder() {
    return this.#timeline.canLoadOlder;
  }

  get isLoadingOlder() {
    return this.#history.isLoading;
  }

  // What the view does; see outgoing.js. What is async rejects with a ChatError.

  send(text, options) {
    this.#typingSaid = 0;
    this.#outgoing.send(text, options);
  }

  sendFile(file, options) {
    this.sayTyping(false); // the message comes once the file is there
    return this.#outgoing.sendFile(file, options);
  }

  edit = (id, text) => this.#outgoing.edit(id, text);
  remove = (id) => this.#outgoing.remove(id);
  react = (id, emoji) => this.#outgoing.react(id, emoji);
  retry = (id) => this.#outgoing.retry(id);
  discard = (id) => this.#outgoing.discard(id);
  loadOlder = () => this.#history.loadOlder();

  /** The file of an item, as a Blob; onProgress(0 … 1). */
  download = ({ file, person }, onProgress) => this.#files.download(file, person ?? this.person, onProgress);

  sayTyping(typing) {
    if (typing ? Date.now() - this.#typingSaid < TYPING_REPEAT : !this.#typingSaid) return;
    if (this.#line.tell("typing", { typing })) this.#typingSaid = typing ? Date.now() : 0;
  }

  /** Goes by another name from here on, and tells the others. */
  rename(name) {
    this.name = name;
    this.#door.again();
  }

  /** All up to this number has been in sight. */
  saw = (seq) => this.#seen.saw(seq);

  async lock(locked) {
    await this.#line.say("lock", { locked });
    await this.#inTurn(() => this.#roomChanged({ locked }));
  }

  async removePerson(person) {
    await this.#line.say("remove", { person });
    await this.#inTurn(() => this.#removed({ person }));
  }

  async leave() {
    this.#outgoing.abandon();
    if (this.#line.isReady) await this.#line.ask("leave", {}, GOODBYE);
    this.close();
  }

  close() {
    this.#closed = true;
    this.#people.stopTyping();
    this.#leaving.forEach(clearTimeout);
    for (const part of [this.#line, this.#door, this.#history, this.#seen]) part.close();
  }

  // Being in the room

  #events() {
    const inTurn = (handle) => (data) => void this.#inTurn(() => handle(data)).catch(console.error);
    return {
      connect: (recovered) => this.#door.connected(recovered),
      disconnect: () => this.#disconnected(),
      lost: () => this.#lost(),
      message: inTurn((entry) => this.#said(entry)),
      changed: inTurn((change) => this.#changed(change)),
      reacted: inTurn((reaction) => this.#reacted(reaction)),
      joined: inTurn((member) => this.#came(member)),
      left: inTurn((member) => this.#went(member)),
      typing: inTurn(({ person, typing }) => person !== this.person && this.#people.typed(person, Boolean(typing))),
      seen: inTurn(({ person, seq }) => this.#seen.heard(person, seq) && this.#change()),
      room: inTurn((room) => this.#roomChanged(room)),
      removed: inTurn((data) => this.#removed(data)),
      burned: inTurn(() => this.#end("burned")),
    };
  }

  /** What the door needs of the room. */
  #inside(me) {
    return {
      request: () => this.#request(me),
      entered: (answer, isCurrent) => this.#inTurn(() => this.#entered(answer, isCurrent)),
      unanswered: () => this.#people.settle(null),
      online: () => this.#online(),
      refused: (error) => this.#refused(error),
    };
  }

  /** What comes is handled one after the other: opening a seal takes a moment. */
  #inTurn(work) {
    const done = this.#inbox.then(() => (this.#closed ? undefined : work()));
    this.#inbox = done.catch(() => {});
    return done;
  }

  #disconnected() {
    this.#door.disconnected();
    this.#setStatus("offline");
    this.#people.stopTyping();
    this.#typingSaid = 0;
  }

  #lost() {
    this.#line.setReady(false);
    this.#setStatus("connecting");
    this.#door.lost();
  }

  async #request({ me, ownerKey }) {
    if (this.status !== "online") this.#setStatus("connecting");
    await this.#inbox;
    this.#people.expect();
    const name = await this.#keys.seal("name", this.name, this.person);
    return { room: this.#keys.room, door: this.#keys.door, me, name, ...(ownerKey && { owner: ownerKey }) };
  }

  async #entered({ you, is_owner: isOwner, members, history, more, room }, isCurrent) {
    const [known, entries] = await Promise.all([
      Promise.all(members.map((member) => this.#reader.member(member))),
      Promise.all(history.map((entry) => this.#reader.entry(entry))),
    ]);
    if (!isCurrent()) return false;
    this.#you = you;
    this.isOwner = isOwner;
    this.locked = room.locked;
    this.burnsWhenEmpty = room.burn_when_empty;
    this.#names.nextMoment();
    const newcomers = this.#people.settle(known);
    for (const { person } of known) this.#isBack(person);
    const { wasIn } = this.#door;
    if (!wasIn) this.#timeline.expectFrom(entries[0]?.seq ?? 1);
    await this.#place(entries, { isLive: wasIn });
    if (entries.length && this.#timeline.first === entries[0].seq) this.#timeline.hasOlder = more;
    if (wasIn) this.#greet(newcomers);
    return isCurrent();
  }

  #online() {
    this.#line.setReady(true);
    this.#setStatus("online");
    this.#seen.again();
    this.#history.watch();
  }

  #refused(error) {
    if (error.code in GONE || this.#door.wasIn) return this.#end(error.code);
    this.close();
    this.#tell("refused", error);
  }

  #end(why) {
    if (this.#closed) return;
    this.close();
    this.#tell("ended", GONE[why] ?? why);
  }

  // Who is there

  async #came(sealed) {
    const member = await this.#reader.member(sealed);
    this.#names.nextMoment();
    const isNew = this.#people.came(member);
    if (member.person === this.person) return;
    if (isNew && !this.#isBack(member.person)) this.#notice("joined", member.name);
    this.#greet([member]);
  }

  #went({ id }) {
    if (id === this.#you) return;
    const person = this.#people.went({ id });
    if (!person || person === this.person) return;
    this.#isBack(person);
    this.#leaving.set(person, setTimeout(() => {
      this.#leaving.delete(person);
      this.#notice("left", this.#names.of(person));
    }, ABSENCE));
  }

  /** → whether nobody has been told yet that this person left; nobody will be. */
  #isBack(person) {
    clearTimeout(this.#leaving.get(person));
    return this.#leaving.delete(person);
  }

  #removed({ person }) {
    if (person === this.person) return this.#end("removed");
    if (!this.#people.has(person)) return;
    this.#people.removed(person);
    this.#isBack(person);
    this.#notice("removed", this.#names.of(person));
  }

  #roomChanged({ locked }) {
    if (locked === this.locked) return;
    this.locked = locked;
    this.#notice(locked ? "locked" : "unlocked");
  }

  #greet(members) {
    for (const member of members) if (member.person !== this.person) this.#seen.greet(member);
  }

  #notice(kind, name) {
    if (this.status === "online") this.#timeline.notice(kind, name);
    this.#change();
  }

  // What was said

  async #said(sealed) {
    const entry = await this.#reader.entry(sealed);
    this.#people.typed(entry.person, false);
    this.#names.nextMoment();
    await this.#place([entry], { isLive: true });
    this.#history.watch();
  }

  async #place(entries, { isLive = false, isOld = false } = {}) {
    for (const entry of entries) {
      const { id, seq, person, message } = entry;
      if (message) this.#names.note(person, message.name, { seq, old: isOld });
      const isNew = this.#timeline.place(entry);
      if (person === this.person) this.#outgoing.arrived(id);
      for (const work of this.#early.get(id) ?? []) await work();
      this.#early.delete(id);
      if (isNew && isLive && message !== null && person !== this.person) this.#tell("message", this.#timeline.item(id));
    }
    this.#change();
  }

  async #changed({ id, body, rev }) {
    const record = this.#timeline.get(id);
    if (!record) return this.#doLater(id, () => this.#changed({ id, body, rev }));
    this.#timeline.change({ id, rev, message: await this.#reader.message(body, record.person, id) });
    this.#change();
  }

  async #reacted({ id, person, body }) {
    if (!this.#timeline.get(id)) return this.#doLater(id, () => this.#reacted({ id, person, body }));
    const reaction = await this.#reader.reaction(body, person, id);
    if (reaction) this.#timeline.react(id, reaction);
    this.#change();
  }

  #doLater(id, work) {
    this.#early.set(id, [...(this.#early.get(id) ?? []), work]);
    if (this.#early.size > MOST_EARLY) this.#early.delete(this.#early.keys().next().value);
  }

  #setStatus(status) {
    this.status = status;
    this.#change();
  }

  #change() {
    if (!this.#closed) this.#tell("change");
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
