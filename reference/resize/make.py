"""Writes the golden sizes of crates/data/src/processors/image/resize.rs: what Pillow and torchvision make of pictures.

Needs torchvision and Pillow. Run it in this folder: python make.py
cases.json lists the cases; expected.rgb holds their results one after the other, height × width × 3 bytes each. Sources
are made by formula, here and in the test: `noise` uses the whole range, `edges` is black and white, `soft` stays where no
pass of a filter leaves the range of a byte, `glass` is noise with every degree of transparency, laid on the ground.
Pillow, and torchvision with pictures of Pillow or with bytes, round and clamp between the passes; torchvision with floats
does not, so `tensor` is asked for `soft` alone.
"""

import json
from pathlib import Path

import torch
import torchvision.transforms as transforms
from PIL import Image
from torchvision.transforms import InterpolationMode

FOLDER = Path(__file__).parent
BICUBIC = Image.Resampling.BICUBIC
GROUND = (10, 200, 90)
FILL = 128
SOURCES = [(17, 23), (40, 9), (1, 1), (1, 30), (30, 1), (64, 48), (2, 3)]


def scrambled(index):
    """A number of eight bits that looks random."""
    value = (index + 1) * 2654435761 % 2**32
    return (value ^ value >> 15) * 2246822519 % 2**32 >> 24


def source(kind, height, width):
    if kind == "glass":
        pixels = bytes(scrambled(index) for index in range(height * width * 4))
        image = Image.frombytes("RGBA", (width, height), pixels)
        ground = Image.new("RGBA", image.size, GROUND + (255,))
        return Image.alpha_composite(ground, image).convert("RGB")
    values = {
        "noise": scrambled,
        "soft": lambda index: 96 + scrambled(index) % 64,
        "edges": lambda index: 255 * ((index // 3 % width // 3 + index // 3 // width // 2) % 2),
    }
    return Image.frombytes("RGB", (width, height), bytes(map(values[kind], range(height * width * 3))))


def letterbox(image, height, width):
    scale = min(height / image.height, width / image.width)
    inner = [min(max(int(side * scale + 0.5), 1), most) for side, most in ((image.width, width), (image.height, height))]
    field = Image.new("RGB", (width, height), (FILL,) * 3)
    field.paste(image.resize(inner, BICUBIC), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return field


def shortest(image, side, height, width, tensor=False):
    resize = transforms.Resize(side, InterpolationMode.BICUBIC, antialias=True)
    cut = transforms.CenterCrop((height, width))
    if not tensor:
        return cut(resize(image))
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    pixels = pixels.reshape(image.height, image.width, 3).permute(2, 0, 1).contiguous()
    result = cut(resize(pixels)).permute(1, 2, 0).contiguous()
    return Image.frombytes("RGB", (width, height), result.numpy().tobytes())


def cases():
    for height, width in SOURCES:
        for kind in ("noise", "edges", "soft", "glass"):
            yield kind, height, width, "stretch", (11, 7)
            yield kind, height, width, "letterbox", (10, 13)
            yield kind, height, width, "crop", (8, 8)
            yield kind, height, width, "shortest", (12, 9)
        yield "noise", height, width, "stretch", (29, 31)
        yield "soft", height, width, "tensor", (12, 9)
    for height, width in SOURCES:
        yield "noise", height, width, "bilinear", (11, 7)
        yield "edges", height, width, "bilinear", (5, 24)
        yield "noise", height, width, "bilinear", (29, 31)


def main():
    listed, results = [], bytearray()
    for kind, height, width, method, size in cases():
        image, side = source(kind, height, width), 15
        if method == "stretch":
            result = image.resize(size[::-1], BICUBIC)
        elif method == "bilinear":
            result = image.resize(size[::-1], Image.Resampling.BILINEAR)
        elif method == "letterbox":
            result = letterbox(image, *size)
        elif method == "crop":
            result = shortest(image, size[0], *size)
        else:
            result = shortest(image, side, *size, tensor=method == "tensor")
        assert result.size == size[::-1]
        listed.append({"source": kind, "height": height, "width": width, "method": method, "size": list(size)})
        results += result.tobytes()
    lines = ",\n".join(json.dumps(case) for case in listed)
    (FOLDER / "cases.json").write_text(f"[\n{lines}\n]\n")
    (FOLDER / "expected.rgb").write_bytes(results)


main()
