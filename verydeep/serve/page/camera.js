// Photographs by the device's camera, which is asked for only after a click.

import {byId, say, sayFault} from "./elements.js";

let facing = "environment";

function stop() {
  const video = byId("video");
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
}

function close() {
  stop();
  byId("live").hidden = true;
  byId("camera").focus();
}

async function start() {
  stop();
  const wish = {video: {facingMode: facing, width: {ideal: 1920}}};
  byId("video").srcObject = await navigator.mediaDevices.getUserMedia(wish);
  byId("live").hidden = false;
  await byId("video").play();
  const devices = await navigator.mediaDevices.enumerateDevices();
  byId("turn").hidden = devices.filter(({kind}) => kind === "videoinput").length < 2;
}

async function open() {
  try {
    await start();
    say("");
    byId("take").focus();
  } catch (error) {
    stop();
    const reason = error.message.replace(/\.$/, "");  // a sentence in some browsers
    sayFault(`No camera can be used (${reason}). Choose an image instead.`);
  }
}

function photograph() {
  const video = byId("video");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

// `give` is called with each photograph as [{name, file}].
export function useCamera(give) {
  byId("camera").addEventListener("click", () => {
    // Browsers lend a camera to safe addresses only; a phone can still take a photo as a file.
    if (navigator.mediaDevices?.getUserMedia) open();
    else byId("photo").click();
  });
  byId("turn").addEventListener("click", () => {
    facing = facing === "user" ? "environment" : "user";
    open();
  });
  byId("close-camera").addEventListener("click", close);
  byId("live").addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  byId("take").addEventListener("click", async () => {
    const file = await photograph();
    close();
    give([{name: "photo.png", file}]);
  });
}
