// The page's language: its messages, and how it writes times, sizes and lists. English is complete; another language's
// file may lack a text, and English stands in. A new language is one file in messages/ and one line here.

import english from "./messages/en.js";

export const LANGUAGES = { en: "English", de: "Deutsch" };
const RIGHT_TO_LEFT = ["ar", "fa", "he", "ur"];
const KEY = "fleeting:language";

export let language = "en";
let messages = english;

/** The language that was chosen here or, without one, the first of the browser's that there is. */
export function preferred() {
  let chosen;
  try {
    chosen = localStorage.getItem(KEY);
  } catch { /* storage is forbidden: the browser's list decides */ }
  const wanted = [chosen, ...navigator.languages].filter(Boolean).map((code) => code.split("-")[0].toLowerCase());
  return wanted.find((code) => code in LANGUAGES) ?? "en";
}

/** Loads a language's messages and puts them into the document; `remember` keeps it for the next visit. */
export async function use(code, { remember = false } = {}) {
  messages = code === "en" ? english : { ...english, ...(await import(`./messages/${code}.js`)).default };
  language = code;
  if (remember) {
    try {
      localStorage.setItem(KEY, code);
    } catch { /* forgotten */ }
  }
  document.documentElement.lang = code;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(code) ? "rtl" : "ltr";
  translate(document);
}

/** The text of `key`; {name} in it is replaced by values.name, and values.count chooses among plural forms. */
export function t(key, values = {}) {
  return pieces(key, values).join("");
}

/**
 * The same as nodes; each value in a <bdi>, so that a name's direction does not turn the sentence around. A value may be
 * an array: it is a list then.
 */
export function nodes(key, values = {}) {
  return pieces(key, values).flatMap((piece, index) => {
    if (index % 2 === 0) return piece;
    if (!Array.isArray(piece)) return isolated(piece);
    const parts = new Intl.ListFormat(language).formatToParts(piece);
    return parts.map(({ type, value }) => (type === "element" ? isolated(value) : value));
  });
}

function isolated(text) {
  const made = document.createElement("bdi");
  made.textContent = text;
  return made;
}

/** Even pieces are the message's own, odd ones the values. */
function pieces(key, values) {
  const message = messages[key];
  if (message === undefined) throw new Error(`There is no message ${key}`);
  const form = typeof message === "string" ? message : pluralOf(message, values.count);
  return form.split(/\{(\w+)\}/).map((piece, index) => {
    if (index % 2 === 0) return piece;
    const value = values[piece];
    if (Array.isArray(value)) return value;
    return typeof value === "number" ? value.toLocaleString(language) : String(value ?? "");
  });
}

const pluralOf = (forms, count) => forms[new Intl.PluralRules(language).select(count)] ?? forms.other;

export const has = (key) => key in messages;

/** What went wrong, in a sentence: by its code if there is a text for it, else as the server put it. */
export function sentence({ code, message, retry_after: seconds }) {
  if (code === "too_many" && seconds) return t("error.too_many_wait", { count: Math.ceil(seconds) });
  return has(`error.${code}`) ? t(`error.${code}`) : message || t("error.other");
}

/** Fills what the HTML marks: data-t is an element's text, data-t-x its attribute x. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const [data, attribute] of [["tLabel", "aria-label"], ["tPlaceholder", "placeholder"], ["tTitle", "title"]]) {
    const marked = `[data-${data.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}]`;
    for (const element of root.querySelectorAll(marked)) element.setAttribute(attribute, t(element.dataset[data]));
  }
}

// The language as it is used where the reader lives: British clocks have 24 hours, American ones twelve.
const region = () => navigator.languages.find((code) => code.split("-")[0].toLowerCase() === language) ?? language;

export const clock = (at) => new Date(at).toLocaleTimeString(region(), { timeStyle: "short" });

/** The day and the time, in full. */
export const moment = (at) => new Date(at).toLocaleString(region(), { dateStyle: "full", timeStyle: "medium" });

/** Today, yesterday, or the day's name and date. */
export function day(at) {
  const date = new Date(at);
  const days = Math.round((new Date().setHours(12, 0, 0, 0) - new Date(at).setHours(12, 0, 0, 0)) / 86_400_000);
  if (days > 1) return date.toLocaleDateString(region(), { weekday: "long", day: "numeric", month: "long" });
  const text = new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(-days, "day");
  return text.charAt(0).toLocaleUpperCase(language) + text.slice(1);
}

export function size(bytes) {
  const power = bytes < 1_000 ? 0 : bytes < 1e6 ? 1 : 2;
  const unit = ["byte", "kilobyte", "megabyte"][power];
  const amount = bytes / 1_000 ** power;
  return amount.toLocaleString(language, { style: "unit", unit, maximumFractionDigits: amount < 10 ? 1 : 0 });
}

export const list = (names) => new Intl.ListFormat(language).format(names);

/** What is left of a room's time, as a clock or, from a day on, in days and hours. */
export function timeLeft(seconds) {
  const days = Math.floor(seconds / 86_400);
  const [hours, minutes, rest] = [seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60].map(Math.floor);
  if (days) return t("time.days", { days, hours });
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
