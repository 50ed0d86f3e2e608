// The start: what a new room is to be like.

import { createRoom } from "../chat/rooms.js";
import { sentence, t } from "../i18n.js";
import { lengthOf, tidy } from "../text.js";
import { $, attempt, wrong } from "./dom.js";
import { show } from "./screens.js";

const TITLE_LIMIT = 80;

export const startTitle = () => `Fleeting – ${t("brand.tagline")}`;

export function showStart() {
  show("start", startTitle());
  if (matchMedia("(pointer: fine)").matches) $("title").focus();
}

/** onCreated({room, secret, keys}): a room was made. */
export function wireStart(onCreated) {
  $("start-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(event.target.querySelector(".primary"), $("start-error"), async () => {
      const made = await create();
      $("start-form").reset();
      await onCreated(made);
    }, sentence);
  });
}

function create() {
  const title = tidy($("title").value);
  const people = Number($("people-most").value);
  if (lengthOf(title) > TITLE_LIMIT) throw wrong("title", t("start.title_long", { most: TITLE_LIMIT }));
  if (!Number.isInteger(people) || people < 2 || people > 500) {
    $("people-most").closest("details").open = true;
    throw wrong("people-most", t("start.people_range"));
  }
  return createRoom({
    title,
    ttl: Number($("start-form").elements.ttl.value),
    people,
    passphrase: $("new-passphrase").value,
    burnWhenEmpty: $("burn-when-empty").checked,
  });
}
