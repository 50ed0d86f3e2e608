// The page: a stream of what is new into lists, and what is chosen in them.

import * as details from "./details.js";
import { $, age, ask, attempt, duration, element, size, text, time } from "./dom.js";
import { List } from "./list.js";
import * as stack from "./stack.js";

const KINDS = {
  frames: { label: "frames", kinds: ["in", "out"] },
  connections: { label: "conns", kinds: ["connect", "disconnect", "refused"] },
  http: { label: "http", kinds: ["http"] },
  runs: { label: "runs", kinds: ["run"] },
  logs: { label: "logs", kinds: ["log", "fault"] },
};
const SIGNS = { in: "→", out: "←", connect: "●", disconnect: "○", refused: "✕", http: "⇄", run: "✓", log: "·", fault: "!" };
const CLOSED_SHOWN = 30;

const rows = new Map();
const clients = new Map();
let order = [];
let most = 5000;
let ahead = 0;
let chosenClient = null;
let paused = false;
let cleared = 0;
let stale = true;
let refresh = false;
const off = new Set();
let errorsOnly = false;

// ---- the stream

function connect() {
  const stream = new EventSource("events");
  stream.onopen = () => state("live");
  stream.onerror = () => state(stream.readyState === EventSource.CLOSED ? "over" : "reconnecting");
  stream.onmessage = (event) => take(JSON.parse(event.data));
}

function state(words) {
  $("state").textContent = words;
  $("state").dataset.state = words;
}

function take(update) {
  if (update.first) {
    // The gateway may be another one than before.
    rows.clear();
    clients.clear();
    order = [];
    cleared = 0;
  }
  ahead = update.now - Date.now() / 1000;
  let sorted = true;
  for (const row of update.rows) {
    if (!rows.has(row.number)) {
      if (order.length && order[order.length - 1] > row.number) sorted = false;
      order.push(row.number);
    }
    rows.set(row.number, row);
    if (row.number === details.current() || row.number === shownParent()) refresh = true;
  }
  if (!sorted) order.sort((one, other) => one - other);
  let gone = 0;
  while (gone < order.length && (order[gone] < update.oldest || order.length - gone > most)) rows.delete(order[gone++]);
  if (gone) order = order.slice(gone);
  for (const client of update.clients) clients.set(client.id, client);
  const closed = [...clients.values()].filter((client) => client.ended !== null);
  closed.sort((one, other) => other.ended - one.ended);
  for (const client of closed.slice(CLOSED_SHOWN)) clients.delete(client.id);
  for (const [name, count] of Object.entries({ ...update.totals, open: update.open })) {
    text($(`total-${name}`), count.toLocaleString("en"));
  }
  $("total-errors").parentElement.classList.toggle("some", update.totals.errors > 0);
  stale = true;
}

const shownParent = () => rows.get(details.current())?.parent ?? 0;
const now = () => Date.now() / 1000 + ahead;

// ---- the lists

const clientList = new List($("clients"), {
  height: 38,
  key: (client) => client.id,
  make: (line) => line.append(
    element("b", { className: "dot" }), element("code", { className: "id" }), element("span", { className: "age" }),
    element("span", { className: "stage" }), element("span", { className: "counts" })),
  draw(line, client) {
    const [dot, id, since, stage, counts] = line.children;
    const open = client.ended === null;
    line.className = open ? "client" : "client ended";
    dot.className = open && now() - client.active < 2 ? "dot busy" : "dot";
    text(id, client.id.slice(0, 12));
    text(since, age((open ? now() : client.ended) - client.since));
    text(stage, open ? `${client.stage} ${agent(client.user_agent)}` : `${client.code} ${client.reason}`);
    text(counts, `→${client.received} ←${client.sent}`);
    line.title = `${client.id}\n${client.api} ${client.stage}\n${client.address}\n${client.user_agent}`;
  },
  choose(client) {
    chosenClient = client?.id ?? null;
    rowList.follows = true;
    stale = true;
    draw();
  },
});

