// How far everybody has read, each of those who are here; and saying so to those whose messages these are.

const EVERY = 2_000;
const MOST_PEOPLE = 20; // in larger rooms this would be most of the traffic
const JITTER = 3_000; // when somebody comes, not all answer at once

export class Seen {
  #positions = new Map(); // person → seq
  #byAll = 0;
  #own = 0;
  #said = 0;
  #timer = null;
  #greeted = new Map(); // socket id → timer
  #say;
  #people;
  #timeline;

  /** say({seq, to}): to these sockets, if there is a connection → whether there was. */
  constructor({ say, people, timeline }) {
    this.#say = say;
    this.#people = people;
    this.#timeline = timeline;
  }

  /** Somebody has seen all up to seq. → whether that was news. */
  heard(person, seq) {
    if (!Number.isSafeInteger(seq) || seq <= (this.#positions.get(person) ?? 0)) return false;
    this.#positions.set(person, seq);
    return true;
  }

  /** The number up to which everybody else who is here has seen all; once they have gone it stays. */
  by(persons, you) {
    const others = [...persons].filter((person) => person !== you);
    if (others.length) this.#byAll = Math.min(...others.map((person) => this.#positions.get(person) ?? 0));
    return this.#byAll;
  }

  /** One has seen all up to seq oneself. */
  saw(seq) {
    if (seq <= this.#own) return;
    this.#own = seq;
    this.again();
  }

  /** Says what is still to be said, now or soon: after a reconnect, too. */
  again() {
    if (this.#own > this.#said) this.#timer ??= setTimeout(() => this.#tell(), EVERY / 4);
  }

  #tell() {
    this.#timer = null;
    if (this.#own <= this.#said || this.#people.persons.size > MOST_PEOPLE) return;
    const authors = this.#timeline.authors(this.#said, this.#own);
    const to = [...authors].flatMap((person) => this.#people.socketsOf(person));
    const seq = this.#own;
    if (to.length && !this.#say({ seq, to })) return;
    this.#said = seq;
    if (to.length) this.#timer = setTimeout(() => { this.#timer = null; this.again(); }, EVERY);
  }

  /** Somebody's new socket knows nothing yet of who has seen their messages. */
  greet({ id, person }) {
    if (!this.#own || this.#greeted.has(id) || !this.#timeline.authors(0, this.#own).has(person)) return;
    const greet = () => {
      this.#greeted.delete(id);
      if (this.#people.persons.size <= MOST_PEOPLE) this.#say({ seq: this.#own, to: [id] });
    };
    this.#greeted.set(id, setTimeout(greet, Math.random() * JITTER));
  }

  close() {
    clearTimeout(this.#timer);
    this.#greeted.forEach(clearTimeout);
  }
}
