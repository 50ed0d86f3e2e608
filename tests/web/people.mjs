// People for the tests: in a room, each with a Chat of their own.

import { Chat } from "../../src/web/chat/chat.js";
import { Keys, randomId } from "../../src/web/chat/seals.js";
import { Server } from "./server.mjs";

export const keys = await Keys.derive({ room: "AAAAAAAAAAAAAAAA", secret: "AAAAAAAAAAAAAAAAAAAAAA" });

const { setTimeout: sleep } = globalThis; // as it is before a test fakes it
const PATIENCE = 20_000;

/** Waits for what is to be so, while everything goes on; whoever fakes timers winds them on. */
export async function until(isSo, what = String(isSo)) {
  for (const start = performance.now(); !isSo();) {
    if (performance.now() - start > PATIENCE) throw new Error(`never: ${what}`);
    await new Promise(setImmediate);
  }
}

/** Lets what is under way come to rest: for what is not to happen, and before time is wound on. */
export const rest = () => new Promise((resolve) => sleep(resolve, 10));

export const messages = (chat) => chat.timeline.filter(({ kind }) => kind === "message");
export const texts = (chat) => messages(chat).map(({ text }) => text);
export const notices = (chat) =>
  chat.timeline.filter(({ kind }) => kind !== "message").map(({ kind, name }) => `${kind} ${name}`);

/** A room and a way in; all who came in are sent out when the test is over. */
export function makeRoom(test, server = new Server(keys.room)) {
  const chats = [];
  test.after(() => chats.forEach((chat) => chat.close()));
  const enter = (name, { me = randomId(16), ownerKey } = {}) => {
    const room = { room: keys.room, skew: 0 };
    const chat = new Chat({ room, keys, me, name, ownerKey, socket: {}, connect: server.connect });
    chat.socket = [...server.sockets].at(-1);
    chat.heard = [];
    for (const type of ["message", "refused", "ended"]) {
      chat.addEventListener(type, ({ detail }) => chat.heard.push([type, detail]));
    }
    chats.push(chat);
    return chat;
  };
  const enterAll = async (...names) => {
    const entered = [];
    for (const name of names) {
      const chat = enter(name);
      await until(() => chat.status === "online", `${name} is online`);
      entered.push(chat);
    }
    for (const chat of entered) await until(() => chat.people.length === entered.length, "all see all");
    return entered;
  };
  return { server, enter, enterAll };
}

/** An entry as the server has it, sealed by its author. */
export async function entry(person, seq) {
  const id = `id ${seq}`;
  const value = { text: `text ${seq}`, name: `name of ${person}`, stream: "s", n: seq, after: [0, ""] };
  return { id, seq, at: seq, from: person, rev: 0, body: await keys.seal("message", value, person, id) };
}
