// The table of a batch: a row for each image, in the order that the user wants.

import {bar, byId, fileName, make, named, percent} from "./elements.js";

const order = new Intl.Collator("en", {numeric: true});
const best = (item) => item.image?.ranking[0];

const KEYS = {
  name: (a, b) => order.compare(a.name, b.name),
  class: (a, b) => order.compare(best(a)?.title ?? "\uffff", best(b)?.title ?? "\uffff"),
  probability: (a, b) => (best(a)?.probability ?? 2) - (best(b)?.probability ?? 2),
};

export function kindOf({state, image}) {
  if (state === "done") return image.abstained ? "abstained" : "answered";
  return state;
}

export class Table {
  #rows = new Map();
  #open;
  #items = [];

  // `open(item)` is called when the user wants to see an item large.
  constructor(open) {
    this.#open = open;
    byId("shown").addEventListener("change", () => this.#rows.forEach((_, item) => this.#hide(item)));
    for (const button of document.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => this.#sort(button));
    }
  }

  // The items as the table shows them: sorted, those that the filter leaves.
  get visible() {
    return this.#items.filter((item) => !this.#rows.get(item).hidden);
  }

  update(item) {
    if (!this.#rows.has(item)) this.#add(item);
    const row = this.#rows.get(item);
    row.className = kindOf(item);
    row.replaceChildren(row.firstElementChild, ...cells(item));
    if (item.thumbnail) this.#picture(row, item.thumbnail);
    this.#hide(item);
  }

  #add(item) {
    const picture = make("span", {cssClass: "thumbnail"});
    const button = make("button", {cssClass: "open"}, picture, fileName(item.name));
    button.type = "button";
    button.addEventListener("click", () => this.#open(item));
    const head = make("th", {}, button);
    head.scope = "row";
    const row = make("tr", {}, head);
    this.#rows.set(item, row);
    this.#items.push(item);
    byId("rows").append(row);
  }

  #picture(row, address) {
    const place = row.querySelector(".thumbnail");
    if (place.firstChild) return;
    const image = make("img");
    image.alt = "";
    image.src = address;
    place.append(image);
  }

  #hide(item) {
    const wanted = byId("shown").value;
    this.#rows.get(item).hidden = wanted !== "all" && wanted !== kindOf(item);
  }

  #sort(button) {
    const head = button.parentElement;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const compare = KEYS[button.dataset.sort];
    this.#items.sort((a, b) => (down ? compare(b, a) : compare(a, b)));
    byId("rows").append(...this.#items.map((item) => this.#rows.get(item)));
  }

  clear() {
    for (const {thumbnail} of this.#items) if (thumbnail) URL.revokeObjectURL(thumbnail);
    this.#items = [];
    this.#rows.clear();
    byId("rows").replaceChildren();
  }
}

function cells(item) {
  const top = best(item);
  if (!top) {
    const text = {waiting: "waiting", running: "computing …"}[item.state] ?? item.fault;
    const cell = make("td", {cssClass: "words state", text});
    cell.colSpan = 2;
    return [cell];
  }
  const name = make("td", {cssClass: "words"}, named(top.title));
  if (item.image.abstained) name.append(make("span", {cssClass: "badge", text: "I don’t know"}));
  if (item.note) name.append(make("span", {cssClass: "badge plain", text: "made smaller"}));
  return [name, make("td", {text: percent(top.probability)}, bar(top.probability))];
}
