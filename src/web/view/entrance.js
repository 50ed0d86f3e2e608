// The way into a room: what one has to say before one is in it.

import { lastName } from "../chat/rooms.js";
import { Keys } from "../chat/seals.js";
import { sentence, t, timeLeft } from "../i18n.js";
import { lengthOf, tidy } from "../text.js";
import { $, attempt, wrong } from "./dom.js";
import { show } from "./screens.js";
import { placeInvitation } from "./share.js";

const NAME_LIMIT = 40;

/** A room's title, or what stands for it. */
export const titleOf = (visit) => visit.title || t(visit.keys ? "room.untitled" : "room.sealed_title");

export function showEntrance(visit, error = "") {
  show("entrance", titleOf(visit));
  $("entrance-error").textContent = error;
  $("passphrase-field").hidden = Boolean(visit.keys);
  $("entrance-locked").hidden = !visit.locked || visit.isOwner;
  $("entrance-invite").hidden = !visit.isOwner;
  $("invitation-locked").hidden = !visit.locked;
  if (visit.isOwner) placeInvitation($("entrance-invite"));
  $("name").value ||= lastName.read();
  describe(visit);
  const field = error && !visit.keys ? $("passphrase") : $("name");
  field.focus();
  field.select();
}

/** Says what room this is, and for how long. */
export function describe(visit) {
  $("entrance-title").textContent = titleOf(visit);
  const time = timeLeft(visit.secondsLeft);
  $("entrance-lead").textContent = t(visit.isOwner ? "entrance.owner" : "entrance.guest", { time });
}

/** The name in a field, if it can be one. */
export function nameIn(field) {
  const name = tidy($(field).value);
  if (!name) throw wrong(field, t("entrance.no_name"));
  if (lengthOf(name) > NAME_LIMIT) throw wrong(field, t("entrance.name_long", { most: NAME_LIMIT }));
  return name;
}

/** room: {visit (the one of the moment), enter(name, keys)} */
export function wireEntrance(room) {
  const enter = $("entrance-form").querySelector(".primary");
  $("entrance-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(enter, $("entrance-error"), pass, sentence);
  });

  async function pass() {
    const { visit } = room;
    const name = nameIn("name");
    const passphrase = $("passphrase").value;
    if (!visit.keys && !passphrase) throw wrong("passphrase", t("entrance.no_passphrase"));
    lastName.write(name);
    enter.textContent = t("entrance.opening");
    try {
      await room.enter(name, visit.keys ?? (await Keys.derive({ ...visit, passphrase })));
    } finally {
      enter.textContent = t("entrance.enter");
    }
  }
}
