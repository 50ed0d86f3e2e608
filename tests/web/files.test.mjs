import assert from "node:assert/strict";
import { test } from "node:test";

import { fileOf, MOST_BYTES, prepare } from "../../src/web/chat/files.js";
import { makeRoom, messages, rest, until } from "./people.mjs";

const bytesOf = (size) => Uint8Array.from({ length: size }, (_, at) => (at * 31) % 251);
const makeFile = (size, type = "image/png", name = "picture.png") => new File([bytesOf(size)], name, { type });
const uploads = (server) => server.log.filter(([event]) => event === "upload").map(([, { index }]) => index);

test("a file crosses in sealed chunks, whatever its length", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  for (const size of [1, 22_000, 22_001, 150_000]) {
    const before = messages(ben).length;
    await ada.sendFile(makeFile(size), { text: "look" });
    await until(() => messages(ben).length > before);
    const item = messages(ben).at(-1);
    const { name, size: length, count } = item.file;
    assert.deepEqual([item.text, name, length, count], ["look", "picture.png", size, Math.ceil(size / 22_000)]);
    const progress = [];
    const blob = await ben.download(item, (part) => progress.push(part));
    assert.deepEqual([new Uint8Array(await blob.arrayBuffer()), blob.type], [bytesOf(size), "image/png"]);
    assert.equal(progress.at(-1), 1);
  }
  for (const chunk of server.files.values()) assert.ok(chunk.length < 31_000);
  const fetched = server.log.filter(([event]) => event === "fetch").length;
  await ben.download(messages(ben)[0]); // it is kept
  await ada.download(messages(ada)[3]); // it was one's own
  assert.equal(server.log.filter(([event]) => event === "fetch").length, fetched);
});

test("only pictures keep their type", async (t) => {
  const { enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  for (const type of ["image/svg+xml", "text/html", ""]) {
    const before = messages(ben).length;
    await ada.sendFile(makeFile(10, type, "evil"));
    await until(() => messages(ben).length > before);
    assert.equal((await ben.download(messages(ben).at(-1))).type, "application/octet-stream");
    assert.equal((await ada.download(messages(ada).at(-1))).type, "application/octet-stream");
  }
});

test("an upload shows how far it is, goes on after a cut, and sends no chunk twice that was heard", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  const shown = new Set();
  ada.addEventListener("change", () => shown.add(messages(ada)[0]?.progress));
  const upload = server.on_upload.bind(server);
  server.on_upload = (...call) => {
    if (uploads(server).length === 4) ada.socket.cut();
    return upload(...call);
  };
  await ada.sendFile(makeFile(200_000));
  await until(() => ada.status === "offline");
  await rest();
  assert.ok(uploads(server).length < 10);
  ada.socket.connect();
  await until(() => messages(ben).length === 1);
  assert.ok(uploads(server).length <= 12); // two were under way
  assert.deepEqual([...new Set(uploads(server))].sort((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.ok(shown.has(0) && shown.has(0.5) && shown.has(1) && shown.has(null));
  await ben.download(messages(ben)[0]);
});

test("no more than two chunks are under way at once", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  let [now, most] = [0, 0];
  const upload = server.on_upload.bind(server);
  server.on_upload = async (...call) => {
    most = Math.max(most, ++now);
    await rest();
    now -= 1;
    return upload(...call);
  };
  await ada.sendFile(makeFile(150_000));
  await until(() => messages(ada)[0].state === "sent");
  assert.equal(most, 2);
});

test("too much at once waits, with its reason; a failed upload goes on where it was", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.fault("upload", { code: "too_many", message: "Slow down.", retry_after: 5 });
  await ada.sendFile(makeFile(100_000));
  await until(() => messages(ada)[0].error === "Slow down.");
  server.fault("upload", { code: "bad_chunk", message: "No." });
  t.mock.timers.tick(5_000);
  await until(() => messages(ada)[0].state === "failed");
  const before = uploads(server).length;
  ada.retry(messages(ada)[0].id);
  await until(() => messages(ada)[0].state === "sent");
  assert.deepEqual([messages(ada)[0].error, messages(ada)[0].progress], [null, null]);
  assert.ok(uploads(server).length - before <= 5);
});

test("an upload that is discarded stops, and nothing of it stays", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  await ada.sendFile(makeFile(2_000_000));
  await until(() => uploads(server).length > 3);
  assert.equal(uploads(server)[0], 0);
  ada.discard(messages(ada)[0].id);
  await rest();
  const before = uploads(server).length;
  await rest();
  assert.deepEqual([uploads(server).length, messages(ada), server.entries], [before, [], []]);
  assert.equal(server.files.size, 0);
});

