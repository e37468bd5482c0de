// The field for a medium: drop zone, file picker, camera or microphone, and preview.

import { Camera } from "./camera.js";
import { unavailable } from "./devices.js";
import { element, icon, label } from "./elements.js";
import { Microphone } from "./microphone.js";

const ACCEPT = {
  image: "image/png,image/jpeg,image/webp,image/gif,image/bmp,image/tiff,image/svg+xml",
  audio: "audio/*,video/*",
  video: "video/*,image/gif,image/png,image/webp",
};

/** What people call a file of a modality. */
export const NOUNS = { image: "picture", audio: "recording", video: "video" };

/** What the prompt shows, in strokes on 48 × 48. */
const ICONS = {
  image:
    "M9 12.5A4.5 4.5 0 0 1 13.5 8h21a4.5 4.5 0 0 1 4.5 4.5v23a4.5 4.5 0 0 1-4.5 4.5h-21" +
    "A4.5 4.5 0 0 1 9 35.5zM9 33l8.5-9 7 7.5 5-5L39 35" +
    "M32.5 17.5a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0",
  audio: "M8 21v6M16 14v20M24 8v32M32 16v16M40 21v6",
  video:
    "M8 14.5A4.5 4.5 0 0 1 12.5 10h23a4.5 4.5 0 0 1 4.5 4.5v19a4.5 4.5 0 0 1-4.5 4.5h-23" +
    "A4.5 4.5 0 0 1 8 33.5zM20.5 18v12l10-6z",
};

/** What takes or records a medium: the device's kind, and the button's words before and after. */
const DEVICES = {
  image: { kind: "video", first: "Use the camera", again: "Take another" },
  audio: { kind: "audio", first: "Record", again: "Record again" },
  video: { kind: "video", first: "Record a clip", again: "Record again" },
};

const DEVICE_ICONS = {
  video: "M2.5 6.5h3L7 4.5h6l1.5 2h3v9h-15zM13 10.75a3 3 0 1 1-6 0 3 3 0 0 1 6 0",
  audio: "M10 2.5a2.5 2.5 0 0 1 2.5 2.5v4a2.5 2.5 0 0 1-5 0V5A2.5 2.5 0 0 1 10 2.5M5 9a5 5 0 0 0 10 0M10 14v3.5",
};

/** Pictures at most this wide show their pixels rather than a blur. */
const SMALL = 160;

/** A field for input `name`, of at most `bytes` and `list` files; `onChange(byHand)` runs when its files change. */
export class MediaField {
  constructor({ name, modality, list = 1 }, bytes, onChange) {
    this.name = name;
    this.modality = modality;
    this.most = list;
    this.files = [];
    this.bytes = bytes;
    this.live = null;
    this.opener = null;
    this.onChange = onChange;
    this.input = element("input", {
      type: "file",
      id: `input-${name}`,
      name,
      accept: ACCEPT[modality],
      multiple: list > 1,
      class: "unseen",
      "aria-describedby": `caption-${name}`,
      onchange: () => this.picked(),
    });
    this.previews = [];
    this.prompt = prompt(modality, list > 1);
    this.zone = element("label", { class: `drop ${modality}` }, this.input, this.prompt);
    this.caption = element("span", { id: `caption-${name}` });
    this.remove = element(
      "button",
      { type: "button", class: "remove", onclick: () => this.removed(), hidden: true },
      "Remove",
    );
    const below = element("div", { class: "caption" }, this.caption, this.remove);
    this.problem = element("p", { class: "problem", role: "alert", hidden: true });
    this.root = element("div", { class: "field medium" }, this.zone, below, this.source(), this.problem);
    this.listen();
  }

  /** The button that opens the camera or microphone (`opener`), or why there is none. */
  source() {
    const { kind, first } = this.device();
    const reason = unavailable(kind);
    if (reason) return element("p", { class: "source note" }, reason);
    this.words = element("span", {}, first);
    const attributes = { type: "button", class: "pill source", onclick: () => this.capture() };
    this.opener = element("button", attributes, icon(DEVICE_ICONS[kind], 20), this.words);
    return this.opener;
  }

  /** Opens the camera or microphone in the place of the drop zone. */
  capture() {
    this.complain(null);
    const onFile = (file) => {
      this.captured = true;
      this.set([file], true);
    };
    const onClose = (problem) => this.closed(problem);
    this.live =
      this.modality === "audio"
        ? new Microphone(this.bytes, onFile, onClose)
        : new Camera(this.modality, onFile, onClose);
    this.live.root.classList.add(this.modality);
    this.zone.replaceWith(this.live.root);
    this.root.classList.add("capturing");
    // The button that had the focus is hidden now, and Escape should still be heard.
    this.live.root.querySelector(".pill").focus();
    this.live.start();
  }

