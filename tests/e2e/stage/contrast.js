// The contrast of a text with what it stands on: for what axe cannot tell, because of a gradient or what lies over it.
// What its elements draw is blended, from the root on; of a gradient each colour counts, and the worst pair holds.

const COLOUR = /rgba?\([^)]*\)|color\(srgb [^)]*\)/g;

const read = (text) => {
  const numbers = text.match(/[\d.]+(?:e-?\d+)?/g).map(Number);
  const [red, green, blue, alpha = 1] = numbers;
  const scale = text.startsWith("rgb") ? 255 : 1;
  return { channels: [red, green, blue].map((value) => value / scale), alpha };
};

const over = (above, below) => above.channels.map((value, i) => value * above.alpha + below[i] * (1 - above.alpha));

const luminance = (channels) => {
  const [red, green, blue] = channels.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};

const ratio = (one, other) => {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
};

/** Whether a text of `node` has the contrast that WCAG 2.2 asks for (1.4.3); → null, or what it has. */
export const tooFaint = (node) => {
  const style = getComputedStyle(node);
  const clips = style.backgroundClip === "text";
  let grounds = [[1, 1, 1]];
  const chain = [];
  for (let each = clips ? node.parentElement : node; each; each = each.parentElement) chain.unshift(each);
  for (const each of chain) {
    const { backgroundColor, backgroundImage } = getComputedStyle(each);
    grounds = grounds.map((ground) => over(read(backgroundColor), ground));
    const stops = backgroundImage.match(COLOUR)?.map(read) ?? [];
    grounds = [...grounds, ...stops.flatMap((stop) => grounds.map((ground) => over(stop, ground)))];
  }
  const letters = clips ? style.backgroundImage.match(COLOUR).map(read) : [read(style.color)];
  const size = parseFloat(style.fontSize);
  const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
  const has = Math.min(...letters.flatMap((letter) => grounds.map((ground) => ratio(over(letter, ground), ground))));
  return has < needed ? `${has.toFixed(2)} of ${needed}` : null;
};