test("a file whose message came to nothing is deleted, one that waits to be tried again is not", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  server.fault("message", { code: "bad_body", message: "No." });
  await ada.sendFile(makeFile(50_000));
  await until(() => messages(ada)[0].state === "failed");
  assert.equal(server.files.size, 3);
  ada.discard(messages(ada)[0].id);
  await until(() => server.files.size === 0);
  await ada.sendFile(makeFile(10));
  await until(() => messages(ada)[0].state === "sent");
  ada.discard(messages(ada)[0].id); // nothing waits
  await rest();
  assert.deepEqual([server.files.size, messages(ada).length], [1, 1]);
});

test("a file is discarded before it was begun, while the line is cut, and by who leaves", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada] = await enterAll("Ada");
  const discarded = () => server.log.filter(([event]) => event === "discard").length;
  await Promise.all([ada.sendFile(makeFile(2_000_000)), ada.sendFile(makeFile(10))]);
  ada.discard(messages(ada)[1].id); // waits for its turn: the server knows nothing of it
  await until(() => uploads(server).length > 3);
  ada.socket.cut();
  await until(() => ada.status === "offline");
  ada.discard(messages(ada)[0].id);
  await rest();
  assert.deepEqual([discarded(), messages(ada)], [0, []]);
  ada.socket.connect();
  await until(() => server.files.size === 0);
  await ada.sendFile(makeFile(2_000_000));
  await until(() => uploads(server).length > 40);
  await ada.leave();
  assert.deepEqual([discarded(), server.files.size, server.log.at(-1)[0]], [2, 0, "leave"]);
});

test("what is not as its author sent it is refused", async (t) => {
  const { server, enterAll } = makeRoom(t);
  const [ada, ben] = await enterAll("Ada", "Ben");
  await ada.sendFile(makeFile(60_000));
  await until(() => messages(ben).length === 1);
  const [item] = messages(ben);
  const { id } = item.file;
  const [first, second] = [server.files.get(`${id} 0`), server.files.get(`${id} 1`)];
  server.files.set(`${id} 0`, second).set(`${id} 1`, first);
  await assert.rejects(ben.download(item), { code: "bad_file" });
  server.files.set(`${id} 0`, first).set(`${id} 1`, second);
  await assert.rejects(ben.download({ ...item, file: { ...item.file, size: 59_999 } }), { code: "bad_file" });
  await assert.rejects(ben.download({ ...item, person: ben.person }), { code: "bad_file" });
  server.files.delete(`${id} 2`);
  await assert.rejects(ben.download(item), { code: "no_such_file" });
});

test("what is too large or empty is said before anything is sent", async () => {
  await assert.rejects(prepare(makeFile(MOST_BYTES + 1)), { code: "too_large" });
  await assert.rejects(prepare(makeFile(0)), { code: "empty" });
  assert.equal((await prepare(makeFile(MOST_BYTES))).file.count, 191);
});

test("what a message says of its file is checked", () => {
  const file = { id: "AAAAAAAAAAAAAAAA", name: "a", type: "image/png", size: 22_001, count: 2 };
  assert.deepEqual(fileOf({ ...file, width: 3, height: 4, more: 1 }), { ...file, width: 3, height: 4 });
  assert.deepEqual(fileOf({ ...file, width: -3, height: 4 }), file);
  const tooLarge = { size: MOST_BYTES + 1, count: 191 };
  for (const wrong of [{ id: "../" }, { name: 1 }, { size: 0 }, tooLarge, { count: 1 }, { count: 1e9 }]) {
    assert.throws(() => fileOf({ ...file, ...wrong }), TypeError);
  }
});
