// Shows one value by what it is: a label, labels, a text with its doubts, a number or a ranking.

import { element, label, line, percent } from "./elements.js";

/** The most bars of one answer. */
const BARS = 5;

/** The most labels that nearly made it. */
const NEARLY = 4;

/** A value longer than this is prose and set smaller. */
const PROSE = 28;

/** A word below this probability is one that the model doubts. */
const DOUBT = 0.7;

/** The most doubtful words that are named. */
const NAMED = 3;

/** The most ranks that are listed. */
const RANKS = 10;

/** The most numbers of an embedding that are shown. */
const NUMBERS = 6;

const WRITTEN = ["generate", "transcribe", "language_model"];

/** A script that sets no spaces between words, so that tokens are not joined to words. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]/u;

/** The block of one output; `named` says whether its name is seen or only read out. */
export function outputBlock(name, output, task, named) {
  const heading = element("h2", { class: named ? null : "unseen" }, label(name));
  return element("div", { class: "output", "data-output": name }, heading, ...parts(output, task));
}

/** How sure the model is, in words; none where it does not say. */
export function sureness({ value, probability, tokens = [] }) {
  if (tokens.length > 1) return `${percent(mean(tokens))} sure per token`;
  const single = typeof value === "string" || typeof value === "number";
  return single && probability != null ? `${percent(probability)} probability` : null;
}

function parts(output, task) {
  const { value, tokens = [] } = output;
  if (value == null) return [element("p", { class: "value prose none" }, "No answer")];
  if (task === "embed") return [element("p", { class: "value vector" }, vector(value))];
  if (task === "rank" && (Array.isArray(value) || output.top?.length > 0)) return ranking(output);
  if (Array.isArray(value)) return labels(output);
  if (typeof value === "string" && (WRITTEN.includes(task) || tokens.length > 0)) return text(output);
  return single(output);
}

/** The first few numbers of an embedding, and how many there are. */
function vector(numbers) {
  const first = numbers.slice(0, NUMBERS).map((number) => number.toFixed(4));
  return `${first.join(", ")}${numbers.length > NUMBERS ? `, … (${numbers.length} numbers)` : ""}`;
}

/** A label or a number, with the likeliest others as bars. */
function single(output) {
  const shown = line(output.value);
  const isProse = shown.length > PROSE;
  const large = element("p", { class: isProse ? "value prose" : "value" }, shown);
  const { top = [] } = output;
  return [large, ...sure(output), ...(top.length > 1 ? [bars(top.slice(0, BARS), "Likeliest answers")] : [])];
}

function sure(output) {
  const words = sureness(output);
  return words ? [element("p", { class: "sure" }, words)] : [];
}

/** Labels as chips, each with its share; below them those that nearly made it. */
function labels({ value, top = [] }) {
  const share = (one) => top.find((other) => other.value === one)?.probability;
  const given = value.map((one) => chip(one, share(one), "given"));
  const empty = element("li", { class: "none" }, "None of the labels");
  const nearly = top.filter((one) => !value.includes(one.value)).slice(0, NEARLY);
  const blocks = [element("ul", { class: "value tags", "aria-label": "Labels" }, ...(given.length ? given : [empty]))];
  if (nearly.length) {
    const chips = nearly.map((one) => chip(one.value, one.probability, "nearly"));
    const caption = element("span", { "aria-hidden": "true" }, "Not chosen");
    blocks.push(element("div", { class: "nearly" }, caption, element("ul", { class: "tags", "aria-label": "Not chosen" }, ...chips)));
  }
  return blocks;
}

function chip(value, probability, kind) {
  const parts = [element("span", { class: "name" }, line(value))];
  if (probability != null) parts.push(element("span", { class: "share" }, percent(probability)));
  return element("li", { class: kind }, ...parts);
}

/** Candidates in order, the best first. */
function ranking({ value, top = [] }) {
  const share = (one) => top.find((other) => other.value === one)?.probability;
  const order = Array.isArray(value) ? value : top.map((one) => one.value);
  const rows = order.slice(0, RANKS).map((one) => {
    const name = element("span", { class: "name" }, line(one));
    const probability = share(one);
    return element("li", {}, name, ...(probability == null ? [] : [element("span", { class: "share" }, percent(probability))]));
  });
  return [element("ol", { class: "value ranking", "aria-label": "From the best to the worst" }, ...rows)];
}

/** A written text whose uncertain words are paler and underlined; the same is said in a sentence. */
function text(output) {
  const { value, tokens = [] } = output;
  if (!value.trim()) return [element("p", { class: "value prose none" }, "Nothing was written")];
  const words = aligned(value, tokens);
  const short = value.length <= PROSE && tokens.length < 2;
  const shown = element("p", { class: short ? "value" : "value prose" }, ...words.map(word));
  return [shown, ...sure(output), ...doubts(words)];
}

function word({ text, probability }) {
  if (probability == null) return text;
  const made = element("span", { class: probability < DOUBT ? "word doubtful" : "word", title: percent(probability) }, text);
  made.style.setProperty("--sure", probability);
  return made;
}

function doubts(words) {
  const doubtful = words.filter(({ probability }) => probability != null && probability < DOUBT);
  const worst = doubtful.sort((a, b) => a.probability - b.probability).slice(0, NAMED);
  if (words.length < 2 || worst.length === 0) return [];
  const named = worst.map(({ text, probability }) => `“${text}” (${percent(probability)})`);
  return [element("p", { class: "doubts" }, `Least sure of ${named.join(", ")}`)];
}

/**
 * A text cut into `{text, probability}`: its words with the product of their tokens' probabilities, and what stands
 * between them without one. A token that is not found in the text, such as half a letter, counts for the next.
 */
export function aligned(value, tokens) {
  const pieces = [];
  let at = 0;
  let pending = 1;
  for (const { text, probability } of tokens) {
    const found = text ? value.indexOf(text, at) : -1;
    if (found < 0) {
      pending *= probability;
      continue;
    }
    const gap = value.slice(at, found);
    if (gap) pieces.push(between(gap, pending));
    join(pieces, { text, probability: gap.trim() ? probability : probability * pending });
    at = found + text.length;
    pending = 1;
  }
  if (at < value.length) pieces.push(between(value.slice(at), pending));
  return pieces;
}

/** What stands between two tokens that were found: spaces, or what the tokens that were not found wrote. */
function between(text, probability) {
  return { text, probability: text.trim() && probability < 1 ? probability : null };
}

/** Appends a token, to the last word where no space is between. */
function join(pieces, piece) {
  const last = pieces.at(-1);
  const apart = !last || last.probability == null || UNSPACED.test(last.text.at(-1) + piece.text[0]);
  if (apart) {
    pieces.push(piece);
    return;
  }
  last.text += piece.text;
  last.probability *= piece.probability;
}

/** The geometric mean: the probability of a whole text shrinks with its length. */
function mean(tokens) {
  const sum = tokens.reduce((sum, { probability }) => sum + Math.log(Math.max(probability, 1e-12)), 0);
  return Math.exp(sum / tokens.length);
}

function bars(top, name) {
  const rows = top.map(({ value, probability }) => {
    const fill = element("span", { class: "fill" });
    fill.style.setProperty("--share", probability ?? 0);
    return element(
      "li",
      {},
      element("span", { class: "name" }, line(value)),
      element("span", { class: "track", "aria-hidden": "true" }, fill),
      element("span", { class: "share" }, percent(probability ?? 0)),
    );
  });
  return element("ol", { class: "bars", "aria-label": name }, ...rows);
}
