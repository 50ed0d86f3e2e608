// The conversation: a chat's timeline and the composer on the screen, as long as one is in a room.

import { sentence, t } from "../i18n.js";
import { Actions, canEdit } from "./actions.js";
import { announce, heard, hush, seenAll, showBell, toast, tryTo } from "./attention.js";
import { Composer } from "./composer.js";
import { $, setText } from "./dom.js";
import { titleOf } from "./entrance.js";
import { Files } from "./files.js";
import { icon } from "./icons.js";
import { gather } from "./notices.js";
import { clearRoom, showCountdown, showPeople, showStatus, showTyping } from "./room.js";
import { show, shown } from "./screens.js";
import { placeInvitation } from "./share.js";
import { Timeline } from "./timeline.js";

const JUMP_PAGES = 20; // how far back a quote is looked for
const UNREAD = { kind: "unread", key: Symbol("unread") };

const isOnItsWay = ({ kind, seq, state }) => kind === "message" && !seq && state !== "sent";

export class Conversation {
  chat = null; // the one of the moment
  #visit = null;
  #files = null;
  #isDue = false; // to be drawn
  #news = 0; // messages that came while older ones were read
  #unread = null; // the key of the first message that came while nobody looked: a line stands before it
  #drafts = new Map(); // room → what was being written there, as long as the page is
  #timeline = new Timeline();
  #composer = new Composer();

