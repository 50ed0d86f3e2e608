// A room as docs/chat.md has it, in memory, and sockets to it in the manner of Socket.IO's client. Its faults are the
// test's: answers get lost, lines are cut, numbers go missing.

import { EventEmitter } from "node:events";
import { personOf } from "../../src/web/chat/seals.js";

export class Server {
  entries = []; // as they are in a history
  sockets = new Set();
  files = new Map(); // "file index" → chunk
  log = []; // [event, data] as they came
  locked = false;
  removed = new Set();
  faults = []; // {event, times, does}: "lose answer" | "lose" | an error to answer with
  mute = new Set(); // events that nobody is told
  #count = 0;

  constructor(room) {
    this.room = room;
    this.connect = () => new Socket(this);
  }

  /** Does something to the next `times` events of this name. */
  fault(event, does, times = 1) {
    this.faults.push({ event, does, times });
  }

  /** With those whose line is cut, as long as the server has not found out. */
  online = () => [...this.sockets].filter(({ connected, member }) => connected || member);

  emit(event, data, to = this.online()) {
    if (!this.mute.has(event)) for (const socket of to) socket.hears(event, data);
  }

  others = (socket) => this.online().filter((each) => each !== socket && each.member);

  async handle(socket, event, data) {
    this.log.push([event, data]);
    const fault = this.faults.find((each) => each.event === event && each.times > 0);
    if (fault) fault.times -= 1;
    if (fault?.does === "lose") return null;
    if (fault && fault.does !== "lose answer") return { ok: false, error: fault.does };
    const isIn = event === "join" || socket.member;
    if (!isIn) return { ok: false, error: { code: "not_in_room", message: "Join first." } };
    const answer = await this[`on_${event}`](socket, data);
    return fault ? null : answer.code ? { ok: false, error: answer } : { ok: true, ...answer };
  }

  async on_join(socket, { me, name, owner }) {
    const person = await personOf(this.room, me);
    if (this.removed.has(person)) return { code: "removed", message: "Removed." };
    const isNew = socket.member?.name !== name;
    socket.member = { id: socket.id, person, name, owner: Boolean(owner) };
    if (isNew) this.emit("joined", socket.member, this.others(socket));
    return {
      you: socket.id, person, is_owner: Boolean(owner),
      members: this.online().flatMap((each) => each.member ?? []),
      history: structuredClone(this.entries.slice(-100)), more: this.entries.length > 100,
      room: { id: this.room, title: "", expires_at: 0, people: 50, locked: this.locked, burn_when_empty: false },
    };
  }

  on_leave(socket) {
    this.left(socket);
    return {};
  }

  on_message(socket, { id, body }) {
    let entry = this.entries.find((each) => each.id === id);
    if (!entry) {
      entry = { seq: this.entries.length + 1, id, at: Date.now(), from: socket.member.person, body, rev: 0 };
      this.entries.push(entry);
      this.emit("message", { ...entry });
    }
    return { seq: entry.seq, at: entry.at };
  }

