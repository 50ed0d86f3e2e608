// What a message's text is made of (src/web/text.js).

import assert from "node:assert/strict";
import { test } from "node:test";

import { excerpt, isEmoji, isEmojiOnly, isLong, lengthOf, parse, tidy } from "../../src/web/text.js";

const parts = (text) => parse(text).flatMap((block) => block.parts ?? []);
const links = (text) => parts(text).filter(({ kind }) => kind === "link").map((part) => part.text);

/** What stands there, put together again: nothing of a text is lost but the marks of code. */
const said = (text) =>
  parse(text).map((block) => block.text ?? block.parts.map((part) => part.text).join("")).join("\n");

test("a text without anything", () => {
  assert.deepEqual(parse("hello\nworld"), [{ kind: "prose", parts: [{ kind: "text", text: "hello\nworld" }] }]);
  assert.deepEqual(parse(""), []);
});

test("addresses are links, without the sentence around them", () => {
  const cases = {
    "see https://example.org/a?b=c#d": ["https://example.org/a?b=c#d"],
    "http://example.org.": ["http://example.org"],
    "(https://example.org/x)": ["https://example.org/x"],
    "https://en.wikipedia.org/wiki/Tea_(meal)": ["https://en.wikipedia.org/wiki/Tea_(meal)"],
    "(see https://en.wikipedia.org/wiki/Tea_(meal).)": ["https://en.wikipedia.org/wiki/Tea_(meal)"],
    "https://a.example, https://b.example!": ["https://a.example", "https://b.example"],
    "“https://a.example/…": ["https://a.example/"],
    "<https://a.example>": ["https://a.example"],
  };
  for (const [text, expected] of Object.entries(cases)) {
    assert.deepEqual(links(text), expected, text);
    assert.equal(said(text), text);
  }
});

test("nothing but http and https is a link", () => {
  const texts = [
    "javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "file:///etc/passwd", "https://", "http://...",
    "vbscript:x", "blob:https%3A//a.example/x", "//a.example/x", "ftp://a.example",
  ];
  for (const text of texts) {
    assert.deepEqual(links(text), [], text);
    assert.equal(said(text), text);
  }
});

test("a link goes where it says", () => {
  for (const { href } of parts("https://a.example https://b.example:8443/x http://[::1]/").filter(({ href }) => href)) {
    assert.match(new URL(href).protocol, /^https?:$/);
  }
  const [{ href, text }] = parts("https://ｅxample.org/");
  assert.deepEqual([href, text], ["https://example.org/", "https://ｅxample.org/"]);
});

test("where a link leads is said, if its text does not show it", () => {
  const hosts = (text) => parts(text).filter(({ kind }) => kind === "link").map(({ host }) => host);
  assert.deepEqual(hosts("https://xn--80ak6aa92e.com/ https://example.org/@x?y=@z"), [undefined, undefined]);
  assert.deepEqual(hosts("https://\u0430\u0440\u0440\u04cf\u0435.com/"), ["xn--80ak6aa92e.com"]); // Cyrillic
  assert.deepEqual(hosts("https://bank.example:443@evil.example/"), ["evil.example"]);
});

test("no address holds what turns or hides a part of it", () => {
  for (const code of [0x202a, 0x202e, 0x2066, 0x2069, 0x200b, 0x200f, 0x061c, 0x2060, 0xfeff]) {
    const text = `https://a.example/${String.fromCodePoint(code)}gpj.exe`;
    assert.deepEqual(links(text), ["https://a.example/"], code.toString(16));
    assert.equal(said(text), text);
  }
});

