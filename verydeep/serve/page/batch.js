// Many images, a few requests at a time.

const LANES = 4;

export class Batch {
  items = [];
  model = null;
  started = 0;  // when the run that goes on, or the last one, began
  before = 0;  // items that were finished then
  fault = null;  // why the last run has stopped by itself
  #classify;
  #changed;
  #run = null;

  // `classify(item, model, signal)` fills in an item. It throws if it is aborted, or if no item can
  // be classified, which stops the run: the items are not at fault.
  // `changed(item)` hears of each change; of the run as a whole, without an item.
  constructor(classify, changed) {
    this.#classify = classify;
    this.#changed = changed;
  }

  get running() {
    return this.#run !== null;
  }

  get finished() {
    return this.items.filter(({state}) => state === "done" || state === "fault").length;
  }

  // Add items. All are classified by one model: with another one, everything is done anew.
  add(items, model) {
    if (this.model !== model) this.#reset(model);
    this.items.push(...items);
    this.start();
  }

  #reset(model) {
    this.stop();
    this.model = model;
    for (const item of this.items) this.#renew(item);
  }

  start() {
    if (!this.running) {
      this.#run = {controller: new AbortController(), lanes: 0};
      this.started = performance.now();
      this.before = this.finished;
      this.fault = null;
    }
    const run = this.#run;
    const free = LANES - run.lanes;
    run.lanes = LANES;
    for (let i = 0; i < free; i++) this.#lane(run);
    this.#changed();
  }

  async #lane(run) {
    const {signal} = run.controller;
    for (let item; (item = this.#next(signal)); ) {
      item.state = "running";
      this.#changed(item);
      try {
        await this.#classify(item, this.model, signal);
      } catch (error) {
        if (!signal.aborted) this.stop(error.message);
        return;
      }
      this.#changed(item);
    }
    run.lanes--;
    if (run.lanes || this.#run !== run) return;
    this.#run = null;
    this.#changed();
  }

  #next(signal) {
    return signal.aborted ? null : this.items.find(({state}) => state === "waiting");
  }

  // Classify those again that were at fault.
  retry() {
    for (const item of this.items) if (item.state === "fault") this.#renew(item);
    this.start();
  }

  #renew(item) {
    Object.assign(item, {state: "waiting", image: null, fault: null, note: null});
    this.#changed(item);
  }

  stop(fault = null) {
    if (!this.running) return;
    this.fault = fault;
    this.#run.controller.abort(new DOMException("Stopped", "AbortError"));
    this.#run = null;
    for (const item of this.items) {
      if (item.state !== "running") continue;
      item.state = "waiting";
      this.#changed(item);
    }
    this.#changed();
  }

  clear() {
    this.stop();
    this.items = [];
    this.model = null;
    this.#changed();
  }
}
