// What one frame or request did, as bars over time.

import { duration, element } from "./dom.js";

const MOST = 300;

function steps(whole) {
  // About five steps of 1, 2 or 5 times a power of ten.
  const rough = whole / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

// The lines of a trace: {label, title, from, to, kind, depth}; times in seconds since 1970.
export function lines(trace, now) {
  const found = [];
  const whole = trace.duration === null ? null : trace.at + trace.duration;
  if (!["run", "out", "log", "fault"].includes(trace.kind)) {
    const names = { in: `frame ${trace.route || "no route"}`, http: `${trace.route} ${trace.text}` };
    found.push({ label: names[trace.kind] ?? trace.kind, from: trace.at, to: whole ?? trace.at, kind: "request", depth: 0 });
  }
  const sent = (frame) => ({
    label: `← ${frame.connection.slice(0, 8)}`, title: frame.text, from: frame.at, to: frame.at, kind: "sent", depth: 2,
  });
  for (const run of trace.runs) {
    const ended = run.duration === null ? now : run.at + run.duration;
    if (run.init !== null) {
      const began = run.at - run.init;
      found.push({ label: `${run.function} starts`, from: began, to: run.at, kind: "init", depth: 1 });
    }
    found.push({
      label: run.function, title: run.error, from: run.at, to: ended, depth: 1, logs: run.logs,
      kind: run.error ? "failed" : run.duration === null ? "runs" : "run",
    });
    const parts = [
      ...run.calls.map((call) => ({
        label: `${call.operation} ${call.resource}`, title: `${call.service} ${call.status} ${call.error}`,
        from: call.at, to: call.at + call.duration, kind: call.status >= 400 ? "failed" : "call", depth: 2,
      })),
      ...run.posts.filter((post) => post.method !== "POST" || post.status >= 400).map((post) => ({
        label: `${post.method} ${post.connection.slice(0, 8)} ${post.status}`, title: post.connection,
        from: post.at, to: post.at, kind: post.status >= 400 ? "failed" : "sent", depth: 2,
      })),
      ...trace.sent.filter((frame) => frame.request === run.id).map(sent),
    ];
    found.push(...parts.sort((one, other) => one.from - other.from));
  }
  const own = new Set(trace.runs.map((run) => run.id));
  found.push(...trace.sent.filter((frame) => !own.has(frame.request)).map((frame) => ({ ...sent(frame), depth: 1 })));
  return found;
}

export function waterfall(trace, now) {
  const all = lines(trace, now);
  if (!all.length) return "";
  // A process that started may have done so long before; then its start is not what took the time.
  const began = Math.min(...all.map((line) => line.from));
  const whole = Math.max(...all.map((line) => line.to)) - began || 0.001;
  const span = whole * 1.02;
  const percent = (seconds) => `${Math.max(0, Math.min(100, (seconds / span) * 100)).toFixed(3)}%`;
  const box = element("div", { className: "waterfall", role: "table", ariaLabel: "Waterfall" });
  const axis = element("div", { className: "axis" });
  const step = steps(whole);
  for (let at = 0; at <= whole; at += step) {
    const tick = element("span", {}, at ? duration(at) : "0");
    tick.style.left = percent(at);
    axis.append(tick);
  }
  box.append(element("div", { className: "line head" }, element("span", { className: "label" }), axis));
  for (const line of all.slice(0, MOST)) {
    const taken = line.to - line.from;
    const bar = element("i", { className: `span is-${line.kind}` });
    bar.style.left = percent(line.from - began);
    bar.style.width = percent(taken);
    const words = taken ? duration(taken) : `+${duration(line.from - began)}`;
    const length = element("span", { className: "took" }, words);
    const end = (line.to - began) / span;
    if (end > 0.75) length.style.right = `calc(100% - ${percent(line.from - began)} + 5px)`;
    else length.style.left = `calc(${percent(line.to - began)} + 7px)`;
    if (end > 0.75 && (line.from - began) / span < 0.25) {
      length.classList.add("inside");
      length.style.right = "auto";
      length.style.left = `calc(${percent(line.from - began)} + 5px)`;
    }
    const area = element("span", { className: "area" }, bar, length);
    for (const log of (line.logs ?? []).slice(0, MOST)) {
      const mark = element("i", { className: log.fault ? "log fault" : "log", title: log.lines[0]?.text ?? "" });
      mark.style.left = percent(log.at - began);
      area.append(mark);
    }
    const label = element("span", { className: `label depth-${line.depth}`, title: `${line.label} ${line.title ?? ""}`.trim() }, line.label);
    box.append(element("div", { className: "line", role: "row", ariaLabel: `${line.label}, ${words}` }, label, area));
  }
  if (all.length > MOST) box.append(element("p", { className: "hint" }, `and ${all.length - MOST} more`));
  return box;
}
