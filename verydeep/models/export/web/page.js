"use strict";

const MOST_CLASSES = 10;
const LONGEST_RATIO = 100;
const SHOWN_SIDE = 480;

const byId = (id) => document.getElementById(id);
const facts = JSON.parse(byId("facts").textContent);

// The bytes of an embedded file; its text is then dropped.
function embedded(id) {
  const element = byId(id);
  const text = element.textContent.trim();
  element.remove();
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  return Uint8Array.from({length: letters.length}, (_, i) => letters.charCodeAt(i));
}

function say(text, fault = false) {
  const status = byId("status");
  status.textContent = text;
  status.classList.toggle("fault", fault);
}

// The worker, as a function from a message to a promise of its answer.
function startWorker() {
  const source = new Blob([byId("worker-text").textContent], {type: "text/javascript"});
  const worker = new Worker(URL.createObjectURL(source));
  const waiting = new Map();
  let count = 0;
  worker.onmessage = ({data}) => {
    const {done, failed} = waiting.get(data.number);
    waiting.delete(data.number);
    if (data.fault) failed(new Error(data.fault)); else done(data.value);
  };
  worker.onerror = (event) => {
    for (const {failed} of waiting.values()) failed(new Error(event.message || "cannot start"));
  };
  return (message, moved) => new Promise((done, failed) => {
    waiting.set(++count, {done, failed});
    worker.postMessage({...message, number: count}, moved);
  });
}

async function loadNet() {
  if (!window.DecompressionStream || !window.WebAssembly) {
    throw new Error("this browser is too old; use a current one");
  }
  const ask = startWorker();
  const [runtime, wasm, model] = ["ort-script", "ort-wasm", "model"].map(embedded);
  await ask({kind: "load", facts, runtime, wasm, model}, [wasm.buffer, model.buffer]);
  return ask;
}

// The pixels of an image file, upright, on white, without colour conversion.
async function decoded(file) {
  const options = {imageOrientation: "from-image", colorSpaceConversion: "none"};
  const image = await createImageBitmap(file, options).catch(() => {
    throw new Error("this browser cannot read it");
  });
  const {width, height} = image;
  if (Math.max(width, height) > LONGEST_RATIO * Math.min(width, height)) {
    throw new Error(`${width}×${height} is too thin`);
  }
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0);
  image.close();
  return {canvas, pixels: context.getImageData(0, 0, width, height)};
}

function showImage(canvas) {
  const ratio = Math.min(1, SHOWN_SIDE / Math.max(canvas.width, canvas.height));
  const shown = byId("shown");
  shown.width = Math.max(1, Math.round(canvas.width * ratio));
  shown.height = Math.max(1, Math.round(canvas.height * ratio));
  const context = shown.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(canvas, 0, 0, shown.width, shown.height);
}

function make(tag, {text, cssClass} = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (cssClass) element.className = cssClass;
  element.append(...children);
  return element;
}

function showRanking({probabilities, distance}) {
  const order = probabilities.map((p, label) => [p, label]);
  order.sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  const rows = order.slice(0, MOST_CLASSES).map(([p, label]) => {
    const bar = make("i");
    bar.style.width = `${100 * p}%`;
    const row = make("div", {cssClass: "row"}, make("bdi", {text: facts.classes[label]}),
      make("span", {cssClass: "number", text: `${(100 * p).toFixed(1)} %`}));
    const item = make("li", {}, row, make("div", {cssClass: "bar"}, bar));
    item.dataset.label = label;
    item.dataset.probability = p;
    if (facts.thresholds && p >= facts.thresholds[label]) {
      item.classList.add("predicted");
      item.dataset.predicted = "yes";
      row.lastChild.prepend(make("span", {cssClass: "mark", text: "✓ "}));
    }
    return item;
  });
  byId("ranking").classList.toggle("several", Boolean(facts.thresholds));
  byId("ranking").replaceChildren(...rows);
  byId("known").replaceChildren(...whatIsKnown(order, distance));
}

// What the net says of its own knowledge: "I don't know", and the classes that are possible.
function whatIsKnown(order, distance) {
  const lines = [];
  if (facts.limit !== null && !(distance <= facts.limit)) {
    const numbers = `distance ${distance.toPrecision(3)}, limit ${facts.limit.toPrecision(3)}`;
    lines.push(make("strong", {text: `I don’t know: unlike the training images (${numbers}).`}));
  } else if (facts.threshold !== null && order[0][0] < facts.threshold) {
    const needed = (100 * facts.threshold).toFixed(1);
    lines.push(make("strong", {text: `I don’t know: ${needed} % is needed for an answer.`}));
  }
  if (facts.possible !== null) {
    const names = order.filter(([p], place) => place === 0 || p >= facts.possible)
      .map(([, label]) => facts.classes[label]);
    lines.push(make("p", {text: `Possible at ${facts.coverage} % coverage: ${names.join(", ")}.`}));
  }
  return lines;
}

