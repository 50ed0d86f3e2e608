import assert from "node:assert/strict";
import { test } from "node:test";

import { looksOf, Names } from "../../src/web/chat/names.js";
import { People } from "../../src/web/chat/people.js";

const alike = (one, other) => [...looksOf(one)].some((look) => looksOf(other).has(look));

test("names that look alike, and names that do not", () => {
  for (const [one, other] of [
    ["Anna", "anna"], ["Anna", "Аnnа"], ["Anna", "An\u200Bna"], ["Anna", "Anna "], ["Anna", "A n n a"],
    ["Anna", "Ａｎｎａ"],
    ["Anna", "A\u0301nna"], ["Paul", "PauI"], ["Paul", "Pau1"], ["Tom", "Τοm"], ["Bob", "B0b"], ["Nikos", "Νικος"],
    ["ΝΙΚΟΣ", "Νικος"], ["Иван", "ИВАН"], ["Anna", "Anna."], ["...", "..."],
    ["mana", "rnana"], ["Mama", "Marna"], ["Emma", "Emrna"], ["Werner", "VVerner"], ["Owen", "Ovven"], ["Jodi", "Jocli"],
    ["Rudi", "Ruc1i"], ["MARC0", "Marco"], ["Oskar", "0skar"], ["Olli", "0IIi"], ["Simon", "5imon"], ["Bo", "8o"],
    ["Zoe", "2oe"], ["Anna", "Annna"], ["Anna", "Annnnnna"], ["Isabella K.", "Isabela K."], ["Otto Normann", "Oto Norman"],
    ["Mama", "Маrnа"], ["Werner Maier", "VVerner Maier"],
  ]) assert.ok(alike(one, other), `${one} ${other}`);
  for (const [one, other] of [
    ["Anna", "Hanna"], ["Ali", "All"], ["Ana", "Anna"], ["Clara", "Dara"], ["Mat", "Matt"], ["Jon", "John"], ["Ina", "Ida"],
    ["Guest 2", "Guest 5"], ["Guest 1", "Guest 11"], ["Guest 12", "Guest 21"], ["Guest 100", "Guest 1000"], ["李", "李李"],
    ["Alexander", "Alexandra"], ["Verena", "Werena"], ["Cem", "CERN"], ["Maria", "Mario"], ["aaa", "bbb"],
    ["Marie-Luise", "Marie-Louise"], ["Kim 1", "Kim 7"], ["...", "!!!"], ["राम", "रमा"], ["😀", "😃"], ["李", "王"],
  ]) assert.ok(!alike(one, other), `${one} ${other}`);
});

function makePeople() {
  const doubts = [];
  const names = new Names();
  const people = new People({ names, onChange: () => {}, onDoubt: () => doubts.push(1) });
  return { people, names, doubts };
}

const member = (id, person = id, name = person) => ({ id, person, name, owner: false });
const marked = (people) => people.list("me").filter(({ imitates }) => imitates).map(({ person }) => person);

test("who came later with a name like another's is marked", () => {
  const { people, names } = makePeople();
  people.expect();
  people.settle([member("1", "me", "Me"), member("2", "anna", "Anna")]);
  names.nextMoment();
  people.came(member("3", "eve", "Аnna"));
  assert.deepEqual(marked(people), ["eve"]);
  names.nextMoment();
  names.note("eve", "Аnna", { seq: 1 }); // by speaking first she does not become the first
  assert.deepEqual(marked(people), ["eve"]);
  assert.deepEqual([names.imitates("eve", "Аnna"), names.imitates("anna", "Anna")], [true, false]);
  people.went({ id: "2" });
  assert.deepEqual(marked(people), ["eve"]);
});

test("of those whom one finds there, the first to speak was first; where nobody spoke, all are marked", () => {
  const { people, names } = makePeople();
  people.expect();
  people.settle([member("1", "me", "Me"), member("2", "anna", "Anna"), member("3", "eve", "Anna")]);
  assert.deepEqual(marked(people), ["anna", "eve"]);
  names.note("eve", "Anna", { seq: 9 });
  assert.deepEqual(marked(people), ["anna", "eve"]); // who knows how long Anna had been there
  names.note("anna", "Anna", { seq: 7 });
  assert.deepEqual(marked(people), ["eve"]);
  names.note("zoe", "Anna", { seq: 3, old: true });
  assert.deepEqual(marked(people), ["anna", "eve"]);
});

test("another's name in one's messages is marked there", () => {
  const { people, names } = makePeople();
  people.came(member("2", "anna", "Anna"));
  names.nextMoment();
  people.came(member("3", "eve", "Eve"));
  names.note("eve", "Anna", { seq: 1 });
  assert.deepEqual([names.imitates("eve", "Anna"), names.imitates("eve", "Eve")], [true, false]);
});

test("what happens while the server is asked is newer than its answer", () => {
  const { people } = makePeople();
  people.came(member("gone"));
  people.came(member("old"));
  people.expect();
  people.came(member("new"));
  people.went({ id: "old" });
  const newcomers = people.settle([member("me"), member("old")]);
  assert.deepEqual(people.list("me").map(({ person }) => person), ["me", "new"]);
  assert.deepEqual(newcomers.map(({ id }) => id), ["me"]);
});

test("two events that contradict each other are in doubt, if they come close together", (t) => {
  t.mock.timers.enable({ apis: ["Date"] });
  const { people, doubts } = makePeople();
  people.came(member("1"));
  people.came(member("1"));
  assert.equal(doubts.length, 0);
  people.went({ id: "1" });
  assert.equal(doubts.length, 1);
  t.mock.timers.tick(5_000);
  people.came(member("1"));
  assert.equal(doubts.length, 1);
});

test("typing ends by itself, and with who was typing", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { people } = makePeople();
  people.came(member("1", "ada"));
  people.came(member("2", "ben"));
  people.typed("nobody", true);
  people.typed("ada", true);
  people.typed("ben", true);
  assert.deepEqual([...people.typing.keys()], ["ada", "ben"]);
  people.went({ id: "2" });
  assert.deepEqual([...people.typing.keys()], ["ada"]);
  t.mock.timers.tick(7_000);
  assert.equal(people.typing.size, 0);
});
