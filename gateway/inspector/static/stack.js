// The views of what the stack has: tables, queues, functions and the bill.

import { $, ask, attempt, element, pretty } from "./dom.js";

let stack = null;
let items = [];
let next = null;
let sorted = null;

export async function load() {
  stack = await ask("stack");
  $("template").textContent = stack.template;
  const option = (name) => element("option", { value: name }, name);
  $("tables-name").replaceChildren(...stack.tables.map((table) => option(table.name)));
  $("invoke-name").replaceChildren(...stack.functions.map(option));
  document.querySelector('[data-view="bill"]').hidden = !stack.bill;
  keyed();
  return stack;
}

export function enter(view) {
  const enters = { tables: () => read(null), queues, bill };
  return attempt(() => enters[view]?.());
}

// ---- tables

const table = () => stack.tables.find((one) => one.name === $("tables-name").value);

function keyed() {
  $("tables-key-label").textContent = table()?.keys[0] ?? "Key";
}

async function read(start) {
  if (!table()) {
    $("tables-items").replaceChildren(element("p", { className: "hint" }, "The stack has no tables."));
    return;
  }
  const query = new URLSearchParams();
  if ($("tables-key").value) query.set("key", $("tables-key").value);
  if (start) query.set("start", JSON.stringify(start));
  const page = await ask(`tables/${encodeURIComponent(table().name)}?${query}`);
  items = page.items;
  next = page.next;
  sorted = null;
  $("tables-next").disabled = !next;
  $("tables-count").textContent = `${items.length} items${next ? ", and more" : ""}`;
  drawItems();
}

function drawItems() {
  const keys = table().keys;
  const names = [...new Set([...keys, ...items.flatMap((item) => Object.keys(item)).sort()])];
  const head = element("tr", {}, ...names.map((name) => {
    const order = sorted?.name === name ? (sorted.down ? "descending" : "ascending") : "none";
    const button = element("button", { type: "button", onclick: () => sort(name) }, name);
    return element("th", { ariaSort: order, className: keys.includes(name) ? "key" : "" }, button);
  }));
  const body = items.map((item) => {
    const line = element("tr", { tabIndex: 0 }, ...names.map((name) => cell(item[name], keys.includes(name))));
    line.addEventListener("click", () => unfold(line, item, names.length));
    line.addEventListener("keydown", (event) => event.key === "Enter" && unfold(line, item, names.length));
    return line;
  });
  const grid = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  $("tables-items").replaceChildren(items.length ? grid : element("p", { className: "hint" }, "No items."));
}

function cell(value, key) {
  const words = value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
  return element("td", { className: key ? "key" : typeof value === "number" ? "number" : "" }, words.slice(0, 200));
}

function unfold(line, item, width) {
  if (line.nextElementSibling?.classList.contains("whole")) {
    line.nextElementSibling.remove();
    return;
  }
  line.after(element("tr", { className: "whole" }, element("td", { colSpan: width }, element("pre", {}, pretty(item)))));
}

function sort(name) {
  sorted = { name, down: sorted?.name === name ? !sorted.down : true };
  const sign = sorted.down ? -1 : 1;
  const rank = (value) => (typeof value === "number" ? value : JSON.stringify(value) ?? "");
  items.sort((one, other) => {
    const [first, second] = [rank(one[name]), rank(other[name])];
    if (typeof first !== typeof second) return typeof first === "number" ? -1 : 1;
    return first < second ? -sign : first > second ? sign : 0;
  });
  drawItems();
}

// ---- queues

async function queues() {
  const found = await ask("queues");
  const head = ["queue", "waiting", "in flight", "delayed", ""].map((name, number) =>
    element("th", { className: number ? "number" : "" }, name));
  const body = found.map((queue) => {
    const number = (count) => element("td", { className: count ? "number some" : "number" }, String(count));
    const last = element("td", {});
    const dead = queue.dead_letters_of.length > 0;
    if (dead) {
      const look = element("button", { type: "button", onclick: () => attempt(() => messages(queue.name)) }, "Look");
      last.append(`dead letters of ${queue.dead_letters_of.join(", ")} `, look);
    }
    return element("tr", { className: dead && queue.waiting ? "bad" : "" },
      element("td", { className: "key" }, queue.name), number(queue.waiting), number(queue.in_flight),
      number(queue.delayed), last);
  });
  const grid = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  $("queues-list").replaceChildren(found.length ? grid : element("p", { className: "hint" }, "The stack has no queues."));
}

async function messages(name) {
  const found = await ask(`queues/${encodeURIComponent(name)}`);
  const made = found.map((message) => element("details", { open: true },
    element("summary", {}, message.id), element("pre", {}, pretty(message))));
  $("queues-messages").replaceChildren(element("h3", {}, `${found.length} of ${name}`), ...made);
}

setInterval(() => {
  if (stack && !$("queues").hidden && !document.hidden) queues().catch(() => {});
}, 2000);

// ---- functions

export function prepare(name, event) {
  $("invoke-name").value = name;
  $("invoke-event").value = pretty(event);
  $("invoke-answer").textContent = "";
  $("invoke-event").focus();
}

async function invoke() {
  let event;
  try {
    event = JSON.parse($("invoke-event").value);
  } catch (error) {
    throw new Error(`The event is no JSON: ${error.message}`);
  }
  $("invoke-state").textContent = "running …";
  const began = performance.now();
  try {
    const result = await ask(`functions/${encodeURIComponent($("invoke-name").value)}`, { event });
    $("invoke-state").textContent = `${result.error ? "failed" : "returned"} after ${Math.round(performance.now() - began)} ms`;
    $("invoke-answer").textContent = result.error
      ? `${result.error}: ${result.message}\n${(result.trace ?? []).join("\n")}`
      : pretty(result.answer);
    $("invoke-answer").classList.toggle("failure", Boolean(result.error));
  } catch (error) {
    $("invoke-state").textContent = "";
    throw error;
  }
}

// ---- bill

async function bill() {
  const found = await ask("bill");
  $("bill-lines").replaceChildren(element("pre", {}, found.text ?? pretty(found)));
}

$("tables-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => read(null));
});
$("tables-name").addEventListener("change", () => {
  $("tables-key").value = "";
  keyed();
  attempt(() => read(null));
});
$("tables-next").addEventListener("click", () => attempt(() => read(next)));
$("invoke").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(invoke);
});
