// Images from a drop, the clipboard and file choosers, as [{name, file}].

import {byId} from "./elements.js";

const ENDINGS = /\.(avif|bmp|gif|heic|heif|jpe?g|jp2|png|ppm|pgm|tiff?|webp)$/i;
const order = new Intl.Collator("en", {numeric: true});

const isImage = (file) => file.type.startsWith("image/") || ENDINGS.test(file.name);

function readEntries(reader) {
  return new Promise((done, failed) => reader.readEntries(done, failed));
}

function fileOf(entry) {
  return new Promise((done, failed) => entry.file(done, failed));
}

// All files below an entry of a drop.
async function below(entry, path = "") {
  if (entry.isFile) return [{name: path + entry.name, file: await fileOf(entry)}];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await readEntries(reader);  // at most a hundred each time
    if (!some.length) return found;
    for (const one of some) found.push(...await below(one, `${path}${entry.name}/`));
  }
}

async function dropped(transfer) {
  // Entries are to be had only before the first wait.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return chosen(transfer.files);
  const all = [];
  for (const entry of entries) all.push(...await below(entry));
  return all;
}

const chosen = (files) =>
  [...files].map((file) => ({name: file.webkitRelativePath || file.name, file}));

// The images among the files of a folder. What was named one by one is sent whatever it is: the
// server says what is wrong with it.
function imagesOf(all) {
  const named = all.length === 1 || !all.some(({name}) => name.includes("/"));
  const kept = named ? all : all.filter(({file}) => isImage(file));
  return kept.sort((a, b) => order.compare(a.name, b.name));
}

// `give(images, skipped)` is called with what the user brings; `none(reason)` when it is no file.
export function listen(give, none) {
  const hand = (all) => {
    const images = imagesOf(all);
    if (images.length) give(images, all.length - images.length);
    else if (all.length) none("There are no images in this folder.");
  };
  if (!("webkitdirectory" in byId("folder"))) byId("folder").parentElement.hidden = true;
  for (const id of ["files", "folder", "photo"]) {
    byId(id).addEventListener("change", ({target}) => {
      hand(chosen(target.files));
      target.value = "";  // the same file may be chosen again
    });
  }
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("input, textarea")) return;
    const all = chosen(event.clipboardData.files);
    if (all.length) hand(all);
    else none("The browser pastes no image here. Save it as a file, then drop or choose the file.");
  });
  listenToDrops(hand, none);
}

function listenToDrops(hand, none) {
  const drop = byId("drop");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    try {
      const all = await dropped(event.dataTransfer);
      if (all.length) hand(all);
      else none("That was no file. Save the image first, then drop the file.");
    } catch (error) {
      none(`The folder cannot be read: ${error.message}`);
    }
  });
}
