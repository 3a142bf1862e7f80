// What the answer for an image names: its likeliest class, or the labels of a multi-label model.

import {named, number, percent} from "./elements.js";

export const NONE = "none of the classes";

// Classes in a ranking.
export const RANKED = 5;

const isSeveral = (image) => Array.isArray(image?.labels);

// Whether a ranked class is a label of the image.
export const isLabel = (image, one) => isSeveral(image) && image.labels.includes(one.class);

// The titles of the labels, or of the likeliest class; empty without an answer.
export function titles(image) {
  const ranked = isSeveral(image)
    ? image.ranking.filter((one) => isLabel(image, one)) : (image?.ranking ?? []).slice(0, 1);
  return ranked.map(({title}) => title);
}

// The titles as elements, separated by commas.
export function names(image) {
  const found = titles(image).flatMap((title) => [", ", named(title)]).slice(1);
  return found.length ? found : [NONE];
}

// The answer in a line: several classes have no probability together.
export function headline(image) {
  const said = names(image);
  return isSeveral(image) ? said : [...said, " ", number(percent(image.ranking[0].probability))];
}

// Whether a multi-label model gives an image no label.
export const isUnlabelled = (image) => isSeveral(image) && !image.labels.length;

// A ranking for the page: the likeliest classes, and labels beyond them.
export function shownRanking(image) {
  return image.ranking.filter((one, place) => place < RANKED || isLabel(image, one));
}
