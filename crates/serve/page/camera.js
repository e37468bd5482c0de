// The live camera: a still for a picture, a few seconds for a video.

import { cameras, close, open } from "./devices.js";
import { announce, clock, element, icon } from "./elements.js";

/** The longest clip in seconds. */
const CLIP = 10;

/** What clips are recorded as, the best first: the server reads all of them. */
const CLIP_TYPES = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"];

const SWITCH = "M4 8.5h9.5M10.5 5l3.5 3.5M16 12H6.5M9.5 15.5 6 12";

/** Shows what the camera sees; calls `onFile` with what was taken, or `onClose` with a problem or none. */
export class Camera {
  /** `modality` is `image` or `video`. */
  constructor(modality, onFile, onClose) {
    this.modality = modality;
    this.onFile = onFile;
    this.onClose = onClose;
    this.facing = "environment";
    this.view = element("video", { autoplay: true, muted: true, playsinline: true, "aria-label": "What the camera sees" });
    // The attribute alone does not silence a video that a script made.
    this.view.muted = true;
    this.timer = element("span", { class: "timer", role: "timer", hidden: true });
    this.shutter = element("button", { type: "button", class: "shutter", onclick: () => this.press(), disabled: true });
    this.switch = element(
      "button",
      { type: "button", class: "round", "aria-label": "Switch camera", onclick: () => this.turn(), hidden: true },
      icon(SWITCH, 20),
    );
    const cancel = element("button", { type: "button", class: "pill", onclick: () => this.end() }, "Cancel");
    const controls = element("div", { class: "controls" }, cancel, this.shutter, this.switch);
    this.root = element("div", { class: "live", onkeydown: (event) => this.key(event) }, this.view, this.timer, controls);
    this.label();
  }

  async start() {
    const facingMode = { ideal: this.facing };
    const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
    try {
      const stream = await open("video", { ...size, facingMode });
      if (this.ended) return close(stream);
      this.stream = stream;
      this.view.srcObject = stream;
      await this.view.play();
    } catch (error) {
      // A camera that was closed meanwhile interrupts its own playing.
      if (!this.ended) this.end(error.message);
      return;
    }
    this.shutter.disabled = false;
    this.shutter.focus();
    this.switch.hidden = (await cameras()) < 2;
  }

  turn() {
    if (this.recorder) return;
    this.facing = this.facing === "user" ? "environment" : "user";
    close(this.stream);
    this.shutter.disabled = true;
    this.start();
  }

  press() {
    if (this.modality === "image") this.still();
    else if (this.recorder) this.recorder.stop();
    else this.record();
  }

  still() {
    const canvas = element("canvas", { width: this.view.videoWidth, height: this.view.videoHeight });
    canvas.getContext("2d").drawImage(this.view, 0, 0);
    canvas.toBlob((blob) => this.take(blob, "photo.jpg", "image/jpeg"), "image/jpeg", 0.92);
  }

  record() {
    const mimeType = CLIP_TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const parts = [];
    this.recorder = new MediaRecorder(this.stream, { mimeType, videoBitsPerSecond: 2_500_000 });
    this.recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
    this.recorder.addEventListener("stop", () => {
      const [type] = this.recorder.mimeType.split(";");
      if (!this.ended) this.take(new Blob(parts), `clip.${type.split("/")[1]}`, type);
    });
    this.recorder.start();
    this.began = performance.now();
    this.ticking = setInterval(() => this.tick(), 100);
    this.tick();
    this.label();
    announce("Recording");
  }

  tick() {
    const seconds = (performance.now() - this.began) / 1000;
    this.timer.hidden = false;
    this.timer.textContent = `${clock(seconds)} / ${clock(CLIP)}`;
    this.shutter.style.setProperty("--share", Math.min(1, seconds / CLIP));
    if (seconds >= CLIP && this.recorder.state === "recording") this.recorder.stop();
  }

  /** Names the shutter by what it does next. */
  label() {
    const next = this.recorder ? "Stop recording" : "Start recording";
    this.shutter.setAttribute("aria-label", this.modality === "image" ? "Take the picture" : next);
    this.shutter.classList.toggle("recording", Boolean(this.recorder));
    this.shutter.classList.toggle("clip", this.modality === "video");
  }

  take(blob, name, type) {
    if (this.ended) return;
    const file = blob && new File([blob], name, { type });
    this.end(file ? null : "The camera gave no picture. Try again.", file);
  }

  key(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    this.end();
  }

  /** Switches the camera off, with what was taken or a problem, or neither. */
  end(problem, file) {
    if (this.ended) return;
    this.ended = true;
    clearInterval(this.ticking);
    if (this.recorder?.state === "recording") this.recorder.stop();
    close(this.stream);
    this.view.srcObject = null;
    this.onClose(problem);
    if (file) this.onFile(file);
  }
}
