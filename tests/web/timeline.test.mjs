import assert from "node:assert/strict";
import { test } from "node:test";

import { Names } from "../../src/web/chat/names.js";
import { Order } from "../../src/web/chat/order.js";
import { KEPT, Timeline } from "../../src/web/chat/timeline.js";

/** Numbers that look random, the same in each run (mulberry32). */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled(list, next) {
  const copy = [...list];
  for (let at = copy.length - 1; at > 0; at--) {
    const other = Math.floor(next() * (at + 1));
    [copy[at], copy[other]] = [copy[other], copy[at]];
  }
  return copy;
}

const makeTimeline = (seen = () => 0) => new Timeline({ person: "me", names: new Names(), seenBy: seen });

function message(seq, { person = "ada", text = `text ${seq}`, rev = 0, after = [0, ""], n = seq, ...more } = {}) {
  const value = text === null ? null : { text, name: person, stream: "s", n, after, ...more };
  return { id: `id ${seq}`, seq, at: seq, person, rev, message: value };
}

const texts = (timeline) => timeline.items.map(({ text, kind }) => text ?? kind);

test("in whatever order and however often things come, the same stands there in the end", () => {
  const odd = { 6: { n: 2 }, 8: { after: [7, "another"] } };
  const entryOf = (seq) => message(seq, { reply: seq > 1 ? `id ${seq - 1}` : undefined, ...odd[seq] });
  const entries = [1, 2, 3, 4, 5, 6, 7, 8].map(entryOf);
  const happenings = [
    ...entries.map((entry) => (timeline) => timeline.place(entry)),
    ...[[2, 1, "edited"], [2, 2, "edited again"], [3, 1, "edited"], [3, 2, null], [5, 1, null], [7, 3, "late"]].map(
      ([seq, rev, text]) => (timeline) => timeline.place(message(seq, { rev, text, edited: true })),
    ),
    ...[["ada", 1, ["👍"]], ["ada", 2, []], ["ada", 3, ["🎉", "👍"]], ["ben", 1, ["👍"]]].map(
      ([person, n, emoji]) => (timeline) => timeline.place({ ...entries[3], reactions: [{ person, n, emoji }] }),
    ),
  ];
  const shown = (order) => {
    const timeline = makeTimeline();
    timeline.expectFrom(1);
    for (const happens of order) {
      happens(timeline);
      assert.ok(timeline.items);
    }
    assert.equal(timeline.gap, null);
    return structuredClone(timeline.items);
  };
  const expected = shown(happenings);
  assert.deepEqual(expected.map(({ text, deleted }) => (deleted ? null : text)), [
    "text 1", "edited again", null, "text 4", null, "text 6", "late", "text 8",
  ]);
  assert.deepEqual(expected.filter(({ misplaced }) => misplaced).map(({ seq }) => seq), [6, 8]);
  assert.deepEqual(expected[3].reactions.map(({ emoji, names }) => [emoji, names.length]), [["🎉", 1], ["👍", 2]]);
  for (let seed = 1; seed <= 300; seed++) {
    const next = random(seed);
    const order = shuffled([...happenings, ...happenings.filter(() => next() < 0.3)], next);
    assert.deepEqual(shown(order), expected, `seed ${seed}`);
  }
});

test("a message is out of place where its author did not put it", () => {
  const bad = (...messages) => {
    const order = new Order(messages);
    return messages.filter((each) => order.isMisplaced(each)).map(({ seq }) => seq);
  };
  const after = [1, "id 1"];
  assert.deepEqual(bad(message(1), message(2, { after }), message(3, { person: "ben", after, n: 1 })), []);
  assert.deepEqual(bad(message(1, { after: [1, "id 1"] })), [1]); // not above what its author had
  assert.deepEqual(bad(message(1), message(2, { after: [1, "another"] })), [2]); // another one at that number
  assert.deepEqual(bad(message(1, { n: 2 }), message(2, { n: 1 })), [2]); // two of one stream, swapped
  assert.deepEqual(bad(message(1, { n: 2 }), message(2, { n: 1, person: "ben" })), []); // somebody else's stream
  assert.deepEqual(bad(message(1, { n: 2 }), message(2, { n: 1, stream: "t" })), []);
  assert.deepEqual(bad(message(1), { ...message(1), id: "again" }), [1]);
  assert.deepEqual(bad(message(1, { text: null }), { ...message(2), message: undefined }), []);
  assert.deepEqual(bad(message(5, { after: [4, "not here"] })), []);
});

