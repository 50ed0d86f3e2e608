// What wires the page: addresses to screens, forms to the room, the room to what is seen.

import { Chat } from "./chat.js";
import { burnRoom, createRoom, findRoom, findSocket, lastName, owned, ownIds } from "./rooms.js";
import * as view from "./view.js";

const { $ } = view;
const TEXT_LIMIT = 4_000;
const NAME_LIMIT = 40;
const TYPING_PAUSE = 3_000;
const LIFETIMES = [600, 3_600, 86_400, 604_800]; // seconds

const length = (text) => [...text].length; // characters as the server counts them, not UTF-16 units

let room = null; // {room, title, expires_at, skew, socket, lifetime}: the one at this address
let chat = null;
let unread = 0;
let typingPause = null;
let rendering = false;

// Addresses

async function route() {
  leaveRoom();
  if (location.pathname === "/") return view.show("start", "Fleeting");
  const id = location.pathname.match(/^\/r\/([\w-]+)$/)?.[1];
  if (!id) return end("no_such_room");
  const visit = location.href;
  try {
    const [found, socket] = await Promise.all([findRoom(id), findSocket()]);
    if (visit !== location.href || chat) return;
    room = { ...found, socket, lifetime: 0 };
    if (secondsLeft() <= 0) return end("burned");
    room.lifetime = LIFETIMES.find((lifetime) => lifetime >= secondsLeft()) ?? secondsLeft();
    view.showEntrance(room.title, Boolean(owned.get(id)), lastName.read());
    tick();
  } catch (error) {
    if (visit === location.href) end(error.code);
  }
}

function goTo(path) {
  history.pushState(null, "", path);
  return route();
}

function leaveRoom() {
  chat?.close();
  chat = room = null;
}

function end(why) {
  leaveRoom();
  view.showEnd(why);
}

// Start, and the way in

view.onSubmit("start-form", async () => {
  const { room: id } = await createRoom({ title: $("title").value.trim(), ttl: Number($("ttl").value) });
  $("start-form").reset();
  await goTo(`/r/${id}`);
});

view.onSubmit("entrance-form", async () => {
  const name = $("name").value.trim();
  if (!name) throw new Error("Please type a name.");
  if (length(name) > NAME_LIMIT) throw new Error(`Please keep it to ${NAME_LIMIT} characters.`);
  lastName.write(name);
  enter(name);
});

function enter(name) {
  unread = 0;
  view.showRoom(room.title, Boolean(owned.get(room.room)), `${location.origin}/r/${room.room}`);
  const entered = new Chat({ room: room.room, name, socket: room.socket, ids: ownIds(room.room) });
  entered.addEventListener("change", render);
  entered.addEventListener("ended", ({ detail }) => end(detail));
  entered.addEventListener("message", () => { if (document.hidden) showUnread(unread + 1); });
  entered.addEventListener("refused", ({ detail }) => {
    entered.close();
    chat = null;
    view.showEntrance(room.title, Boolean(owned.get(room.room)), name, detail.message);
  });
  chat = entered;
  render();
  tick();
}

// In the room

function render() {
  if (rendering) return;
  rendering = true; // once a frame, however much happens
  requestAnimationFrame(() => {
    rendering = false;
    if (chat) view.renderRoom(chat);
  });
}

function showUnread(count) {
  unread = count;
  view.setTitle((unread ? `(${unread}) ` : "") + view.titleOf(room.title));
}

function secondsLeft() {
  return Math.ceil(room.expires_at - (Date.now() + room.skew) / 1000);
}

function tick() {
  if (!room) return;
  if (secondsLeft() <= 0) return end("burned");
  view.renderCountdown(secondsLeft(), room.lifetime);
}

function send() {
  const text = $("composer").value.trim();
  if (!text || length(text) > TEXT_LIMIT) return;
  clearTimeout(typingPause);
  chat.send(text);
  $("composer").value = "";
  view.renderComposer(TEXT_LIMIT);
  view.scrollToEnd();
}

function stopTyping() {
  clearTimeout(typingPause);
  chat?.sayTyping(false);
}

$("composer-form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
  $("composer").focus();
});

$("composer").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});

$("composer").addEventListener("input", () => {
  const text = $("composer").value;
  view.renderComposer(TEXT_LIMIT - length(text));
  if (!text.trim()) return stopTyping();
  chat.sayTyping(true);
  clearTimeout(typingPause);
  typingPause = setTimeout(stopTyping, TYPING_PAUSE);
});

$("messages").addEventListener("click", ({ target }) => {
  if (target.matches(".retry")) chat.retry(target.dataset.id);
});

$("copy-link").addEventListener("click", () => view.copyLink());

$("leave").addEventListener("click", async () => {
  await chat.leave();
  goTo("/");
});

$("burn").addEventListener("click", () => view.askToBurn());

$("burn-confirm").addEventListener("click", () =>
  view.attempt($("burn-confirm"), $("burn-error"), async () => {
    await burnRoom(room.room);
    end("burned");
  }));

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && chat && unread) showUnread(0);
});

$("ended-again").addEventListener("click", (event) => {
  event.preventDefault();
  route();
});

addEventListener("popstate", route);
setInterval(tick, 1_000);
route();
