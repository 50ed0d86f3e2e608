// One person in one room: the socket and what is known. No DOM.
//
// Events may come late, twice or in another order, and some not at all. So everything is keyed (messages by
// seq, members by id, what we send by an id of ours), and what is in doubt is asked for again by joining again.

import { io } from "/socket.io/socket.io.esm.min.js";

const TRANSPORTS = ["websocket", "polling"]; // the next one is tried where the one before it cannot pass
const ACK_TIMEOUT = 10_000;
const RETRY_DELAY = 2_000;
const SEND_ATTEMPTS = 2;
const GAP_PATIENCE = 1_500;
const GAP_ATTEMPTS = 3;
const TYPING_REPEAT = 4_000; // while somebody types, it is said again this often …
const TYPING_LASTS = 7_000; // … and believed this long
const KEPT = 500; // messages

const GONE = { burned: "burned", expired: "burned", no_such_room: "no_such_room" };

const uniqueId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * Events: `change` (anything), `message` (detail: a message of somebody else, live),
 * `refused` (detail: {code, message}, the name is not accepted), `ended` (detail: "burned" | "no_such_room").
 */
export class Chat extends EventTarget {
  status = "connecting"; // | "online" | "offline"
  you = null; // {id, name}
  members = new Map(); // id → {id, name}

  #messages = new Map(); // seq → {key, seq, id, from, text, at, own}
  #outbox = new Map(); // id → {key, id, text, at, state: "sending" | "failed", attempts}
  #notices = []; // {key, after: seq, kind: "joined" | "left" | "back" | "missed", name}
  #typing = new Map(); // id → timer that ends it
  #typingSaid = 0;
  #gone = new Set(); // ids that left
  #since = null; // id → member or null: who came and went since `join` was sent
  #floor = 1; // no message below this seq is waited for
  #gapTimer = null;
  #gapAttempts = 0;
  #pumping = false;
  #closed = false;

  /** socket: {url, path, transports?, fallback?: a socket as well}; ids: a store of our ids, {read(), write(list)} */
  constructor({ room, name, socket, ids }) {
    super();
    this.room = room;
    this.name = name;
    this.ids = ids;
    this.ownIds = new Set(ids.read());
    this.#open(socket);
  }

