// The room at this page's address, on the way into it and while one is there. No DOM.

import { openTitle, owned } from "./rooms.js";
import { makeLink } from "./seals.js";

const LIFETIMES = [600, 3_600, 86_400, 604_800]; // seconds
const CLOCKS = 60; // seconds by which this machine's clock may differ from the server's

export class Visit {
  keys = null; // where there is a passphrase, only once it has been typed
  title = ""; // as its people read it, once there are keys
  isInside = false; // the room has let us in, at least once
  #sealedTitle;

  /** found: as findRoom() has it; secret: from the link; socket: as findSocket() has it. */
  constructor({ room, title, expires_at, skew, passphrase, locked }, { secret, socket }) {
    Object.assign(this, { room, expires_at, skew, passphrase, locked, secret, socket });
    this.#sealedTitle = title;
    const left = this.secondsLeft;
    this.lifetime = LIFETIMES.find((lifetime) => lifetime + CLOCKS >= left) ?? left; // the shortest that it can be
  }

  /** Takes the room's keys, and reads its title with them. */
  async use(keys) {
    this.keys = keys;
    try {
      this.title = await openTitle(keys, this.#sealedTitle);
    } catch { /* not this room's keys: the door will say so */ }
  }

  get isOwner() {
    return Boolean(owned.get(this.room));
  }

  get secondsLeft() {
    return Math.ceil(this.expires_at - (Date.now() + this.skew) / 1000);
  }

  get link() {
    return makeLink({ origin: location.origin, room: this.room, secret: this.secret });
  }
}
