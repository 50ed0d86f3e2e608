import assert from "node:assert/strict";
import { test } from "node:test";

import {
  burnRoom, createRoom, findRoom, findSocket, lastName, meOf, openTitle, owned,
} from "../../src/web/chat/rooms.js";
import { digest, Keys } from "../../src/web/chat/seals.js";

const LATER = Date.now() / 1_000 + 3_600;

/** A server's answers, in order; what it was asked is kept. */
function answering(t, ...answers) {
  const asked = [];
  t.mock.method(globalThis, "fetch", async (path, { method, headers, body }) => {
    asked.push({ path, method, headers, body: body && JSON.parse(body) });
    const { status = 200, json, date } = answers.shift();
    return new Response(status === 204 ? null : JSON.stringify(json), { status, headers: date ? { Date: date } : {} });
  });
  return asked;
}

/** A browser's storage, shared by its tabs. */
function storing(t, storage) {
  const before = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
  Object.defineProperty(globalThis, "localStorage", { configurable: true, ...storage });
  t.after(() => (before ? Object.defineProperty(globalThis, "localStorage", before) : delete globalThis.localStorage));
}

class Storage {
  getItem(key) {
    return Object.hasOwn(this, key) ? this[key] : null;
  }

  setItem(key, value) {
    this[key] = value;
  }

  removeItem(key) {
    delete this[key];
  }
}

test("the server gets a room's digests and its sealed title, never a key", async (t) => {
  const asked = answering(t, { status: 201, json: { expires_at: LATER } }, { status: 204 });
  const wanted = { title: "Plans", ttl: 600, people: 5, passphrase: "pass", burnWhenEmpty: true };
  const { room, secret, keys, expires_at: expiresAt } = await createRoom(wanted);
  const [{ method, path, body }] = asked;
  assert.deepEqual([method, path, expiresAt], ["POST", "/api/rooms", LATER]);
  assert.deepEqual({ ...body, title: "" }, {
    room, door: await digest(keys.door), owner: await digest(owned.get(room)), title: "", ttl: 600, people: 5,
    passphrase: true, burn_when_empty: true,
  });
  const same = await Keys.derive({ room, secret, passphrase: "pass" });
  assert.equal(await openTitle(same, body.title), "Plans");
  assert.equal(await openTitle(same, ""), "");
  await assert.rejects(async () => openTitle(await Keys.derive({ room, secret }), body.title), { code: "sealed" });
  for (const key of [secret, keys.door, owned.get(room), "Plans", "pass"]) {
    assert.ok(!JSON.stringify({ ...body, passphrase: null }).includes(`"${key}"`));
  }
  const key = owned.get(room);
  await burnRoom(room);
  assert.deepEqual([asked[1].method, asked[1].path], ["DELETE", `/api/rooms/${room}`]);
  assert.equal(asked[1].headers.Authorization, `Bearer ${key}`);
  assert.equal(owned.get(room), undefined);
});

test("a room is found, with how far the clocks are apart", async (t) => {
  const date = new Date(Date.now() + 60_000).toUTCString();
  answering(t, { json: { room: "r", title: "", locked: false }, date }, { json: { socket: { url: "" } } });
  const { skew, locked } = await findRoom("r");
  assert.ok(Math.abs(skew - 60_000) < 2_000);
  assert.equal(locked, false);
  assert.deepEqual(await findSocket(), { url: "" });
});

test("what goes wrong has a code, a sentence, and how long to wait", async (t) => {
  const error = { code: "too_many", message: "Slow down.", retry_after: 9 };
  answering(t, { status: 429, json: { error } }, { status: 500, json: {} });
  await assert.rejects(findRoom("r"), { code: "too_many", message: "Slow down.", retry_after: 9 });
  await assert.rejects(findRoom("r"), { code: "unreachable" });
  t.mock.method(globalThis, "fetch", async () => { throw new TypeError("offline"); });
  await assert.rejects(findRoom("r"), { code: "unreachable" });
});

test("one is the same person in a room, until it expires", (t) => {
  const value = new Storage();
  storing(t, { value });
  const me = meOf("one", LATER);
  assert.deepEqual([me.length, meOf("one", LATER), meOf("two", LATER) === me], [22, me, false]);
  owned.set("one", "key", LATER);
  meOf("old", Date.now() / 1_000 - 1);
  meOf("new", LATER);
  const kept = ["fleeting:me:new", "fleeting:me:one", "fleeting:me:two", "fleeting:owner:one"];
  assert.deepEqual(Object.keys(value).sort(), kept);
  lastName.write("Ada");
  assert.equal(JSON.parse(value["fleeting:name"]), "Ada");
});

test("where nothing may be stored, it is remembered for now", (t) => {
  storing(t, { get() { throw new Error("forbidden"); } });
  const me = meOf("room", LATER);
  assert.equal(meOf("room", LATER), me);
  owned.set("room", "key", LATER);
  assert.equal(owned.get("room"), "key");
  owned.delete("room");
  assert.equal(owned.get("room"), undefined);
  lastName.write("Ben");
  assert.equal(lastName.read(), "Ben");
});
