import assert from "node:assert/strict";
import { test } from "node:test";

import { randomId } from "../../src/web/chat/seals.js";
import { keys, makeRoom, messages, notices, rest, texts, until } from "./people.mjs";

test("two people talk, and each message is there once", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  ada.send("one");
  ada.send("two");
  await until(() => texts(ben).length === 2);
  ben.send("three");
  for (const chat of [ada, ben]) {
    await until(() => texts(chat).join() === "one,two,three" && messages(chat).every(({ state }) => state === "sent"));
  }
  assert.deepEqual(messages(ben).map(({ own, state, name }) => [own, state, name]), [
    [false, "sent", "Ada"], [false, "sent", "Ada"], [true, "sent", "Ben"],
  ]);
  assert.deepEqual(ben.heard.map(([type, { text }]) => [type, text]), [["message", "one"], ["message", "two"]]);
  assert.equal(messages(ada).some(({ misplaced, unreadable }) => misplaced || unreadable), false);
  assert.equal(JSON.stringify([server.log, server.entries]).match(/one|two|three|Ada|Ben/), null);
});

test("what was said before is there, quietly", async (t) => {
  const { enter, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  ada.send("before");
  await until(() => messages(ada)[0]?.state === "sent");
  const ben = enter("Ben");
  await until(() => texts(ben).join() === "before");
  assert.deepEqual(ben.heard, []);
  assert.deepEqual(notices(ada), ["joined Ben"]);
});

test("a lost answer, and an event before its answer: sent again, shown once", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.mute.add("message");
  server.fault("message", "lose answer");
  ada.send("hello");
  await until(() => server.entries.length === 1);
  assert.equal(messages(ada)[0].state, "sending");
  t.mock.timers.tick(10_000);
  await until(() => messages(ada)[0].state === "sent");
  server.mute.clear();
  server.fault("message", "lose answer");
  ada.send("again");
  await until(() => messages(ada)[1]?.state === "sent"); // by its event
  ada.send("third");
  await until(() => texts(ada).length === 3 && messages(ada)[2].state === "sent"); // nothing waits for that answer
  assert.equal(server.log.filter(([event]) => event === "message").length, 4);
  assert.equal(server.entries.length, 3);
});

test("what is written offline is sent when the line is back, in order", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  ada.socket.cut();
  await until(() => ada.status === "offline");
  ada.send("one");
  ada.send("two");
  await rest();
  assert.deepEqual(messages(ada).map(({ state }) => state), ["sending", "sending"]);
  ada.socket.connect();
  await until(() => texts(ben).join() === "one,two");
  await until(() => messages(ada).every(({ state }) => state === "sent"));
  assert.equal(server.log.filter(([event]) => event === "join").length, 3);
});

test("a cut that was recovered passes unnoticed: nobody joins again", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  ben.socket.cut({ isKept: true });
  ada.send("meanwhile");
  await until(() => messages(ada)[0].state === "sent");
  ben.send("while away");
  ben.socket.recover();
  for (const chat of [ada, ben]) await until(() => texts(chat).join() === "meanwhile,while away");
  assert.equal(server.log.filter(([event]) => event === "join").length, 2);
  assert.deepEqual(ben.heard.map(([, { text }]) => text), ["meanwhile"]);
});

test("a line that was cut before joining was answered is joined again, also where it recovers", async (t) => {
  const { server, enter } = makeRoom(t);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.fault("join", "lose");
  const ada = enter("Ada");
  await until(() => server.log.length === 1);
  ada.socket.blink();
  await until(() => ada.status === "online");
});

test("too much at once: it waits and goes on by itself, and says why", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.fault("message", { code: "too_many", message: "Slow down.", retry_after: 3 });
  ada.send("one");
  ada.send("two");
  await until(() => messages(ada)[0].error === "Slow down.");
  assert.deepEqual([messages(ada)[0].state, messages(ada)[0].errorCode], ["sending", "too_many"]);
  t.mock.timers.tick(2_900);
  await rest();
  assert.equal(server.entries.length, 0);
  t.mock.timers.tick(100);
  await until(() => texts(ada).join() === "one,two" && messages(ada).every(({ state }) => state === "sent"));
  assert.equal(messages(ada)[0].error, null);
});

test("what is refused has failed, can be tried again, and can be thrown away", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  server.fault("message", { code: "bad_body", message: "No." }, 2);
  ada.send("one");
  ada.send("two");
  ada.send("three");
  await until(() => messages(ada).map(({ state }) => state).join() === "sent,failed,failed");
  const [three, one, two] = messages(ada);
  assert.deepEqual([three.text, one.text, one.error, one.errorCode], ["three", "one", "No.", "bad_body"]);
  ada.discard(two.id);
  ada.retry(one.id);
  await until(() => texts(ada).join() === "three,one" && messages(ada)[1].state === "sent");
  assert.equal(messages(ada)[1].misplaced, false); // it was sealed anew, for its new place
});

