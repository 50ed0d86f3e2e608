// Small helpers for the document. Other people's words go in as text only: there is no innerHTML in this page.

export const $ = (id) => document.getElementById(id);

/** Makes an element: {class, text, testid, label (aria-label)} and any other attribute; false and null leave it out. */
export function element(tag, { class: className, text, testid, label, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  if (testid) made.dataset.testid = testid;
  if (label) made.setAttribute("aria-label", label);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export const button = (properties, ...children) => element("button", { type: "button", ...properties }, ...children);

/** Writes only what differs: a live region reads out what is written. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** What is wrong with what stands in a field, as an error for attempt(). */
export const wrong = (field, message) => Object.assign(new Error(message), { field });

/**
 * Runs what a form or a button asks for, once at a time, and says there what went wrong: where the error names a field
 * (by its id), one is taken there.
 */
export async function attempt(trigger, errors, action, say) {
  if (trigger.ariaDisabled === "true") return;
  trigger.ariaDisabled = "true";
  errors.textContent = "";
  for (const field of trigger.form?.elements ?? []) field.removeAttribute("aria-invalid");
  try {
    await action();
  } catch (error) {
    errors.textContent = say(error);
    if (error.field) mark($(error.field));
  } finally {
    trigger.ariaDisabled = "false";
  }
}

function mark(field) {
  field.ariaInvalid = "true";
  field.focus();
  field.select();
}

/** A colour for a person: one of the six in base.css. */
export function hueOf(person) {
  let sum = 0;
  for (const character of person) sum = (sum * 31 + character.codePointAt(0)) % 9_973;
  return `hue-${sum % 6}`;
}

/** The first letter of a name, as people see letters. */
export function initialOf(name) {
  const [first] = new Intl.Segmenter().segment(name);
  return first?.segment.toLocaleUpperCase() ?? "";
}

export const avatar = (name) => element("span", { class: "avatar", "aria-hidden": "true", text: initialOf(name) });
