// For test_modules.py: seals what it reads as the page does, and says its door.

import { text } from "node:stream/consumers";

import { Keys } from "../../src/web/chat/seals.js";

const { room, secret, passphrase, values } = JSON.parse(await text(process.stdin));
const keys = await Keys.derive({ room, secret, passphrase });
const sealed = await Promise.all(values.map(({ kind, value, place }) => keys.seal(kind, value, ...place)));
const chunk = await keys.sealBytes("chunk", new Uint8Array([0, 255, 10]), "person", "file", 0, 1);
console.log(JSON.stringify({ door: keys.door, sealed, chunk }));
