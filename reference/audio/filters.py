"""Writes filters.json: what SciPy, librosa and ffmpeg make of a generated signal.

Needs numpy, scipy, librosa and ffmpeg. Run it in this folder: python filters.py
"""

import json
import re
import subprocess
from pathlib import Path

import librosa
import numpy
from scipy.signal import butter, sosfilt


def tones(rate, seconds, level):
    time = numpy.arange(int(rate * seconds)) / rate
    tone = lambda frequency: numpy.sin(2 * numpy.pi * frequency * time)
    return (level(time) * (0.6 * tone(220) + 0.3 * tone(1870) + 0.1 * tone(6100))).astype(numpy.float32)


def corner(kind, samples, rate, *corners):
    for kind, corner in zip(kind, corners):
        samples = sosfilt(butter(4, corner, kind, fs=rate, output="sos"), samples)
    return samples[:100].tolist()


def loudness(rate):
    level = lambda time: numpy.where(time < 2, 0.05, numpy.where(time < 3, 0.5, 0.0))
    source = ["-f", "f32le", "-ar", str(rate), "-ac", "1", "-i", "-"]
    command = ["ffmpeg", "-v", "info", "-nostats", *source, "-filter_complex", "ebur128", "-f", "null", "-"]
    result = subprocess.run(command, input=tones(rate, 4, level).tobytes(), capture_output=True, check=True)
    return float(re.findall(rb"I:\s+(-[\d.]+) LUFS", result.stderr)[-1])


def trim(depth):
    level = lambda time: numpy.where((time >= 0.5) & (time < 0.9), 0.5, 0.5 * 10 ** (-4 * abs(time - 0.7)))
    return librosa.effects.trim(tones(16000, 1.5, level), top_db=depth)[1].tolist()


short = tones(16000, 0.05, lambda time: 1.0).astype(numpy.float64)
reference = {
    "high_pass": corner(["highpass"], short, 16000, 300),
    "low_pass": corner(["lowpass"], short, 16000, 3400),
    "band_pass": corner(["highpass", "lowpass"], short, 16000, 300, 3400),
    "loudness": {str(rate): loudness(rate) for rate in (48000, 16000)},
    "trim": {str(depth): trim(depth) for depth in (20, 40, 100)},
}
(Path(__file__).parent / "filters.json").write_text(json.dumps(reference) + "\n")