// Black, violet, orange, yellow: equal steps look equal, also to colour-blind eyes and in grey.
const ANCHORS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const COLOURS = Array.from({length: 256}, (_, value) => {
  const place = (value / 255) * (ANCHORS.length - 1);
  const below = Math.min(Math.floor(place), ANCHORS.length - 2);
  return ANCHORS[below].map((a, i) => a + (place - below) * (ANCHORS[below + 1][i] - a));
});

function drawMap(layer, {channel, mean, pixels}) {
  const canvas = make("canvas");
  canvas.width = layer.columns;
  canvas.height = layer.rows;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${layer.name}, channel ${channel}, mean ${mean.toFixed(3)}`);
  const context = canvas.getContext("2d");
  const image = context.createImageData(layer.columns, layer.rows);
  pixels.forEach((value, i) => image.data.set([...COLOURS[value], 255], 4 * i));
  context.putImageData(image, 0, 0);
  return make("figure", {}, canvas, make("figcaption", {text: `channel ${channel}`}));
}

function showLayers(layers) {
  const parts = layers.flatMap((layer) => {
    const size = `${layer.rows}×${layer.columns}`;
    const title = `${layer.name}: ${layer.channels.toLocaleString("en")} channels of ${size}`;
    const maps = layer.shown.map((one) => drawMap(layer, one));
    return [make("h3", {text: title}), make("div", {cssClass: "maps"}, ...maps)];
  });
  byId("layers").replaceChildren(...parts);
}

const net = loadNet();
net.then(
  () => say("Ready."),
  (error) => say(`The net cannot be loaded: ${error.message}.`, true));

let latest = 0;

async function classify(file) {
  const number = ++latest;
  try {
    say("Computing …");
    const {canvas, pixels} = await decoded(file);
    const ask = await net;
    const message = {
      kind: "classify", rgba: pixels.data, width: pixels.width, height: pixels.height,
    };
    const found = await ask(message, [pixels.data.buffer]);
    if (number !== latest) return;  // another image was given meanwhile
    byId("results").hidden = byId("maps").hidden = false;
    showImage(canvas);
    showRanking(found);
    showLayers(found.layers);
    say(`Done in ${(found.milliseconds / 1000).toFixed(2)} s.`);
    byId("how").textContent = `${pixels.width}×${pixels.height} pixels. ${facts.how}`;
  } catch (error) {
    if (number !== latest) return;
    byId("results").hidden = byId("maps").hidden = true;  // of the image before
    say(`This image cannot be used: ${error.message}.`, true);
  }
}

// Classify the first image among files, and say so if there is none.
function classifyFirst(files) {
  const file = [...files].find((one) => one.type.startsWith("image/")) || files[0];
  if (file) classify(file);
}

for (const id of ["file", "photo"]) {
  byId(id).addEventListener("change", ({target}) => {
    classifyFirst(target.files);
    target.value = "";  // the same file may be chosen again
  });
}

document.addEventListener("paste", (event) => classifyFirst(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  classifyFirst(event.dataTransfer.files);
});

function closeCamera() {
  const video = byId("video");
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  byId("live").hidden = true;
  byId("camera").focus();
}

byId("camera").addEventListener("click", async () => {
  if (!navigator.mediaDevices?.getUserMedia) {
    byId("photo").click();  // a phone's own camera
    return;
  }
  try {
    const wish = {video: {facingMode: "environment"}};
    byId("video").srcObject = await navigator.mediaDevices.getUserMedia(wish);
    byId("live").hidden = false;
    await byId("video").play();
    byId("take").focus();
  } catch (error) {
    const reason = error.message.replace(/\.$/, "");  // a sentence in some browsers
    say(`No camera can be used (${reason}); choose an image instead.`, true);
  }
});
byId("close").addEventListener("click", closeCamera);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !byId("live").hidden) closeCamera();
});
byId("take").addEventListener("click", () => {
  const video = byId("video");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  closeCamera();
  canvas.toBlob(classify, "image/png");
});