  #open({ url, path, transports = TRANSPORTS, fallback }) {
    this.io = io(url || undefined, { path, transports, tryAllTransports: true, forceNew: true });
    this.io.io.on("open", () => this.io.io.engine.on("upgrade", () => this.#change()));
    this.io.on("connect", () => this.#join());
    this.io.on("disconnect", (reason) => this.#disconnected(reason === "io server disconnect"));
    this.io.on("connect_error", () => {
      if (!fallback || this.you) return this.#disconnected(!this.io.active);
      this.io.disconnect(); // that address cannot be had from here
      this.#open(fallback);
    });
    this.io.on("message", (message) => this.#received(message));
    this.io.on("joined", (member) => this.#came(member));
    this.io.on("left", (member) => this.#went(member));
    this.io.on("typing", ({ id, typing }) => this.#typed(id, typing));
    this.io.on("burned", () => this.#end("burned"));
  }

  /** How the socket is connected: "websocket", "polling", or undefined while it is not. */
  get transport() {
    return this.status === "online" ? this.io.io.engine?.transport.name : undefined;
  }

  /** What there is to read, in order: {kind: "message", state, …} and {kind: "joined" | "left" | …, name}. */
  get timeline() {
    const sent = { kind: "message", state: "sent" };
    const waiting = { kind: "message", own: true, rank: Number.MAX_SAFE_INTEGER };
    return [
      ...[...this.#messages.values()].map((message) => ({ ...message, ...sent, rank: message.seq })),
      ...this.#notices.map((notice) => ({ ...notice, rank: notice.after + 0.5 })),
      ...[...this.#outbox.values()].map((entry) => ({ ...entry, ...waiting })),
    ].sort((a, b) => a.rank - b.rank);
  }

  /** The names of those who are typing. */
  get typists() {
    return [...this.#typing.keys()].flatMap((id) => this.members.get(id)?.name ?? []);
  }

  send(text) {
    const id = uniqueId();
    this.#outbox.set(id, { key: id, id, text, at: Date.now(), state: "sending", attempts: 0 });
    this.#typingSaid = 0;
    this.#change();
    this.#pump();
  }

  retry(id) {
    const entry = this.#outbox.get(id);
    if (!entry) return;
    Object.assign(entry, { state: "sending", attempts: 0 });
    this.#change();
    this.#pump();
  }

  sayTyping(typing) {
    if (this.status !== "online") return;
    if (typing ? Date.now() - this.#typingSaid < TYPING_REPEAT : !this.#typingSaid) return;
    this.#typingSaid = typing ? Date.now() : 0;
    this.io.emit("typing", { typing });
  }

  async leave() {
    if (this.status === "online") await this.io.timeout(1_500).emitWithAck("leave").catch(() => {});
    this.close();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#gapTimer);
    this.#typing.forEach(clearTimeout);
    this.io.disconnect();
  }

  // Being in the room

  async #join() {
    if (this.#since || this.#closed) return;
    if (this.status !== "online") this.#setStatus("connecting");
    this.#since = new Map();
    let answer;
    try {
      answer = await this.#ask("join", { room: this.room, name: this.name });
    } catch { /* no answer */ }
    const since = this.#since;
    this.#since = null;
    if (this.#closed) return;
    if (answer?.ok) this.#entered(answer, since);
    else if (answer?.error?.code in GONE) this.#end(GONE[answer.error.code]);
    else if (answer?.error?.code === "bad_name") this.#tell("refused", answer.error);
    else if (this.io.connected) setTimeout(() => this.io.connected && this.#join(), RETRY_DELAY);
  }

  #entered({ you, members, history }, since) {
    this.you = you;
    this.ownIds.add(you.id);
    this.ids.write([...this.ownIds]);
    this.members = new Map(members.map((member) => [member.id, member]));
    this.members.set(you.id, you);
    for (const [id, member] of since) member ? this.members.set(id, member) : this.members.delete(id);
    this.#gone.clear();
    this.#recall(history);
    this.#setStatus("online");
    this.#watchGap();
    this.#pump();
  }

  #disconnected(forGood) {
    if (this.#closed) return;
    this.#setStatus("offline");
    this.#typing.forEach(clearTimeout);
    this.#typing.clear();
    this.#typingSaid = 0;
    if (forGood) setTimeout(() => this.#closed || this.io.connect(), RETRY_DELAY);
  }

  #end(why) {
    if (this.#closed) return;
    this.close();
    this.#tell("ended", why);
  }

  // Who is there

  #came(member) {
    this.#since?.set(member.id, member);
    if (this.members.has(member.id)) return;
    if (!this.#isHere(member.name)) this.#notice("joined", member.name);
    this.members.set(member.id, member);
    if (this.#gone.has(member.id)) this.#join(); // came back, or the two events changed places
    this.#change();
  }

  #went({ id }) {
    this.#since?.set(id, null);
    this.#gone.add(id);
    const member = this.members.get(id);
    if (!member || id === this.you?.id) return;
    this.members.delete(id);
    this.#stopTyping(id);
    if (!this.#isHere(member.name)) this.#notice("left", member.name);
    this.#change();
  }

  #isHere(name) {
    return [...this.members.values()].some((member) => member.name === name);
  }

  #notice(kind, name) {
    if (this.status !== "online") return;
    const after = this.#lastSeq;
    const latest = this.#notices.at(-1);
    if (kind === "joined" && latest?.kind === "left" && latest.name === name && latest.after === after) {
      latest.kind = "back";
    } else {
      this.#notices.push({ key: uniqueId(), after, kind, name });
    }
  }

  #typed(id, typing) {
    this.#stopTyping(id);
    if (typing && !this.ownIds.has(id)) {
      this.#typing.set(id, setTimeout(() => { this.#stopTyping(id); this.#change(); }, TYPING_LASTS));
    }
    this.#change();
  }

  #stopTyping(id) {
    clearTimeout(this.#typing.get(id));
    this.#typing.delete(id);
  }

  // What was said

  #received(message) {
    this.#stopTyping(message.from.id);
    const isNew = !this.#messages.has(message.seq);
    this.#place(message);
    this.#watchGap();
    if (isNew && !this.ownIds.has(message.from.id)) this.#tell("message", message);
  }

  #place(message) {
    if (this.#messages.has(message.seq)) return;
    const own = this.ownIds.has(message.from.id);
    const entry = own && this.#outbox.get(message.id);
    if (entry) this.#outbox.delete(message.id);
    this.#messages.set(message.seq, { ...message, own, key: entry ? entry.key : `seq ${message.seq}` });
    if (this.#messages.size > KEPT) this.#forget();
    this.#change();
  }

  /** The history has the latest messages only: what is older and not known yet will not come any more. */
  #recall(history) {
    if (!history.length) return;
    const last = this.#lastSeq;
    const oldest = Math.min(...history.map(({ seq }) => seq));
    if (last && oldest > last + 1) this.#notices.push({ key: uniqueId(), after: last, kind: "missed" });
    this.#floor = Math.max(this.#floor, oldest);
    history.forEach((message) => this.#place(message));
  }

  #forget() {
    const oldest = Math.min(...this.#messages.keys());
    this.#messages.delete(oldest);
    this.#floor = Math.max(this.#floor, oldest + 1);
    this.#notices = this.#notices.filter(({ after }) => after >= oldest);
  }

  get #lastSeq() {
    return Math.max(0, ...this.#messages.keys());
  }

  #hasGap() {
    const last = this.#lastSeq;
    for (let seq = this.#floor; seq < last; seq++) if (!this.#messages.has(seq)) return true;
    return false;
  }

  #watchGap() {
    if (!this.#hasGap()) {
      clearTimeout(this.#gapTimer);
      this.#gapTimer = null;
      this.#gapAttempts = 0;
    } else if (!this.#gapTimer) {
      this.#gapTimer = setTimeout(() => this.#closeGap(), GAP_PATIENCE);
    }
  }

  #closeGap() {
    this.#gapTimer = null;
    if (this.status !== "online") return; // joining is what comes next anyway
    this.#gapAttempts += 1;
    if (this.#gapAttempts <= GAP_ATTEMPTS) return this.#join();
    this.#gapAttempts = 0;
    this.#floor = this.#lastSeq + 1; // what the history does not have either is lost
  }

  /** Sends what waits, one at a time: frames sent together may arrive in another order. */
  async #pump() {
    if (this.#pumping) return;
    this.#pumping = true;
    const next = () => [...this.#outbox.values()].find(({ state }) => state === "sending");
    for (let entry = next(); entry && this.status === "online"; entry = next()) await this.#deliver(entry);
    this.#pumping = false;
  }

  async #deliver(entry) {
    const { id, text } = entry;
    const from = this.you;
    entry.attempts += 1;
    let answer;
    try {
      answer = await this.#ask("message", { id, text });
    } catch {
      if (this.status !== "online") return void (entry.attempts -= 1); // it is sent again after the next join
    }
    if (this.#closed || !this.#outbox.has(id)) return;
    const code = answer?.error?.code;
    if (answer?.ok) {
      this.#place({ seq: answer.seq, at: answer.at, id, text, from });
      this.#watchGap();
      return;
    }
    if (code in GONE) return this.#end(GONE[code]);
    if (code === "not_in_room") {
      this.#setStatus("connecting");
      this.#join();
    }
    const final = code && code !== "not_in_room";
    if (final || entry.attempts >= SEND_ATTEMPTS) entry.state = "failed";
    this.#change();
  }

  // Plumbing

  #ask(event, data) {
    return this.io.timeout(ACK_TIMEOUT).emitWithAck(event, data);
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