test("the line is dead and does not know it: it is cut, and comes back", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.fault("message", "lose", 2);
  ada.send("hello");
  for (const times of [1, 2]) {
    await until(() => server.log.filter(([event]) => event === "message").length === times);
    t.mock.timers.tick(10_000);
  }
  await until(() => messages(ada)[0].state === "sent");
});

test("not in the room any more: it is joined again, and the message sent", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  ada.socket.member = null;
  ada.send("hello");
  await until(() => messages(ada)[0].state === "sent");
  assert.equal(ada.status, "online");
  assert.equal(server.entries.length, 1);
});

test("edits, deletions and reactions reach everybody", async (t) => {
  const { enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  ada.send("helo");
  await until(() => texts(ben).join() === "helo" && messages(ada)[0].state === "sent");
  const [{ id }] = messages(ada);
  ben.send("what?", { reply: id });
  await until(() => texts(ada).length === 2);
  await ada.edit(id, "hello");
  await until(() => texts(ben)[0] === "hello");
  assert.deepEqual([messages(ben)[0].edited, messages(ben)[0].misplaced], [true, false]);
  assert.deepEqual(messages(ben)[1].reply, { id, name: "Ada", text: "hello" });
  await Promise.all([ben.react(id, "👍"), ada.react(id, "👍"), ben.react(id, "🎉"), ben.react(id, "🎉")]);
  for (const chat of [ada, ben]) {
    await until(() => messages(chat)[0].reactions[0]?.names.length === 2);
    assert.deepEqual(messages(chat)[0].reactions, [{ emoji: "👍", names: ["Ada", "Ben"], own: true }]);
  }
  await ada.remove(id);
  await until(() => messages(ben)[0].deleted);
  assert.deepEqual([messages(ben)[0].text, messages(ben)[0].reactions, messages(ben)[1].reply.text], ["", [], ""]);
  await assert.rejects(ada.edit(id, "back"), { code: "no_such_message" });
});

test("an edit shows at once, and another tab's edit does not stop it", async (t) => {
  const { server, enter } = makeRoom(t);
  const me = randomId(16);
  const [left, right] = [enter("Ada", { me }), enter("Ada", { me })];
  for (const chat of [left, right]) await until(() => chat.status === "online");
  left.send("one");
  await until(() => texts(right).length === 1 && messages(left)[0].state === "sent");
  const [{ id }] = messages(right);
  server.mute.add("changed");
  await right.edit(id, "two");
  const editing = left.edit(id, "three");
  assert.deepEqual([messages(left)[0].text, messages(left)[0].state], ["three", "sending"]);
  await editing;
  assert.deepEqual([messages(left)[0].text, messages(left)[0].state, server.entries[0].rev], ["three", "sent", 2]);
});

test("an edit whose answer was lost is not made twice", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  ada.send("one");
  await until(() => messages(ada)[0].state === "sent");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.mute.add("changed");
  server.fault("edit", "lose answer");
  const editing = ada.edit(messages(ada)[0].id, "two");
  await until(() => server.entries[0].rev === 1);
  t.mock.timers.tick(10_000);
  await editing;
  assert.deepEqual([texts(ada), server.entries[0].rev], [["two"], 1]);
});

test("a reaction that is refused is taken back", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  ada.send("one");
  await until(() => messages(ada)[0].state === "sent");
  const [{ id }] = messages(ada);
  server.fault("react", { code: "no_such_message", message: "None." });
  const reacting = ada.react(id, "👍");
  await until(() => messages(ada)[0].reactions.length === 1);
  await assert.rejects(reacting, { code: "no_such_message" });
  assert.deepEqual(messages(ada)[0].reactions, []);
});

