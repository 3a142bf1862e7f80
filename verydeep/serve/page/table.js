// The table of a batch: a row for each image, in the order that the user wants, a hundred at a time.

import {bar, byId, fileName, make, percent} from "./elements.js";
import {isUnlabelled, names, titles} from "./labels.js";

const ROWS = 100;

const order = new Intl.Collator("en", {numeric: true});
const best = (item) => item.image?.ranking[0];
const answerOf = (item) => (best(item) ? titles(item.image).join(", ") : "\uffff");

const KEYS = {
  name: (a, b) => order.compare(a.name, b.name),
  class: (a, b) => order.compare(answerOf(a), answerOf(b)),
  probability: (a, b) => (best(a)?.probability ?? 2) - (best(b)?.probability ?? 2),
};

export function kindOf({state, image}) {
  if (state !== "done") return state;
  if (image.abstained) return "abstained";
  return isUnlabelled(image) ? "unlabelled" : "answered";
}

export class Table {
  #items = [];
  #rows = new Map();
  #first = 0;
  #open;

  // `open(item)` is called when the user wants to see an item large.
  constructor(open) {
    this.#open = open;
    byId("shown").addEventListener("change", () => this.#turnTo(0));
    byId("earlier").addEventListener("click", () => this.#turnTo(this.#first - ROWS));
    byId("later").addEventListener("click", () => this.#turnTo(this.#first + ROWS));
    for (const button of document.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => this.#sort(button));
    }
  }

  // Head the columns for a model of one class per image, or of several labels.
  setHead(multiLabel) {
    const [words, probability] = multiLabel
      ? ["Labels", "Highest probability"] : ["Most likely class", "Probability"];
    document.querySelector("[data-sort=class]").textContent = words;
    document.querySelector("[data-sort=probability]").textContent = probability;
  }

  // The items that the filter leaves, in the order of the table.
  get visible() {
    const wanted = byId("shown").value;
    return wanted === "all" ? this.#items : this.#items.filter((one) => kindOf(one) === wanted);
  }

  add(items) {
    this.#items.push(...items);
    this.draw();
  }

  // Show the newer state of an item, if it has a row now.
  update(item) {
    const row = this.#rows.get(item);
    if (row) fill(row, item);
  }

  // Show the rows that ought to be there; those that stay keep their focus.
  draw() {
    const items = this.visible;
    const shown = items.slice(this.#first, this.#first + ROWS);
    const rows = new Map(shown.map((item) => [item, this.#rows.get(item) ?? this.#makeRow(item)]));
    const place = byId("rows");
    const wanted = [...rows.values()];
    const same = wanted.length === place.children.length
      && wanted.every((row, i) => row === place.children[i]);
    if (!same) place.replaceChildren(...wanted);
    this.#rows = rows;
    this.#drawPager(items.length, shown.length);
  }

  #drawPager(all, shown) {
    byId("pager").hidden = all <= ROWS && this.#first === 0;
    byId("part").textContent = shown
      ? `${this.#first + 1}–${this.#first + shown} of ${all.toLocaleString("en")}` : "none here";
    byId("earlier").disabled = this.#first === 0;
    byId("later").disabled = this.#first + ROWS >= all;
  }

  #turnTo(first) {
    this.#first = Math.max(0, first);
    this.draw();
  }

  #makeRow(item) {
    const button = make("button", {cssClass: "open"}, make("span", {cssClass: "thumbnail"}),
      fileName(item.name));
    button.type = "button";
    button.addEventListener("click", () => this.#open(item));
    const head = make("th", {}, button);
    head.scope = "row";
    const row = make("tr", {}, head);
    fill(row, item);
    return row;
  }

  #sort(button) {
    const head = button.parentElement;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const compare = KEYS[button.dataset.sort];
    this.#items.sort((a, b) => (down ? compare(b, a) : compare(a, b)));
    this.#turnTo(0);
  }

  clear() {
    for (const {thumbnail} of this.#items) if (thumbnail) URL.revokeObjectURL(thumbnail);
    this.#items = [];
    byId("shown").value = "all";
    this.#turnTo(0);
  }
}

function fill(row, item) {
  row.className = kindOf(item);
  while (row.lastElementChild !== row.firstElementChild) row.lastElementChild.remove();
  row.append(...cells(item));
  const place = row.querySelector(".thumbnail");
  if (!item.thumbnail || place.firstChild) return;
  const image = make("img");
  image.alt = "";
  image.src = item.thumbnail;
  place.append(image);
}

function cells(item) {
  const top = best(item);
  if (!top) {
    const text = {waiting: "waiting", running: "computing …"}[item.state] ?? item.fault;
    const cell = make("td", {cssClass: "words state", text});
    cell.colSpan = 2;
    return [cell];
  }
  const name = make("td", {cssClass: "words"}, ...names(item.image));
  if (item.image.abstained) name.append(make("span", {cssClass: "badge", text: "I don’t know"}));
  if (item.note) name.append(make("span", {cssClass: "badge plain", text: "made smaller"}));
  return [name, make("td", {text: percent(top.probability)}, bar(top.probability))];
}
