// The field for a media file: drop zone, file picker and preview.

import { element, label } from "./elements.js";

const ACCEPT = {
  image: "image/png,image/jpeg,image/webp,image/gif,image/bmp,image/tiff",
  audio: "audio/*",
  video: "video/*",
};

/** Pictures at most this wide show their pixels rather than a blur. */
const SMALL = 160;

/** A field for input `name`; `onChange(byHand)` runs when its file changes. */
export class PictureField {
  constructor({ name, modality }, onChange) {
    this.name = name;
    this.isImage = modality === "image";
    this.file = null;
    this.onChange = onChange;
    this.input = element("input", {
      type: "file",
      id: `input-${name}`,
      name,
      accept: ACCEPT[modality],
      class: "unseen",
      "aria-describedby": `caption-${name}`,
      onchange: () => this.picked(),
    });
    this.preview = element("img", { alt: "", hidden: true });
    this.preview.addEventListener("load", () => this.describe());
    this.preview.addEventListener("error", () => this.hidePreview());
    this.prompt = prompt(name, this.isImage ? "picture" : `${modality} file`);
    this.zone = element("label", { class: "drop" }, this.input, this.preview, this.prompt);
    this.caption = element("span", { id: `caption-${name}` });
    this.remove = element(
      "button",
      { type: "button", class: "remove", onclick: () => this.removed(), hidden: true },
      "Remove",
    );
    const below = element("div", { class: "caption" }, this.caption, this.remove);
    this.root = element("div", { class: "field picture" }, this.zone, below);
    this.listen();
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
    const [file] = this.input.files;
    // An emptied field lets the same file be chosen again.
    this.input.value = "";
    if (file) this.set(file, true);
  }

  removed() {
    this.set(null, true);
    this.input.focus();
  }

  /** Takes `file`, or none for null; `byHand` tells a person's own file from an example. */
  set(file, byHand) {
    URL.revokeObjectURL(this.preview.src);
    this.file = file;
    this.preview.hidden = !(file && this.isImage);
    if (this.preview.hidden) this.preview.removeAttribute("src");
    else this.preview.src = URL.createObjectURL(file);
    const another = `Choose another ${label(this.name).toLowerCase()}.`;
    this.preview.alt = file ? `${file.name}. ${another}` : "";
    this.prompt.hidden = !this.preview.hidden;
    this.caption.textContent = file ? file.name : "";
    this.remove.hidden = !file;
    this.root.classList.toggle("filled", Boolean(file));
    this.mark(false);
    this.onChange(byHand);
  }

  describe() {
    const { naturalWidth: width, naturalHeight: height } = this.preview;
    this.preview.classList.toggle("small", width <= SMALL && height <= SMALL);
    this.caption.textContent = `${this.file.name} · ${width} × ${height}`;
  }

  /** The browser cannot show the file; the server may still read it. */
  hidePreview() {
    if (!this.file) return;
    this.preview.hidden = true;
    this.prompt.hidden = false;
    this.caption.textContent = `${this.file.name} · no preview`;
  }

  /** Shows or hides that this field is at fault. */
  mark(wrong) {
    this.root.classList.toggle("wrong", wrong);
    this.input.setAttribute("aria-invalid", String(wrong));
  }
}

function prompt(name, kind) {
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  icon.setAttribute("viewBox", "0 0 48 48");
  icon.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute(
    "d",
    "M9 12.5A4.5 4.5 0 0 1 13.5 8h21a4.5 4.5 0 0 1 4.5 4.5v23a4.5 4.5 0 0 1-4.5 4.5h-21" +
      "A4.5 4.5 0 0 1 9 35.5zM9 33l8.5-9 7 7.5 5-5L39 35" +
      "M32.5 17.5a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0",
  );
  icon.append(path);
  return element(
    "span",
    { class: "prompt" },
    icon,
    element("strong", {}, `Drop a ${kind} here`),
    element("span", {}, "or ", element("u", {}, "choose a file"), ", or paste one"),
  );
}
