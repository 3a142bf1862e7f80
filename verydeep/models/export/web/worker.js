// The net in a thread of its own. The functions of resize.js stand before this text. A page that was
// opened from a file may start only workers that are no modules; those may import one.

const SHOWN_CHANNELS = 12;
const SMALLEST = 2 ** -126;  // the smallest normal float32
const SHORTEST = 1e-12;  // length that features are divided by at least

let ort = null;
let session = null;
let facts = null;

async function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function load(message) {
  facts = message.facts;
  const runtime = new Blob([await unpacked(message.runtime)], {type: "text/javascript"});
  ort = await import(URL.createObjectURL(runtime));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = (await unpacked(message.wasm)).buffer;
  ort.env.logLevel = "error";
  const model = await unpacked(message.model);
  session = await ort.InferenceSession.create(model, {executionProviders: ["wasm"]});
}

// Mean of scores (1, K, h, w) over the positions.
function meanScores(scores) {
  const [, classes, rows, columns] = scores.dims;
  const positions = rows * columns;
  return Array.from({length: classes}, (_, label) => {
    let sum = 0;
    for (let i = label * positions; i < (label + 1) * positions; i++) sum += scores.data[i];
    return sum / positions;
  });
}

function softmax(scores) {
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function sigmoid(scores) {
  return scores.map((score) => 1 / (1 + Math.exp(-score)));
}

// The sums of equally long lists of numbers.
function sums([first, ...others]) {
  return Array.from(first, (value, i) => others.reduce((sum, one) => sum + one[i], value));
}

// The distance from the training images: one minus the cosine of the views' mean features to the
// nearest mean of a class. Projections are scalar products with these means, which have length one.
function distanceOf(views) {
  const features = sums(views.map((found) => found.features.data));
  const projections = sums(views.map((found) => found.projections.data));
  const length = Math.sqrt(features.reduce((sum, value) => sum + value * value, 0));
  return 1 - Math.max(...projections) / Math.max(length, SHORTEST);
}

async function run(pixels, width, height, outputs) {
  const values = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.length);
  const images = new ort.Tensor("uint8", values, [1, height, width, 3]);
  return session.run({images}, outputs);
}

// Means of the channels of a map (1, C, h, w).
function channelMeans(map) {
  const [, channels, rows, columns] = map.dims;
  const size = rows * columns;
  return Array.from({length: channels}, (_, channel) => {
    let sum = 0;
    for (let i = channel * size; i < (channel + 1) * size; i++) sum += map.data[i];
    return sum / size;
  });
}

// The strongest channels of a layer, as values from 0 to 255, which is their largest.
function strongest(name, map) {
  const [, channels, rows, columns] = map.dims;
  const order = channelMeans(map).map((mean, channel) => ({mean, channel}));
  order.sort((a, b) => b.mean - a.mean || a.channel - b.channel);
  const size = rows * columns;
  const shown = order.slice(0, SHOWN_CHANNELS);
  const values = shown.map(({channel}) => map.data.subarray(channel * size, (channel + 1) * size));
  const largest = Math.max(1e-30, ...values.map((one) => one.reduce((a, b) => Math.max(a, b), 0)));
  shown.forEach((one, i) => { one.pixels = Uint8Array.from(values[i], (v) => (255 * v) / largest); });
  return {name: name.split(".").pop(), channels, rows, columns, shown};
}

async function classify(message) {
  const start = performance.now();
  const rgb = withoutAlpha(message.rgba);
  const activation = facts.thresholds ? sigmoid : softmax;
  const usual = facts.limit === null ? ["scores"] : ["scores", "features", "projections"];
  const views = [];
  let layers = [];
  for (const [index, scale] of facts.scales.entries()) {
    const {pixels, width, height} = rescale(rgb, message.width, message.height, scale);
    const found = await run(pixels, width, height, index === 0 ? [...usual, ...facts.layers] : usual);
    if (index === 0) layers = facts.layers.map((name) => strongest(name, found[name]));
    views.push(found);
    if (facts.flip) views.push(await run(mirrored(pixels, width, height), width, height, usual));
  }
  const answers = views.map((found) => activation(meanScores(found.scores)));
  const total = sums(answers).map((p) => p / views.length);
  const probabilities = facts.temperature
    ? softmax(total.map((p) => Math.log(Math.max(p, SMALLEST)) / facts.temperature)) : total;
  const distance = facts.limit === null ? null : distanceOf(views);
  return {probabilities, distance, layers, milliseconds: performance.now() - start};
}

self.onmessage = async ({data}) => {
  try {
    const value = data.kind === "load" ? await load(data) : await classify(data);
    self.postMessage({kind: data.kind, number: data.number, value});
  } catch (error) {
    self.postMessage({kind: data.kind, number: data.number, fault: String(error.message || error)});
  }
};
