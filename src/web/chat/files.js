// Files: shrunk where they are pictures, cut into chunks that are sealed one by one, and put together again.

import { tidy } from "../text.js";
import { ChatError } from "./errors.js";
import { randomId, SealError } from "./seals.js";

export const MOST_BYTES = 4 * 1024 * 1024;
const CHUNK = 22_000; // bytes; sealed and in base64 it fits into a frame of 32 KB
const AT_ONCE = 2; // uploads and downloads in flight
const FETCH = 4; // chunks in one answer
const MOST_PIXELS = 1_600; // a picture's longer side
const QUALITY = 0.85;
const CACHE_BYTES = 32 * 1024 * 1024;
const MOST_NAME = 200;
const FILE_ID = /^[\w-]{16}$/;

// What is shown as a picture. SVG is a document, with scripts if it likes: it is only ever saved.
const PICTURES = ["image/jpeg", "image/png", "image/webp", "image/gif"];
const SHRINKABLE = ["image/jpeg", "image/png", "image/webp", "image/avif", "image/bmp", "image/heic", "image/heif"];

export const isPicture = (type) => PICTURES.includes(type);

const chunksIn = (size) => Math.ceil(size / CHUNK);

/** How a message describes its file, checked; throws if it makes no sense. */
export function fileOf({ id, name, type, size, count, width, height }) {
  const isSound = FILE_ID.test(id) && typeof name === "string" && Number.isSafeInteger(size) && size > 0 &&
    size <= MOST_BYTES && count === chunksIn(size);
  if (!isSound) throw new TypeError("no file");
  const file = { id, name: tidy(name.slice(0, MOST_NAME)) || "file", type: String(type).slice(0, 100), size, count };
  return isSide(width) && isSide(height) ? { ...file, width, height } : file;
}

const isSide = (number) => Number.isSafeInteger(number) && number > 0 && number < 100_000;

/**
 * What is sent of a file that somebody chose: a picture at most 1,600 pixels wide and high, and drawn anew, so that
 * nothing is left of where and when it was taken; any other file as it is. → {file as in a message, blob}
 */
export async function prepare(chosen) {
  const { blob, ...sides } = (await shrunk(chosen)) ?? { blob: chosen };
  if (!blob.size) throw new ChatError("empty", "This file is empty.");
  if (blob.size > MOST_BYTES) throw new ChatError("too_large", "This file is too large: at most 4 MiB can be sent.");
  const name = blob === chosen ? chosen.name : chosen.name.replace(/\.\w+$/, "") + `.${blob.type.split("/")[1]}`;
  const [id, type, size] = [randomId(), blob.type || "application/octet-stream", blob.size];
  return { file: fileOf({ id, name: name || "file", type, size, count: chunksIn(size), ...sides }), blob };
}

/** → {blob, width, height}, or null for what is no picture that this browser can draw. GIFs move, and stay. */
async function shrunk(chosen) {
  if (!SHRINKABLE.includes(chosen.type) || !globalThis.createImageBitmap) return null;
  let picture;
  try {
    picture = await createImageBitmap(chosen, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
  const scale = Math.min(1, MOST_PIXELS / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)));
  const write = drawn(picture, width, height);
  picture.close();
  let blob = await write("image/webp");
  // Where WebP cannot be written, PNG comes back.
  if (blob.type !== "image/webp" && chosen.type !== "image/png") blob = await write("image/jpeg");
  return { blob, width, height };
}

/** → what writes the drawing as a Blob of a type. */
function drawn(picture, width, height) {
  const isOffscreen = Boolean(globalThis.OffscreenCanvas); // Safari before 16.4 has none
  const canvas = isOffscreen ? new OffscreenCanvas(width, height) : document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  if (isOffscreen) return (type) => canvas.convertToBlob({ type, quality: QUALITY });
  return (type) => new Promise((resolve) => canvas.toBlob(resolve, type, QUALITY));
}