  closed(problem) {
    this.live.root.replaceWith(this.zone);
    this.live = null;
    this.root.classList.remove("capturing");
    this.complain(problem);
    this.opener.focus();
  }

  /** Says what is wrong with the device; nothing for null. */
  complain(problem) {
    this.problem.textContent = problem ?? "";
    this.problem.hidden = !problem;
  }

  /** Gives the camera or microphone back. */
  close() {
    this.live?.end();
  }

  listen() {
    for (const kind of ["dragenter", "dragover"]) {
      this.zone.addEventListener(kind, () => this.zone.classList.add("over"));
    }
    for (const kind of ["dragleave", "drop"]) {
      this.zone.addEventListener(kind, () => this.zone.classList.remove("over"));
    }
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.input.click();
    });
  }

  picked() {
    const files = [...this.input.files];
    // An emptied field lets the same file be chosen again.
    this.input.value = "";
    if (files.length === 0) return;
    this.captured = false;
    this.set(files, true);
  }

  removed() {
    this.set([], true);
    this.input.focus();
  }

  /** Takes as many of `files` as it may have; `byHand` tells a person's own files from an example. */
  set(files, byHand) {
    this.close();
    this.files = files.slice(0, this.most);
    const [file] = this.files;
    this.show(this.files.map((one) => this.shown(one)));
    this.caption.textContent = this.files.length > 1 ? this.counted() : (file?.name ?? "");
    this.remove.hidden = !file;
    this.root.classList.toggle("filled", Boolean(file));
    if (this.words) this.words.textContent = this.device()[file && this.captured ? "again" : "first"];
    this.mark(false);
    this.onChange(byHand);
  }

  counted() {
    return `${this.files.length} ${NOUNS[this.modality]}s`;
  }

  device() {
    return DEVICES[this.modality];
  }

  /** An element that shows or plays `file`; what it is decides, not the modality: a video may be an animated picture. */
  shown(file) {
    const src = URL.createObjectURL(file);
    const another = `Choose another ${NOUNS[this.modality]}.`;
    const name = label(this.name);
    const hide = () => this.hidePreview();
    if (file.type.startsWith("audio/")) {
      return element("audio", { src, controls: true, "aria-label": name, onerror: hide });
    }
    if (file.type.startsWith("video/")) {
      const kept = { controls: true, muted: true, loop: true, playsinline: true, autoplay: true };
      return element("video", { src, ...kept, "aria-label": name, onerror: hide });
    }
    const describe = () => this.describe();
    return element("img", { src, alt: `${file.name}. ${another}`, onload: describe, onerror: hide });
  }

  /** Puts `previews` in the place of those before them, or the prompt where there are none. */
  show(previews) {
    for (const { src } of this.previews) URL.revokeObjectURL(src);
    this.gallery?.remove();
    this.previews = previews;
    const [first, second] = previews;
    this.gallery = second ? element("div", { class: "gallery" }, ...previews) : first;
    if (first) this.zone.append(this.gallery);
    this.prompt.hidden = Boolean(first);
  }

  describe() {
    if (this.previews.length !== 1) return;
    const [{ naturalWidth: width, naturalHeight: height, classList }] = this.previews;
    classList.toggle("small", width <= SMALL && height <= SMALL);
    this.caption.textContent = `${this.files[0].name} · ${width} × ${height}`;
  }

  /** The browser cannot show a file; the server may still read it. */
  hidePreview() {
    if (this.files.length === 0) return;
    const names = this.files.length > 1 ? this.counted() : this.files[0].name;
    this.show([]);
    this.caption.textContent = `${names} · no preview`;
  }

  /** Shows or hides that this field is at fault. */
  mark(wrong) {
    this.root.classList.toggle("wrong", wrong);
    this.input.setAttribute("aria-invalid", String(wrong));
  }
}

function prompt(modality, several) {
  const noun = NOUNS[modality];
  return element(
    "span",
    { class: "prompt" },
    icon(ICONS[modality], 48),
    element("strong", {}, several ? `Drop ${noun}s here` : `Drop a ${noun} here`),
    element("span", {}, "or ", element("u", {}, several ? "choose files" : "choose a file"), ", or paste one"),
  );
}