  #revise({ id, rev }, body) {
    const entry = this.entries.find((each) => each.id === id);
    if (!entry) return { code: "no_such_message", message: "None." };
    if (rev !== entry.rev + 1) return { code: "stale", message: "Stale.", rev: entry.rev };
    Object.assign(entry, { body, rev });
    this.emit("changed", { id, seq: entry.seq, body, rev });
    return {};
  }

  on_edit = (_, data) => this.#revise(data, data.body);
  on_delete = (_, data) => this.#revise(data, null);

  on_react(socket, { id, body }) {
    const entry = this.entries.find((each) => each.id === id);
    entry.reactions = { ...entry.reactions, [socket.member.person]: body };
    this.emit("reacted", { id, person: socket.member.person, body });
    return {};
  }

  on_history(_, { before }) {
    const older = this.entries.filter(({ seq }) => seq < before);
    return { history: structuredClone(older.slice(-100)), more: older.length > 100 };
  }

  on_typing(socket, { typing }) {
    this.emit("typing", { person: socket.member.person, typing }, this.others(socket));
    return {};
  }

  on_seen(socket, { seq, to }) {
    this.emit("seen", { person: socket.member.person, seq }, this.online().filter(({ id }) => to.includes(id)));
    return {};
  }

  on_upload(_, { file, index, data }) {
    this.files.set(`${file} ${index}`, data);
    return {};
  }

  on_discard(_, { file }) {
    for (const name of [...this.files.keys()]) if (name.startsWith(file)) this.files.delete(name);
    return {};
  }

  on_fetch(_, { file, index, count }) {
    const chunks = Array.from({ length: count }, (_, offset) => this.files.get(`${file} ${index + offset}`));
    return chunks.includes(undefined) ? { code: "no_such_file", message: "None." } : { chunks };
  }

  on_lock(_, { locked }) {
    this.locked = locked;
    this.emit("room", { locked });
    return {};
  }

  on_remove(_, { person }) {
    this.removed.add(person);
    this.emit("removed", { person });
    const sockets = this.online().filter(({ member }) => member?.person === person);
    setImmediate(() => sockets.forEach((socket) => socket.cut({ byServer: true }))); // behind what was said
    return {};
  }

  left(socket) {
    if (!socket.member) return;
    const { id, person } = socket.member;
    socket.member = null;
    this.emit("left", { id, person }, this.others(socket));
  }

  nextId = () => `socket ${++this.#count}`;
}

/** What src/web uses of a Socket.IO client's socket. */
class Socket extends EventEmitter {
  connected = false;
  recovered = false;
  active = true;
  member = null;
  #asked = new Map(); // reject → timer
  #missed = []; // what was said while the line was cut

  constructor(server) {
    super();
    this.server = server;
    this.io = new EventEmitter();
    this.io.engine = Object.assign(new EventEmitter(), { transport: { name: "websocket" }, close: () => this.blink() });
    server.sockets.add(this);
    setImmediate(() => this.connect());
  }

  connect() {
    if (this.connected || !this.server.sockets.has(this)) return;
    this.id = this.server.nextId();
    this.connected = true;
    this.recovered = false;
    super.emit("connect");
  }

  disconnect() {
    this.cut();
    this.server.sockets.delete(this);
  }

  /** The line is cut, and the server finds out. */
  cut({ byServer = false, isKept = false } = {}) {
    if (!this.connected) return;
    if (!isKept) this.server.left(this);
    this.connected = false;
    super.emit("disconnect", byServer ? "io server disconnect" : "transport close");
    for (const [reject, timer] of this.#asked) {
      clearTimeout(timer);
      reject(new Error("socket has been disconnected"));
    }
    this.#asked.clear();
  }

  /** Comes back as if nothing had happened: what was missed follows. */
  recover() {
    this.connected = this.recovered = true;
    super.emit("connect");
    for (const [event, data] of this.#missed.splice(0)) super.emit(event, data);
  }

  blink() {
    this.cut({ isKept: true });
    setImmediate(() => this.recover());
  }

  hears(event, data) {
    const copy = structuredClone(data);
    setImmediate(() => (this.connected ? super.emit(event, copy) : this.#missed.push([event, copy])));
  }

  emit(event, data) {
    this.server.handle(this, event, structuredClone(data));
  }

  timeout(ms) {
    return {
      emitWithAck: (event, data) =>
        new Promise((resolve, reject) => {
          const timer = setTimeout(() => { this.#asked.delete(reject); reject(new Error("timed out")); }, ms);
          this.#asked.set(reject, timer);
          this.server.handle(this, event, structuredClone(data)).then((answer) => {
            if (!answer || !this.#asked.has(reject)) return;
            clearTimeout(timer);
            this.#asked.delete(reject);
            setImmediate(() => resolve(answer));
          });
        }),
    };
  }
}
