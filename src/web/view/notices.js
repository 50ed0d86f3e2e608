// Who came and who went, one line for all who did so one after the other: in a large room it would be most of what is
// to be read.

import { t } from "../i18n.js";

const GATHERED = ["joined", "left"];
const NAMED = 3;

const gathered = new WeakMap(); // the last of several notices → what is shown for them: the same while they are the same

/** The same items, with several notices of a kind as one: {kind, key, names}. */
export function gather(items) {
  const shown = [];
  for (let at = 0; at < items.length;) {
    let end = at + 1;
    if (GATHERED.includes(items[at].kind)) while (items[end]?.kind === items[at].kind) end += 1;
    shown.push(end - at > 1 ? asOne(items.slice(at, end)) : items[at]);
    at = end;
  }
  return shown;
}

function asOne(notices) {
  const [{ key, kind }] = notices;
  const known = gathered.get(notices.at(-1));
  if (known?.key === key && known.count === notices.length) return known;
  const names = [...new Set(notices.map(({ name }) => name))];
  const one = { kind, key, names, count: notices.length };
  gathered.set(notices.at(-1), one);
  return one;
}

/** What a notice fills into its text: who it is about, and how many they are. */
export function subject({ name, names = [name] }) {
  const others = names.length > NAMED + 1 ? names.length - NAMED : 0;
  const named = others ? [...names.slice(0, NAMED), t("notice.others", { count: others })] : names;
  return { name: named, count: names.length };
}
