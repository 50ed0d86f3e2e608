import assert from "node:assert/strict";
import { test } from "node:test";

import { keys, makeRoom, messages, rest, texts, until } from "./people.mjs";

const said = (server, event) => server.log.filter(([name]) => name === event).length;
const allGone = (server) => server.entries.every(({ body }) => body === null);

/** Ada is offline, and what she wrote waits. */
async function offline(t, ...written) {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  ada.socket.cut();
  await until(() => ada.status === "offline");
  for (const text of written) ada.send(text);
  await rest();
  return { server, ada, ben };
}

/** Ada's message is under way: the server has it, or not, and she cannot know. */
async function underWay(t, fault) {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  if (fault === "lose answer") server.mute.add("message");
  server.fault("message", fault);
  ada.send("hello");
  await until(() => said(server, "message") === 1);
  await rest();
  assert.equal(messages(ada)[0].state, "sending");
  server.mute.clear();
  return { server, ada, ben, id: messages(ada)[0].id };
}

test("what was not said yet is withdrawn without a trace, the others are sent", async (t) => {
  const { server, ada, ben } = await offline(t, "one", "two", "three");
  ada.discard(messages(ada)[0].id); // it is its turn
  await ada.remove(messages(ada)[1].id); // it is not
  assert.deepEqual(texts(ada), ["two"]);
  ada.socket.connect();
  await until(() => texts(ben).join() === "two" && messages(ada)[0].state === "sent");
  assert.deepEqual([said(server, "message"), said(server, "delete")], [1, 0]);
});

test("what was not said yet is changed before it goes", async (t) => {
  const { server, ada, ben } = await offline(t, "one", "two");
  const [one, two] = messages(ada);
  await ada.edit(two.id, "second");
  await ada.edit(one.id, "first");
  assert.deepEqual(texts(ada), ["first", "second"]);
  ada.socket.connect();
  await until(() => texts(ben).join() === "first,second" && messages(ada)[1].state === "sent");
  assert.deepEqual([said(server, "edit"), messages(ben)[0].edited], [0, false]);
});

test("what the server has without a word is deleted there", async (t) => {
  const { server, ada, ben, id } = await underWay(t, "lose answer");
  ada.discard(id);
  assert.equal(messages(ada)[0].state, "withdrawn");
  await until(() => allGone(server) && !messages(ada).some(({ state }) => state === "withdrawn"));
  await rest();
  assert.equal(texts(ben).join(), "");
  assert.equal(said(server, "message"), 1);
});

test("what came to nobody is not said again", async (t) => {
  const { server, ada, ben, id } = await underWay(t, "lose");
  ada.discard(id);
  ada.send("next");
  await until(() => texts(ben).join() === "next" && texts(ada).join() === "next");
  assert.deepEqual([said(server, "message"), server.entries.length], [2, 1]);
});

test("what comes late, after all, is deleted then", async (t) => {
  const { server, ada, ben, id } = await underWay(t, "lose");
  ada.discard(id);
  await until(() => messages(ada).length === 0 && said(server, "delete") === 1);
  const value = { text: "hello", name: "Ada", stream: "s", n: 1, after: [0, ""] };
  server.on_message(ada.socket, { id, body: await keys.seal("message", value, ada.person, id) });
  await until(() => allGone(server) && messages(ben)[0]?.deleted && messages(ada)[0]?.deleted);
  await rest();
  assert.equal(said(server, "delete"), 2);
});

test("a cut while it was under way: it is deleted once the line is back", async (t) => {
  const { server, ada, ben, id } = await underWay(t, "lose answer");
  ada.socket.cut();
  await until(() => ada.status === "offline");
  ada.discard(id);
  ada.discard(id);
  await rest();
  assert.deepEqual([messages(ada)[0].state, said(server, "delete")], ["withdrawn", 0]);
  ada.socket.connect();
  await until(() => allGone(server) && messages(ada)[0].deleted);
  await rest();
  assert.equal(messages(ada).length, 1);
  assert.deepEqual([messages(ben).some(({ deleted }) => !deleted), said(server, "message")], [false, 1]);
});

test("no answer to that either: it is asked until there is one", async (t) => {
  const { server, ada, id } = await underWay(t, "lose answer");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.fault("delete", "lose", 5); // more than say() tries
  ada.discard(id);
  for (let times = 1; times <= 5; times++) {
    await until(() => said(server, "delete") === times);
    await rest();
    t.mock.timers.tick(10_000);
  }
  await until(() => allGone(server));
});

