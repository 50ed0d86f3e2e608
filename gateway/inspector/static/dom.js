// Elements, and how values are written.

export const $ = (id) => document.getElementById(id);

// element("td", {className: "x"}, "text", other): text is never taken for markup.
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "dataset") Object.assign(made.dataset, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

export const text = (node, value) => {
  if (node.textContent !== value) node.textContent = value;
};

const two = (number) => String(number).padStart(2, "0");

export function time(seconds, parts = 3) {
  const moment = new Date(seconds * 1000);
  const clock = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join(":");
  return parts ? `${clock}.${String(moment.getMilliseconds()).padStart(3, "0")}` : clock;
}

export function date(seconds) {
  const moment = new Date(seconds * 1000);
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} ${time(seconds, 0)}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(2)} s`;
  return age(seconds);
}

export function age(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(Math.floor(seconds % 60))}s`;
  return `${Math.floor(seconds / 3600)}h ${two(Math.floor((seconds % 3600) / 60))}m`;
}

export const size = (bytes) => (bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} KB`);

export function pretty(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

export function prettyText(value) {
  try {
    const parsed = JSON.parse(value);
    return typeof parsed === "object" && parsed !== null ? JSON.stringify(parsed, null, 2) : value;
  } catch {
    return value;
  }
}

let hide = 0;

export function toast(words) {
  const box = $("toast");
  box.textContent = words;
  box.classList.add("on");
  clearTimeout(hide);
  hide = setTimeout(() => box.classList.remove("on"), 4000);
}

// Ask the gateway; raises Error with its words.
export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(path, options);
  const words = await response.text();
  if (!response.ok) {
    let message = words;
    try {
      message = JSON.parse(words).message ?? words;
    } catch {
      // It is no JSON: the words themselves.
    }
    throw new Error(message || `HTTP status ${response.status}`);
  }
  return JSON.parse(words);
}

// Do what may fail, and say so.
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    toast(error.message);
    return undefined;
  }
}
