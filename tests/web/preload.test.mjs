// The page asks for all of its modules at once, not one after the other as they name each other.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const WEB = new URL("../../src/web/", import.meta.url);

const importsOf = (module) =>
  [...readFileSync(module, "utf8").matchAll(/^import .*? from "(\.[^"]+)";$/gm)].map(([, path]) => new URL(path, module));

/**
 * What is needed before anything can be seen: modules that are imported at the top, and what those import; `way` led
 * there.
 */
function needed(module, found = new Set(), way = []) {
  assert.ok(!way.includes(module.href), `a circle: ${[...way, module.href].join(" ")}`);
  if (found.has(module.href)) return found;
  for (const each of importsOf(module)) needed(each, found, [...way, module.href]);
  return found.add(module.href);
}

test("no module of the chat imports in a circle", () => {
  assert.ok(needed(new URL("chat/chat.js", WEB)).size > 10); // loaded later than the rest
});

test("index.html preloads what app.js imports", () => {
  const html = readFileSync(new URL("index.html", WEB), "utf8");
  const preloaded = [...html.matchAll(/<link rel="modulepreload" href="\/web\/([^"]+)">/g)].map(([, path]) => path);
  const modules = [...needed(new URL("app.js", WEB))].map((href) => href.slice(WEB.href.length));
  assert.deepEqual([...preloaded, "app.js"].sort(), modules.sort());
});
