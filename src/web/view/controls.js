// The buttons of a room: invite, lock, rename, leave, burn, remove.

import { burnRoom, inside, lastName } from "../chat/rooms.js";
import { sentence } from "../i18n.js";
import { toggleBell, tryTo } from "./attention.js";
import { ask } from "./dialogs.js";
import { $, attempt } from "./dom.js";
import { nameIn } from "./entrance.js";
import { Menu } from "./menu.js";
import { placeInvitation, settle } from "./share.js";

/** room: {visit, chat (those of the moment), render(), left(): one has gone, ended(why)} */
export function wireControls(room) {
  const menu = new Menu("room-menu");
  const choice = (id, choose) => $(id).addEventListener("click", () => {
    menu.close();
    choose();
  });

  $("invite").addEventListener("click", () => {
    settle();
    placeInvitation($("share-dialog").querySelector(".invite-place"));
    $("share-dialog").showModal();
  });
  $("share-dialog").addEventListener("close", () => room.render());
  $("bell").addEventListener("click", toggleBell);
  $("room-menu-button").addEventListener("click", () => menu.toggle($("room-menu-button")));

  choice("lock", () => tryTo(() => room.chat.lock(!room.chat.locked)));
  choice("rename", () => {
    $("new-name").value = $("name").value;
    $("new-name").ariaInvalid = null;
    $("name-error").textContent = "";
    $("name-dialog").showModal();
    $("new-name").select();
  });
  choice("leave", () => {
    const { burnsWhenEmpty, people } = room.chat;
    const isLast = burnsWhenEmpty && !people.some(({ isYou, tabs }) => !isYou || tabs > 1);
    if (isLast) ask("leave", leave);
    else leave();
  });
  choice("burn", () => ask("burn", async () => {
    await burnRoom(room.visit.room);
    room.ended("burned");
  }));

  $("name-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(event.target.querySelector(".primary"), $("name-error"), rename, sentence);
  });
  $("people-list").addEventListener("click", ({ target }) => {
    const person = target.closest("[data-remove]")?.dataset.remove;
    const known = room.chat.people.find((each) => each.person === person);
    if (known) ask("remove", () => room.chat.removePerson(person), { name: known.name });
  });

  async function rename() {
    const name = nameIn("new-name");
    $("name").value = name;
    lastName.write(name);
    inside.write({ room: room.visit.room, name });
    room.chat.rename(name);
    $("name-dialog").close();
  }

  async function leave() {
    const { chat } = room;
    await chat.leave();
    if (room.chat === chat) await room.left();
  }
}
