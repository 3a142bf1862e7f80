// Rescaling with the triangle filter that Pillow's BILINEAR is: 8-bit pixels, weights in fixed point
// with 22 fractional bits, first along rows, then along columns, rounded in between (very tall images
// the other way round).
const FRACTION = 2 ** 22;

// Nearest integer; halves go to the even one, as Python's round().
function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

// Width and height of an image whose smallest side becomes `scale`.
function rescaledSize(width, height, scale) {
  const longer = Math.max(
    scale, roundHalfEven((Math.max(width, height) * scale) / Math.min(width, height)));
  return height <= width ? [longer, scale] : [scale, longer];
}

// For each output place: first input place and fixed-point weights of those from there on.
function triangleWeights(from, to) {
  const ratio = from / to;
  const reach = Math.max(ratio, 1);
  const all = [];
  for (let place = 0; place < to; place++) {
    const center = (place + 0.5) * ratio;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(from, Math.trunc(center + reach + 0.5));
    const weights = new Float64Array(end - first);
    let sum = 0;
    for (let i = 0; i < weights.length; i++) {
      const distance = Math.abs((i + first - center + 0.5) * (1 / reach));
      weights[i] = distance < 1 ? 1 - distance : 0;
      sum += weights[i];
    }
    const fixed = new Int32Array(weights.length);
    for (let i = 0; i < fixed.length; i++) {
      fixed[i] = Math.trunc(0.5 + (sum ? weights[i] / sum : weights[i]) * FRACTION);
    }
    all.push([first, fixed]);
  }
  return all;
}

// Resample one axis. `pixels` are (outer, from, inner) values; the result is (outer, to, inner).
function resampleAxis(pixels, outer, from, to, inner) {
  if (from === to) return pixels;
  const result = new Uint8ClampedArray(outer * to * inner);
  const all = triangleWeights(from, to);
  for (let o = 0; o < outer; o++) {
    for (let place = 0; place < to; place++) {
      const [first, weights] = all[place];
      const target = (o * to + place) * inner;
      for (let i = 0; i < inner; i++) {
        let sum = FRACTION / 2;
        let source = (o * from + first) * inner + i;
        for (let w = 0; w < weights.length; w++, source += inner) {
          sum += pixels[source] * weights[w];
        }
        result[target + i] = Math.floor(sum / FRACTION);
      }
    }
  }
  return result;
}

// RGB values (height, width, 3) of RGBA ones.
function withoutAlpha(rgba) {
  const rgb = new Uint8ClampedArray((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return rgb;
}

// RGB image with its smallest side brought to `scale`: {pixels, width, height}.
function rescale(rgb, width, height, scale) {
  const [newWidth, newHeight] = rescaledSize(width, height, scale);
  let pixels;
  if (newHeight < height && height > 2 * width) {  // Pillow 13 takes these columns first
    const columns = resampleAxis(rgb, 1, height, newHeight, width * 3);
    pixels = resampleAxis(columns, newHeight, width, newWidth, 3);
  } else {
    const rows = resampleAxis(rgb, height, width, newWidth, 3);
    pixels = resampleAxis(rows, 1, height, newHeight, newWidth * 3);
  }
  return {pixels, width: newWidth, height: newHeight};
}

// Mirror image of RGB values, left to right.
function mirrored(pixels, width, height) {
  const result = new Uint8ClampedArray(pixels.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * 3;
      const to = (y * width + width - 1 - x) * 3;
      result[to] = pixels[from];
      result[to + 1] = pixels[from + 1];
      result[to + 2] = pixels[from + 2];
    }
  }
  return result;
}
