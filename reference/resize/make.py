"""Writes the golden sizes of crates/data/src/processors/image/resize.rs: what Pillow and torchvision make of pictures.

Needs torchvision and Pillow. Run it in this folder: python make.py
cases.json lists the cases; expected.rgb holds their results one after the other, height × width × 3 bytes each. Sources
are made by formula, here and in the test: `noise` uses the whole range, `edges` is black and white, `soft` stays where no
pass of a filter leaves the range of a byte, `glass` is noise with every degree of transparency, laid on the ground.
Pillow, and torchvision with pictures of Pillow, round and clamp between the passes, and Pillow 13 takes first the one that
saves work; where that shows (all but `soft`) each side is resized by a call of its own, the width first, as older
versions do it. torchvision with tensors does not clamp, so `tensor` is asked for `soft` alone.
"""

import json
from pathlib import Path

import torch

# A wheel that was built for CUDA refuses its companions on a machine without one.
torch.version.cuda = None

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


def resized(image, width, height, kind):
    if kind == "soft":
        return image.resize((width, height), BICUBIC)
    return image.resize((width, image.height), BICUBIC).resize((width, height), BICUBIC)


def letterbox(image, height, width, kind):
    scale = min(height / image.height, width / image.width)
    inner = [min(max(int(side * scale + 0.5), 1), most) for side, most in ((image.width, width), (image.height, height))]
    field = Image.new("RGB", (width, height), (FILL,) * 3)
    field.paste(resized(image, *inner, kind), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return field


def shortest(image, side, height, width, kind, tensor=False):
    resize = transforms.Resize(side, InterpolationMode.BICUBIC, antialias=True)
    cut = transforms.CenterCrop((height, width))
    if not tensor:
        return cut(resized(image, *resize(image).size, kind))
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


def main():
    listed, results = [], bytearray()
    for kind, height, width, method, size in cases():
        image, side = source(kind, height, width), 15
        if method == "stretch":
            result = resized(image, *size[::-1], kind)
        elif method == "letterbox":
            result = letterbox(image, *size, kind)
        elif method == "crop":
            result = shortest(image, size[0], *size, kind)
        else:
            result = shortest(image, side, *size, kind, tensor=method == "tensor")
        assert result.size == size[::-1]
        listed.append({"source": kind, "height": height, "width": width, "method": method, "size": list(size)})
        results += result.tobytes()
    lines = ",\n".join(json.dumps(case) for case in listed)
    (FOLDER / "cases.json").write_text(f"[\n{lines}\n]\n")
    (FOLDER / "expected.rgb").write_bytes(results)


main()
