// The images of the table, large, one after another.

import {byId} from "./elements.js";
import {Viewer} from "./viewer.js";

export class Detail {
  #items = () => [];
  #item = null;
  #viewer;

  // `items()` are those to leaf through; `explain` as for a Viewer.
  constructor(items, explain) {
    this.#items = items;
    this.#viewer = new Viewer(byId("detail-view"), explain);
    byId("previous").addEventListener("click", () => this.#leaf(-1));
    byId("next").addEventListener("click", () => this.#leaf(1));
    byId("close-detail").addEventListener("click", () => byId("detail").close());
    byId("detail").addEventListener("close", () => this.#leave());
    // Not of the dialog: once a focused button is disabled, or clicked in Safari, keys go to the body.
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  open(item) {
    this.#show(item);
    byId("detail").showModal();
  }

  // Show the newer state of an item, if it is the one on show.
  update(item) {
    if (item === this.#item) this.#show(item);
  }

  #show(item) {
    this.#item = item;
    const items = this.#items();
    const place = items.indexOf(item);
    byId("place").textContent = `${place + 1} of ${items.length}`;
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place + 1 >= items.length;
    this.#keepFocus();
    this.#viewer.show(item);
  }

  // A button that is disabled loses the focus, at once or later.
  #keepFocus() {
    const buttons = [byId("next"), byId("previous")];
    if (!buttons.includes(document.activeElement) || !document.activeElement.disabled) return;
    (buttons.find(({disabled}) => !disabled) ?? byId("close-detail")).focus();
  }

  #leaf(step) {
    const items = this.#items();
    const next = items[items.indexOf(this.#item) + step];
    if (next) this.#show(next);
  }

  #press(event) {
    if (!this.#item || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.matches("input")) return;  // arrows move the slider
    if (event.key === "ArrowLeft") this.#leaf(-1);
    if (event.key === "ArrowRight") this.#leaf(1);
  }

  #leave() {
    this.#item = null;
    this.#viewer.leave();
  }
}
