"""Writes the golden pictures of RandAugment, crates/data/src/processors/image/rand_augment.rs, as torchvision makes them.

Needs torchvision and Pillow. Run it in this folder: python make.py
picture.rgb holds 15 rows of 19 pixels, three bytes each. operations.rgb holds what becomes of it, one picture after the
other: for each operation in the order of OPERATIONS, for the magnitudes 9 and 30, plain and with the sign turned (the
same again where the operation has no sign).
"""

import math
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms.autoaugment import _apply_op

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 19, 15
OPERATIONS = [
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness",
    "Posterize", "Solarize", "AutoContrast", "Equalize",
]


def picture():
    """Waves with an edge in them, within a part of the range, so that every operation has something to change."""
    pixels = bytearray()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            for phase in (0, 1, 2):
                wave = 60 * math.sin(0.7 * x + phase) * math.cos(0.5 * y - phase)
                pixels.append(int(120 + wave + (45 if x > y else 0) - 10 * phase))
    return Image.frombytes("RGB", (WIDTH, HEIGHT), bytes(pixels))


def main():
    source = picture()
    (FOLDER / "picture.rgb").write_bytes(source.tobytes())
    space = RandAugment()._augmentation_space(31, (HEIGHT, WIDTH))
    assert sorted(space) == sorted(OPERATIONS), sorted(space)
    results = bytearray()
    for operation in OPERATIONS:
        magnitudes, signed = space[operation]
        for index in (9, 30):
            magnitude = float(magnitudes[index].item()) if magnitudes.ndim > 0 else 0.0
            for sign in (1.0, -1.0):
                value = magnitude * sign if signed else magnitude
                results += _apply_op(source, operation, value, InterpolationMode.NEAREST, None).tobytes()
    (FOLDER / "operations.rgb").write_bytes(results)


torch.manual_seed(0)
main()
