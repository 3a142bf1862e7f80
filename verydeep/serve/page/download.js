// The answers of a batch as files.

// Text that spreadsheets would take for a formula; it gets an apostrophe in front, as in every CSV
// file of verydeep.
const FORMULA = /^'*(?:[\t\r\n]|\s*[=+\-@＝＋－＠])/;

function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const edges = ["x0", "y0", "x1", "y1"];

// CSV with a header and a row for each image: its classes in descending order, boxes if there are
// any, whether the model abstained and why, its set of classes, and what was at fault.
export function csv(items) {
  const images = items.map(({image}) => image);
  const places = Math.max(0, ...images.map((image) => image?.ranking.length ?? 0));
  const boxed = images.some((image) => image?.boxes?.length);
  const columns = ["class", "probability", ...(boxed ? edges : [])];
  const numbers = Array.from({length: places}, (_, place) => place);
  const head = ["file", ...numbers.flatMap((place) => columns.map((one) => `${one}_${place + 1}`)),
    "abstained", "reason", "set", "fault"];
  const rows = items.map(({name, image, fault}) => {
    const ranked = numbers.flatMap((place) => {
      const one = image?.ranking[place];
      const box = image?.boxes?.find((other) => other.class === one?.class)?.box ?? [];
      return [one?.class, one?.probability, ...(boxed ? edges.map((_, i) => box[i]) : [])];
    });
    return [name, ...ranked, image?.abstained, image?.reason, image?.set?.join(" "), fault];
  });
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
