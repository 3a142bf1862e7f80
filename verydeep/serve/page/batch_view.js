// A batch on the page: progress, summary, table, one image large, downloads.

import {Batch} from "./batch.js";
import {Detail} from "./detail.js";
import {bar, byId, counted, make, named, number, say, sayFault, tell} from "./elements.js";
import {csv, json, save} from "./download.js";
import {NONE, titles} from "./labels.js";
import {kindOf, Table} from "./table.js";
import {thumbnail} from "./shrink.js";

const SIDE = 48;  // of a thumbnail, in the page's pixels
const SPOKEN = 4;  // times that a screen reader hears of the progress
const CLASSES = 12;

export class BatchView {
  #classifier;
  #batch;
  #table;
  #detail;
  #drawing = null;
  #spoken = 0;
  #busy = "";

  constructor(classifier) {
    this.#classifier = classifier;
    this.#batch = new Batch((...work) => this.#classify(...work), (item) => this.#change(item));
    this.#table = new Table((item) => this.#detail.open(item));
    this.#detail = new Detail(() => this.#table.visible, (...wish) => classifier.explain(...wish));
    byId("stop").addEventListener("click", () => this.#batch.stop());
    byId("go-on").addEventListener("click", () => this.#goOn());
    byId("retry").addEventListener("click", () => this.#batch.retry());
    byId("classify-again").addEventListener("click", () => this.add([]));
    byId("clear").addEventListener("click", () => this.#clear());
    byId("save-csv").addEventListener("click", () => this.#save("csv", csv, "text/csv"));
    byId("save-json").addEventListener("click", () => this.#save("json", json, "application/json"));
  }

  get items() {
    return this.#batch.items;
  }

  add(items) {
    byId("many").hidden = false;
    this.#spoken = 0;
    this.#table.setHead(this.#classifier.chosen.multi_label);
    this.#table.add(items);
    this.#batch.add(items, this.#classifier.chosen);
  }

  #goOn() {
    say("");  // why it has stopped is over
    this.#batch.start();
  }

  // The user has chosen another model.
  chooseModel() {
    const {chosen} = this.#classifier;
    byId("other").hidden = this.#batch.model === null || this.#batch.model === chosen;
    byId("classify-again").textContent = `Classify again with ${chosen.name}`;
  }

  async #classify(item, model, signal) {
    item.thumbnail ??= await thumbnail(item.file, SIDE);
    this.#change(item);
    await this.#classifier.classify(item, model, signal, (seconds) => {
      this.#busy = `; the server is busy and asked again in ${Math.ceil(seconds)} s`;
      this.#change();
    });
    this.#busy = "";
  }

  // Rows change at once, the rest once for each picture of the screen.
  #change(item) {
    if (item) {
      this.#table.update(item);
      this.#detail.update(item);
    }
    this.#drawing ??= requestAnimationFrame(() => {
      this.#drawing = null;
      this.#draw();
    });
  }

  #draw() {
    const {items, running, finished} = this.#batch;
    byId("running").hidden = !running;
    byId("progress").max = Math.max(1, items.length);
    byId("progress").value = finished;
    byId("pace").textContent = `${finished} of ${items.length}${this.#pace()}${this.#busy}`;
    const left = items.length - finished;
    byId("rest").hidden = running || !left;
    byId("rest-text").textContent = `${counted(left, "image")} left.`;
    byId("retry").hidden = running || !items.some(({state}) => state === "fault");
    if (byId("shown").value !== "all") this.#table.draw();
    this.#drawCounts();
    this.chooseModel();
    this.#speak();
  }

  #pace() {
    const {finished, before, started} = this.#batch;
    const seconds = (performance.now() - started) / 1000;
    return seconds > 1 ? `, ${((finished - before) / seconds).toFixed(1)} images/s` : "";
  }

  #drawCounts() {
    const kinds = this.#batch.items.map(kindOf);
    const count = (kind) => kinds.filter((one) => one === kind).length;
    // Not of a model that always answers.
    const abstains = this.#batch.items.some(({image}) => typeof image?.abstained === "boolean");
    byId("abstains").hidden = !abstains;
    const unlabels = this.#batch.items.some(({image}) => image?.labels);
    byId("unlabels").hidden = !unlabels;
    const answered = unlabels ? "with labels" : "answered";
    byId("answers").textContent = answered;
    const figures = [["images", kinds.length], [answered, count("answered")],
      ...(abstains ? [["“I don’t know”", count("abstained")]] : []),
      ...(unlabels ? [[NONE, count("unlabelled")]] : []), ["faults", count("fault")]];
    byId("counts").replaceChildren(...figures.map(([name, value]) => make("div", {},
      make("dt", {text: name}), make("dd", {text: value.toLocaleString("en")}))));
    this.#drawClasses();
  }

  #drawClasses() {
    const found = new Map();
    for (const {image} of this.#batch.items) {
      if (image?.abstained) continue;
      for (const title of titles(image)) found.set(title, (found.get(title) ?? 0) + 1);
    }
    const order = [...found].sort((a, b) => b[1] - a[1]);
    byId("found").hidden = order.length < 2;
    const rest = order.length - CLASSES;
    byId("classes").replaceChildren(...order.slice(0, CLASSES).map(([title, count]) => {
      const row = make("span", {cssClass: "row"}, named(title), number(count.toLocaleString("en")));
      return make("li", {}, row, bar(count / order[0][1]));
    }), ...(rest > 0 ? [make("li", {text: `and ${counted(rest, "other")}`})] : []));
  }

  #speak() {
    const {items, running, finished} = this.#batch;
    if (!items.length) return;
    const part = running ? Math.floor((SPOKEN * finished) / items.length) : SPOKEN + 1;
    if (part <= this.#spoken) return;
    this.#spoken = part;
    if (running) tell(`${finished} of ${items.length} images.`);
    else if (finished === items.length) tell(`${counted(finished, "image")} done.`);
    else if (!this.#batch.fault) tell(`Stopped after ${finished} of ${items.length} images.`);
    else sayFault(this.#batch.fault);
  }

  #save(ending, write, type) {
    const {items, model} = this.#batch;
    const done = items.filter(({state}) => state === "done" || state === "fault");
    const about = done.find((item) => item.model)?.model ?? null;
    save(write(done, about), `${model.name}.${ending}`, type);
    say(`${counted(done.length, "image")} saved as ${ending.toUpperCase()}.`);
  }

  #clear() {
    this.#batch.clear();
    this.#table.clear();
    byId("many").hidden = true;
    say("The table is empty.");
    byId("files").focus();
  }
}
