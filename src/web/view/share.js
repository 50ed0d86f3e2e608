// A room's link, to be passed on: copied, shared, or read from the screen as a QR code.

import { generate } from "../lean-qr.min.js";
import { t } from "../i18n.js";
import { $ } from "./dom.js";

const QUIET = 3; // modules left blank around the code
const COPIED_FOR = 2_500;

let copied = null; // the timer that takes "Copied" back

/** Fills the invitation with a room's link. */
export function showLink(link, hasPassphrase) {
  $("room-link").value = link;
  $("invitation-passphrase").hidden = !hasPassphrase;
  $("share-link").hidden = !link || !navigator.canShare?.({ url: link });
  if (link) draw(link);
  else $("qr").firstElementChild.removeAttribute("d");
  settle();
}

/** There is one invitation: it goes to the place that is looked at. */
export function placeInvitation(place) {
  if ($("invitation").parentElement !== place) place.append($("invitation"));
}

export function settle() {
  clearTimeout(copied);
  $("copy-link-text").textContent = t("share.copy");
}

function draw(link) {
  const code = generate(link);
  const side = code.size + 2 * QUIET;
  let path = "";
  for (let y = 0; y < code.size; y++) {
    for (let x = 0; x < code.size; x++) if (code.get(x, y)) path += `M${x + QUIET} ${y + QUIET}h1v1h-1z`;
  }
  $("qr").setAttribute("viewBox", `0 0 ${side} ${side}`);
  $("qr").firstElementChild.setAttribute("d", path);
}

export function wireSharing(toast) {
  $("copy-link").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText($("room-link").value);
      $("copy-link-text").textContent = t("share.copied");
      clearTimeout(copied);
      copied = setTimeout(settle, COPIED_FOR);
    } catch {
      $("room-link").select();
      toast(t("share.copy_failed"));
    }
  });
  $("room-link").addEventListener("focus", () => $("room-link").select());
  $("share-link").addEventListener("click", () => navigator.share({ url: $("room-link").value }).catch(() => {}));
}