test("a name is one line, and nothing else than it seems", () => {
  const cases = {
    " Ada  Lovelace\n": "Ada Lovelace",
    "a\u202egnp.exe": "agnp.exe",
    "\u2067Ada\u2069\u200f": "Ada",
    "A\u2028d\ta\u0007": "A d a",
    "\u200b\u200d \u3164\u2800": "",
    "نور": "نور",
    "👩‍👧 ❤️": "👩‍👧 ❤️",
    ["Z" + "\u0335".repeat(30) + "algo"]: "Z" + "\u0335".repeat(4) + "algo",
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(tidy(text), expected, JSON.stringify(text));
});

test("one emoji, and no other text", () => {
  const england = "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}";
  for (const text of ["👍", "👍🏽", "❤️", "❤", "👨‍👩‍👧‍👦", "🇩🇪", "1️⃣", england]) assert.ok(isEmoji(text), text);
  const others = ["", " ", "x", "1", "<b>", "👍👍", "👍 ", "\u202e👍", "\u{fe0f}", "🇩", `👍${"\u20e3".repeat(20)}`];
  for (const text of others) assert.ok(!isEmoji(text), text);
});

test("code in a line, where nothing else is read", () => {
  assert.deepEqual(parts("run `ls https://a.example` now"), [
    { kind: "text", text: "run " }, { kind: "code", text: "ls https://a.example" }, { kind: "text", text: " now" },
  ]);
  assert.deepEqual(parts("a ` alone"), [{ kind: "text", text: "a ` alone" }]);
});

test("code in blocks", () => {
  assert.deepEqual(parse("before\n```js\nlet a = `b`;\n\n  c\n```\nafter"), [
    { kind: "prose", parts: [{ kind: "text", text: "before" }] },
    { kind: "code", text: "let a = `b`;\n\n  c", language: "js" },
    { kind: "prose", parts: [{ kind: "text", text: "after" }] },
  ]);
  assert.deepEqual(parse("```\n```"), [{ kind: "code", text: "", language: "" }]);
  assert.equal(parse("```\nnever closed")[0].kind, "prose");
  assert.deepEqual(parse("```\na\n```\n```\nb\n```").map(({ text }) => text), ["a", "b"]);
});

test("long texts are read in no time", () => {
  const begin = performance.now();
  for (const text of ["```\n", "`", "https://a.example/(", ")", "a ", "\n", "👍", "```a\n```b\n"]) {
    const long = text.repeat(4_000 / text.length);
    parse(long);
    isEmojiOnly(long);
    parse(`https://a.example/${")".repeat(3_900)}`);
  }
  assert.ok(performance.now() - begin < 5_000);
});

test("emoji alone are larger, up to three", () => {
  for (const text of ["🎉", "👍🏽", "❤️", "👩‍👩‍👧 🎉", "🎉🎉🎉"]) assert.ok(isEmojiOnly(text), text);
  for (const text of ["", "a", "🎉🎉🎉🎉", "🎉!", "1", "#"]) assert.ok(!isEmojiOnly(text), text);
});

test("an excerpt is one line, and cuts no character in two", () => {
  assert.equal(excerpt(" a\n\n b "), "a b");
  assert.equal(excerpt("👍".repeat(10), 4), "👍👍👍…");
  assert.equal(excerpt("```js\nlet a\n```"), "let a");
});

test("length counts characters", () => {
  assert.equal(lengthOf("a👍"), 2);
});

test("long is what takes many lines", () => {
  const wide = "x".repeat(180);
  for (const text of ["", "a\n".repeat(20), "x".repeat(1_500), `\`\`\`\n${`${wide}\n`.repeat(20)}\`\`\``]) {
    assert.equal(isLong(parse(text)), false, text);
  }
  const longer = ["a\n".repeat(30), "x".repeat(1_700), `${wide}\n`.repeat(9), `\`\`\`\n${"a\n".repeat(30)}\`\`\``];
  for (const text of longer) assert.equal(isLong(parse(text)), true, text);
});

test("no text takes long to read, whatever it is made of", () => {
  const texts = [
    `https://a.b/${")".repeat(3_980)}`, `https://a.b/${")]}".repeat(1_300)}`, `https://a.b/${".".repeat(3_900)}x`,
    "```a\n".repeat(800), "```\n".repeat(1_000), "`".repeat(4_000), "👩‍".repeat(1_300), "🇩".repeat(2_000),
    `Z${"\u0335".repeat(3_999)}`, `👍${" ".repeat(3_990)}x`, "http://a ".repeat(440),
  ];
  const took = () => {
    const began = performance.now();
    for (const text of texts) for (const read of [parse, isEmojiOnly, isEmoji, tidy, excerpt]) read(text);
    return performance.now() - began;
  };
  assert.ok(Math.min(took(), took(), took()) < 400); // other work may come between
});
