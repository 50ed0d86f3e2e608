// Who is in the room. Sockets come and go; a person is here as long as one of theirs is.

const TYPING_LASTS = 7_000;
const DOUBT = 5_000; // of two events within this time that contradict each other, either may have been the first
const byName = new Intl.Collator().compare;

/** onChange: something here is to be shown differently; onDoubt: only the server can tell who is here. */
export class People {
  typing = new Map(); // person → timer that ends it
  #sockets = new Map(); // socket id → {id, person, name, owner}
  #since = null; // the same, null for one that left: what came while the server was asked
  #latest = new Map(); // socket id → {at, isHere}: when it came or went last, for DOUBT
  #version = 0;
  #list = null; // what list() returned, and for which version
  #names;
  #onChange;
  #onDoubt;

  constructor({ names, onChange, onDoubt }) {
    this.#names = names;
    this.#onChange = onChange;
    this.#onDoubt = onDoubt;
  }

  /** The server is being asked who is here: what happens until it answers is newer than the answer. */
  expect() {
    this.#since = new Map();
  }

  /** Its answer, or null if there was none. → the members whose sockets were not known before. */
  settle(members) {
    const since = this.#since ?? new Map();
    this.#since = null;
    if (!members) return [];
    const before = this.#sockets;
    this.#sockets = new Map(members.map((member) => [member.id, member]));
    for (const [id, member] of since) member ? this.#sockets.set(id, member) : this.#sockets.delete(id);
    this.#latest.clear();
    for (const { person, name } of this.#sockets.values()) this.#names.note(person, name);
    for (const person of this.typing.keys()) if (!this.has(person)) this.#stopTyping(person);
    this.#changed();
    return [...this.#sockets.values()].filter(({ id }) => !before.has(id));
  }

  /** → whether a person came with it who was not here. */
  came(member) {
    this.#since?.set(member.id, member);
    this.#watch(member.id, true);
    const isNew = !this.has(member.person);
    this.#sockets.set(member.id, member);
    this.#names.note(member.person, member.name);
    this.#changed();
    return isNew;
  }

  /** → the person who went with it, null if they are still here or never were. */
  went({ id }) {
    this.#since?.set(id, null);
    this.#watch(id, false);
    const member = this.#sockets.get(id);
    if (!member) return null;
    this.#sockets.delete(id);
    const isGone = !this.has(member.person);
    if (isGone) this.#stopTyping(member.person);
    this.#changed();
    return isGone ? member.person : null;
  }

  /** Somebody was removed: all of their sockets go. */
  removed(person) {
    for (const [id, member] of this.#sockets) if (member.person === person) this.went({ id });
  }

  has(person) {
    return [...this.#sockets.values()].some((member) => member.person === person);
  }

  /** The ids of a person's sockets. */
  socketsOf(person) {
    return [...this.#sockets.values()].flatMap((member) => (member.person === person ? member.id : []));
  }

  /** Those who are here, each once. */
  get persons() {
    return new Set([...this.#sockets.values()].map(({ person }) => person));
  }

  /** Everybody who is here, by name: {person, name, isOwner, isYou, tabs, imitates} */
  list(you) {
    const version = `${this.#version} ${this.#names.version}`;
    if (this.#list?.version !== version) this.#list = { version, people: this.#listed(you) };
    return this.#list.people;
  }

  #listed(you) {
    const people = new Map();
    for (const { person, owner } of this.#sockets.values()) {
      const { isOwner = false, tabs = 0 } = people.get(person) ?? {};
      people.set(person, { isOwner: isOwner || Boolean(owner), tabs: tabs + 1 });
    }
    return [...people]
      .map(([person, known]) => {
        const name = this.#names.of(person);
        return { person, name, ...known, isYou: person === you, imitates: this.#names.imitates(person, name) };
      })
      .sort((a, b) => byName(a.name, b.name) || (a.person < b.person ? -1 : 1));
  }

  typed(person, isTyping) {
    this.#stopTyping(person);
    if (isTyping && this.has(person)) {
      this.typing.set(person, setTimeout(() => { this.#stopTyping(person); this.#onChange(); }, TYPING_LASTS));
    }
    this.#onChange();
  }

  stopTyping() {
    for (const person of [...this.typing.keys()]) this.#stopTyping(person);
  }

  #stopTyping(person) {
    clearTimeout(this.typing.get(person));
    this.typing.delete(person);
  }

  #watch(id, isHere) {
    const now = Date.now();
    for (const [known, { at }] of this.#latest) if (now - at >= DOUBT) this.#latest.delete(known);
    if (this.#latest.has(id) && this.#latest.get(id).isHere !== isHere) this.#onDoubt();
    this.#latest.set(id, { at: now, isHere });
  }

  #changed() {
    this.#version += 1;
    this.#onChange();
  }
}
