import assert from "node:assert/strict";
import { test } from "node:test";

import { entry, makeRoom, messages, notices, rest, texts, until } from "./people.mjs";

const AUTHOR = "BBBBBBBBBBBBBBBB";

async function fill(server, count) {
  const from = server.entries.length;
  for (let seq = from + 1; seq <= from + count; seq++) server.entries.push(await entry(AUTHOR, seq));
}

const numbers = (chat) => messages(chat).map(({ seq }) => seq);
const upTo = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

/** Lets time pass, as far as something waits for it. */
async function wind(t, isSo) {
  for (let times = 0; !isSo(); times++) {
    assert.ok(times < 400, `never: ${isSo}`);
    await rest();
    t.mock.timers.tick(500);
  }
}

test("older messages are loaded page by page, to the first one", async (t) => {
  const { server, enterAll } = makeRoom(t);
  await fill(server, 250);
  const [ada] = await enterAll("Ada");
  assert.deepEqual([numbers(ada), ada.hasOlder], [upTo(151, 250), true]);
  const loading = ada.loadOlder();
  assert.equal(ada.isLoadingOlder, true);
  await Promise.all([loading, ada.loadOlder()]);
  assert.deepEqual([numbers(ada), ada.hasOlder, ada.isLoadingOlder], [upTo(51, 250), true, false]);
  await ada.loadOlder();
  assert.deepEqual([numbers(ada), ada.hasOlder], [upTo(1, 250), false]);
  await ada.loadOlder();
  assert.equal(server.log.filter(([event]) => event === "history").length, 2);
  assert.deepEqual(ada.heard, []);
});

test("a message that did not come is fetched", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.mute.add("message");
  ada.send("one");
  ada.send("two");
  await until(() => texts(ada).length === 2 && messages(ada)[1].state === "sent");
  server.mute.clear();
  ada.send("three");
  await until(() => texts(ben).join() === "three");
  t.mock.timers.tick(1_499);
  await rest();
  assert.deepEqual(texts(ben), ["three"]);
  t.mock.timers.tick(1);
  await until(() => texts(ben).join() === "one,two,three");
  assert.deepEqual(ben.heard.map(([, { text }]) => text), ["three", "one", "two"]);
});

test("after a long cut, all that was missed is fetched", async (t) => {
  const { server, enterAll } = makeRoom(t);
  await fill(server, 10);
  const [ada] = await enterAll("Ada");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  ada.socket.cut();
  await fill(server, 450);
  ada.socket.connect();
  await wind(t, () => numbers(ada).length === 460);
  assert.deepEqual([numbers(ada), ada.hasOlder, notices(ada)], [upTo(1, 460), false, []]);
});

test("after a very long one, the room begins anew with the latest, and older ones can be loaded", async (t) => {
  const { server, enterAll } = makeRoom(t);
  await fill(server, 10);
  const [ada] = await enterAll("Ada");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  ada.socket.cut();
  await fill(server, 2_200);
  ada.socket.connect();
  await wind(t, () => numbers(ada)[0] === 2_111);
  assert.deepEqual([numbers(ada), ada.hasOlder], [upTo(2_111, 2_210), true]);
  await ada.loadOlder();
  assert.equal(numbers(ada)[0], 2_011);
});

test("what the server does not have either is given up, and that is said there", async (t) => {
  const { server, enterAll } = makeRoom(t);
  await fill(server, 2);
  const [ada] = await enterAll("Ada");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const late = await entry(AUTHOR, 5);
  server.emit("message", late);
  server.entries.push(late);
  await wind(t, () => notices(ada).length === 1);
  assert.deepEqual(ada.timeline.map(({ seq, kind }) => seq ?? kind), [1, 2, "missed", 5]);
  assert.equal(server.log.filter(([event]) => event === "history").length, 3);
});
