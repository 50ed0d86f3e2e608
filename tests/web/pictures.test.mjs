// How large a picture is, by its first bytes (src/web/chat/pictures.js). What browsers write is in test_pictures.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import { isShowable, sidesOf } from "../../src/web/chat/pictures.js";

const blob = (...parts) => new Blob(parts.map((part) => (Array.isArray(part) ? new Uint8Array(part) : part)));
const big = (number) => [number >>> 24, number >>> 16 & 255, number >>> 8 & 255, number & 255];
const png = (width, height) => blob([0x89], "PNG\r\n", [0x1a, 0x0a, 0, 0, 0, 13], "IHDR", big(width), big(height));
const webp = (kind, ...rest) => blob("RIFF", [0, 0, 0, 0], "WEBP", kind, [0, 0, 0, 0], ...rest);

test("what the formats write in their heads", async () => {
  assert.deepEqual(await sidesOf(png(640, 480)), [640, 480]);
  assert.deepEqual(await sidesOf(blob("GIF89a", [0x80, 0x02, 0xe0, 0x01])), [640, 480]);
  assert.deepEqual(await sidesOf(webp("VP8 ", [0, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01])), [640, 480]);
  assert.deepEqual(await sidesOf(webp("VP8L", [0x2f, 0x7f, 0xc2, 0x77, 0x00])), [640, 480]);
  assert.deepEqual(await sidesOf(webp("VP8X", [0, 0, 0, 0, 0x7f, 0x02, 0x00, 0xdf, 0x01, 0x00])), [640, 480]);
  const segment = [0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc4, 0, 2];
  assert.deepEqual(await sidesOf(blob([0xff, 0xd8], segment, [0xff, 0xc2, 0, 9, 8, 1, 0xe0, 2, 0x80])), [640, 480]);
});

test("what is no picture, or none that a page survives", async () => {
  assert.equal(await isShowable(png(4_000, 3_000)), true);
  for (const none of [blob(), blob("<svg/>"), blob("<script>alert(1)</script>"), blob([0xff, 0xd8, 0xff]), blob("RIFF")]) {
    assert.equal(await isShowable(none), false);
  }
  assert.equal(await isShowable(blob([0xff, 0xd8], new Uint8Array(200_000))), false);
  assert.equal(await isShowable(png(30_000, 30_000)), false);
  assert.equal(await isShowable(png(0xffffffff, 0xffffffff)), false);
});
