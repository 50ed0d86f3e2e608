// How large a picture is, by its own first bytes: whoever sent it may have said something else, and a file of a few
// kilobytes can be a picture of gigabytes, which no page survives.

const MOST_PIXELS = 24_000_000;
const HEAD = 64 * 1024; // bytes; a JPEG's size stands behind its colour profile and what a camera adds

/** Whether a Blob is a picture of a kind and a size that can be shown. */
export async function isShowable(blob) {
  const sides = await sidesOf(blob);
  return Boolean(sides) && sides[0] * sides[1] <= MOST_PIXELS;
}

/** → [width, height], or null for what is no PNG, GIF, WebP or JPEG. */
export async function sidesOf(blob) {
  const data = new DataView(await blob.slice(0, HEAD).arrayBuffer());
  try {
    const text = (at, length) => String.fromCharCode(...new Uint8Array(data.buffer, at, length));
    if (text(1, 3) === "PNG") return [data.getUint32(16), data.getUint32(20)];
    if (text(0, 3) === "GIF") return [data.getUint16(6, true), data.getUint16(8, true)];
    if (text(0, 4) === "RIFF" && text(8, 4) === "WEBP") return sidesOfWebp(data, text(12, 4));
    return data.getUint16(0) === 0xffd8 ? sidesOfJpeg(data) : null;
  } catch {
    return null; // it ends before it has begun
  }
}

// RFC 9649: lossy, lossless, and what holds either.
function sidesOfWebp(data, kind) {
  const three = (at) => data.getUint16(at, true) + (data.getUint8(at + 2) << 16);
  if (kind === "VP8 ") return [data.getUint16(26, true) & 0x3fff, data.getUint16(28, true) & 0x3fff];
  if (kind === "VP8X") return [three(24) + 1, three(27) + 1];
  if (kind !== "VP8L") return null;
  const packed = data.getUint32(21, true);
  return [(packed & 0x3fff) + 1, (packed >>> 14 & 0x3fff) + 1];
}

// ITU-T T.81, B.2.2: the frame header, SOF0 to SOF15, among which are three others.
function sidesOfJpeg(data) {
  for (let at = 2; ; at += 2 + data.getUint16(at + 2)) {
    while (data.getUint8(at + 1) === 0xff) at += 1;
    const marker = data.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return [data.getUint16(at + 7), data.getUint16(at + 5)];
  }
}
