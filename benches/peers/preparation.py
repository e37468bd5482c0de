"""Rates of data preparation of the Python libraries on one thread, for benches/compare.

usage: preparation.py FOLDER [--seconds 1.0]

FOLDER holds what `sensorium bench preparation --inputs FOLDER` wrote. Prints one JSON document: {"pictures": {NAME: per
second}, "sounds": {NAME: seconds of sound per second}}, each of the median run. Pictures become 224×224 normalised
floats: the shorter side is resized (bicubic), then the middle is cut out. Sounds become 80 log-mel bands, 10 ms apart.
"""
import argparse
import io
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

# A wheel that was built for CUDA refuses its companions on a machine without one.
torch.version.cuda = None
torch.set_num_threads(1)

import librosa
import torchvision
from PIL import Image
from torchvision.io import decode_jpeg
from torchvision.transforms import v2
from whisper.audio import log_mel_spectrogram

SIDE = 224


def cropped(image):
    scale = SIDE / min(image.size)
    width, height = (max(SIDE, int(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.BICUBIC)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    return image.crop((left, top, left + SIDE, top + SIDE))


def normalised(image):
    values = np.asarray(image, dtype=np.float32)
    return (values * np.float32(1 / 255) - np.float32(0.5)) / np.float32(0.5)


def pillow(data):
    return normalised(cropped(Image.open(io.BytesIO(data)).convert("RGB")))


def pillow_draft(data):
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (SIDE, SIDE))
    return normalised(cropped(image.convert("RGB")))


transform = v2.Compose([
    v2.Resize(SIDE, v2.InterpolationMode.BICUBIC, antialias=True),
    v2.CenterCrop(SIDE),
    v2.ToImage(),
    v2.ToDtype(torch.float32, scale=True),
    v2.Normalize([0.5] * 3, [0.5] * 3),
])


def pillow_torchvision(data):
    return transform(Image.open(io.BytesIO(data)).convert("RGB"))


def torchvision_decoder(data):
    return transform(decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8)))


def whisper_mel(wave):
    return log_mel_spectrogram(torch.from_numpy(wave))


def librosa_mel(wave):
    mel = librosa.feature.melspectrogram(y=wave, sr=16000, n_fft=400, hop_length=160, n_mels=80)
    log = np.log10(np.maximum(mel, 1e-10))
    return (np.maximum(log, log.max() - 8) + 4) / 4


def median_seconds(least, work):
    """The median time of `work`, called until it took `least` seconds and five times at least."""
    work()
    taken = []
    while len(taken) < 5 or sum(taken) < least:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    pictures = [path.read_bytes() for path in sorted(options.folder.glob("*.jpg"))]
    samples = np.frombuffer((options.folder / "sound.wav").read_bytes()[44:], "<i2")
    wave = samples.astype(np.float32) / 32768

    def all_pictures(prepare):
        return lambda: [prepare(data) for data in pictures]

    picture_peers = [pillow, pillow_draft, pillow_torchvision, torchvision_decoder]
    report = {
        "pictures": {
            peer.__name__: len(pictures) / median_seconds(options.seconds, all_pictures(peer)) for peer in picture_peers
        },
        "sounds": {
            peer.__name__: len(wave) / 16000 / median_seconds(options.seconds, lambda: peer(wave))
            for peer in [whisper_mel, librosa_mel]
        },
    }
    print(json.dumps(report))


main()
