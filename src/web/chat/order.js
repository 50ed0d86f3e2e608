// Whether messages stand where their authors put them (docs/chat.md, "Order").

export class Order {
  #ids = new Map(); // seq → id
  #highest = new Map(); // person and stream → n
  #misplaced = new Set();

  /**
   * Records in order of seq: {seq, id, person, message: {after: [seq, id], stream, n}}; without `message`, or `after`
   * in it, only that there is one is known.
   */
  constructor(records = []) {
    for (const record of records) this.append(record);
  }

  /** Takes one behind all others. */
  append(record) {
    const { seq, id, person, message } = record;
    if (this.#ids.has(seq)) this.#misplaced.add(record); // two messages of one number
    else this.#ids.set(seq, id);
    if (!message?.after) return;
    const [last, lastId] = message.after;
    if (last >= seq || (last > 0 && (this.#ids.get(last) ?? lastId) !== lastId)) this.#misplaced.add(record);
    const stream = `${person} ${message.stream}`;
    if (message.n < this.#highest.get(stream)) this.#misplaced.add(record);
    else this.#highest.set(stream, message.n);
  }

  /** What it was when it was here stays known, its id aside. */
  forget(record) {
    if (this.#ids.get(record.seq) === record.id) this.#ids.delete(record.seq);
    this.#misplaced.delete(record);
  }

  isMisplaced(record) {
    return this.#misplaced.has(record);
  }
}
