// Images within the server's limits: smaller ones of those that are too large.

import {megabytes} from "./elements.js";
import {Fault} from "./server.js";

const QUALITY = 0.92;
const ATTEMPTS = 6;

// Width and height of an image as it is shown, from its header; null if the browser cannot read it.
function sizeOf(blob) {
  const address = URL.createObjectURL(blob);
  const image = new Image();
  return new Promise((done) => {
    image.onload = () => done({width: image.naturalWidth, height: image.naturalHeight});
    image.onerror = () => done(null);
    image.src = address;
  }).finally(() => URL.revokeObjectURL(address));
}

// A JPEG of a given size, upright, on white.
async function jpeg(blob, width, height) {
  const options = {resizeWidth: width, resizeHeight: height, resizeQuality: "high"};
  const image = await createImageBitmap(blob, options);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0);
  image.close();
  return canvas.convertToBlob({type: "image/jpeg", quality: QUALITY});
}

async function reduced(blob, size, limits) {
  let ratio = Math.min(1, Math.sqrt(limits.max_pixels / (size.width * size.height)));
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const width = Math.max(1, Math.floor(size.width * ratio));
    const height = Math.max(1, Math.floor(size.height * ratio));
    const smaller = await jpeg(blob, width, height);
    if (smaller.size <= limits.max_bytes) return {blob: smaller, width, height};
    ratio *= 0.9 * Math.sqrt(limits.max_bytes / smaller.size);
  }
  throw new Error("it stays too large");
}

// {blob, note}: an image to send, and a note if it is not the file itself.
// `limits` are the server’s: max_bytes, max_pixels.
export async function fitting(file, limits) {
  const size = await sizeOf(file);
  const large = size && size.width * size.height > limits.max_pixels;
  if (file.size <= limits.max_bytes && !large) return {blob: file, note: null};
  const rule = large
    ? `at most ${limits.max_pixels.toLocaleString("en")} pixels` : `at most ${megabytes(limits.max_bytes)}`;
  try {
    if (!size) throw new Error("unreadable here");
    const {blob, width, height} = await reduced(file, size, limits);
    const change = `${size.width}×${size.height} to ${width}×${height} pixels`;
    return {blob, note: `Made smaller before it was sent, from ${change}: the server takes ${rule}.`};
  } catch {
    throw new Fault(`Too large: the server takes ${rule}, and this browser cannot make it smaller.`);
  }
}

// Address of a small copy for the table; null if the browser cannot read the image.
export async function thumbnail(file, side) {
  try {
    const full = await sizeOf(file);
    const ratio = Math.min(1, (2 * side) / Math.min(full.width, full.height));
    const [width, height] = [full.width, full.height].map((n) => Math.max(1, Math.round(n * ratio)));
    return URL.createObjectURL(await jpeg(file, width, height));
  } catch {
    return null;
  }
}
