// Elements of the page, and values as text.

export const byId = (id) => document.getElementById(id);

// A new element; `cssClass` and `text` are optional.
export function make(tag, {text, cssClass} = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (cssClass) element.className = cssClass;
  element.append(...children);
  return element;
}

// The name of a class: its direction of writing must not affect the text around it.
export const named = (text) => make("bdi", {text});

// The name of a file, which may be broken after its signs.
export function fileName(name) {
  const parts = name.split(/(?<=[/_.\s-])/);
  return make("bdi", {}, ...parts.flatMap((part) => [part, make("wbr")]));
}

// A probability, which is never said to be certain or impossible.
export function percent(probability) {
  if (probability > 0 && probability < 0.0005) return "< 0.1 %";
  if (probability < 1 && probability >= 0.9995) return "> 99.9 %";
  return `${(100 * probability).toFixed(1)} %`;
}

// A number with its unit, on one line.
export const number = (text) => make("span", {cssClass: "number", text});

// A bar of a share of the whole width, with a mark at a threshold if there is one.
export function bar(share, threshold = null) {
  const fill = make("span", {cssClass: "fill"});
  fill.style.width = `${100 * share}%`;
  if (threshold === null) return make("span", {cssClass: "bar"}, fill);
  const mark = make("span", {cssClass: "mark"});
  mark.style.left = `${100 * threshold}%`;
  const text = `, threshold ${percent(threshold)}`;
  return make("span", {cssClass: "bar"}, fill, mark, make("span", {cssClass: "unseen-text", text}));
}

export const counted = (count, noun, plural = `${noun}s`) =>
  `${count.toLocaleString("en")} ${count === 1 ? noun : plural}`;

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1)} MB`;

export function say(text) {
  byId("alert").textContent = "";
  byId("status").textContent = text;
}

// Tell a screen reader what others see elsewhere on the page.
export function tell(text) {
  byId("told").textContent = text;
}

export function sayFault(text) {
  byId("status").textContent = "";
  byId("alert").textContent = text;
}
