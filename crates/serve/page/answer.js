// Shows answers: the value large, its probability, the likeliest five as bars, and earlier pairs.

import { element, label, line, percent } from "./elements.js";

/** The most bars of one answer. */
const BARS = 5;

/** A value longer than this is prose and set smaller, as lists are. */
const PROSE = 28;

/** Fills `section` with the outputs of one answer. */
export function showAnswer(section, { asked, outputs, milliseconds }) {
  const names = Object.keys(outputs);
  const question = asked ? [element("p", { class: "asked" }, asked)] : [];
  // One output below its question needs no name of its own.
  const named = names.length > 1 || !asked;
  const blocks = names.map((name) => outputBlock(name, outputs[name], named));
  const time = element("p", { class: "time" }, `Answered in ${duration(milliseconds)}`);
  section.replaceChildren(...question, ...blocks, time);
  section.dataset.state = "done";
}

/** Empties `section`; `text` says what will stand there. */
export function showEmpty(section, text) {
  section.replaceChildren(element("p", { class: "placeholder" }, text));
  section.dataset.state = "empty";
}

/** Lists earlier answers, newest first; choosing one calls `onChoose` with it. */
export function showHistory(section, list, entries, onChoose) {
  section.hidden = entries.length === 0;
  list.replaceChildren(...entries.map((entry) => historyItem(entry, onChoose)));
}

function outputBlock(name, { value, probability, top = [] }, named) {
  const text = line(value);
  const heading = element("h2", { class: named ? null : "unseen" }, label(name));
  const isProse = Array.isArray(value) || text.length > PROSE;
  const large = element("p", { class: isProse ? "value prose" : "value" }, text);
  const block = element("div", { class: "output", "data-output": name }, heading, large);
  if (probability != null) {
    block.append(element("p", { class: "sure" }, `${percent(probability)} probability`));
  }
  if (top.length > 1) block.append(bars(top.slice(0, BARS)));
  return block;
}

function bars(top) {
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
  return element("ol", { class: "bars", "aria-label": "Likeliest answers" }, ...rows);
}

function historyItem(entry, onChoose) {
  const [first] = Object.values(entry.outputs);
  const share = first.probability == null ? "" : percent(first.probability);
  const button = element(
    "button",
    { type: "button", onclick: () => onChoose(entry) },
    element("span", { class: "asked" }, entry.asked),
    element("span", { class: "given" }, line(first.value)),
    element("span", { class: "share" }, share),
  );
  return element("li", {}, button);
}

function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.max(1, Math.round(milliseconds))} ms`;
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