test("seen by all: when everybody has said so, and those who come later are told", async (t) => {
  const { server, enter, enterAll } = makeRoom(t);
  const [ada, ben, cleo] = await enterAll("Ada", "Ben", "Cleo");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  ada.send("hello");
  await until(() => texts(ben).length === 1 && texts(cleo).length === 1);
  ben.saw(1);
  t.mock.timers.tick(500);
  await until(() => server.log.some(([event]) => event === "seen"));
  await rest();
  assert.equal(messages(ada)[0].state, "sent");
  cleo.saw(1);
  cleo.saw(1);
  t.mock.timers.tick(500);
  await until(() => messages(ada)[0].state === "seen");
  const told = (from = 0) => server.log.slice(from).flatMap(([event, { to }]) => (event === "seen" ? to : []));
  assert.deepEqual(told(), [ada.socket.id, ada.socket.id]);

  ada.socket.cut();
  ada.socket.connect();
  await until(() => ada.status === "online" && ada.people.length === 3);
  const before = server.log.length;
  await rest();
  t.mock.timers.tick(3_000);
  await until(() => told(before).filter((id) => id === ada.socket.id).length === 2);
  const dan = enter("Dan");
  await until(() => ada.people.length === 4);
  assert.equal(messages(ada)[0].state, "sent"); // Dan has not
  dan.close();
  await until(() => messages(ada)[0].state === "seen");
  for (const chat of [ben, cleo]) chat.close();
  await until(() => ada.people.length === 1);
  assert.equal(messages(ada)[0].state, "seen"); // it was
});

test("several tabs are one person, who joins once and leaves once", async (t) => {
  const { enter, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  const me = randomId(16);
  const tabs = [enter("Ben", { me }), enter("Ben", { me })];
  await until(() => ada.people[1]?.tabs === 2);
  const people = ada.people.map(({ name, isYou, tabs: count }) => [name, isYou, count]);
  assert.deepEqual(people, [["Ada", true, 1], ["Ben", false, 2]]);
  tabs[0].send("hi");
  await until(() => texts(tabs[1]).length === 1);
  assert.deepEqual([messages(tabs[1])[0].own, tabs[1].heard], [true, []]);
  tabs[0].close();
  await until(() => ada.people[1].tabs === 1);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  tabs[1].close();
  await until(() => ada.people.length === 1);
  assert.deepEqual(notices(ada), ["joined Ben"]);
  t.mock.timers.tick(5_000);
  assert.deepEqual(notices(ada), ["joined Ben", "left Ben"]);
});

test("who is back in a moment was never away for the others", async (t) => {
  const { enter, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  const me = randomId(16);
  const before = enter("Ben", { me });
  await until(() => ada.people.length === 2);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  before.close();
  await until(() => ada.people.length === 1);
  t.mock.timers.tick(4_900);
  enter("Ben", { me });
  await until(() => ada.people.length === 2);
  t.mock.timers.tick(60_000);
  assert.deepEqual(notices(ada), ["joined Ben"]);
});

test("typing is shown until the message comes", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  ada.sayTyping(true);
  await until(() => ben.typists.join() === "Ada");
  assert.deepEqual(ada.typists, []);
  ada.send("there");
  await until(() => texts(ben).length === 1);
  assert.deepEqual(ben.typists, []);
  ada.sayTyping(false);
  assert.equal(server.log.filter(([event]) => event === "typing").length, 1);
});

test("the owner locks and removes", async (t) => {
  const { enter } = makeRoom(t);
  const owner = enter("Olga", { ownerKey: "key" });
  await until(() => owner.status === "online");
  const ben = enter("Ben");
  for (const chat of [owner, ben]) await until(() => chat.status === "online" && chat.people.length === 2);
  assert.deepEqual([owner.isOwner, ben.isOwner, ben.people[1].isOwner], [true, false, true]);
  await owner.lock(true);
  await until(() => ben.locked && owner.locked);
  await owner.lock(false);
  await owner.removePerson(ben.person);
  await until(() => ben.heard.length > 0);
  assert.deepEqual(ben.heard, [["ended", "removed"]]);
  await rest();
  assert.deepEqual(notices(owner), ["joined Ben", "locked ", "unlocked ", "removed Ben"]);
  assert.equal(owner.people.length, 1);
});

test("who is not let in is told so, and whoever was in hears that it is over", async (t) => {
  const { server, enter, enterAll } = makeRoom(t);
  server.fault("join", { code: "too_many", message: "Too many.", retry_after: 7 });
  const eve = enter("Eve");
  await until(() => eve.heard.length > 0);
  const [[type, { code, message, retry_after: after }]] = eve.heard;
  assert.deepEqual([type, code, message, after], ["refused", "too_many", "Too many.", 7]);
  const [ada] = await enterAll("Ada");
  ada.socket.cut();
  server.fault("join", { code: "expired", message: "Over." });
  ada.socket.connect();
  await until(() => ada.heard.length > 0);
  assert.deepEqual(ada.heard, [["ended", "burned"]]);
});

test("what comes too early is done once its message is there; what does not open is marked", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  server.mute.add("message").add("changed").add("reacted");
  ada.send("one");
  await until(() => messages(ada)[0].state === "sent");
  const [{ id }] = messages(ada);
  const first = structuredClone(server.entries[0]);
  await ada.edit(id, "two");
  await ada.react(id, "👍");
  server.mute.clear();
  const [last] = server.entries;
  server.emit("changed", { id, seq: 1, body: last.body, rev: 1 }, [ben.socket]);
  server.emit("reacted", { id, person: ada.person, body: last.reactions[ada.person] }, [ben.socket]);
  server.emit("message", first, [ben.socket]);
  await until(() => texts(ben).join() === "two");
  await until(() => messages(ben)[0].reactions.length === 1);
  assert.deepEqual(messages(ben)[0].reactions, [{ emoji: "👍", names: ["Ada"], own: false }]);
  server.emit("message", { ...first, id: "moved", seq: 2 }, [ben.socket]);
  await until(() => texts(ben).length === 2);
  assert.deepEqual([messages(ben)[1].unreadable, messages(ben)[1].text], [true, ""]);
});

