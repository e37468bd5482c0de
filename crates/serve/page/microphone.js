// The microphone: a live level, a timer, and a WAV file of what was heard.

import { close, open } from "./devices.js";
import { announce, clock, element } from "./elements.js";

/** The longest recording in seconds. */
const LONGEST = 120;

/** A recording whose samples all stay below this is one of silence. */
const SILENCE = 0.002;

/** Levels that are drawn, and the samples that each of them sums up. */
const COLUMNS = 96;
const COLUMN_SAMPLES = 1600;

/** The bytes of a WAV file's head. */
const HEAD = 44;

/** Records; calls `onFile` with the file, or `onClose` with a problem or none. */
export class Microphone {
  /** `bytes` is the most that a recording may have. */
  constructor(bytes, onFile, onClose) {
    this.bytes = bytes;
    this.onFile = onFile;
    this.onClose = onClose;
    this.parts = [];
    this.samples = 0;
    this.peak = 0;
    this.levels = [];
    this.wave = element("canvas", { class: "wave", "aria-hidden": "true" });
    this.timer = element("span", { class: "timer", role: "timer" }, clock(0));
    const stop = { type: "button", class: "shutter clip recording", "aria-label": "Stop recording", disabled: true };
    this.shutter = element("button", { ...stop, onclick: () => this.stop() });
    const cancel = element("button", { type: "button", class: "pill", onclick: () => this.end() }, "Cancel");
    const controls = element("div", { class: "controls" }, cancel, this.shutter, this.timer);
    const attributes = { class: "live sound", onkeydown: (event) => this.key(event) };
    this.root = element("div", attributes, this.wave, controls);
  }

  async start() {
    // What a model hears should be what was said: no filter of the browser comes between.
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: true };
    // Some browsers let a sound begin only where a person has just clicked, which is before any waiting.
    this.context = new AudioContext();
    try {
      const stream = await open("audio", { channelCount: { ideal: 1 }, ...plain });
      if (this.ended) return close(stream);
      this.stream = stream;
      await this.listen();
    } catch (error) {
      if (!this.ended) this.end(error.message);
      return;
    }
    this.shutter.disabled = false;
    this.shutter.focus();
    announce("Recording");
  }

  async listen() {
    await this.context.audioWorklet.addModule("/assets/recorder.js");
    if (this.ended) return;
    this.limit = Math.min(LONGEST * this.context.sampleRate, Math.floor((this.bytes - HEAD) / 2));
    const recorder = new AudioWorkletNode(this.context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
    recorder.port.onmessage = ({ data }) => this.hear(data);
    this.context.createMediaStreamSource(this.stream).connect(recorder);
    // Browsers run what leads to the loudspeaker alone; the recorder gives silence there.
    recorder.connect(this.context.destination);
    await this.context.resume();
  }

  /** Keeps some samples and draws how loud they are. */
  hear(samples) {
    if (this.ended) return;
    this.parts.push(samples);
    this.samples += samples.length;
    const loudest = samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
    this.peak = Math.max(this.peak, loudest);
    this.raise(samples.length, loudest);
    this.timer.textContent = clock(this.samples / this.context.sampleRate);
    this.draw();
    if (this.samples >= this.limit) this.stop();
  }

  /** Adds to the last level, or begins the next. */
  raise(samples, loudest) {
    const last = this.levels.at(-1);
    if (last && last.samples < COLUMN_SAMPLES) {
      last.samples += samples;
      last.loudest = Math.max(last.loudest, loudest);
    } else {
      this.levels.push({ samples, loudest });
      this.levels = this.levels.slice(-COLUMNS);
    }
  }

  draw() {
    const scale = devicePixelRatio;
    const [width, height] = [this.wave.clientWidth * scale, this.wave.clientHeight * scale];
    if (this.wave.width !== width) this.wave.width = width;
    if (this.wave.height !== height) this.wave.height = height;
    const paint = this.wave.getContext("2d");
    paint.clearRect(0, 0, width, height);
    paint.fillStyle = getComputedStyle(this.wave).color;
    const step = width / COLUMNS;
    this.levels.forEach(({ loudest }, place) => {
      // Loudness is heard by its logarithm: 50 decibels fill the height.
      const level = Math.max(0.03, Math.min(1, 1 + Math.log10(Math.max(loudest, 1e-5)) / 2.5));
      const left = width - (this.levels.length - place) * step;
      const [bar, tall] = [Math.max(1, step * 0.56), level * height];
      paint.beginPath();
      paint.roundRect(left, (height - tall) / 2, bar, tall, bar / 2);
      paint.fill();
    });
  }

  stop() {
    const samples = new Float32Array(this.samples);
    let at = 0;
    for (const part of this.parts) {
      samples.set(part, at);
      at += part.length;
    }
    if (samples.length === 0) return this.end("The microphone gave no sound. Try again.");
    const quiet = this.peak < SILENCE ? "Nothing was heard. Is the microphone muted?" : null;
    const kept = samples.subarray(0, this.limit);
    const file = new File([wav(kept, this.context.sampleRate)], "recording.wav", { type: "audio/wav" });
    announce(`Recorded ${clock(kept.length / this.context.sampleRate)}`);
    this.end(quiet, file);
  }

  key(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    this.end();
  }

  /** Switches the microphone off, with what was recorded or a problem, or both. */
  end(problem, file) {
    if (this.ended) return;
    this.ended = true;
    close(this.stream);
    this.context?.close();
    this.onClose(problem);
    if (file) this.onFile(file);
  }
}

/** A WAV file of one channel in 16 bits. */
export function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(HEAD + 2 * samples.length));
  const word = (at, text) => [...text].forEach((letter, place) => view.setUint8(at + place, letter.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, HEAD - 8 + 2 * samples.length, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  // Plain integers, one channel.
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  word(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, place) => {
    view.setInt16(HEAD + 2 * place, Math.round(32767 * Math.max(-1, Math.min(1, sample))), true);
  });
  return view.buffer;
}
