// Shows answers: every output of the last one, and earlier pairs.

import { element, line, percent } from "./elements.js";
import { outputBlock } from "./values.js";

/** Fills `section` with the outputs of one answer, in the order of `described`. */
export function showAnswer(section, { asked, outputs, milliseconds }, described) {
  const question = asked ? [element("p", { class: "asked" }, asked)] : [];
  // One output below its question needs no name of its own.
  const named = Object.keys(outputs).length > 1 || !asked;
  const time = element("p", { class: "time" }, `Answered in ${duration(milliseconds)}`);
  section.classList.toggle("many", described.length > 1);
  section.replaceChildren(...question, ...outputBlocks(outputs, described, named), time);
  section.dataset.state = "done";
}

/** The blocks of all outputs; one that did not answer says so. */
export function outputBlocks(outputs, described, named) {
  // An embedding says least to people.
  const last = ({ task }) => Number(task === "embed");
  const ordered = [...described].sort((a, b) => last(a) - last(b));
  return ordered.map(({ name, task }) => outputBlock(name, outputs[name] ?? { value: null }, task, named));
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

function historyItem(entry, onChoose) {
  const [first = { value: null }] = Object.values(entry.outputs);
  const share = first.probability == null || first.tokens?.length > 1 ? "" : percent(first.probability);
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
