// One image, large: its classes, the map of where the net looked, and the box of a class.

import {bar, byId, fileName, make, named, number, percent} from "./elements.js";
import {headline, isLabel} from "./labels.js";

function titleOfRanking(image) {
  if (image?.abstained) return "Most likely classes, not to be relied upon:";
  return image?.labels ? "Each class has a threshold, the mark on its bar:" : "";
}

export class Viewer {
  #item = null;
  #photo = null;  // address of the image on show
  #map = null;
  #asking = null;
  #chosen = 0;  // place in the ranking of the class whose map and box are on show
  #explain;

  // `explain(item, label, show, signal)` promises the map of a class as an image.
  constructor(place, explain) {
    place.replaceChildren(byId("viewer").content.cloneNode(true));
    this.root = place.firstElementChild;
    this.#explain = explain;
    this.#find("map-switch input").addEventListener("change", () => this.#drawMap());
    this.#find("opacity input").addEventListener("input", () => this.#fade());
    this.#find("box-switch input").addEventListener("change", () => this.#drawBox());
    this.#find("photo").addEventListener("error", () => this.#photoFails());
    this.#find("photo").addEventListener("load", () => this.#fitFrame());
  }

  #find(cssClass) {
    return this.root.querySelector(`.${cssClass}`);
  }

  // Show an item, or its newer state. An item that is on show keeps its image.
  show(item) {
    if (item !== this.#item) this.#setPhoto(item);
    this.#item = item;
    this.#chosen = 0;
    this.#find("name").replaceChildren(fileName(item.name));
    this.root.classList.toggle("abstained", Boolean(item.image?.abstained));
    this.root.classList.toggle("faulty", item.state === "fault");
    this.#write();
    this.#drawRanking();
    this.#drawControls();
    this.#drawBox();
    this.#drawMap();
  }

  // Forget the image, so that it costs nothing while nobody sees it.
  leave() {
    this.#asking?.abort();
    this.#dropMap();
    this.#find("photo").removeAttribute("src");
    URL.revokeObjectURL(this.#photo);
    this.#item = null;
  }

  #setPhoto(item) {
    URL.revokeObjectURL(this.#photo);
    this.#photo = URL.createObjectURL(item.file);
    this.#find("frame").classList.remove("blind");
    this.#find("unseen").hidden = true;
    this.#find("photo").hidden = false;
    this.#find("photo").src = this.#photo;
    this.#find("photo").alt = item.name;
  }

  #photoFails() {
    if (!this.#item) return;
    this.#find("frame").classList.add("blind");
    this.#find("photo").hidden = true;
    this.#find("unseen").hidden = false;
    this.#drawMap();
  }

  #fitFrame() {
    const {naturalWidth, naturalHeight} = this.#find("photo");
    const {style} = this.#find("frame");
    style.setProperty("--ratio", naturalWidth / naturalHeight);
    style.setProperty("--natural", `${naturalWidth}px`);
  }

  #write() {
    const {state, image, fault, note, seconds, model} = this.#item;
    const verdict = this.#find("verdict");
    const best = image?.ranking[0];
    if (state === "fault") verdict.replaceChildren("Cannot be classified");
    else if (!best) verdict.replaceChildren("Computing …");
    else if (image.abstained) verdict.replaceChildren("I don’t know");
    else verdict.replaceChildren(...headline(image));
    this.#find("reason").textContent = fault ?? (image?.abstained ? image.reason : null) ?? "";
    this.#find("ranking-title").textContent = titleOfRanking(image);
    this.#find("note").textContent = note ?? "";
    this.#find("how").textContent = best
      ? `${image.width}×${image.height} pixels, ${seconds.toFixed(2)} s, ${model.name}` : "";
    this.#writeSet(image?.set ?? null);
  }

  #writeSet(set) {
    const place = this.#find("set");
    place.replaceChildren();
    if (set === null) return;
    const titles = new Map(this.#item.image.ranking.map((one) => [one.class, one.title]));
    const names = set.map((one) => make("span", {cssClass: "chip"}, named(titles.get(one) ?? one)));
    const {abstained, coverage} = this.#item.image;
    const promised = (coverage ?? null) === null ? "the promised coverage" : `${coverage} % coverage`;
    // What is promised is promised for images of these classes.
    const text = `Set of classes with ${promised}${abstained ? ", if the image is of one of them" : ""}:`;
    place.append(make("span", {text}),
      ...(names.length ? names : ["empty"]));
  }

  #drawRanking() {
    const {image} = this.#item;
    const ranking = image?.ranking ?? [];
    const maps = this.#item.explains || image?.boxes?.length;
    this.#find("ranking").classList.toggle("several", Boolean(image?.labels));
    this.#find("ranking").replaceChildren(...ranking.map((one, place) => {
      const row = make(maps ? "button" : "div", {cssClass: "class"},
        make("span", {cssClass: "row"}, named(one.title),
          number(percent(one.probability))),
        bar(one.probability, one.threshold));
      row.classList.toggle("label", isLabel(image, one));
      if (maps) this.#makeChoice(row, place);
      return make("li", {}, row);
    }));
  }

  #makeChoice(button, place) {
    button.type = "button";
    button.setAttribute("aria-pressed", place === this.#chosen);
    button.addEventListener("click", () => this.#choose(place));
  }

  #choose(place) {
    this.#chosen = place;
    this.root.querySelectorAll("button.class").forEach((button, i) => {
      button.setAttribute("aria-pressed", i === place);
    });
    if (this.#item.explains) this.#find("map-switch input").checked = true;
    this.#drawBox();
    this.#drawMap();
  }

  #drawControls() {
    const {image, explains} = this.#item;
    this.#find("map-switch").hidden = !image?.ranking.length || !explains;
    this.#find("box-switch").hidden = !image?.boxes?.length;
  }

  #drawBox() {
    const place = this.#find("boxes");
    place.replaceChildren();
    const {image} = this.#item;
    const best = image?.ranking[this.#chosen];
    const found = image?.boxes?.find((one) => one.class === best?.class && one.box);
    if (!found || !this.#find("box-switch input").checked) return;
    const [x0, y0, x1, y1] = found.box;
    const box = make("div", {cssClass: "box"}, make("span", {}, named(best.title)));
    const share = (value, whole) => `${(100 * value) / whole}%`;
    Object.assign(box.style, {
      left: share(x0, image.width), top: share(y0, image.height),
      width: share(x1 - x0, image.width), height: share(y1 - y0, image.height),
    });
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", `Box of ${best.title}: ${found.box.map(Math.round).join(", ")}`);
    place.append(box);
  }

  // The image fades to grey as the map appears, so that only the map has colours.
  #fade() {
    const opacity = this.#map ? this.#find("opacity input").value / 100 : 0;
    this.#find("map").style.opacity = opacity;
    this.#find("photo").style.filter = `grayscale(${opacity})`;
  }

  #dropMap() {
    URL.revokeObjectURL(this.#map);
    this.#map = null;
    this.#find("map").hidden = this.#find("opacity").hidden = true;
    this.#find("map").removeAttribute("src");
    this.#find("map-state").textContent = "";
    this.#fade();
  }

  async #drawMap() {
    this.#asking?.abort();
    this.#dropMap();
    const best = this.#item.image?.ranking[this.#chosen];
    if (!best || this.#find("map-switch").hidden || !this.#find("map-switch input").checked) return;
    const asking = this.#asking = new AbortController();
    const state = this.#find("map-state");
    state.textContent = "Computing the map …";
    try {
      const show = this.#find("photo").hidden ? "overlay" : "map";
      const blob = await this.#explain(this.#item, best.class, show, asking.signal);
      if (asking.signal.aborted) return;
      this.#showMap(blob, best.title);
    } catch (error) {
      if (!asking.signal.aborted) state.textContent = `There is no map: ${error.message}`;
    }
  }

  #showMap(blob, title) {
    const map = this.#find("map");
    this.#map = URL.createObjectURL(blob);
    map.src = this.#map;
    map.alt = `Map of where the net looked for ${title}`;
    map.hidden = this.#find("opacity").hidden = false;
    this.#find("map-state").textContent = `Grad-CAM: the brighter a place, the more it raises the score of ${title}.`;
    this.#fade();
  }
}
