// What a room's people share: keys from its link, and texts sealed with them (docs/chat.md, "Link, keys, seals").
// src/chat/seals.py is its twin.

import { ChatError } from "./errors.js";

const VERSION = "fleeting/1";
const ROUNDS = 600_000; // of PBKDF2-HMAC-SHA-256: OWASP's Password Storage Cheat Sheet, 2023
const ROOM_BYTES = 12;
const SECRET_BYTES = 16;
const NONCE_BYTES = 12;
const PERSON_BYTES = 12;
const PADDING = 64; // bytes of whose multiples a sealed value's length is
const WHOLE_LINK = /^(.*)\/r\/([\w-]{16})$/;
const SECRET = /^[\w-]{22}$/;

const utf8 = new TextEncoder();

/** Whether this page may use cryptography: browsers allow it over https, and to the machine itself. */
export const isSecure = () => Boolean(globalThis.crypto?.subtle);

/** A sealed text that does not open: another key, another place, or changed on its way. */
export class SealError extends ChatError {
  constructor(message) {
    super("sealed", message);
    this.name = "SealError";
  }
}

/** Bytes in base64url without padding. */
export function encode(bytes) {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The bytes of a base64url text; throws if it is none. */
export function decode(text) {
  if (!/^[\w-]*$/.test(text)) throw new SealError("That is no base64url.");
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/** Random bytes as text: a room, a file, a message. */
export const randomId = (bytes = ROOM_BYTES) => encode(crypto.getRandomValues(new Uint8Array(bytes)));

const hash = async (text) => new Uint8Array(await crypto.subtle.digest("SHA-256", utf8.encode(text)));

/** The SHA-256 of a text, as the server keeps it of the door and of the owner's key. */
export const digest = async (text) => encode(await hash(text));

/** The public id of whoever holds the secret `me`. */
export const personOf = async (room, me) =>
  encode((await hash(`${VERSION} person ${room} ${me}`)).subarray(0, PERSON_BYTES));

/** A new room's {room, secret}. */
export const newRoom = () => ({ room: randomId(ROOM_BYTES), secret: randomId(SECRET_BYTES) });

/** → {origin, room, secret}. Throws a ChatError: `no_such_room` for what is no link of a room, `incomplete` without key. */
export function parseLink(url) {
  const { origin, pathname, hash: fragment } = new URL(url);
  const [, base, room] = pathname.match(WHOLE_LINK) ?? [];
  if (!room) throw new ChatError("no_such_room", "There is no such room. Is the link complete?");
  const secret = fragment.slice(1);
  if (!SECRET.test(secret)) {
    throw new ChatError("incomplete", "This link is not complete: what stands behind # is the room's key.");
  }
  return { origin: origin + base, room, secret };
}

export const makeLink = ({ origin, room, secret }) => `${origin}/r/${room}#${secret}`;

/** A room's keys; `door` is what opens it. */
export class Keys {
  #content;

  constructor(room, door, content) {
    this.room = room;
    this.door = door;
    this.#content = content;
  }

  /** With a passphrase this takes a second, on purpose: so does each guess. */
  static async derive({ room, secret, passphrase = "" }) {
    const bytes = decode(secret);
    const stretched = passphrase ? await stretch(passphrase, room) : new Uint8Array();
    const material = new Uint8Array([...bytes, ...stretched]);
    const key = await crypto.subtle.importKey("raw", material, "HKDF", false, ["deriveBits", "deriveKey"]);
    const purpose = (name) =>
      ({ name: "HKDF", hash: "SHA-256", salt: utf8.encode(room), info: utf8.encode(`${VERSION} ${name}`) });
    const door = await crypto.subtle.deriveBits(purpose("door"), key, 256);
    const cipher = { name: "AES-GCM", length: 256 };
    const content = await crypto.subtle.deriveKey(purpose("content"), key, cipher, false, ["encrypt", "decrypt"]);
    return new Keys(room, encode(new Uint8Array(door)), content);
  }

  /** Seals a JSON value for its place: what stands behind the room in the additional data. */
  async seal(kind, value, ...place) {
    const text = utf8.encode(JSON.stringify(value));
    const padded = new Uint8Array(Math.ceil(text.length / PADDING) * PADDING).fill(0x20);
    padded.set(text);
    return this.sealBytes(kind, padded, ...place);
  }

  /** The value in a sealed text; throws a SealError if it does not open at this place. */
  async open(kind, sealed, ...place) {
    const bytes = await this.openBytes(kind, sealed, ...place);
    try {
      return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
      throw new SealError("What was sealed is no JSON.");
    }
  }

  async sealBytes(kind, bytes, ...place) {
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const sealed = new Uint8Array(await crypto.subtle.encrypt(this.#cipher(nonce, kind, place), this.#content, bytes));
    const whole = new Uint8Array(NONCE_BYTES + sealed.length);
    whole.set(nonce);
    whole.set(sealed, NONCE_BYTES);
    return encode(whole);
  }

  async openBytes(kind, sealed, ...place) {
    try {
      const bytes = decode(sealed);
      const cipher = this.#cipher(bytes.subarray(0, NONCE_BYTES), kind, place);
      return new Uint8Array(await crypto.subtle.decrypt(cipher, this.#content, bytes.subarray(NONCE_BYTES)));
    } catch {
      throw new SealError(`A ${kind} does not open here.`);
    }
  }

  #cipher(iv, kind, place) {
    return { name: "AES-GCM", iv, additionalData: utf8.encode(JSON.stringify([VERSION, kind, this.room, ...place])) };
  }
}

async function stretch(passphrase, room) {
  const key = await crypto.subtle.importKey("raw", utf8.encode(passphrase.normalize("NFKC")), "PBKDF2", false, [
    "deriveBits",
  ]);
  const salt = utf8.encode(`${VERSION} passphrase ${room}`);
  return new Uint8Array(
    await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations: ROUNDS }, key, 256),
  );
}
