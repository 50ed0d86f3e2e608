// The page's screens: which of them is seen, and what the simple ones say.

import { has, sentence, t } from "../i18n.js";
import { setTitle } from "./attention.js";
import { closeDialogs } from "./dialogs.js";
import { $ } from "./dom.js";

export function show(screen, title) {
  closeDialogs();
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== screen;
  const holder = screen === "room" ? $("room-menu") : $(screen);
  holder.querySelector(".language-place").append($("language-choice"));
  setTitle(title);
  scrollTo(0, 0);
}

export const shown = () => document.querySelector("main:not([hidden])")?.id;

/** `why`: "burned", "removed", … or the code of an error. */
export function showEnd(why) {
  const known = has(`ended.${why}_lead`) ? why : has(`error.${why}`) ? "out" : "unreachable";
  const title = t(`ended.${known}`);
  show("ended", `${title} – Fleeting`);
  $("ended").dataset.reason = why;
  $("ended-title").textContent = title;
  $("ended-lead").textContent = known === "out" ? sentence({ code: why }) : t(`ended.${known}_lead`);
  $("ended-again").hidden = !["out", "unreachable"].includes(known);
  $("ended-new").hidden = known === "insecure";
  $("ended-title").focus();
}