test("the chat says goodbye, and nothing happens after that", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  await ada.leave();
  await until(() => ben.people.length === 1);
  let changes = 0;
  ada.addEventListener("change", () => { changes += 1; });
  ben.send("alone");
  await until(() => messages(ben)[0].state === "sent");
  assert.equal(changes, 0);
  assert.equal(server.log.some(([event]) => event === "leave"), true);
});

test("of what was sealed with the room's key, only what makes sense is believed", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  const from = ben.person;
  let seq = 0;
  const hear = async (value, id = randomId()) => {
    const entry = { id, seq: ++seq, at: 1, from, rev: 0, body: await keys.seal("message", value, from, id) };
    server.emit("message", entry, [ada.socket]);
    return id;
  };
  const file = { id: "A".repeat(16), name: "a\u202egnp.exe", type: "image/png", size: 5, count: 1 };
  const sound = { text: "t", name: "\u202e\nMal\u200f", stream: "s", n: 1, after: [0, ""], file };
  const id = await hear(sound);
  const emoji = ["<b>", "you are", "", 5, null, ["👍"], "👍", "👍"];
  server.emit("reacted", { id, person: from, body: await keys.seal("reaction", { n: 1, emoji }, from, id) }, [ada.socket]);
  await until(() => messages(ada)[0]?.reactions.length > 0);
  const [item] = messages(ada);
  assert.deepEqual([item.name, item.file.name], ["Mal", "agnp.exe"]);
  assert.deepEqual(item.reactions.map((reaction) => reaction.emoji), ["👍"]);

  const wrong = [null, [], "t", { name: {} }, { after: 1 }, { after: [-1, ""] }, { n: "1" }, { file: [] }, { reply: [1] }];
  for (const each of wrong) await hear(each?.constructor === Object ? { ...sound, ...each } : each);
  await until(() => messages(ada).length === 1 + wrong.length);
  assert.ok(messages(ada).slice(1).every(({ unreadable }) => unreadable));
});

test("somebody goes by another name, whatever the line does meanwhile", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  const namesOf = (chat) => chat.people.map(({ name }) => name).join();
  ben.rename("Bea");
  ben.rename("Benjamin"); // while the other is being told
  for (const chat of [ada, ben]) await until(() => namesOf(chat) === "Ada,Benjamin");
  ben.send("hello");
  await until(() => messages(ada)[0]?.name === "Benjamin");
  assert.deepEqual(notices(ada), ["joined Ben"]);

  ben.socket.cut({ isKept: true });
  ben.rename("Bea");
  ben.socket.recover();
  await until(() => namesOf(ada) === "Ada,Bea");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.fault("join", "lose");
  ben.rename("Ben");
  await until(() => server.faults.at(-1).times === 0);
  await rest();
  for (let step = 0; step < 4; step++) {
    t.mock.timers.tick(10_000);
    await rest();
  }
  await until(() => namesOf(ada) === "Ada,Ben");
});

test("no message takes the place of a notice, whatever its id", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  const [notice] = ada.timeline;
  const ids = ["notice 1", String(notice.key), "unread", "__proto__", " "];
  for (const [index, id] of ids.entries()) {
    const value = { text: id, name: "Ben", stream: "s", n: index, after: [0, ""] };
    const body = await keys.seal("message", value, ben.person, id);
    server.emit("message", { id, seq: index + 1, at: 1, from: ben.person, rev: 0, body }, [ada.socket]);
  }
  await until(() => messages(ada).length === ids.length);
  assert.equal(new Set(ada.timeline.map(({ key }) => key)).size, ada.timeline.length);
  assert.equal(typeof notice.key, "symbol");
});
