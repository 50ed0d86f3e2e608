// The page's icons: strokes on a grid of 24, in the colour of the text beside them.

const NAMESPACE = "http://www.w3.org/2000/svg";
const PATHS = {
  attach: "M20 11.5l-8.2 8.2a5.3 5.3 0 0 1-7.5-7.5l8.5-8.5a3.5 3.5 0 0 1 5 5l-8.5 8.5a1.8 1.8 0 0 1-2.5-2.5l7.7-7.7",
  bell: "M6 16V10.5a6 6 0 0 1 12 0V16l1.5 2h-15zM10 21h4M12 4.5V3",
  bellOff: "M6 16V10.5c0-1 .2-1.9.6-2.7M9 5.3a6 6 0 0 1 9 5.2V14M16 18H4.5L6 16M10 21h4M3.5 3.5l17 17",
  check: "M5 12.5l4.5 4.5L19 7.5",
  checks: "M2.5 12.5L7 17l9-9.5M11.5 16.5l.5.5 9.5-9.5",
  clock: "M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 0 0 0-17zM12 7.5V12l3 2",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h10.5v11.5H9zM5 15H4.5V3.5H15V5",
  discard: "M5 7h14M10 4h4M7 7l.8 13h8.4L17 7",
  door: "M14 4H6v16h8M11 12h10M17.5 8.5L21 12l-3.5 3.5",
  down: "M12 5v14M6 13l6 6 6-6",
  download: "M12 4v11M7.5 11L12 15.5 16.5 11M5 20h14",
  edit: "M4 20l1-4.5L16 4.5l3.5 3.5L8.5 19zM13.5 7L17 10.5",
  file: "M6 3.5h8l4.5 4.5v12.5H6zM13.5 3.5V8.5h5",
  flame: "M12.5 3c.6 4 6 6 6 11.5a6.5 6.5 0 0 1-13 0c0-3 1.8-4.2 2.5-6.5 1.2.6 1.9 1.8 1.9 3 1.7-1.8 2.9-4.5 2.6-8z",
  globe: "M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 0 0 0-17zM3.5 12h17M12 3.5c3 3 3 14 0 17M12 3.5c-3 3-3 14 0 17",
  link: "M10 14a4 4 0 0 0 5.7 0l3.3-3.3a4 4 0 0 0-5.7-5.7L12 6.3" +
    "M14 10a4 4 0 0 0-5.7 0L5 13.3A4 4 0 0 0 10.7 19l1.3-1.3",
  lock: "M6 11h12v9.5H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  people: "M9 11.5a3.5 3.5 0 1 0 0-7a3.5 3.5 0 0 0 0 7z" +
    "M2.5 20c0-3.5 2.8-5.5 6.5-5.5s6.5 2 6.5 5.5M16 4.8a3.5 3.5 0 0 1 0 6.4M17.5 14.8c2.5.6 4 2.4 4 5.2",
  next: "M9 5l7 7-7 7",
  plus: "M12 5v14M5 12h14",
  previous: "M15 5l-7 7 7 7",
  reply: "M9.5 6L4 11.5 9.5 17M4.5 11.5H14c4 0 6 2.5 6 6.5",
  retry: "M4.5 12a7.5 7.5 0 1 1 2.2 5.3M4.5 19.5v-5h5",
  send: "M4 12L20 4.5 15.5 20l-3.8-6.2zM11.7 13.8L20 4.5",
  unlock: "M6 11h12v9.5H6zM8.5 11V8a3.5 3.5 0 0 1 6.7-1.5",
  warning: "M12 4L2.8 20h18.4zM12 10v4.5M12 17.3v.01",
};

export function icon(name) {
  const drawn = document.createElementNS(NAMESPACE, "svg");
  drawn.setAttribute("viewBox", "0 0 24 24");
  drawn.setAttribute("class", `icon icon-${name}`);
  drawn.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(NAMESPACE, "path");
  path.setAttribute("d", PATHS[name]);
  drawn.append(path);
  return drawn;
}

/** Draws the icons that the HTML names. */
export function drawIcons() {
  for (const place of document.querySelectorAll("[data-icon]")) place.replaceChildren(icon(place.dataset.icon));
}
