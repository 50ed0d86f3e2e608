// The page's texts: every language says the same things (src/web/messages), and nothing that is asked for is missing.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const WEB = new URL("../../src/web/", import.meta.url);
const read = (path) => readFileSync(new URL(path, WEB), "utf8");
const languages = readdirSync(new URL("messages/", WEB)).map((name) => name.replace(".js", ""));
const load = async (language) => (await import(new URL(`messages/${language}.js`, WEB))).default;
const english = await load("en");
const modules = ["app.js", "i18n.js", ...readdirSync(new URL("view/", WEB)).map((name) => `view/${name}`)];
const source = modules.map(read).join("\n");

const values = (message) => {
  const forms = typeof message === "string" ? [message] : Object.values(message);
  return forms.map((form) => [...new Set(form.match(/\{\w+\}/g))].sort().join(" "));
};

for (const language of languages) {
  test(`${language} has every text, with the same values in it`, async () => {
    const messages = await load(language);
    assert.deepEqual(Object.keys(messages).sort(), Object.keys(english).sort());
    for (const [key, message] of Object.entries(messages)) {
      const expected = new Set(values(english[key]));
      for (const each of values(message)) assert.ok(expected.has(each), `${language} ${key}: ${each}`);
      assert.equal(typeof message, typeof english[key], key);
    }
  });

  test(`${language} has every form that its plurals need`, async () => {
    const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    for (const [key, message] of Object.entries(await load(language))) {
      if (typeof message !== "string") assert.deepEqual(Object.keys(message).sort(), [...forms].sort(), key);
    }
  });
}

test("what the HTML and the modules ask for is there", () => {
  const asked = [
    ...[...read("index.html").matchAll(/data-t(?:-\w+)?="([^"]+)"/g)].map((match) => match[1]),
    ...[...source.matchAll(/\b(?:t|nodes)\("([\w.]+)"/g)].map((match) => match[1]),
  ];
  assert.ok(asked.length > 100);
  for (const key of asked) assert.ok(key in english, key);
});

test("every error of the contract has a sentence", () => {
  const contract = readFileSync(new URL("../../docs/chat.md", import.meta.url), "utf8");
  const [, listed] = contract.match(/Error codes: ([^]*?)\n\n/);
  const named = [...listed.matchAll(/`(\w+)`/g)].map((match) => match[1]);
  const codes = named.filter((name) => !["rev", "bad_"].includes(name));
  assert.ok(codes.length > 10);
  for (const code of codes) assert.ok(`error.${code}` in english, code);
});
