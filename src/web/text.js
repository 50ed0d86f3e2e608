// What a message's text is made of. No DOM: the page makes nodes of it (view/message.js), and nothing else.

const FENCE = /^```[^\S\n]*([\w+#.-]*)[^\S\n]*$/;
const FENCE_END = /^```[^\S\n]*$/;
// They turn the direction of what stands around them: an address with one of them could be read as another.
const TURNING = String.raw`\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c`;
const INLINE = new RegExp(String.raw`\`([^\`\n]+)\`|https?:\/\/[^\s<>"\`${TURNING}\u200b\u2060\ufeff]+`, "g");
const ENDING = [...".,;:!?'*_~…"];
const BRACKETS = { ")": "(", "]": "[", "}": "{" };
const PICTURE = String.raw`\p{Extended_Pictographic}[\p{Emoji_Modifier}\u{fe0f}\u{e0020}-\u{e007f}]{0,8}`;
const ONE_EMOJI = String.raw`(?:${PICTURE}(?:\u{200d}${PICTURE})*|\p{RI}\p{RI}|[0-9#*]\u{fe0f}?\u{20e3})`;
const EMOJI = new RegExp(`^${ONE_EMOJI}$`, "u");
const EMOJI_ONLY = new RegExp(`^(?:${ONE_EMOJI}\\s*){1,3}$`, "u");
const GAPS = /[\p{Cc}\s]+/gu;
const TURNS = new RegExp(`[${TURNING}]`, "gu");
const BLANK = /[\p{Default_Ignorable_Code_Point}\p{Z}\u2800]/gu; // what nothing is seen of
const PILE = /(\p{M}{4})\p{M}+/gu; // marks on one letter that reach into other lines

const ROWS = 24; // what is longer is not shown as a whole at first
const ROW = 65; // characters

/**
 * Reads a message's text: ``` on lines of their own fence code, ` holds it in a line; http and https addresses are
 * links.
 * → [{kind: "code", text, language} | {kind: "prose", parts: [{kind: "text" | "code" | "link", text, href?, host?}]}]
 * `host` is there where the text does not show where the link leads.
 */
export function parse(text) {
  const blocks = [];
  const lines = text.split("\n");
  const ends = lines.flatMap((line, at) => (FENCE_END.test(line) ? at : [])).reverse(); // the next one last
  let from = 0;
  for (let at = 0; at < lines.length; at++) {
    while (ends.at(-1) <= at) ends.pop();
    const fence = ends.length > 0 && FENCE.exec(lines[at]);
    if (!fence) continue;
    addProse(blocks, lines.slice(from, at).join("\n"));
    blocks.push({ kind: "code", text: lines.slice(at + 1, ends.at(-1)).join("\n"), language: fence[1] });
    at = ends.pop();
    from = at + 1;
  }
  addProse(blocks, lines.slice(from).join("\n"));
  return blocks;
}

/** One to three emoji and nothing else: shown larger. */
export const isEmojiOnly = (text) => EMOJI_ONLY.test(text.trim());

export const isEmoji = (text) => EMOJI.test(text);

/**
 * A name, a title, what a file is called: in one line, and nothing in it that turns, hides or covers what stands around
 * it. "" if there is nothing to see.
 */
export function tidy(text) {
  const line = text.replace(GAPS, " ").replace(TURNS, "").replace(PILE, "$1").trim();
  return line.replace(BLANK, "") ? line : "";
}

/** Whether what parse() found is so long that a part of it is shown first. */
export function isLong(blocks) {
  let rows = 0;
  for (const { kind, text, parts } of blocks) {
    const lines = (text ?? parts.map((part) => part.text).join("")).split("\n");
    for (const { length } of lines) rows += kind === "code" ? 1 : Math.max(1, Math.ceil(length / ROW)); // code scrolls
  }
  return rows > ROWS;
}

/** One line of a text, for quotes and announcements. */
export function excerpt(text, most = 120) {
  const line = text.replace(/```[\w+#.-]*/g, "").replace(/\s+/g, " ").trim();
  const characters = [...line];
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : line;
}

/** Characters as people and the contract count them, not UTF-16 units. */
export const lengthOf = (text) => [...text].length;

function addProse(blocks, text) {
  if (!text) return;
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    const part = match[1] === undefined ? link(match[0]) : { kind: "code", text: match[1], length: match[0].length };
    if (!part) continue;
    if (match.index > from) parts.push({ kind: "text", text: text.slice(from, match.index) });
    const { length = part.text.length, ...shown } = part;
    parts.push(shown);
    from = match.index + length;
  }
  if (from < text.length) parts.push({ kind: "text", text: text.slice(from) });
  blocks.push({ kind: "prose", parts });
}

/** A sentence's marks behind an address are the sentence's; a closing bracket is the address's if that opened it. */
function link(found) {
  const counts = {};
  for (const character of found) counts[character] = (counts[character] ?? 0) + 1;
  let end = found.length;
  for (; end > 0; end--) {
    const last = found[end - 1];
    if (ENDING.includes(last)) continue;
    if (!(counts[last] > (counts[BRACKETS[last]] ?? 0)) || !(last in BRACKETS)) break;
    counts[last] -= 1;
  }
  const text = found.slice(0, end);
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url?.hostname) return null;
  // Letters of another script, or what looks like a host and stands before an @.
  const isShown = !url.username && (!url.hostname.includes("xn--") || text.includes(url.hostname));
  return { kind: "link", text, href: url.href, ...(!isShown && { host: url.hostname }) };
}
