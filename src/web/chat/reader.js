// Opens what comes sealed, and believes nothing of it: whoever has the room's key can put anything into a seal.

import { isEmoji, tidy } from "../text.js";
import { fileOf } from "./files.js";

const MOST_TEXT = 4_000;
const MOST_NAME = 40;
const MOST_REACTIONS = 20;
const MOST_EMOJI = 32; // UTF-16 units of one: families and flags are long
const UNREADABLE_NAME = "?";

const cut = (text, most) => {
  if (typeof text !== "string") throw new TypeError("no text");
  return text.length > most ? [...text].slice(0, most).join("") : text;
};

const nameOf = (text) => tidy(cut(text, MOST_NAME)) || UNREADABLE_NAME;

const count = (number) => {
  if (!Number.isSafeInteger(number) || number < 0) throw new TypeError("no number");
  return number;
};

function messageOf({ text, name, stream, n, after: [seq, id], reply, file, edited }) {
  const message = {
    text: cut(text, MOST_TEXT), name: nameOf(name),
    stream: cut(stream, 64), n: count(n), after: [count(seq), cut(id, 64)],
  };
  if (reply) message.reply = cut(reply, 64);
  if (file) message.file = fileOf(file);
  if (edited) message.edited = true;
  return message;
}

export class Reader {
  #keys;

  constructor(keys) {
    this.#keys = keys;
  }

  /** An entry as the timeline takes it. */
  async entry({ id, seq, at, from: person, body, rev = 0, reactions = {} }) {
    const [message, ...opened] = await Promise.all([
      this.message(body, person, id),
      ...Object.entries(reactions ?? {}).map(([each, sealed]) => this.reaction(sealed, each, id)),
    ]);
    return { id, seq, at, person, rev, message, reactions: opened.filter(Boolean) };
  }

  /** null if it is deleted, undefined if it does not open. */
  async message(sealed, person, id) {
    if (sealed === null) return null;
    try {
      return messageOf(await this.#keys.open("message", sealed, person, id));
    } catch {
      return undefined;
    }
  }

  /** {person, n, emoji}, or null if it does not open. */
  async reaction(sealed, person, id) {
    try {
      const { n, emoji } = await this.#keys.open("reaction", sealed, person, id);
      const each = emoji.slice(0, MOST_REACTIONS).filter((one) => typeof one === "string" && one.length <= MOST_EMOJI && isEmoji(one));
      return { person, n: count(n), emoji: [...new Set(each)] };
    } catch {
      return null;
    }
  }

  /** A member with its name in the clear. */
  async member({ id, person, name, owner }) {
    return { id, person, owner: Boolean(owner), name: await this.#name(name, person) };
  }

  async #name(sealed, person) {
    try {
      return nameOf(await this.#keys.open("name", sealed, person));
    } catch {
      return UNREADABLE_NAME;
    }
  }
}
