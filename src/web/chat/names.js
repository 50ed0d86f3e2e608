// Who goes by which name, and which names look like somebody else's who had it first.

// Letters of other scripts that look like Latin ones (a small part of Unicode's confusables.txt, UTS #39), and the
// digits and capitals that look like letters. No two digits are alike: Guest 2 and Guest 5 are not.
const LOOKALIKES = new Map(
  [
    ["a", "аαΑА"], ["b", "ВΒβЬь8"], ["c", "сСϲⅽ"], ["d", "ԁⅾ"], ["e", "еЕεΕ"], ["g", "ɡ"], ["h", "һНΗнҺ"],
    ["i", "іІιΙı"], ["j", "јЈ"], ["k", "кКκΚ"], ["l", "ӏӀI1|"], ["m", "мМΜ"], ["n", "пΝηո"], ["o", "оОοΟօ0"],
    ["p", "рРρΡ"], ["q", "ԛ"], ["r", "г"], ["s", "ѕЅς5"], ["t", "тТτΤ"], ["u", "υս"], ["v", "νѵ"],
    ["w", "ԝωѡ"], ["x", "хХχΧ"], ["y", "уУγΥ"], ["z", "Ζ2"],
  ].flatMap(([letter, others]) => [...others].map((other) => [other, letter])),
);
// Letters that look like one when they stand side by side; VV does, too, but no other capitals.
const PAIRS = [[/rn/g, "m"], [/vv|VV/g, "w"], [/c[lI1|]/g, "d"]];
const REPEATED = /(\p{L})\1{2,}/gu;
const DOUBLED = /(\p{L})\1+/gu;
const LONG = 8; // letters: of a long name nobody sees whether one of them is doubled; Ana and Anna are two names
const UNSEEN = /[\p{Script=Inherited}\p{Default_Ignorable_Code_Point}\p{Cc}\p{Z}\p{P}]/gu;

const lettersOf = (text) => [...text].map((character) => LOOKALIKES.get(character) ?? character).join("");

function shortened(text) {
  const short = text.replace(DOUBLED, "$1");
  return [...short].length < LONG ? text.replace(REPEATED, "$1$1") : short;
}

/** What a name looks like, as written and in lower case: names that share one look alike. */
export function looksOf(name) {
  const plain = name.normalize("NFKD").replace(UNSEEN, "") || name;
  const asWritten = PAIRS.reduce((text, [pair, letter]) => text.replace(pair, letter), plain); // Clara is no Dara
  return new Set([asWritten, plain.toLowerCase()].map((text) => lettersOf(shortened(text)).toLowerCase()));
}

/** Names by person. `version` rises when something is to be shown differently. */
export class Names {
  version = 0;
  #current = new Map(); // person → name
  #bearers = new Map(); // look → Map(person → {moment, seq})
  #moment = 0;
  #verdicts = new Map(); // what imitates() found, until something changes

  /** What is noted from here on was learned later than what was noted before. */
  nextMoment() {
    this.#moment += 1;
  }

  /** seq: the number of a message under this name; `old`: from before anything else that is known. */
  note(person, name, { seq = Infinity, old = false } = {}) {
    const moment = old ? 0 : this.#moment;
    if (!this.#current.has(person) || (!old && this.#current.get(person) !== name)) {
      this.#current.set(person, name);
      this.#changed();
    }
    for (const look of looksOf(name)) {
      if (!this.#bearers.has(look)) this.#bearers.set(look, new Map());
      const bearers = this.#bearers.get(look);
      const known = bearers.get(person);
      if (known && (known.moment < moment || (known.moment === moment && known.seq <= seq))) continue;
      bearers.set(person, { moment, seq });
      if (bearers.size > 1) this.#changed();
    }
  }

  /** The name somebody had last, "" if that was never heard. */
  of(person) {
    return this.#current.get(person) ?? "";
  }

  /** Whether another person had a name like this first; where nobody can know who did, both imitate. */
  imitates(person, name) {
    const key = `${person} ${name}`;
    if (!this.#verdicts.has(key)) this.#verdicts.set(key, this.#isLate(person, name));
    return this.#verdicts.get(key);
  }

  #isLate(person, name) {
    return [...looksOf(name)].some((look) => {
      const bearers = this.#bearers.get(look) ?? new Map();
      const own = bearers.get(person);
      return [...bearers].some(([other, theirs]) => other !== person && !(own && isBefore(own, theirs)));
    });
  }

  #changed() {
    this.version += 1;
    this.#verdicts.clear();
  }
}

// Both told at once, the order of their messages tells; of somebody who was silent it tells nothing.
function isBefore(one, other) {
  if (one.moment !== other.moment) return one.moment < other.moment;
  return one.seq < other.seq && other.seq !== Infinity;
}
