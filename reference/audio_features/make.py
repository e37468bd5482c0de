"""Writes the golden files of crates/data/src/processors/audio/spectrum: sounds, and what openai-whisper and
torchaudio.compliance.kaldi compute from them.

Needs openai-whisper 20250625, torch and torchaudio. Run it in this folder: python make.py
Kaldi's features are computed in double precision: in single precision, quiet bins beside loud ones hold little but
rounding errors. A SOUND.i16 holds 16-bit mono samples, a SOUND.KIND.f32 holds [frames, bins] little-endian floats.
"""

from pathlib import Path

import numpy as np
import torch

# Only the processor is used: torchaudio refuses a torch that was made for another CUDA.
torch.version.cuda = None
from torchaudio.compliance import kaldi
from whisper.audio import log_mel_spectrogram

FOLDER = Path(__file__).parent
RATE = 16_000
RANDOM = np.random.default_rng(4)


def noise(count, loudness):
    return loudness * RANDOM.standard_normal(count)


def chirp(count, low, high, rate=RATE):
    """A tone that rises evenly from `low` to `high` hertz."""
    time = np.arange(count) / rate
    return np.sin(2 * np.pi * (low * time + (high - low) * time**2 * rate / (2 * count)))


def voice(count):
    """A train of pulses through two resonances, louder and softer, with breath."""
    pulses = (np.arange(count) % 133 == 0).astype(float)
    for hertz, width in ((700, 130), (1700, 200)):
        radius = np.exp(-np.pi * width / RATE)
        turn = 2 * radius * np.cos(2 * np.pi * hertz / RATE)
        out = np.zeros(count)
        for at in range(count):
            out[at] = pulses[at] + turn * out[at - 1] - radius**2 * out[at - 2]
        pulses = out
    envelope = np.sin(np.linspace(0, 3 * np.pi, count)) ** 2
    return 0.5 * envelope * pulses / np.abs(pulses).max() + noise(count, 0.002)


def sounds():
    yield "chirp", 0.5 * chirp(5600, 50, 7600) + noise(5600, 0.003)
    yield "voice", voice(6000)
    yield "noise", noise(3200, 0.1) + 0.1
    yield "tone", 0.7 * np.sin(2 * np.pi * 440 * np.arange(2400) / RATE) + noise(2400, 0.0005)
    yield "silence", np.zeros(1000)
    yield "burst", np.concatenate([np.zeros(1500), noise(100, 0.3), np.zeros(1500)])
    yield "short", noise(401, 0.1)
    yield "telephone", 0.4 * chirp(2500, 100, 3800, 8000) + noise(2500, 0.003)


def write(name, features):
    (FOLDER / f"{name}.f32").write_bytes(features.contiguous().numpy().astype("<f4").tobytes())


def fbank(samples, rate=RATE, bins=80, **options):
    return kaldi.fbank(samples[None].double(), sample_frequency=rate, num_mel_bins=bins, **options)


def main():
    for name, sound in sounds():
        stored = np.clip(np.round(sound * 32768), -32768, 32767).astype("<i2")
        (FOLDER / f"{name}.i16").write_bytes(stored.tobytes())
        samples = torch.from_numpy(stored.astype(np.float32) / 32768)
        if name == "telephone":
            write(f"{name}.filter_bank_8k", fbank(samples, 8000, 40))
            continue
        write(f"{name}.log_mel_80", log_mel_spectrogram(samples).T)
        write(f"{name}.filter_bank", fbank(samples))
        write(f"{name}.mfcc", kaldi.mfcc(samples[None].double()))
        if name == "voice":
            write(f"{name}.log_mel_128", log_mel_spectrogram(samples, n_mels=128).T)
            padded = log_mel_spectrogram(samples, padding=16_000 - len(samples))
            write(f"{name}.log_mel_padded", padded.T)
            other = {"frame_length": 20.0, "frame_shift": 12.5, "low_freq": 100.0, "high_freq": -400.0}
            edges = {"window_type": "hamming", "snip_edges": False, "preemphasis_coefficient": 0.9}
            write(f"{name}.filter_bank_other", fbank(samples * 32768, bins=23, **other, **edges))
            write(f"{name}.mfcc_other", kaldi.mfcc(samples[None].double(), num_ceps=20, num_mel_bins=40, cepstral_lifter=0.0))
            mean = fbank(samples, bins=23, window_type="blackman", subtract_mean=True)
            write(f"{name}.filter_bank_mean", mean)


if __name__ == "__main__":
    main()
