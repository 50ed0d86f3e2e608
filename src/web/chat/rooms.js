// The chat's HTTP API, and what this browser remembers about rooms. A room's secret is in its link and nowhere else.

import { tidy } from "../text.js";
import { ChatError } from "./errors.js";
import { digest, Keys, newRoom, randomId } from "./seals.js";

const ME_BYTES = 16;
const OWNER_BYTES = 32;
const MOST_TITLE = 200; // UTF-16 units: what a page lets through is shorter

async function request(method, path, { body, key } = {}) {
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers.Authorization = `Bearer ${key}`;
  let response, answer;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    answer = response.status === 204 ? {} : await response.json();
  } catch {
    throw new ChatError("unreachable", "Fleeting cannot be reached. Are you online?");
  }
  if (!response.ok) throw ChatError.of(answer.error);
  const date = Date.parse(response.headers.get("Date"));
  return { answer, skew: date ? date - Date.now() : 0 };
}

const address = (room) => `/api/rooms/${encodeURIComponent(room)}`;

/**
 * ttl: seconds; people: at most. The room's id and keys are made here, and the owner's key is remembered.
 * → {room, secret, keys, expires_at (Unix seconds)}
 */
export async function createRoom({ title = "", ttl, people, passphrase = "", burnWhenEmpty = false }) {
  const { room, secret } = newRoom();
  const keys = await Keys.derive({ room, secret, passphrase });
  const ownerKey = randomId(OWNER_BYTES);
  const body = {
    room,
    door: await digest(keys.door),
    owner: await digest(ownerKey),
    title: title ? await keys.seal("title", title) : "",
    ttl,
    people,
    passphrase: Boolean(passphrase),
    burn_when_empty: burnWhenEmpty,
  };
  const { answer } = await request("POST", "/api/rooms", { body });
  owned.set(room, ownerKey, answer.expires_at);
  return { room, secret, keys, expires_at: answer.expires_at };
}

/**
 * → {room, title (sealed), expires_at (Unix seconds), passphrase (whether there is one), locked,
 *    skew (how many ms this machine's clock is behind the server's)}
 */
export async function findRoom(room) {
  const { answer, skew } = await request("GET", address(room));
  return { ...answer, skew };
}

/** A room's title as its people read it, "" if it has none; throws a SealError if these keys are not the room's. */
export async function openTitle(keys, sealed) {
  return sealed ? tidy(String(await keys.open("title", sealed)).slice(0, MOST_TITLE)) : "";
}

export async function burnRoom(room) {
  await request("DELETE", address(room), { key: owned.get(room) });
  owned.delete(room);
}

/** Where the socket is: {url ("" is the same origin), path, transports?, fallback?} */
export async function findSocket() {
  return (await request("GET", "/config.json")).answer.socket;
}

// Where storage is full or forbidden, this page load remembers, and the next one does not.
const memory = new Map();

function read(key) {
  try {
    return JSON.parse(globalThis.localStorage.getItem(key)) ?? memory.get(key);
  } catch {
    return memory.get(key);
  }
}

function write(key, value) {
  memory.set(key, value);
  try {
    globalThis.localStorage.setItem(key, JSON.stringify(value));
  } catch { /* it stays in memory */ }
}

function remove(key) {
  memory.delete(key);
  try {
    globalThis.localStorage.removeItem(key);
  } catch { /* it was in memory only */ }
}

/** What is remembered for each room: {value, expires_at}, until it expires. */
function perRoom(kind) {
  const prefix = `fleeting:${kind}:`;
  return {
    get: (room) => read(prefix + room)?.value,
    set(room, value, expiresAt) {
      forgetExpired(prefix);
      write(prefix + room, { value, expires_at: expiresAt });
    },
    delete: (room) => remove(prefix + room),
  };
}

function forgetExpired(prefix) {
  let stored = [];
  try {
    stored = Object.keys(globalThis.localStorage);
  } catch { /* memory is all there is */ }
  for (const key of new Set([...stored, ...memory.keys()])) {
    if (key.startsWith(prefix) && !(read(key)?.expires_at * 1_000 > Date.now())) remove(key);
  }
}

/** The owner's keys of rooms created here. */
export const owned = perRoom("owner");

const mine = perRoom("me");

/** The secret by which one is the same person in a room: in all tabs, and after a reload. */
export function meOf(room, expiresAt) {
  if (!mine.get(room)) mine.set(room, randomId(ME_BYTES), expiresAt);
  return mine.get(room); // read again: of two tabs that begin at once, one's is kept
}

const INSIDE = "fleeting:inside";

/** The room that this tab is in, {room, name}: one that is loaded again, or was put aside by a phone, goes back there. */
export const inside = {
  read() {
    try {
      return JSON.parse(globalThis.sessionStorage.getItem(INSIDE)) ?? {};
    } catch {
      return {};
    }
  },
  write(value) {
    try {
      globalThis.sessionStorage.setItem(INSIDE, JSON.stringify(value));
    } catch { /* one enters by the door then */ }
  },
};

const NAME = "fleeting:name";

/** The name that one had last, in any room. */
export const lastName = { read: () => read(NAME) ?? "", write: (name) => write(NAME, name) };