test("its file goes with it", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  server.fault("message", "lose");
  await ada.sendFile(new File(["a"], "a.txt"));
  await until(() => said(server, "message") === 1);
  ada.discard(messages(ada)[0].id);
  await until(() => server.files.size === 0 && messages(ada).length === 0);
  server.fault("message", "lose answer");
  server.mute.add("message");
  await ada.sendFile(new File(["a"], "a.txt"));
  await until(() => server.entries.length === 1);
  ada.discard(messages(ada)[0].id);
  await until(() => allGone(server));
  assert.equal(server.log.at(-1)[1].file, server.log.findLast(([event]) => event === "upload")[1].file);
});

test("what is under way is changed once it is there", async (t) => {
  const { server, ada, id } = await underWay(t, "lose answer");
  const editing = ada.edit(id, "goodbye");
  assert.deepEqual([texts(ada), messages(ada)[0].state], [["goodbye"], "sending"]);
  ada.socket.blink();
  await editing;
  assert.deepEqual([messages(ada)[0].edited, messages(ada)[0].state, texts(ada)], [true, "sent", ["goodbye"]]);
  assert.deepEqual(server.entries.map(({ rev }) => rev), [1]);
});

test("what was refused is changed, and tried again", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  server.fault("message", { code: "bad_body", message: "No." });
  ada.send("one");
  await until(() => messages(ada)[0].state === "failed");
  await ada.edit(messages(ada)[0].id, "two");
  await until(() => texts(ben).join() === "two" && messages(ada)[0].state === "sent");
  assert.equal(messages(ben)[0].edited, false);
});

/** Numbers from 0 up to 1, the same for the same seed: mulberry32. */
function randomFrom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

for (let seed = 1; seed <= 12; seed++) {
  test(`whatever happens meanwhile, what was withdrawn is nowhere, and the rest there once (${seed})`, async (t) => {
    const { server, enterAll } = makeRoom(t);
    const [ada, ben] = await enterAll("Ada", "Ben");
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const random = randomFrom(seed);
    const oneOf = (values) => values[Math.floor(random() * values.length)];
    const wanted = new Map(); // message id → its last text, null if it was withdrawn
    const edits = [];
    const alive = () => [...wanted].filter(([, text]) => text !== null).map(([id]) => id);
    const acts = {
      send(n) {
        const before = new Set(messages(ada).map(({ id }) => id));
        ada.send(`text ${n}`);
        wanted.set(messages(ada).find(({ id }) => !before.has(id)).id, `text ${n}`);
      },
      withdraw() {
        const id = oneOf(alive().slice(-3));
        if (!id) return;
        wanted.set(id, null);
        ada.remove(id).catch(() => {});
      },
      edit(n) {
        const id = oneOf(alive().slice(-3));
        if (!id) return;
        wanted.set(id, `changed ${n}`);
        edits.push(ada.edit(id, `changed ${n}`).catch(({ code }) => assert.equal(code, "no_such_message")));
      },
      lose: () => server.fault(oneOf(["message", "delete", "edit"]), oneOf(["lose", "lose answer"])),
      cut: () => ada.socket.cut(),
      connect: () => ada.socket.connect(),
      blink: () => ada.socket.connected && ada.socket.blink(),
      wait: () => t.mock.timers.tick(11_000),
      rest,
    };
    const mostly = ["send", "send", "send", "withdraw", "withdraw", "edit", "rest", "rest", "connect"];
    for (let n = 0; n < 60; n++) {
      await acts[oneOf([...mostly, ...Object.keys(acts)])](n);
      if (random() < 0.5) await new Promise(setImmediate);
    }
    server.faults.length = 0;
    ada.socket.connect();
    const isSettled = () => ada.status === "online" && !messages(ada).some(({ seq, state }) => !seq || state === "sending");
    for (let step = 0; step < 20 || !isSettled(); step++) {
      assert.ok(step < 200, JSON.stringify(messages(ada)));
      await rest();
      t.mock.timers.tick(5_000);
    }
    await Promise.all(edits);
    await rest();
    const left = new Map(server.entries.filter(({ body }) => body !== null).map(({ id }) => [id, ""]));
    assert.deepEqual([...left.keys()].sort(), alive().sort());
    for (const chat of [ada, ben]) {
      const shown = messages(chat).filter(({ deleted }) => !deleted).map(({ id, text }) => [id, text]);
      assert.deepEqual(new Map(shown.sort()), new Map([...wanted].filter(([, text]) => text !== null).sort()));
      assert.equal(messages(chat).some(({ misplaced, unreadable }) => misplaced || unreadable), false);
    }
  });
}