test("what is out of place shows once the older messages are here", () => {
  const timeline = makeTimeline();
  timeline.place(message(2, { after: [1, "another"] }));
  assert.equal(timeline.items[0].misplaced, false);
  timeline.place(message(1));
  assert.deepEqual(timeline.items.map(({ misplaced: is }) => is), [false, true]);
});

test("gaps are found, filled and given up", () => {
  const timeline = makeTimeline();
  assert.equal(timeline.gap, null);
  timeline.expectFrom(3);
  for (const seq of [3, 5, 9, 4]) timeline.place(message(seq));
  assert.deepEqual(timeline.gap, { from: 6, to: 8 });
  timeline.place(message(7));
  assert.deepEqual(timeline.gap, { from: 6, to: 6 });
  timeline.giveUp({ from: 6, to: 6 });
  assert.deepEqual(timeline.gap, { from: 8, to: 8 });
  timeline.place(message(8));
  assert.equal(timeline.gap, null);
  assert.deepEqual(texts(timeline), ["text 3", "text 4", "text 5", "missed", "text 7", "text 8", "text 9"]);
  timeline.place(message(1)); // older ones are not waited for
  assert.equal(timeline.gap, null);
  timeline.startAt(8);
  assert.deepEqual([texts(timeline), timeline.hasOlder], [["text 8", "text 9"], true]);
});

test("the number of messages is bounded, and grows only for who goes back", () => {
  const timeline = makeTimeline();
  for (let seq = 1_001; seq <= 1_000 + KEPT; seq++) timeline.place(message(seq));
  assert.equal(timeline.hasOlder, false);
  timeline.notice("joined", "Ben", 1_001);
  timeline.place(message(1_001 + KEPT));
  timeline.place(message(1_002 + KEPT));
  assert.deepEqual([timeline.items.length, timeline.items[0].seq, timeline.first], [KEPT, 1_003, 1_003]);
  assert.equal(timeline.hasOlder, true);
  timeline.extend(100);
  for (let seq = 903; seq <= 1_002; seq++) timeline.place(message(seq));
  assert.deepEqual([timeline.items.length, timeline.first], [KEPT + 100, 903]);
  for (let seq = 1_003 + KEPT; seq <= 2_000 + KEPT; seq++) timeline.place(message(seq));
  assert.ok(timeline.items.length <= KEPT + 600);
  timeline.extend(0);
  assert.deepEqual([timeline.items.length, timeline.last], [KEPT, [2_000 + KEPT, `id ${2_000 + KEPT}`]]);
});

test("an item that did not change is the same object", () => {
  let seen = 0;
  const timeline = makeTimeline(() => seen);
  timeline.place(message(1, { person: "me" }));
  timeline.place(message(2, { reply: "id 1" }));
  timeline.place(message(3, { person: "me" }));
  const [one, two, three] = timeline.items;
  assert.equal(timeline.items, timeline.items);
  timeline.place(message(1, { person: "me", rev: 1, text: "edited" }));
  assert.deepEqual(timeline.items.map((item, at) => item === [one, two, three][at]), [false, false, true]);
  assert.equal(timeline.items[1].reply.text, "edited");
  const before = [...timeline.items];
  seen = 2;
  assert.deepEqual(timeline.items.map((item, at) => item === before[at]), [false, true, true]);
  assert.deepEqual(timeline.items.map(({ state }) => state), ["seen", "sent", "sent"]);
});

test("notices stand between the messages; who left and is back at once is one of them", () => {
  const timeline = makeTimeline();
  timeline.notice("joined", "Ada");
  timeline.place(message(1));
  timeline.notice("left", "Ben");
  timeline.notice("joined", "Ben");
  timeline.notice("left", "Cleo");
  timeline.place(message(2));
  timeline.notice("joined", "Cleo");
  timeline.wait({ id: "mine", at: 3, message: { text: "to come", name: "Me" }, state: "sending" });
  assert.deepEqual(texts(timeline), ["joined", "text 1", "back", "left", "text 2", "joined", "to come"]);
  timeline.place({ ...message(3, { person: "me", text: "to come" }), id: "mine" });
  assert.deepEqual(texts(timeline).slice(-2), ["joined", "to come"]);
  assert.equal(new Set(timeline.items.map(({ key }) => key)).size, 7);
});
