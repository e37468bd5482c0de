// Runs beside the page where the sound is: hands over the samples as they come, and gives silence.

/** Samples that are handed over together, at some forty times a second. */
const PART = 1024;

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.part = new Float32Array(PART);
    this.filled = 0;
  }

  process([[channel]]) {
    // The browser's pieces have 128 samples, so that a part is always filled exactly.
    if (channel) {
      this.part.set(channel, this.filled);
      this.filled += channel.length;
    }
    if (this.filled === PART) {
      this.port.postMessage(this.part);
      this.part = new Float32Array(PART);
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
