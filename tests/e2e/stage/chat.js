// A room of the stage (tests/e2e/stage): a Chat that is as a test wants it, and notes in `asked` what the page wants.

const MINUTE = 60_000;
const NOTES = ["send", "sendFile", "edit", "remove", "react", "retry", "discard", "lock", "removePerson", "rename", "leave"];
const you = { person: "me", name: "Hana", isOwner: true, isYou: true, tabs: 1, imitates: false };
const picture = new OffscreenCanvas(64, 48);
picture.getContext("2d").fillRect(8, 8, 48, 32);

globalThis.asked = [];

export class Chat extends EventTarget {
  status = "connecting";
  transport = "websocket";
  person = you.person;
  isOwner = true;
  locked = false;
  typists = [];
  people = [you];
  hasOlder = false;
  isLoadingOlder = false;
  timeline = [];

  constructor({ ownerKey }) {
    super();
    globalThis.staged = this;
    this.isOwner = Boolean(ownerKey);
    setTimeout(() => this.become({ status: "online" }));
  }

  /** Changes what the room is, and says so; resolves once it is drawn. */
  async become(state) {
    Object.assign(this, state);
    this.dispatchEvent(new Event("change"));
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  }

  /** Somebody writes. */
  hear(item) {
    this.timeline = [...this.timeline, item];
    this.dispatchEvent(new CustomEvent("message", { detail: item }));
    return this.become({});
  }

  end(code) {
    this.dispatchEvent(new CustomEvent("ended", { detail: code }));
  }

  download = () => picture.convertToBlob();
  sayTyping() {}
  saw() {}
  close() {}
}

for (const name of NOTES) {
  Chat.prototype[name] = async (...values) => {
    globalThis.asked.push([name, ...values]);
  };
}

export const message = (text, more) => ({
  kind: "message", key: text, id: text, seq: 1, at: Date.now(), own: false, person: "gus", name: "Gus", text,
  reply: null, file: null, state: "sent", error: null, errorCode: null, progress: null, edited: false, deleted: false,
  reactions: [], misplaced: false, unreadable: false, imitates: false, ...more,
});

const own = (text, more) => message(text, { own: true, person: you.person, name: you.name, ...more });
const notice = (kind, name) => ({ kind, key: `${kind} ${name}`, name, at: Date.now() });
const file = (name, type, more) => ({ id: name, name, type, size: 77_000, count: 4, ...more });
const ago = (minutes) => Date.now() - minutes * MINUTE;

/** Everybody and everything that can be in a room. */
export const everything = {
  locked: true,
  typists: ["Gus", "Нana"],
  people: [
    you,
    { person: "gus", name: "Gus", isOwner: false, isYou: false, tabs: 2, imitates: false },
    { person: "nour", name: "نور", isOwner: false, isYou: false, tabs: 1, imitates: false },
    { person: "other", name: "Нana", isOwner: false, isYou: false, tabs: 1, imitates: true },
  ],
  timeline: [
    message("The day before", { at: ago(1_500), edited: true }),
    notice("joined", "Gus"),
    notice("back", "نور"),
    notice("missed", ""),
    message("Kettle is on: https://example.org/tea?cups=3, with `inline` code.", { at: ago(9) }),
    message("Look:\n```py\nprint('<b>')\n```\nlike that", { at: ago(9) }),
    own("So it is, by https://example.org/", {
      at: ago(8), state: "seen", edited: true, reply: { id: "The day before", name: "Gus", text: "The day before" },
      reactions: [{ emoji: "👍", names: ["Gus", "نور"], own: false }, { emoji: "🎉", names: ["Hana"], own: true }],
    }),
    own("```\nlet mine = `code`;\n```", { at: ago(8), state: "seen" }),
    message("An answer", {
      at: ago(7), reply: { id: "gone", name: "", text: "" },
      reactions: [{ emoji: "❤️", names: ["Hana"], own: true }, { emoji: "😮", names: ["Нana"], own: false }],
    }),
    message("🎉", { at: ago(7) }),
    message("مرحبا", { at: ago(6), person: "nour", name: "نور" }),
    message("I am Hana", { at: ago(5), person: "other", name: "Нana", imitates: true }),
    message("", { key: "card", id: "card", at: ago(4), file: file("notes ü.pdf", "application/pdf") }),
    own("", { key: "mine", id: "mine", at: ago(4), file: file("plan.zip", "application/zip") }),
    message("gone", { at: ago(3), text: "", deleted: true }),
    own("my gone", { at: ago(3), text: "", deleted: true }),
    message("sealed otherwise", { at: ago(3), text: "", unreadable: true }),
    message("https://bank.example@evil.example/\n" + "and so on\n".repeat(30), { key: "long", id: "long", at: ago(3) }),
    own("```\n" + "and so on;\n".repeat(30) + "```", { key: "mine long", id: "mine long", at: ago(3) }),
    message("moved", { at: ago(3), misplaced: true, seq: 2 }),
    notice("locked", ""),
    notice("unlocked", ""),
    notice("removed", "Lou"),
    notice("left", "Ida"),
    message("", {
      key: "shot", id: "shot", at: ago(3), file: file("shot.png", "image/png", { width: 64, height: 48 }),
    }),
    own("taken back", { state: "withdrawn", seq: null }),
    own("stays here", { state: "failed", error: "Too much.", errorCode: "too_many", seq: null }),
    own("unknown", { state: "failed", error: "The server's own words.", errorCode: "unheard_of", seq: null }),
    own("going", { state: "sending", progress: 0.25, seq: null, file: file("a.zip", "application/zip") }),
  ],
};

globalThis.everything = everything;
globalThis.message = message;
