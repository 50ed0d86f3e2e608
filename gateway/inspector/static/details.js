// The pane of one line: what it did, over time and in words.

import { $, ask, date, duration, element, pretty, prettyText, size, toast } from "./dom.js";
import { waterfall } from "./waterfall.js";

const TITLES = {
  in: "Frame from", out: "Frame to", connect: "Connected", disconnect: "Closed", refused: "Refused", http: "HTTP",
  run: "Invocation", log: "Log", fault: "Fault",
};

let shown = 0;
let asked = 0;

export const current = () => shown;

// Show a row; again when it has changed. `use(function, event)` takes an event over to be sent by hand.
export async function show(row, now, use) {
  shown = row ? row.number : 0;
  const number = shown;
  const turn = ++asked;
  if (!row) {
    $("details").replaceChildren(element("p", { className: "hint" }, "Choose a line to see what it did."));
    return;
  }
  let trace;
  try {
    trace = await ask(`traces/${number}`);
  } catch (error) {
    toast(error.message);
    return;
  }
  // Another one was chosen meanwhile.
  if (turn !== asked) return;
  const open = new Set([...$("details").querySelectorAll("details[open]")].map((part) => part.dataset.name));
  const top = $("details").dataset.number === String(number) ? $("details").scrollTop : 0;
  $("details").dataset.number = number;
  $("details").replaceChildren(...parts(trace, row, now, use));
  for (const part of $("details").querySelectorAll("details")) {
    if (open.has(part.dataset.name)) part.open = true;
  }
  $("details").scrollTop = top;
}

function parts(trace, row, now, use) {
  const made = [heading(trace, row)];
  for (const run of trace.runs.filter((one) => one.error)) made.push(failure(run));
  const bars = waterfall(trace, now);
  if (bars) made.push(section("Over time", bars));
  if (trace.text && trace.kind !== "http") made.push(section("Text", code(prettyText(trace.text))));
  if (row.number !== trace.number) made.push(section(`This frame to ${row.connection.slice(0, 8)}`, code(prettyText(row.text))));
  const logs = trace.runs.flatMap((run) => run.logs.map((log) => ({ ...log, from: run.at })));
  if (logs.length) made.push(section("Log", output(logs)));
  if (trace.sent.length) made.push(section(`Sent (${trace.sent.length})`, sent(trace)));
  for (const run of trace.runs) made.push(...values(run, use));
  return made;
}

function heading(trace, row) {
  const facts = element("dl", { className: "facts" });
  const fact = (name, value) => {
    if (value) facts.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  };
  fact("at", date(trace.at));
  fact("took", duration(trace.duration));
  fact("size", trace.size ? size(trace.size) : "");
  fact("status", trace.status ? String(trace.status) : "");
  fact("connection", trace.connection);
  fact("request", trace.request);
  fact("api", trace.api);
  const what = { http: `${trace.route} ${trace.text}`, run: trace.functions.join(", ") }[trace.kind] ?? trace.route;
  const title = `${TITLES[trace.kind]} ${what || row.connection.slice(0, 8)}`;
  return element("header", {}, element("h2", {}, title), facts);
}

function failure(run) {
  return element("div", { className: "failure", role: "note" }, element("strong", {}, run.error), ` ${run.message}`);
}

function section(title, ...children) {
  return element("section", {}, element("h3", {}, title), ...children);
}

const code = (words) => element("pre", { tabIndex: 0 }, words);

function output(logs) {
  const box = element("pre", { className: "log", tabIndex: 0 });
  for (const log of logs) {
    log.lines.forEach((line, number) => {
      const offset = number ? "" : `+${Math.round((log.at - log.from) * 1000)}`;
      const level = log.fault ? "ERROR" : line.level ?? (/^\[ERROR\]|\tERROR\t/.test(log.lines[0].text) ? "ERROR" : "");
      box.append(
        element("span", { className: "offset" }, offset.padStart(6)),
        element("span", { className: `level ${level.toLowerCase()}` }, ` ${line.text}\n`),
      );
    });
  }
  return box;
}

function sent(trace) {
  const box = element("div", { className: "sent" });
  for (const frame of trace.sent.slice(0, 200)) {
    box.append(element("div", {},
      element("code", {}, frame.connection.slice(0, 8)), element("span", { className: "number" }, size(frame.size)),
      element("span", { className: "text" }, frame.text)));
  }
  if (trace.sent.length > 200) box.append(element("p", { className: "hint" }, `and ${trace.sent.length - 200} more`));
  return box;
}

function values(run, use) {
  const fold = (name, value) => element("details", { dataset: { name: `${name} ${run.id}` } },
    element("summary", {}, name, element("span", { className: "count" }, ` ${run.function}`)), code(pretty(value)));
  const again = element("button", { type: "button", onclick: () => use(run.function, run.payload) }, "Send this event again …");
  const event = fold("Event", run.payload);
  event.append(again);
  return run.duration === null || run.error ? [event] : [event, fold("Answer", run.answer)];
}
