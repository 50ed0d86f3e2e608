// What the view gets of a message: plain values, names and quotes filled in.

const NO_QUOTE = { name: "", text: "" };

/** A message that has its number; `timeline` for who and what it refers to. */
export function itemOf(record, { isMisplaced, state }, timeline) {
  const { id, seq, at, person, message, draft } = record;
  const { names } = timeline;
  const name = message?.name ?? names.of(person);
  return {
    kind: "message", key: id, id, seq, at, person, name, state,
    own: person === timeline.person,
    text: draft ?? message?.text ?? "",
    reply: quoteOf(message?.reply, timeline),
    file: message?.file ?? null,
    error: null, errorCode: null, progress: null,
    edited: draft !== null || Boolean(message?.edited),
    deleted: message === null,
    unreadable: message === undefined,
    reactions: message ? reactionsOf(record, timeline) : [],
    misplaced: isMisplaced,
    imitates: names.imitates(person, name),
  };
}

/** A message on its way. */
export function waitingItemOf({ id, at, message, draft, state, error, errorCode, progress }, timeline) {
  return {
    kind: "message", key: id, id, seq: null, at, person: timeline.person, name: message.name, state, own: true,
    text: draft ?? message.text, reply: quoteOf(message.reply, timeline), file: message.file ?? null, error, errorCode, progress,
    edited: false, deleted: false, unreadable: false, reactions: [], misplaced: false, imitates: false,
  };
}

/** name and text are "" where that message is not here, or is deleted. */
function quoteOf(id, timeline) {
  if (!id) return null;
  const target = timeline.get(id);
  if (!target?.message) return { id, ...NO_QUOTE };
  const { name, text, file } = target.message;
  return { id, name, text: target.draft ?? (text || file?.name || "") };
}

/** The same for everybody, in whatever order they came: sorted, so that nothing jumps when one is added. */
function reactionsOf({ reactions }, { names, person: you }) {
  const byEmoji = new Map();
  for (const [person, { emoji }] of reactions) {
    for (const each of emoji) byEmoji.set(each, [...(byEmoji.get(each) ?? []), person]);
  }
  return [...byEmoji]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([emoji, persons]) => {
      return { emoji, names: persons.map((each) => names.of(each)).sort(), own: persons.includes(you) };
    });
}
