// A conversation: what was asked and answered, and what of it goes along with the next question.

import { outputBlocks } from "./answer.js";
import { element, line } from "./elements.js";

/** The most earlier turns that go along with a question; models read fewer. */
const KEPT = 50;

/** The turns of one conversation, shown in `list`. */
export class Talk {
  constructor(section, list) {
    this.section = section;
    this.list = list;
    this.clear([]);
  }

  /** Begins anew, with a model that has the outputs `described`. */
  clear(described) {
    this.described = described;
    this.turns = [];
    this.list.replaceChildren();
    this.section.hidden = true;
  }

  /** The value of the input that takes turns: as many of the last pairs as `bytes` hold, and `question` behind them. */
  value(question, bytes) {
    const turns = this.turns.slice(-KEPT);
    const length = () => new TextEncoder().encode(turns.flat().join("") + question).length;
    while (turns.length > 0 && length() > bytes) turns.shift();
    return [...turns, question];
  }

  /** Shows `question` as asked; gives what then shows the answer, or takes the question back. */
  ask(question) {
    const asked = element("li", { class: "mine" }, element("span", { class: "unseen" }, "You: "), question);
    const waiting = element("li", { class: "theirs waiting", "aria-label": "The model is thinking" }, ...dots());
    this.list.append(asked, waiting);
    this.section.hidden = false;
    waiting.scrollIntoView({ block: "nearest" });
    return {
      answer: (outputs) => this.answer(question, outputs, waiting),
      withdraw: () => {
        asked.remove();
        waiting.remove();
        this.section.hidden = this.list.childElementCount === 0;
      },
    };
  }

  /** What goes along with later questions is the output called `answer`, or the first one. */
  answer(question, outputs, waiting) {
    const blocks = outputBlocks(outputs, this.described, this.described.length > 1);
    const item = element("li", { class: "theirs" }, element("span", { class: "unseen" }, "Model: "), ...blocks);
    waiting.replaceWith(item);
    const value = (outputs.answer ?? outputs[this.described[0]?.name])?.value;
    this.turns.push(value == null ? [question] : [question, line(value)]);
  }
}

function dots() {
  return Array.from({ length: 3 }, () => element("span", { class: "dot" }));
}
