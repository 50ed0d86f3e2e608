// The line to the server: a socket that comes back by itself, and a way to say something until it is heard.

import { io } from "../socket.io.esm.min.js";
import { ChatError } from "./errors.js";

const TRANSPORTS = ["websocket", "polling"]; // the next one is tried where the one before it cannot pass
const ACK_TIMEOUT = 10_000;
const RETRY_DELAY = 2_000;
const CUT_AFTER = 2; // asked so often without an answer, the line is dead and does not know it
const ATTEMPTS = 4;

/** A promise that is settled from outside. */
const settled = () => {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  made.promise.catch(() => {}); // nobody may be waiting
  return made;
};

/** A promise that is rejected with a signal's reason. */
const rejected = (signal) => {
  const made = settled();
  if (signal.aborted) made.reject(signal.reason);
  else signal.addEventListener("abort", () => made.reject(signal.reason), { once: true });
  return made.promise;
};

export const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });

export class Line {
  #io;
  #connect;
  #events;
  #onChange;
  #ready = settled(); // fulfilled while one is in the room
  #isReady = false;
  #closed = new AbortController();

  /**
   * socket: {url, path, transports?, fallback?: a socket as well}; events: {name: handler}, with `connect` (told
   * whether it recovered), `disconnect`, and `lost`: the server says that one is not in the room; onChange: the
   * transport is another; connect: in the manner of Socket.IO's `io`.
   */
  constructor({ socket, events, onChange, connect = io }) {
    this.#connect = connect;
    this.#events = events;
    this.#onChange = onChange;
    this.#open(socket);
  }

  #open({ url, path, transports = TRANSPORTS, fallback }) {
    const socket = this.#connect(url || undefined, { path, transports, tryAllTransports: true, forceNew: true });
    this.#io = socket;
    let wasConnected = false;
    const { connect, disconnect, lost: _, ...others } = this.#events;
    socket.io.on("open", () => socket.io.engine.on("upgrade", () => this.#onChange()));
    socket.on("connect", () => {
      wasConnected = true;
      connect(Boolean(socket.recovered));
    });
    socket.on("disconnect", (reason) => this.#lost(disconnect, reason === "io server disconnect"));
    socket.on("connect_error", () => {
      if (!fallback || wasConnected) return this.#lost(disconnect, !socket.active);
      socket.disconnect(); // that address cannot be had from here
      this.#open(fallback);
    });
    for (const [name, handler] of Object.entries(others)) socket.on(name, handler);
  }

  #lost(disconnect, forGood) {
    if (this.#closed.signal.aborted) return;
    this.setReady(false);
    disconnect();
    if (forGood) setTimeout(() => this.#closed.signal.aborted || this.#io.connect(), RETRY_DELAY);
  }

  get isConnected() {
    return Boolean(this.#io.connected);
  }

  /** "websocket", "polling", or undefined. */
  get transport() {
    return this.#io.io.engine?.transport?.name;
  }

  /** Whether one is in the room, so that things can be said there. */
  setReady(isReady) {
    if (isReady === this.#isReady) return;
    this.#isReady = isReady;
    if (isReady) this.#ready.resolve();
    else this.#ready = settled();
  }

  get isReady() {
    return this.#isReady;
  }

  /** Says something that needs no answer, and only if it can be said now. */
  tell(event, data) {
    if (this.#isReady) this.#io.emit(event, data);
    return this.#isReady;
  }

  /** Asks once. → the answer, or null if none came. */
  async ask(event, data, timeout = ACK_TIMEOUT) {
    if (!this.#io.connected) return null; // it would be sent later, when it may be wrong
    try {
      return await this.#io.timeout(timeout).emitWithAck(event, data);
    } catch {
      return null;
    }
  }

  /** Resolves once something can be said; rejects as say() does. */
  async whenReady(signal) {
    await Promise.race([this.#ready.promise, rejected(this.#stopOf(signal))]);
  }

  #stopOf(signal) {
    return AbortSignal.any([this.#closed.signal, ...(signal ? [signal] : [])]);
  }

  /**
   * Says something until it is answered: again after a cut, later where it was too much at once, so that it may be
   * heard more than once. onWait(error) is told why it waits. → the answer; throws a ChatError, or the signal's reason.
   */
  async say(event, data, { signal, onWait = () => {} } = {}) {
    const stop = this.#stopOf(signal);
    const stopped = rejected(stop);
    for (let attempts = 0; ;) {
      stop.throwIfAborted();
      await Promise.race([this.#ready.promise, stopped]);
      const answer = await Promise.race([this.ask(event, data), stopped]);
      if (answer?.ok) return answer;
      const error = answer ? ChatError.of(answer.error) : null;
      if (error?.code === "too_many") {
        onWait(error);
        await pause((error.retry_after ?? 1) * 1_000, stop);
        continue;
      }
      if (!error && !this.#isReady) continue; // it was cut, and is said again when the line is back
      attempts += 1;
      if (!error && attempts === CUT_AFTER) this.#io.io.engine?.close(); // and it comes back by itself
      if (error?.code === "not_in_room") this.#events.lost();
      else if (error) throw error;
      if (attempts >= ATTEMPTS) throw error ?? new ChatError("unreachable", "There was no answer.");
    }
  }

  close() {
    this.#closed.abort(new ChatError("left", "You have left the room."));
    this.#io.disconnect();
  }
}
