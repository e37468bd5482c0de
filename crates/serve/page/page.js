// The page: builds the form from what the model takes, sends it, shows what comes back.

import { showAnswer, showEmpty, showHistory } from "./answer.js";
import { describe, exampleAddress, examplePicture, predict } from "./api.js";
import { element, label } from "./elements.js";
import { MediaField, NOUNS } from "./media.js";
import { Talk } from "./talk.js";

/** The most earlier answers that stay listed. */
const HISTORY = 8;

/** Rows of a text that is all the model takes. */
const ROWS = 4;

/** The most example pictures in the strip. */
const THUMBNAILS = 12;

const at = (id) => document.getElementById(id);
const state = { models: [], limits: {}, model: null, media: [], texts: [], history: [] };
let running = null;
let wantedExample = null;
const talk = new Talk(at("talk"), at("talk-list"));

async function start() {
  try {
    Object.assign(state, await describe());
  } catch (error) {
    at("lead").textContent = "";
    fail(error, start);
    return;
  }
  notice();
  const wanted = new URLSearchParams(location.search).get("model");
  const model = state.models.find(({ name }) => name === wanted) ?? state.models[0];
  const names = state.models.map(({ name }) => element("option", { value: name }, name));
  at("model").replaceChildren(...names);
  at("model").value = model.name;
  at("model").hidden = state.models.length < 2;
  at("model-name").textContent = state.models.length < 2 ? model.name : "";
  at("model-label").hidden = false;
  build(model);
}

/** Builds the form of `model`. */
function build(model) {
  running?.abort();
  state.model = model;
  state.history = [];
  const isText = ({ modality }) => modality === "text";
  const media = model.inputs.filter((input) => !isText(input));
  state.media.forEach((field) => field.close());
  state.media = media.map((input) => new MediaField(input, state.limits.body_bytes, mediumChanged));
  state.texts = model.inputs.filter(isText).map(textField);
  at("media").replaceChildren(...state.media.map(({ root }) => root), ...thumbnails(model));
  at("media").hidden = state.media.length === 0;
  at("texts").replaceChildren(...state.texts.map(({ root }) => root));
  at("composer").hidden = state.texts.length === 0;
  at("form").classList.toggle("single", state.media.length === 0);
  at("form").classList.toggle("talking", isTalk());
  at("chips").replaceChildren(...(model.examples ?? []).map(chip));
  at("chips").hidden = !model.examples?.length;
  const [title, lead] = words();
  at("title").textContent = title;
  at("lead").textContent = lead;
  document.title = `${title} · Sensorium`;
  notice();
  reset();
}

/** Whether the model is asked with what was said before. */
function isTalk() {
  return state.texts.some(({ turns }) => turns);
}

/** The heading and the sentence below it, by what the model takes and gives. */
function words() {
  const nouns = [...new Set(state.media.map(({ modality }) => NOUNS[modality]))];
  if (nouns.length === 0) {
    const title = isTalk() ? "Talk with the model" : "Ask the model";
    return [title, "Type a text and press Enter. Shift and Enter begin a new line."];
  }
  const listed = state.media.filter(({ most }) => most > 1).map(({ modality }) => NOUNS[modality]);
  const medium = nouns.map((noun) => (listed.includes(noun) ? `${noun}s` : `a ${noun}`)).join(" or ");
  if (isTalk()) {
    return [`Talk about ${medium}`, `Choose ${medium} and ask: each question may lean on the ones before it.`];
  }
  if (state.texts.length) {
    return [`Ask about ${medium}`, `Choose ${medium}, type a question, press Enter.`];
  }
  const isHeard = state.model.outputs.some(({ task }) => task === "transcribe");
  const single = isHeard ? "What is said here?" : `What is in this ${nouns[0]}?`;
  const title = nouns.length === 1 ? single : "What is in these files?";
  const device = nouns[0] === "picture" ? " or use the camera" : " or record one";
  const offered = state.media[0].opener ? device : "";
  return [title, `Choose ${medium}${offered}, and the model answers.`];
}