/** A room's files: sent, fetched, and the last of them kept. */
export class Files {
  #keys;
  #line;
  #kept = new Map(); // file id → blob
  #uploads = new Map(); // id of a file that was begun → the chunks that the server has

  constructor({ keys, line }) {
    this.#keys = keys;
    this.#line = line;
  }

  /** Uploads all that the server does not have yet, in any order; options as Line.say's, onProgress(0 … 1). */
  async upload({ id, count }, blob, person, { signal, onWait, onProgress }) {
    const done = this.#uploads.get(id) ?? new Set();
    this.#uploads.set(id, done);
    const send = async (index, stop) => {
      if (done.has(index)) return;
      const bytes = new Uint8Array(await blob.slice(index * CHUNK, (index + 1) * CHUNK).arrayBuffer());
      const data = await this.#keys.sealBytes("chunk", bytes, person, id, index, count);
      await this.#line.say("upload", { file: id, index, count, data }, { signal: stop, onWait });
      done.add(index);
      onProgress(done.size / count);
    };
    await inParallel(1, send, signal); // by the first one the server knows the others, should they be discarded
    await inParallel(count, send, signal);
  }

  /** Takes back what the server has of a file that no message names; what it cannot be told of goes with the room. */
  async discard(id) {
    this.#kept.delete(id);
    if (this.#uploads.delete(id)) await this.#line.say("discard", { file: id }).catch(() => {});
  }

  /** The same without waiting: one is about to leave. */
  abandon(id) {
    if (this.#uploads.has(id)) this.#line.tell("discard", { file: id });
  }

  /** → a Blob of a type that no browser runs; throws a ChatError, `bad_file` if it is not what its author sent. */
  async download({ id, type, size, count }, person, onProgress = () => {}) {
    if (this.#kept.has(id)) return this.#asBlob([this.#kept.get(id)], type);
    const parts = new Array(count);
    let done = 0;
    await inParallel(Math.ceil(count / FETCH), async (step, signal) => {
      const index = step * FETCH;
      const range = { file: id, index, count: Math.min(FETCH, count - index) };
      const { chunks } = await this.#line.say("fetch", range, { signal });
      for (const [offset, sealed] of chunks.entries()) {
        parts[index + offset] = await this.#opened(sealed, person, id, index + offset, count);
        onProgress(++done / count);
      }
    });
    const received = parts.reduce((sum, part) => sum + part.length, 0);
    if (done !== count || received !== size) throw badFile();
    const blob = this.#asBlob(parts, type);
    this.keep(id, blob);
    return blob;
  }

  async #opened(sealed, ...place) {
    try {
      return await this.#keys.openBytes("chunk", sealed, ...place);
    } catch (error) {
      throw error instanceof SealError ? badFile() : error;
    }
  }

  #asBlob(parts, type) {
    return new Blob(parts, { type: isPicture(type) ? type : "application/octet-stream" });
  }

  /** What is kept need not be fetched: what one sends oneself, too. */
  keep(id, blob) {
    this.#kept.delete(id);
    this.#kept.set(id, blob);
    let bytes = [...this.#kept.values()].reduce((sum, { size }) => sum + size, 0);
    for (const [oldest, { size }] of this.#kept) {
      if (bytes <= CACHE_BYTES) break;
      this.#kept.delete(oldest);
      bytes -= size;
    }
  }
}

const badFile = () => new ChatError("bad_file", "This file is damaged: it is not what its author sent.");

/** Works on 0 … count - 1, a few at a time; the first that fails stops the others. */
async function inParallel(count, work, signal) {
  const failed = new AbortController();
  const stop = AbortSignal.any([failed.signal, ...(signal ? [signal] : [])]);
  let next = 0;
  const worker = async () => {
    while (next < count && !stop.aborted) await work(next++, stop);
    stop.throwIfAborted();
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  } catch (error) {
    failed.abort(error);
    throw error;
  }
}