const rowList = new List($("rows"), {
  height: 22,
  key: (row) => row.number,
  make(line) {
    const cells = ["time", "sign", "id", "route", "number size", "number took", "text"];
    line.append(...cells.map((className) => element("span", { className })));
  },
  draw(line, row) {
    const [at, sign, id, route, bytes, took, words] = line.children;
    line.className = `row ${row.kind}${row.error ? " failed" : ""}${row.running ? " running" : ""}${row.complains ? " complains" : ""}`;
    if ((row.kind === "in" && !row.route) || row.kind === "refused" || (row.kind === "http" && row.status >= 500)) line.classList.add("failed");
    text(at, time(row.at));
    text(sign, row.kind === "run" && row.error ? "✗" : SIGNS[row.kind]);
    text(id, row.connection.slice(0, 8));
    text(route, routeOf(row));
    text(bytes, row.size ? size(row.size) : "");
    text(took, row.running ? "…" : duration(row.duration));
    text(words, row.error ? `${row.error}  ${wordsOf(row)}` : wordsOf(row));
  },
  choose(row) {
    details.show(row, now(), use);
  },
});

function agent(words) {
  const known = /(Firefox|Edg|Chrome|Safari)\/[\d]+/.exec(words);
  return known ? known[0] : words.slice(0, 30);
}

function routeOf(row) {
  if (row.kind === "in") return row.route || "no route";
  if (row.kind === "http") return `${row.route} ${row.status}`;
  if (row.kind === "connect") return "connected";
  if (row.kind === "disconnect") return `closed ${row.status}`;
  if (row.kind === "refused") return `refused ${row.status}`;
  if (row.kind === "run") return `${row.functions.join(" ")}${row.route ? ` ‹ ${row.route}` : ""}`;
  return row.route;
}

const wordsOf = (row) => row.text;

function matcher() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kinds = new Set(Object.entries(KINDS).filter(([name]) => !off.has(name)).flatMap(([, kind]) => kind.kinds));
  return (row) => {
    if (row.number <= cleared || !kinds.has(row.kind)) return false;
    if (chosenClient && row.connection !== chosenClient) return false;
    if (errorsOnly && !row.error && !row.complains && row.kind !== "refused" && !(row.kind === "log" && row.status)) return false;
    if (!words.length) return true;
    const whole = `${row.connection} ${row.kind} ${routeOf(row)} ${row.functions.join(" ")} ${row.error} ${row.request} ${row.text}`.toLowerCase();
    return words.every((word) => (word.length > 1 && word.startsWith("-") ? !whole.includes(word.slice(1)) : whole.includes(word)));
  };
}

function draw() {
  if (paused || !stale) return;
  stale = false;
  const matches = matcher();
  const found = [];
  for (const number of order) {
    const row = rows.get(number);
    if (matches(row)) found.push(row);
  }
  rowList.show(found, true);
  text($("rows-count"), found.length === order.length ? `${found.length}` : `${found.length} of ${order.length}`);
  drawClients();
  drawChosen();
  $("follow").hidden = rowList.follows;
  if (refresh && details.current()) {
    refresh = false;
    const row = rows.get(details.current());
    if (row) details.show(row, now(), use);
  }
}

function drawClients() {
  const wanted = $("clients-filter").value.toLowerCase();
  const found = [];
  let open = 0;
  for (const client of clients.values()) {
    open += client.ended === null;
    if (!wanted || `${client.id} ${client.stage} ${client.api} ${client.address} ${client.user_agent}`.toLowerCase().includes(wanted)) found.push(client);
  }
  // Those that are open first, the latest on top; a list that moves under the hand is none.
  found.sort((one, other) => (one.ended === null) === (other.ended === null) ? other.since - one.since : one.ended === null ? -1 : 1);
  clientList.show(found);
  const shown = found.filter((client) => client.ended === null).length;
  text($("clients-count"), shown === open ? `${open}` : `${shown} of ${open}`);
}

function drawChosen() {
  const client = chosenClient && clients.get(chosenClient);
  $("everything").hidden = !chosenClient;
  text($("everything"), `${(chosenClient ?? "").slice(0, 8)} ✕`);
  $("send").hidden = !client || client.ended !== null;
  $("client-card").hidden = !client;
  if (!client) return;
  text($("send-to"), client.id.slice(0, 8));
  const facts = [
    ["id", client.id], ["stage", `${client.api} ${client.stage}`], ["from", client.address],
    ["since", `${time(client.since, 0)} (${age((client.ended ?? now()) - client.since)})`],
    ["active", `${age(Math.max(0, (client.ended ?? now()) - client.active))} ${client.ended === null ? "ago" : "before its end"}`],
    ["frames", `${client.received} in, ${client.sent} out`], ["agent", client.user_agent || "–"],
  ];
  if (client.ended !== null) facts.push(["closed", `${client.code} ${client.reason}`]);
  $("client-card").replaceChildren(element("dl", { className: "facts" }, ...facts.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)))));
}

