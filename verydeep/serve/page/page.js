// The page of the server: what the user brings is classified, one image large, many in a table.

import {BatchView} from "./batch_view.js";
import {useCamera} from "./camera.js";
import {Classifier} from "./classifier.js";
import {byId, counted, make, named, say, sayFault} from "./elements.js";
import {listen} from "./inputs.js";
import {classNames, hasToken} from "./server.js";
import {useToken} from "./token.js";
import {Viewer} from "./viewer.js";

const classifier = new Classifier();
const viewer = new Viewer(byId("one"), (...wish) => classifier.explain(...wish));
const many = new BatchView(classifier);

let ready = null;
let one = null;  // the image that is on show alone
let asking = null;

const newItem = ({name, file}) =>
  ({name, file, state: "waiting", image: null, fault: null, note: null});

async function classifyOne(item) {
  asking?.abort();
  const {signal} = asking = new AbortController();
  one = item;
  item.state = "running";
  say("");
  byId("one").hidden = false;
  byId("drop").classList.add("compact");
  viewer.show(item);
  byId("one").scrollIntoView({block: "nearest"});
  try {
    await classifier.classify(item, classifier.chosen, signal, (seconds) => {
      say(`The server is busy; it is asked again in ${Math.ceil(seconds)} s.`);
    });
  } catch (error) {
    if (signal.aborted) return;  // another image was given meanwhile
    Object.assign(item, {image: null, fault: error.message, state: "fault"});
  }
  say("");
  viewer.show(item);
}

function leaveOne() {
  asking?.abort();
  viewer.leave();
  byId("one").hidden = true;
  one = null;
}

// An image alone is shown large; several, and one more beside a table, go to the table.
async function give(images, skipped = 0) {
  await ready;
  const items = images.map(newItem);
  if (items.length === 1 && !many.items.length) {
    await classifyOne(items[0]);
    return;
  }
  leaveOne();
  byId("drop").classList.add("compact");
  say(skipped ? `${counted(skipped, "file")} of the folder left out: no images.` : "");
  many.add(items);
}

function writeFacts() {
  const {name, net, classes, calibrated, multi_label, version} = classifier.chosen;
  const about = [`net ${net}`, counted(classes, "class", "classes"),
    multi_label ? "several labels per image, or none"
      : calibrated ? "calibrated probabilities" : "probabilities are not calibrated",
    `version ${version.slice(0, 8)}`];
  byId("facts").replaceChildren(...(classifier.several ? [] : [make("b", {}, named(name)), " · "]),
    about.join(" · "));
  const address = new URL("v1/predict", location.href);
  if (classifier.several) address.searchParams.set("model", name);
  const token = hasToken() ? '-H "Authorization: Bearer $TOKEN" ' : "";
  byId("command").textContent = `curl ${token}-F "image=@photo.jpg" "${address}"`;
}

async function writeClasses() {
  byId("names").replaceChildren();
  if (!byId("class-names").open) return;
  const {name} = classifier.chosen;
  try {
    const names = await classNames(name);
    if (name !== classifier.chosen.name) return;
    byId("names").replaceChildren(...names.map(({title}) => make("li", {}, named(title))));
  } catch (error) {
    sayFault(error.message);
  }
}

function changeModel() {
  writeClasses();
  writeFacts();
  many.chooseModel();
  if (one) classifyOne(one);
}

// Ask for the models; a server that cannot be reached can be asked again.
async function load() {
  byId("again").hidden = true;
  say("Asking the server …");
  try {
    await classifier.load(changeModel, () => say("The server is loading its models …"));
    byId("model").hidden = byId("program").hidden = false;
    writeFacts();
    say("");
  } catch (error) {
    sayFault(error.message);
    byId("again").hidden = false;
    await new Promise((done) => byId("again").addEventListener("click", done, {once: true}));
    await load();
  }
}

useToken();
listen(give, sayFault);
useCamera(give);
byId("class-names").addEventListener("toggle", writeClasses);
byId("host").textContent = location.host;
ready = load();
