// Dialogs: questions before what cannot be undone, and what closes them.

import { t } from "../i18n.js";
import { $, attempt } from "./dom.js";

let perform = null;

/** Asks `what` ("burn", "remove", "delete"), and runs `action` on yes; its error is said in the dialog. */
export function ask(what, action, values = {}) {
  perform = action;
  $("question-title").textContent = t(`${what}.question`, values);
  $("question-text").textContent = t(`${what}.text`, values);
  $("question-error").textContent = "";
  for (const [id, answer] of [["question-yes", "confirm"], ["question-no", "cancel"]]) {
    $(id).textContent = t(`${what}.${answer}`, values);
    $(id).dataset.testid = `${what}-${answer}`;
  }
  $("question").showModal();
  $("question-no").focus();
}

export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  for (const menu of document.querySelectorAll(".menu:popover-open")) menu.hidePopover();
}

export function wireDialogs(say) {
  $("question-no").addEventListener("click", () => $("question").close());
  $("question-yes").addEventListener("click", () =>
    attempt($("question-yes"), $("question-error"), async () => {
      await perform();
      $("question").close();
    }, say));
  for (const dialog of document.querySelectorAll("dialog")) {
    let pressed = null;
    dialog.addEventListener("pointerdown", ({ target }) => { pressed = target; });
    dialog.addEventListener("click", (event) => {
      // A click on the backdrop is one on the dialog itself; but not where a text was marked, and the pointer ends there.
      const isOutside = event.target === dialog && pressed === dialog;
      if (isOutside || event.target.closest("[data-close]")) dialog.close();
    });
  }
}