function textField({ name, turns = false }) {
  const isAll = state.media.length === 0 && !turns;
  const area = element("textarea", {
    id: `input-${name}`,
    name,
    rows: isAll ? ROWS : 1,
    autocomplete: "off",
    maxlength: state.limits.text_bytes,
    placeholder: name === "question" ? "What shape is in the picture?" : "",
    onkeydown: (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      // A telephone's keyboard has no other way to begin a line of a long text; its button sends.
      if (isAll && matchMedia("(pointer: coarse)").matches) return;
      event.preventDefault();
      at("form").requestSubmit();
    },
  });
  const caption = element("label", { for: area.id }, label(name));
  return { name, turns, area, root: element("div", { class: "field text" }, caption, area) };
}

/** A button that asks an example. */
function chip(example) {
  const ask = () => {
    for (const { name, area } of state.texts) area.value = example[name] ?? "";
    at("form").requestSubmit();
  };
  const text = Object.values(example).join(" · ");
  return element("button", { type: "button", onclick: ask }, text);
}

/** The strip of example pictures, for the first field of a picture. */
function thumbnails(model) {
  const count = Math.min(model.example_images, THUMBNAILS);
  const field = state.media.find(({ modality }) => modality === "image");
  if (!count || !field) return [];
  const buttons = Array.from({ length: count }, (_, index) => {
    const src = exampleAddress(model.name, index);
    const picture = element("img", { src, alt: "", loading: "lazy" });
    const name = `Example picture ${index + 1}`;
    const choose = () => chooseExample(field, index);
    return element("button", { type: "button", "aria-label": name, onclick: choose }, picture);
  });
  const attributes = { class: "strip", role: "group", "aria-label": "Example pictures" };
  return [element("div", attributes, ...buttons)];
}

async function chooseExample(field, index) {
  const wanted = { field, index };
  wantedExample = wanted;
  try {
    const picture = await examplePicture(state.model.name, index);
    // Another picture may have been chosen while this one was on its way.
    if (wantedExample !== wanted) return;
    field.set([picture], false);
    markExample(index);
  } catch (error) {
    fail(error, () => chooseExample(field, index));
  }
}

/** Shows which example picture is chosen; none for -1. */
function markExample(index) {
  const buttons = at("media").querySelectorAll(".strip button");
  buttons.forEach((button, position) => {
    button.setAttribute("aria-pressed", String(position === index));
  });
}

/** A new medium starts a new conversation. */
function mediumChanged(byHand) {
  running?.abort();
  wantedExample = null;
  notice();
  markExample(-1);
  startOver();
  if (filled().size === 0) return;
  if (state.texts.length === 0) at("form").requestSubmit();
  // On a telephone the focus would bring up the keyboard over the picture.
  else if (byHand && matchMedia("(pointer: fine)").matches) state.texts[0].area.focus();
}

/** Forgets what was said. */
function startOver() {
  running?.abort();
  state.history = [];
  reset();
}

function reset() {
  talk.clear(state.model.outputs);
  at("again").hidden = true;
  showEmpty(at("answer"), "The answer appears here.");
  listHistory(null);
}

/** What is filled in, name → text or file. */
function filled() {
  const values = new Map();
  for (const { name, files } of state.media) if (files.length) values.set(name, files);
  for (const { name, area } of state.texts) {
    if (area.value.trim()) values.set(name, area.value.trim());
  }
  return values;
}

async function submit() {
  const values = filled();
  const size = [...values.values()].flat().reduce((sum, value) => sum + (value.size ?? 0), 0);
  const input = state.texts.find(({ turns }) => turns);
  const question = input && values.get(input.name);
  if (values.size === 0) return notice({ title: "Nothing to answer yet", text: words()[1] });
  if (input && !question) return notice({ title: "What would you like to know?", text: "Type a question." });
  if (size > state.limits.body_bytes) return fail({ code: "body_too_large" });
  running?.abort();
  const request = new AbortController();
  running = request;
  busy(true);
  if (input) values.set(input.name, talk.value(question, state.limits.text_bytes));
  const turn = input && say(input, question);
  try {
    const before = performance.now();
    const { outputs } = await predict(state.model.name, values, request.signal);
    if (running !== request) return turn?.withdraw();
    if (turn) {
      notice();
      turn.answer(outputs);
      at("again").hidden = false;
      reveal(at("composer"));
      return;
    }
    const asked = state.texts.map(({ name }) => values.get(name)).filter(Boolean).join(" · ");
    remember({ asked, outputs, milliseconds: performance.now() - before });
  } catch (error) {
    turn?.withdraw();
    if (running !== request || error.name === "AbortError") return;
    if (input && !input.area.value) input.area.value = question;
    fail(error, submit);
  } finally {
    if (running === request) busy(false);
  }
}

