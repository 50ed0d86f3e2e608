// For test_live.py: people in a room of the server at an address, by the page's modules and Socket.IO's own client.

import assert from "node:assert/strict";

import { io } from "socket.io-client";
import { Chat } from "../../src/web/chat/chat.js";
import { burnRoom, createRoom, findRoom, findSocket, openTitle, owned } from "../../src/web/chat/rooms.js";
import { randomId } from "../../src/web/chat/seals.js";
import { messages, notices, texts, until } from "./people.mjs";

const origin = process.argv[2];
const { fetch } = globalThis;
globalThis.fetch = (path, options) => fetch(new URL(path, origin), options);

const { room, keys } = await createRoom({ title: "Plans", ttl: 600, people: 5 });
const found = await findRoom(room);
assert.deepEqual([await openTitle(keys, found.title), found.passphrase, found.locked], ["Plans", false, false]);
const socket = await findSocket();

let made; // the latest socket

function enter(name, { me = randomId(16), ownerKey, transports } = {}) {
  const chat = new Chat({
    room: found, keys, me, name, ownerKey, socket: { ...socket, transports },
    connect: (url, options) => (made = io(url ?? origin, options)),
  });
  chat.socket = made;
  chat.heard = [];
  for (const type of ["refused", "ended"]) chat.addEventListener(type, ({ detail }) => chat.heard.push([type, detail]));
  return chat;
}

const ada = enter("Ada", { ownerKey: owned.get(room) });
await until(() => ada.status === "online", "Ada is online");
const benMe = randomId(16);
const ben = enter("Ben", { me: benMe, transports: ["polling"] });
await until(() => ben.status === "online" && ada.people.length === 2, "Ben is here");
assert.deepEqual([ada.isOwner, ben.isOwner, ada.transport, ben.transport], [true, false, "websocket", "polling"]);

ada.send("one");
ada.send("two");
await until(() => texts(ben).join() === "one,two", "Ben reads");
ben.saw(2);
await until(() => messages(ada).every(({ state }) => state === "seen"), "Ada knows");
const [{ id }] = messages(ada);
await ada.edit(id, "first");
await ben.react(id, "👍");
await until(() => messages(ben)[0].text === "first", "Ben reads it anew");
await until(() => messages(ada)[0].reactions[0]?.names.join() === "Ben", "Ada sees it");

const bytes = crypto.getRandomValues(new Uint8Array(50_000));
await ada.sendFile(new File([bytes], "noise.png", { type: "image/png" }), { reply: id });
await until(() => messages(ben).length === 3, "the file is named");
const blob = await ben.download(messages(ben)[2]);
assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), bytes);
assert.equal(messages(ben)[2].reply.text, "first");
await ada.remove(messages(ada)[2].id);
await until(() => messages(ben)[2].deleted, "it is deleted");

ada.socket.io.engine.close(); // as a network does that goes away
await until(() => ada.status === "offline", "Ada is cut");
ada.send("while away");
ben.send("meanwhile");
await until(() => texts(ada).length === 5 && texts(ben).length === 5, "nothing was missed");
await until(() => messages(ada).every(({ state }) => state !== "sending"), "all is sent");
assert.deepEqual(new Set(texts(ada).slice(3)), new Set(["while away", "meanwhile"]));
assert.equal([...ada.timeline, ...ben.timeline].some(({ misplaced, unreadable }) => misplaced || unreadable), false);

await ada.lock(true);
await until(() => ben.locked, "it is locked");
const eve = enter("Eve");
await until(() => eve.heard.length > 0, "Eve is refused");
assert.deepEqual([eve.heard[0][0], eve.heard[0][1].code], ["refused", "locked"]);
await ada.lock(false);

for (let n = 0; n < 25; n++) ben.send(`many ${n}`);
await until(() => texts(ada).filter((text) => text.startsWith("many")).length === 25, "all come, at the room's pace");
assert.equal(ben.timeline.some(({ misplaced, state }) => misplaced || state === "failed"), false);

await ada.removePerson(ben.person);
await until(() => ben.heard.some(([type]) => type === "ended"), "Ben is out");
assert.equal(ben.heard.at(-1)[1], "removed");
const again = enter("Ben", { me: benMe });
await until(() => again.heard.length > 0, "and stays out");
assert.equal(again.heard[0][1].code, "removed");

const cleo = enter("Cleo");
await until(() => cleo.status === "online" && texts(cleo).length === 30, "Cleo reads what was said");
cleo.socket.io.engine.close();
await burnRoom(room);
for (const chat of [ada, cleo]) await until(() => chat.heard.some(([type]) => type === "ended"), "it is over");
assert.deepEqual(ada.heard, [["ended", "burned"]]);
assert.ok(["burned", "no_such_room"].includes(cleo.heard[0][1])); // as she came back before it or after
console.log(JSON.stringify(notices(ada)));
process.exit(0);