  constructor() {
    const conversation = this;
    const [timeline, composer] = [this.#timeline, this.#composer];
    const tell = (type, handle) => composer.addEventListener(type, ({ detail }) => handle(detail));
    tell("send", (said) => this.#send(said));
    tell("edit", ({ id, text }) => tryTo(() => this.chat.edit(id, text)));
    tell("page", (pages) => timeline.scroll(pages));
    tell("typing", (typing) => this.chat?.sayTyping(typing));
    tell("last", () => this.#editLast());
    timeline.addEventListener("older", () => {
      if (this.chat && !this.chat.isLoadingOlder) tryTo(() => this.chat.loadOlder());
    });
    timeline.addEventListener("moved", () => this.#look());
    $("news").addEventListener("click", () => {
      timeline.toEnd();
      composer.focus();
    });
    new Actions({ get chat() { return conversation.chat; }, timeline, composer, jump: (id) => this.#jump(id) });
    this.#wirePage();
  }

  #wirePage() {
    addEventListener("beforeunload", (event) => {
      if (!this.#isShown) return;
      if (this.#composer.hasWork || this.chat.timeline.some(isOnItsWay)) event.preventDefault();
    });
    // A file that misses the room must not take its place.
    for (const type of ["dragover", "drop"]) {
      addEventListener(type, (event) => { if (event.dataTransfer?.types.includes("Files")) event.preventDefault(); });
    }
    // What is typed while a message has the focus, or nothing, is meant for the composer.
    document.addEventListener("keydown", (event) => {
      const { key, target, ctrlKey, metaKey, altKey, isComposing } = event;
      const isLetter = [...key].length === 1 && key !== " " && !ctrlKey && !metaKey && !altKey && !isComposing;
      if (isLetter && shown() === "room" && target.matches("body, #scroller, .message")) {
        this.#composer.focus({ always: true });
      }
    });
    document.addEventListener("visibilitychange", () => {
      if (!this.#isShown) return;
      if (!document.hidden) return this.#back();
      if (this.#timeline.isFollowing) this.#unread = null; // all has been looked at
    });
  }

  get #isShown() {
    return Boolean(this.chat) && shown() === "room";
  }

  // Coming and going

  /** Takes a room's chat, in the place of one that there may be. */
  open(chat, visit) {
    this.chat?.close();
    this.#files?.close();
    this.chat = chat;
    this.#visit = visit;
    this.#files = new Files(chat);
    chat.addEventListener("message", ({ detail }) => this.#came(detail));
  }

  /** Shows the room, whatever is known of it yet. */
  show() {
    this.#news = 0;
    this.#unread = null;
    clearRoom();
    this.#timeline.clear();
    this.#composer.reset(this.#drafts.get(this.#visit.room));
    show("room", titleOf(this.#visit));
    $("passphrase").value = "";
    $("lock").hidden = $("burn").hidden = !this.#visit.isOwner;
    $("scroller").ariaBusy = "true";
    $("alone").hidden = true;
    showBell();
    this.tick();
    this.#draw();
    this.#composer.focus();
  }

  /** One goes; what was being written is kept, unless the room is over. */
  close({ isOver }) {
    if (!this.chat) return;
    if (isOver) this.#drafts.delete(this.#visit.room);
    else if (this.#isShown) this.#drafts.set(this.#visit.room, this.#composer.text);
    this.chat.close();
    this.#files.close();
    this.chat = this.#files = this.#visit = null;
  }

  /** Nothing that was seen of the room stays in the document. */
  clear() {
    this.#timeline.clear();
    clearRoom();
    this.#composer.reset();
    hush();
    $("room-title").textContent = "";
  }

  /** Says everything anew, in another language. */
  refresh() {
    showBell();
    this.#composer.refresh();
    if (!this.#isShown) return;
    this.#timeline.clear();
    this.tick();
    this.#draw();
  }

  // What is seen

  /** Draws what has changed: once a frame, however much happens. */
  render() {
    if (this.#isDue) return;
    this.#isDue = true;
    const once = () => {
      if (!this.#isDue) return;
      this.#isDue = false;
      if (this.#isShown) this.#draw();
    };
    requestAnimationFrame(once);
    setTimeout(once, 250); // a page in the background has no frames, and is drawn anyway
  }

  /** To be called each second. */
  tick() {
    showCountdown(this.#visit.secondsLeft, this.#visit.lifetime, announce);
  }

  #draw() {
    const { chat } = this;
    const { isInside } = this.#visit;
    const items = this.#readings();
    setText($("room-title"), titleOf(this.#visit));
    showStatus(chat);
    showPeople(chat.people, chat);
    showTyping(chat.typists, { isOffline: chat.status === "offline" });
    const isKnown = isInside || items.length > 0;
    const isAlone = isInside && chat.people.length < 2 && !items.some(({ kind }) => kind === "message");
    this.#timeline.render(items, {
      files: this.#files,
      hasOlder: chat.hasOlder,
      above() {
        $("older").hidden = !isKnown || isAlone;
        $("older").textContent = chat.hasOlder ? t("talk.older") : t("talk.start");
        $("alone").hidden = !isAlone;
      },
    });
    if (isAlone && !$("share-dialog").open) placeInvitation($("alone").querySelector(".invite-place"));
    $("scroller").ariaBusy = String(!isKnown);
    this.#look();
  }

  /** What there is to read, with the line before what is new. */
  #readings() {
    const items = gather(this.chat.timeline);
    const at = this.#unread === null ? -1 : items.findIndex(({ key }) => key === this.#unread);
    return at < 0 ? items : items.toSpliced(at, 0, UNREAD);
  }

  /** What is in view has been seen; what is not, is counted. */
  #look() {
    if (!this.chat) return;
    const { isFollowing, lastSeen, distance } = this.#timeline;
    if (isFollowing) this.#news = 0;
    if (!document.hidden && lastSeen) this.chat.saw(lastSeen);
    const isFar = !isFollowing && (this.#news > 0 || distance > 1);
    $("news").hidden = !isFar;
    const said = this.#news ? t("talk.new", { count: this.#news }) : t("talk.latest");
    if (isFar) $("news").replaceChildren(said, icon("down"));
  }

  #came(item) {
    heard(item);
    if (!this.#timeline.isFollowing) this.#news += 1;
    if (document.hidden || !this.#timeline.isFollowing) this.#unread ??= item.key;
    this.render();
  }

  /** The page is looked at again. */
  #back() {
    seenAll();
    this.#timeline.rise(UNREAD.key); // before anything counts as seen that is below what is in view
    this.#draw();
  }

  /** Goes to a message; what is not here yet is loaded, page by page. */
  async #jump(id) {
    const { chat } = this;
    for (let page = 0; page < JUMP_PAGES; page++) {
      if (this.#timeline.reveal(id)) return this.#look();
      if (!chat.hasOlder) break;
      await chat.loadOlder();
      if (this.chat !== chat) return;
      this.#draw();
    }
    toast(t("message.jump_failed"));
  }

  // What is written

  #send({ text, files, reply }) {
    if (!files.length) this.chat.send(text, { reply });
    // The words go with the first one.
    for (const [index, file] of files.entries()) this.#sendFile(file, index ? {} : { text, reply });
    this.#unread = null;
    this.#timeline.toEnd();
  }

  #sendFile(file, words) {
    this.chat.sendFile(file, words).catch((error) => {
      toast(`${file.name}: ${sentence(error)}`);
      this.#composer.putBack(words.text ?? "");
    });
  }

  #editLast() {
    // Not an earlier one while this one is on its way.
    const last = this.chat.timeline.findLast((item) => item.own && !item.deleted);
    if (last && canEdit(last)) this.#composer.edit(last);
  }
}
