import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import {
  decode, digest, encode, isSecure, Keys, makeLink, newRoom, parseLink, personOf, randomId, SealError,
} from "../../src/web/chat/seals.js";

const vectors = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url)));
const { room, secret } = vectors;

test("the vectors that src/chat/seals.py opens, too", async () => {
  assert.equal(isSecure(), true);
  assert.equal(await personOf(room, vectors.me), vectors.person);
  assert.equal(await digest(vectors.digest.text), vectors.digest.sha256);
  for (const { passphrase, door, sealed, chunk } of vectors.rooms) {
    const keys = await Keys.derive({ room, secret, passphrase });
    assert.equal(keys.door, door);
    for (const { kind, value, place, sealed: text } of sealed) {
      assert.deepEqual(await keys.open(kind, text, ...place), value);
    }
    const bytes = await keys.openBytes("chunk", chunk.sealed, ...chunk.place);
    assert.equal(Buffer.from(bytes).toString("hex"), chunk.hex);
  }
});

test("a passphrase is the same however it was typed", async () => {
  const derive = (passphrase) => Keys.derive({ room, secret, passphrase });
  const [one, other] = await Promise.all(["caf\u00e9", "cafe\u0301"].map(derive));
  assert.equal(one.door, other.door);
});

test("a seal opens at its place, and nowhere else", async () => {
  const keys = await Keys.derive({ room, secret });
  const sealed = await keys.seal("message", { text: "hello" }, "ada", "id");
  assert.deepEqual(await keys.open("message", sealed, "ada", "id"), { text: "hello" });
  const elsewhere = await Keys.derive({ room: "AAAAAAAAAAAAAAAA", secret });
  const withPassphrase = await Keys.derive({ room, secret, passphrase: "x" });
  for (const [from, ...place] of [
    [keys, "message", sealed, "ben", "id"], [keys, "message", sealed, "ada", "other"],
    [keys, "title", sealed, "ada", "id"], [keys, "message", sealed, "ada"],
    [elsewhere, "message", sealed, "ada", "id"], [withPassphrase, "message", sealed, "ada", "id"],
    [keys, "message", `${sealed.startsWith("A") ? "B" : "A"}${sealed.slice(1)}`, "ada", "id"],
    [keys, "message", "", "ada", "id"], [keys, "message", "+/", "ada", "id"], [keys, "message", null, "ada", "id"],
  ]) await assert.rejects(from.open(...place), SealError);
  await assert.rejects(keys.open("chunk", await keys.sealBytes("chunk", new Uint8Array([1, 2]))), SealError); // no JSON
});

test("each seal is another, and tells little of the length", async () => {
  const keys = await Keys.derive({ room, secret });
  const [short, again, longer] = await Promise.all(["a", "a", "a".repeat(50)].map((text) => keys.seal("title", text)));
  assert.notEqual(short, again);
  assert.deepEqual([decode(short).length, decode(longer).length], [12 + 64 + 16, 12 + 64 + 16]);
});

test("bytes and base64url", () => {
  for (let size = 0; size < 20; size++) {
    const bytes = crypto.getRandomValues(new Uint8Array(size));
    assert.equal(encode(bytes), Buffer.from(bytes).toString("base64url"));
    assert.deepEqual(decode(encode(bytes)), bytes);
  }
  assert.deepEqual([randomId().length, randomId(16).length], [16, 22]);
});

test("links", () => {
  const made = newRoom();
  assert.deepEqual(parseLink(makeLink({ origin: "https://host:8", ...made })), { origin: "https://host:8", ...made });
  assert.equal(parseLink(makeLink({ origin: "https://host/base", ...made })).origin, "https://host/base");
  for (const url of ["https://host/", `https://host/r/short#${secret}`, `https://host/r/${room}/x#${secret}`]) {
    assert.throws(() => parseLink(url), { code: "no_such_room" });
  }
  for (const fragment of ["", "#", `#${secret.slice(1)}`, `#${secret}A`]) {
    assert.throws(() => parseLink(`https://host/r/${room}${fragment}`), { code: "incomplete" });
  }
});
