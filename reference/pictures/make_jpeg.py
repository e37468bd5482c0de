"""Writes the golden JPEGs of crates/data/src/processors/image/jpeg, and what Pillow makes of them.

Needs Pillow 13 or newer. Run it in this folder: python make_jpeg.py
Each jpeg_NAME.jpg.rgb holds the picture four times, one after the other: whole, and as Pillow's `draft` gives it at a half,
a quarter and an eighth of its size where that is a pixel or more; height × width × 3 bytes each. photo_*.rgb are resized as torchvision does:
Resize(48), CenterCrop(48), of the whole and of the drafted picture.
"""

import io
import math
import random
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 37, 21
SCALES = (1, 2, 4, 8)


def picture(width=WIDTH, height=HEIGHT, noise=60, seed=1):
    """Waves and noise that reach the ends of the range."""
    generator = random.Random(seed)
    pixels = bytearray()
    for y in range(height):
        for x in range(width):
            for phase in (0, 1, 2):
                wave = 110 * math.sin(0.19 * x + phase) * math.cos(0.13 * y - phase)
                pixels.append(min(255, max(0, round(128 + wave + generator.uniform(-noise, noise)))))
    return Image.frombytes("RGB", (width, height), bytes(pixels))


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def refactored(data, factors, width, height):
    """The same blocks under other sampling factors of the first component and another size."""
    data = bytearray(data)
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = height.to_bytes(2) + width.to_bytes(2)
    data[start + 6] = factors
    return bytes(data)


def as_ycck(data):
    """The same file with Adobe's transform from inks to luma and differences."""
    data = bytearray(data)
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def reading(data, scale):
    with Image.open(io.BytesIO(data)) as image:
        if scale > 1:
            image.draft(image.mode, (max(1, image.width // scale), max(1, image.height // scale)))
        return image.convert("RGB")


def golden(name, data):
    whole = reading(data, 1)
    scales = [scale for scale in SCALES if scale <= min(whole.size)]
    expected = [reading(data, scale) for scale in scales]
    for scale, image in zip(scales, expected):
        assert image.size == (math.ceil(whole.width / scale), math.ceil(whole.height / scale)), (name, scale)
    (FOLDER / f"jpeg_{name}.jpg").write_bytes(data)
    (FOLDER / f"jpeg_{name}.jpg.rgb").write_bytes(b"".join(image.tobytes() for image in expected))


def kinds():
    source = picture()
    golden("444", encoded(source, subsampling=0, quality=90))
    golden("422", encoded(source, subsampling=1, quality=90, optimize=True))
    golden("420", encoded(source, subsampling=2, quality=90))
    golden("420_coarse", encoded(source, subsampling=2, quality=5))
    golden("420_fine", encoded(source, subsampling=2, quality=100))
    # A unit of 2 × 1 blocks is one of 1 × 2 as well, and one of 2 × 2 one of 4 × 1.
    golden("440", refactored(encoded(source, subsampling=1, quality=90), 0x12, 23, 43))
    golden("411", refactored(encoded(source, subsampling=2, quality=90), 0x41, 85, 13))
    golden("444_progressive", encoded(source, subsampling=0, quality=90, progressive=True))
    golden("420_progressive", encoded(source, subsampling=2, quality=90, progressive=True))
    golden("420_restarts", encoded(source, subsampling=2, quality=90, restart_marker_blocks=2))
    golden("420_restarts_progressive", encoded(source, quality=75, restart_marker_blocks=1, progressive=True))
    golden("rgb", encoded(source, keep_rgb=True, quality=90))
    golden("grey", encoded(source.convert("L"), quality=90))
    golden("grey_progressive", encoded(source.convert("L"), quality=90, progressive=True))
    inks = Image.merge("CMYK", (*source.split(), picture(seed=2).split()[0]))
    golden("cmyk", encoded(inks, quality=90))
    golden("ycck", as_ycck(encoded(inks, quality=90)))
    for width, height in ((1, 1), (2, 3), (3, 2), (5, 17), (16, 16), (17, 8)):
        golden(f"420_{width}x{height}", encoded(picture(width, height), subsampling=2, quality=90))


def cropped(image):
    shorter = min(image.size)
    width, height = (48 * side // shorter for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - 48) / 2), round((height - 48) / 2)
    return image.crop((left, top, left + 48, top + 48))


def photo():
    data = encoded(picture(187, 131, noise=12), subsampling=2, quality=85)
    (FOLDER / "photo.jpg").write_bytes(data)
    (FOLDER / "photo_exact.rgb").write_bytes(cropped(reading(data, 1)).tobytes())
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (48, 48))
        (FOLDER / "photo_fast.rgb").write_bytes(cropped(image).tobytes())


kinds()
photo()