/** Moves a question from the field into the conversation. */
function say({ area }, question) {
  area.value = "";
  return talk.ask(question);
}

/** Shows an answer and puts it before the earlier ones. */
function remember(entry) {
  notice();
  const others = state.history.filter(({ asked }) => asked !== entry.asked);
  state.history = [entry, ...others].slice(0, HISTORY + 1);
  show(entry);
  for (const { area } of state.texts) if (document.activeElement === area) area.select();
  reveal(at("answer"));
}

/** Scrolls as little as shows `section`. */
function reveal(section) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  section.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
}

function show(entry) {
  showAnswer(at("answer"), entry, state.model.outputs);
  listHistory(entry);
}

/** Lists the earlier answers, all but the one that `shown` shows large. */
function listHistory(shown) {
  const earlier = state.history.filter((entry) => entry !== shown && entry.asked);
  showHistory(at("history"), at("history-list"), earlier, show);
  at("history-title").textContent = state.media.length ? `Earlier on this ${NOUNS[state.media[0].modality]}` : "Earlier";
}

function busy(on) {
  at("form").classList.toggle("busy", on);
  at("form").setAttribute("aria-busy", String(on));
  if (on) at("answer").dataset.state = "busy";
  else if (at("answer").dataset.state === "busy") {
    at("answer").dataset.state = at("answer").querySelector(".output") ? "done" : "empty";
  }
}

/** Says what went wrong; `again` is what a button then offers to try again. */
function fail({ code, message, field }, again) {
  for (const medium of state.media) medium.mark(medium.name === field);
  const megabytes = Math.floor(state.limits.body_bytes / 1e6);
  const known = {
    unreachable: ["The server does not answer", "Check that it is still running, then try again."],
    busy: ["The server is busy", "Other requests come first. Try again in a moment."],
    body_too_large: ["This file is too large", `Choose one below ${megabytes} MB.`],
    internal: ["The model failed on this request", "Others are not affected. Try other inputs."],
  };
  const wrong = state.media.find(({ name }) => name === field);
  const sentence = message && `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  const title = wrong ? `This ${NOUNS[wrong.modality]} cannot be read` : "This did not work";
  const [heading, text] = known[code] ?? [title, sentence];
  const isPassing = ["unreachable", "busy"].includes(code);
  notice({ title: heading, text, again: isPassing ? again : null });
}

/** Shows a notice, or none. */
function notice(content) {
  if (!content) {
    at("notice").replaceChildren();
    return;
  }
  const { title, text, again } = content;
  const parts = [element("strong", {}, title), element("span", {}, text)];
  if (again) parts.push(element("button", { type: "button", onclick: again }, "Try again"));
  at("notice").replaceChildren(...parts);
}

/** Gives dropped or pasted files to the field under `target`, else to the first of its kind, else to the first. */
function receive(transfer, target) {
  const files = [...(transfer?.files ?? [])];
  if (files.length === 0 || state.media.length === 0) return false;
  const kind = ({ modality }) => files[0].type.startsWith(`${modality}/`);
  const under = state.media.find(({ root }) => root.contains(target));
  const field = under ?? state.media.find(kind) ?? state.media[0];
  field.set(files, true);
  return true;
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
at("again").addEventListener("click", () => {
  startOver();
  state.texts.find(({ turns }) => turns)?.area.focus();
});
at("model").addEventListener("change", (event) => {
  build(state.models.find(({ name }) => name === event.target.value));
});
// Without this a file dropped beside the zone would replace the page.
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  receive(event.dataTransfer, event.target);
});
document.addEventListener("paste", (event) => {
  if (receive(event.clipboardData, event.target)) event.preventDefault();
});
start();