// ---- actions

async function act(action, body = {}) {
  await attempt(async () => {
    await ask(`connections/${encodeURIComponent(chosenClient)}/${action}`, body);
    if (action === "send") $("send-text").value = "";
  });
}

function use(name, event) {
  view("functions");
  stack.prepare(name, event);
}

function view(name) {
  for (const tab of document.querySelectorAll("#tabs [role=tab]")) {
    tab.ariaSelected = String(tab.dataset.view === name);
    tab.tabIndex = tab.dataset.view === name ? 0 : -1;
    $(tab.dataset.view).hidden = tab.dataset.view !== name;
  }
  stack.enter(name);
  if (name === "traffic") {
    stale = true;
    draw();
  }
}

function all() {
  clientList.pick(null);
}

function pause() {
  paused = !paused;
  $("pause").ariaPressed = String(paused);
  $("pause").textContent = paused ? "Resume" : "Pause";
  stale = true;
  draw();
}

function clear() {
  cleared = order.at(-1) ?? 0;
  stale = true;
  draw();
}

function dark() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("gateway-theme", root.dataset.theme);
}

function typed(event) {
  const inside = event.target.matches("input, textarea, select");
  if (event.key === "Escape") {
    if (inside) {
      // A browser would empty it.
      event.preventDefault();
      event.target.blur();
    }
    else if (details.current()) rowList.pick(null);
    else if (chosenClient) all();
    return;
  }
  if (inside || event.altKey || event.ctrlKey || event.metaKey) return;
  const tab = document.querySelectorAll("#tabs [role=tab]")[Number(event.key) - 1];
  const keys = {
    "/": () => $("filter").focus(), j: () => rowList.move(1), k: () => rowList.move(-1), p: pause, c: clear, a: all,
    G: () => rowList.end(),
  };
  if (tab && !tab.hidden) view(tab.dataset.view);
  else if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
}

// ---- begin

function chips() {
  const toggles = Object.entries(KINDS).map(([name, kind]) => element("button", {
    className: "chip on", ariaPressed: "true", onclick(event) {
      const button = event.currentTarget;
      if (off.delete(name)) button.ariaPressed = "true";
      else {
        off.add(name);
        button.ariaPressed = "false";
      }
      button.classList.toggle("on", !off.has(name));
      stale = true;
      draw();
    },
  }, kind.label));
  const errors = element("button", {
    className: "chip bad", ariaPressed: "false", onclick(event) {
      errorsOnly = !errorsOnly;
      event.currentTarget.ariaPressed = String(errorsOnly);
      event.currentTarget.classList.toggle("on", errorsOnly);
      stale = true;
      draw();
    },
  }, "errors only");
  $("kinds").append(...toggles, errors);
}

document.addEventListener("keydown", typed);
$("tabs").addEventListener("click", (event) => event.target.dataset.view && view(event.target.dataset.view));
$("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const tabs = [...document.querySelectorAll("#tabs [role=tab]:not([hidden])")];
  const next = tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length];
  next.focus();
  view(next.dataset.view);
});
for (const name of ["filter", "clients-filter"]) {
  $(name).addEventListener("input", () => {
    stale = true;
    draw();
  });
}
$("everything").addEventListener("click", all);
$("pause").addEventListener("click", pause);
$("clear").addEventListener("click", clear);
$("theme").addEventListener("click", dark);
$("follow").addEventListener("click", () => {
  rowList.end();
  $("follow").hidden = true;
});
$("rows").addEventListener("scroll", () => {
  $("follow").hidden = rowList.follows;
});
$("send").addEventListener("submit", (event) => {
  event.preventDefault();
  act("send", { text: $("send-text").value });
});
$("send-text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    $("send").requestSubmit();
  }
});
$("close").addEventListener("click", () => act("close"));
$("break").addEventListener("click", () => act("break"));
$("turn").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => ask("clock", { seconds: Number($("turn-by").value) }));
});
if (localStorage.getItem("gateway-theme")) document.documentElement.dataset.theme = localStorage.getItem("gateway-theme");
chips();
setInterval(draw, 100);
setInterval(() => {
  text($("clock"), time(now(), 0));
  if (!paused) clientList.paint();
}, 1000);
const found = await attempt(stack.load);
if (found) most = found.entries;
connect();
