// The answers of a batch as files.

import {RANKED, titles} from "./labels.js";

// Text that spreadsheets would take for a formula; it gets an apostrophe in front, as in every CSV
// file of verydeep.
const FORMULA = /^'*(?:[\t\r\n]|\s*[=+\-@＝＋－＠])/;

function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const EDGES = ["x0", "y0", "x1", "y1"];
const ABSTAINED = {true: "yes", false: "no"};

// Cells of a class: title, probability and, if there are any boxes, its box.
function classCells(image, place, boxed) {
  const one = image?.ranking[place];
  const box = image?.boxes?.find((other) => other.class === one?.class)?.box ?? [];
  return [one?.title, one?.probability, ...(boxed ? EDGES.map((_, i) => box[i]) : [])];
}

// The labels of a multi-label model.
const labelCell = (image) => (image?.labels ? titles(image).join("|") : null);

// Cells for what the model says of its own knowledge.
function decisionCells(image) {
  const titles = new Map(image?.ranking.map((one) => [one.class, one.title]));
  const set = image?.set?.map((one) => titles.get(one) ?? one);
  return [ABSTAINED[image?.abstained], image?.reason, set?.join("|")];
}

// CSV with the columns of `verydeep predict --csv`, and the faults of images that have any.
export function csv(items) {
  const images = items.map(({image}) => image);
  const boxed = images.some((image) => image?.boxes?.length);
  const decides = images.some((image) => typeof image?.abstained === "boolean" || image?.set);
  const several = images.some((image) => image?.labels);
  const columns = ["class", "probability", ...(boxed ? EDGES : [])];
  // A label beyond the likeliest classes has no column of its own.
  const ranked = (image) => Math.min(image?.ranking.length ?? 0, image?.labels ? RANKED : Infinity);
  const most = Math.max(0, ...images.map(ranked));
  const places = Array.from({length: most}, (_, place) => place);
  const head = ["file", ...places.flatMap((place) => columns.map((one) => `${one}_${place + 1}`)),
    ...(several ? ["labels"] : []), ...(decides ? ["abstained", "reason", "set"] : []), "fault"];
  const rows = items.map(({name, image, fault}) => [
    name, ...places.flatMap((place) => classCells(image, place, boxed)),
    ...(several ? [labelCell(image)] : []), ...(decides ? decisionCells(image) : []), fault]);
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

// The answers as the server gave them, under the names of the files.
export function json(items, model) {
  const images = items.map(({name, image, fault}) => ({...(image ?? {fault}), name}));
  return `${JSON.stringify({model, images}, null, 1)}\n`;
}

export function save(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
