// Requests to the server. A busy server is asked again when it says so; a token is asked of the
// user when the server wants one; everything else that goes wrong is a Fault with a message.

export class Fault extends Error {}

// The server does not answer, whatever is asked.
export class Unreachable extends Fault {}

const KEY = "verydeep-token";
const UNREADY_TRIES = 10;

let token = stored();
let asking = null;
let askUser = null;

function stored() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;  // a browser that keeps nothing
  }
}

export const hasToken = () => token !== null;

export function setToken(value) {
  token = value;
  try {
    if (value === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, value);
  } catch { /* kept for this page only */ }
}

// `ask` is called when the server wants a token, with whether it refused one; it promises another.
export function onTokenWanted(ask) {
  askUser = ask;
}

// Ask once, however many requests wait for it. `used` is what the refused request brought.
async function renewToken(used) {
  if (token !== used) return;  // another request has asked meanwhile
  asking ??= askUser(used !== null).then(setToken).finally(() => { asking = null; });
  await asking;
}

function pause(seconds, signal) {
  return new Promise((done, failed) => {
    const timer = setTimeout(done, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      failed(signal.reason);
    }, {once: true});
  });
}

// Seconds to wait, from a header that holds seconds or a date.
export function retryAfter(header) {
  const seconds = Number(header ?? 1);
  if (Number.isFinite(seconds)) return Math.max(0.1, seconds);
  const until = (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(until) ? Math.max(0.1, until) : 1;
}

// What a refusal says: {code, message}.
async function reasonOf(response) {
  try {
    return (await response.json()).error;
  } catch {
    return {message: `The server answers ${response.status} ${response.statusText}.`};
  }
}

// Whether the server will take the request later: it is busy or loads its models; it may also be
// short of something for a while.
function isForLater({status}, {code}, tries) {
  return status === 429 || (status === 503 && (code === "loading" || tries < UNREADY_TRIES));
}

// One response, once the server takes the request. `onBusy` hears the seconds of each wait.
async function answered(path, {method = "GET", body, signal, onBusy} = {}) {
  for (let tries = 1; ; tries++) {
    const used = token;
    const headers = used === null ? {} : {Authorization: `Bearer ${used}`};
    // Never the file's own type: one that calls itself JSON would be taken for a request in JSON.
    if (body) headers["Content-Type"] = "application/octet-stream";
    let response;
    try {
      response = await fetch(path, {method, body, signal, headers, cache: "no-store"});
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new Unreachable("The server cannot be reached.");
    }
    if (response.ok) return response;
    if (response.status === 401) {
      await renewToken(used);
      continue;
    }
    const reason = await reasonOf(response);
    if (!isForLater(response, reason, tries)) throw new Fault(reason.message);
    const seconds = retryAfter(response.headers.get("Retry-After"));
    onBusy?.(seconds);
    await pause(seconds, signal);
  }
}

export async function models(onBusy) {
  return (await answered("v1/models", {onBusy})).json();
}

// The answer for one image: {model, image, seconds}.
export async function predict(blob, {model, top, signal, onBusy}) {
  const query = new URLSearchParams({model, top});
  const response = await answered(`v1/predict?${query}`, {method: "POST", body: blob, signal, onBusy});
  const {images: [image], ...rest} = await response.json();
  return {...rest, image};
}

// A PNG that shows which parts of an image raise the score of a class: as a transparent map of the
// image's shape, or as an overlay, the map on the image.
export async function explain(blob, {model, label, show, signal}) {
  const query = new URLSearchParams({model, class: label, show});
  const response = await answered(`v1/explain?${query}`, {method: "POST", body: blob, signal});
  return response.blob();
}

// The names of a model's classes.
export async function classNames(model) {
  const response = await answered(`v1/models/${encodeURIComponent(model)}`);
  return (await response.json()).class_names;
}
