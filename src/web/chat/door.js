// Getting into a room, and back into it after a cut.

import { ChatError } from "./errors.js";

const RETRY_DELAY = 2_000;

export class Door {
  wasIn = false; // once at least
  #isIn = false; // as far as the server knows
  #isJoining = false;
  #isStale = false; // what was told when joining is not so any more
  #connection = 0; // counts the times that the line was made and cut
  #doubt = null;
  #timer = null;
  #closed = false;
  #line;
  #room;

  /**
   * room: {request(): Promise of what `join` takes, entered(answer, isCurrent): Promise of whether it still was so,
   * unanswered(), online(), refused(ChatError): for good}
   */
  constructor({ line, room }) {
    this.#line = line;
    this.#room = room;
  }

  /** The line is made; where it recovered, nothing was missed and the server still has us in the room. */
  connected(recovered) {
    this.#connection += 1;
    this.#isIn &&= recovered && !this.#isStale;
    if (this.#isIn) this.#room.online();
    else this.#join();
  }

  disconnected() {
    this.#connection += 1;
  }

  /** The server says that we are not in the room. */
  lost() {
    this.#isIn = false;
    this.#join();
  }

  /** Only the server can tell what is so, and joining again asks it; not everybody at once. */
  check(people) {
    this.#doubt ??= setTimeout(() => {
      this.#doubt = null;
      if (this.#line.isReady) this.#join();
    }, Math.random() * (1_000 + 100 * people));
  }

  /** What one tells when joining has changed, and is told now, or when the line is back. */
  again() {
    this.#isStale = true;
    if (this.#line.isReady) this.#join();
  }

  async #join() {
    if (this.#isJoining || this.#closed) return;
    this.#isJoining = true;
    this.#isStale = false;
    const request = await this.#room.request();
    const connection = this.#connection;
    const answer = await this.#line.ask("join", request);
    const entered = answer?.ok && (await this.#room.entered(answer, () => connection === this.#connection));
    this.#isJoining = false;
    if (this.#closed) return;
    if (entered) {
      this.#isIn = this.wasIn = true;
      this.#room.online();
      if (this.#isStale) this.#join();
      return;
    }
    this.#isStale = true;
    this.#room.unanswered();
    if (answer && !answer.ok) this.#refused(ChatError.of(answer.error));
    else this.#again(RETRY_DELAY);
  }

  #refused(error) {
    if (error.code === "too_many" && this.wasIn) this.#again(error.retry_after * 1_000 || RETRY_DELAY);
    else this.#room.refused(error);
  }

  #again(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#line.isConnected && (!this.#isIn || this.#isStale) && this.#join(), delay);
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#doubt);
    clearTimeout(this.#timer);
  }
}
