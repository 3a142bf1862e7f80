// The models that the server offers, and what they say of an image.

import {byId} from "./elements.js";
import {explain, Fault, models, predict, Unreachable} from "./server.js";
import {RANKED, shownRanking} from "./labels.js";
import {fitting} from "./shrink.js";

const MOST_TOP = 1000;  // of the server

export class Classifier {
  #models = [];
  #limits = null;

  // Ask what there is; `changed` is called when the user chooses another model.
  async load(changed, onBusy) {
    const offered = await models(onBusy);
    this.#models = offered.models;
    this.#limits = offered.limits;
    const choice = byId("models");
    choice.replaceChildren(...this.#models.map(({name}) =>
      new Option(name, name, name === offered.default, name === offered.default)));
    choice.addEventListener("change", changed);
    byId("choose-model").hidden = !this.several;
  }

  get several() {
    return this.#models.length > 1;
  }

  get chosen() {
    return this.#models[byId("models").selectedIndex];
  }

  // Fill in an item: its answer, or what is at fault. Throws if it is aborted, or if the server
  // cannot be reached.
  async classify(item, model, signal, onBusy) {
    try {
      const {blob, note} = await fitting(item.file, this.#limits);
      signal.throwIfAborted();
      const top = model.multi_label ? Math.min(model.classes, MOST_TOP) : RANKED;
      const {image, ...rest} = await predict(blob, {model: model.name, top, signal, onBusy});
      signal.throwIfAborted();
      image.ranking = shownRanking(image);
      const {fault} = image;
      Object.assign(item, rest, {note, image, fault, explains: model.explains,
        state: fault ? "fault" : "done"});
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof Unreachable) throw error;
      if (!(error instanceof Fault)) console.error(error);
      Object.assign(item, {image: null, fault: error.message, state: "fault"});
    }
  }

  // A PNG of what raises the score of a class.
  async explain(item, label, show, signal) {
    const {blob} = await fitting(item.file, this.#limits);
    return explain(blob, {model: item.model.name, label, show, signal});
  }
}
