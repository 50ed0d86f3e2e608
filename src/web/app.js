// What wires the page: addresses to screens, the way into a room, and how it ends.

import { ChatError } from "./chat/errors.js";
import { findRoom, findSocket, inside, meOf, owned } from "./chat/rooms.js";
import { isSecure, Keys, makeLink, parseLink } from "./chat/seals.js";
import { Visit } from "./chat/visit.js";
import { LANGUAGES, language, preferred, sentence, use } from "./i18n.js";
import { toast } from "./view/attention.js";
import { wireControls } from "./view/controls.js";
import { Conversation } from "./view/conversation.js";
import { closeDialogs, wireDialogs } from "./view/dialogs.js";
import { $, element } from "./view/dom.js";
import { describe, showEntrance, wireEntrance } from "./view/entrance.js";
import { drawIcons } from "./view/icons.js";
import { wireKeyboard, wireRoom } from "./view/room.js";
import { showEnd, shown } from "./view/screens.js";
import { settle, showLink, wireSharing } from "./view/share.js";
import { showStart, startTitle, wireStart } from "./view/start.js";

const BURNING = 1_100; // ms
const ENDINGS = { expired: "burned" };

let visit = null; // the room at this address, once it is found
let created = null; // {room, keys}: the room made last, whose passphrase need not be asked for
const conversation = new Conversation();

// Addresses

async function route() {
  leaveRoom();
  if (location.pathname === "/") return showStart();
  const address = location.href;
  try {
    const { room, secret } = parseLink(address);
    const [found, socket] = await Promise.all([findRoom(room), findSocket()]);
    if (address !== location.href || conversation.chat) return;
    await meet(new Visit(found, { secret, socket }));
  } catch (error) {
    if (address === location.href) end(error.code);
  }
}

function goTo(path) {
  history.pushState(null, "", path);
  return route();
}

// The way in

/** A room was found: its entrance, or the room itself where this tab was in it when it was loaded before. */
async function meet(found) {
  visit = found;
  if (visit.secondsLeft <= 0) return end("burned");
  if (created?.room === visit.room) await visit.use(created.keys);
  else if (!visit.passphrase) await visit.use(await Keys.derive(visit));
  showLink(visit.link, visit.passphrase);
  const { room, name } = inside.read();
  if (room === visit.room && name && visit.keys && !visit.locked) return comeBack(name);
  showEntrance(visit);
  import("./chat/chat.js").catch(() => {}); // while a name is typed; enter() says it if this fails
}

async function comeBack(name) {
  $("name").value = name;
  try {
    await enter(name, visit.keys);
  } catch (error) {
    showEntrance(visit, sentence(error));
  }
}

/** Opens the room at once, or where the door may stay shut (a passphrase, a lock), once it has let us in. */
async function enter(name, keys) {
  const { Chat } = await import("./chat/chat.js").catch(() => {
    throw new ChatError("unreachable", "Fleeting cannot be reached.");
  });
  const { room, title, expires_at, skew, socket } = visit;
  const [me, ownerKey] = [meOf(room, expires_at), owned.get(room)];
  const chat = new Chat({ room: { room, title, expires_at, skew }, keys, me, name, ownerKey, socket });
  conversation.open(chat, visit);
  const isCurrent = () => conversation.chat === chat;
  return new Promise((resolve, reject) => {
    chat.addEventListener("change", async () => {
      if (!isCurrent()) return;
      conversation.render();
      if (visit.isInside || chat.status !== "online") return;
      visit.isInside = true;
      inside.write({ room, name });
      if (!visit.keys) await visit.use(keys);
      if (isCurrent() && shown() !== "room") conversation.show();
      resolve();
    });
    chat.addEventListener("ended", ({ detail }) => {
      resolve();
      if (isCurrent()) end(detail);
    });
    chat.addEventListener("refused", ({ detail }) => {
      if (!isCurrent()) return;
      if (visit.isInside) return toast(sentence(detail));
      conversation.close({ isOver: false });
      const isGuess = detail.code === "wrong_key" && visit.passphrase;
      const error = isGuess ? { code: "wrong_passphrase", field: "passphrase" } : detail;
      if (shown() !== "entrance") showEntrance(visit, sentence(error));
      reject(error);
    });
    if (visit.keys && !visit.locked && !visit.passphrase) {
      conversation.show();
      resolve();
    }
  });
}

// The way out

function leaveRoom({ isOver = false, keep = false } = {}) {
  if (conversation.chat) inside.write(null);
  conversation.close({ isOver });
  visit = null;
  if (!keep) forget();
}

/** What was seen of a room is not kept behind other screens. */
function forget() {
  conversation.clear();
  showLink("", false);
  $("entrance-title").textContent = "";
  $("passphrase").value = "";
}

/** The room is over for us: a reason of view/screens.js, or an error's code. What burns does so before our eyes. */
function end(why = "unreachable") {
  const ending = ENDINGS[why] ?? why;
  const burns = ending === "burned" && shown() === "room" && !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const from = location.href;
  leaveRoom({ isOver: true, keep: burns });
  if (!burns) return showEnd(ending);
  closeDialogs();
  $("room").inert = true;
  $("room").classList.add("burning");
  setTimeout(() => {
    $("room").inert = false;
    $("room").classList.remove("burning");
    if (location.href !== from || visit) return;
    forget();
    showEnd(ending);
  }, BURNING);
}

// The page

function tick() {
  if (!visit) return;
  if (visit.secondsLeft <= 0) return end("burned");
  if (conversation.chat && shown() === "room") conversation.tick();
  else describe(visit);
}

/** Says everything anew, in another language. */
function refresh() {
  settle();
  conversation.refresh();
  if (shown() === "start") document.title = startTitle();
  if (shown() === "ended") showEnd($("ended").dataset.reason);
  tick();
}

function wireLanguage() {
  for (const [value, text] of Object.entries(LANGUAGES)) $("language").append(element("option", { value, text }));
  $("language").value = language;
  $("language").addEventListener("change", async () => {
    await use($("language").value, { remember: true });
    refresh();
  });
}

async function begin() {
  drawIcons();
  wireStart(({ room, secret, keys }) => {
    created = { room, keys };
    return goTo(makeLink({ origin: location.origin, room, secret }));
  });
  wireEntrance({ get visit() { return visit; }, enter });
  wireControls({
    get visit() { return visit; },
    get chat() { return conversation.chat; },
    render: () => conversation.render(),
    left: () => goTo("/"),
    ended: end,
  });
  wireDialogs(sentence);
  wireSharing(toast);
  wireRoom();
  wireKeyboard();
  $("ended-again").addEventListener("click", (event) => {
    event.preventDefault();
    route();
  });
  await use(preferred());
  wireLanguage();
  if (!isSecure()) return end("insecure");
  addEventListener("popstate", route);
  setInterval(tick, 1_000);
  await route();
}

begin();
