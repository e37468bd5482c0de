"""Writes the golden pictures of crates/data/src/processors/image: encoded files and what Pillow makes of them.

Needs Pillow 13 or newer. Run it in this folder: python generate.py
Each FILE.rgb holds height × width × 3 bytes, upright and opaque on white, as the processor must give them.
"""

import random
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 23, 17


def smooth(width, height, phase=0):
    """A picture whose colours change slowly, so that JPEG decoders agree on it."""
    pixels = bytes(
        value
        for y in range(height)
        for x in range(width)
        for value in ((x * 9 + phase) % 256, (y * 12 + 40) % 256, (x * 4 + y * 5 + 3 * phase) % 256)
    )
    return Image.frombytes("RGB", (width, height), pixels)


def on_white(image):
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def golden(name, expected=None):
    """Stores beside an encoded file what Pillow reads from it."""
    if expected is None:
        with Image.open(FOLDER / name) as image:
            image.seek(0)
            expected = on_white(image)
    (FOLDER / f"{name}.rgb").write_bytes(expected.tobytes())


def encoded():
    first, second = smooth(WIDTH, HEIGHT), smooth(WIDTH, HEIGHT, 90)
    first.convert("CMYK").save(FOLDER / "cmyk.jpg", quality=95)
    first.save(FOLDER / "progressive.jpg", quality=95, progressive=True)
    first.convert("L").save(FOLDER / "grey.jpg", quality=95)
    first.convert("CMYK").save(FOLDER / "cmyk.tiff", compression="tiff_lzw")
    alpha = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    transparent = first.copy()
    transparent.putalpha(alpha)
    transparent.save(FOLDER / "transparent.webp", lossless=True)
    first.quantize(16).save(FOLDER / "palette.png", transparency=3)
    doubled = bytes(byte for value in first.convert("L").tobytes() for byte in (value, value))
    Image.frombytes("I;16", first.size, doubled).save(FOLDER / "grey16.png")
    first.convert("1").save(FOLDER / "bits.png")
    first.quantize(8).save(FOLDER / "palette.bmp")
    for name in ("animated.gif", "animated.webp", "animated_apng.png"):
        options = {} if name.endswith("gif") else {"lossless": True}
        first.save(FOLDER / name, save_all=True, append_images=[second], duration=100, **options)
    for name in (
        "cmyk.jpg", "progressive.jpg", "grey.jpg", "cmyk.tiff", "transparent.webp", "palette.png",
        "bits.png", "palette.bmp", "animated.gif", "animated.webp", "animated_apng.png",
    ):
        golden(name)
    golden("grey16.png", first.convert("L").convert("RGB"))


def noise(name, low, high):
    generator = random.Random(1)
    pixels = bytes(generator.randrange(low, high) for _ in range(WIDTH * HEIGHT * 3))
    (FOLDER / f"{name}.rgb").write_bytes(pixels)
    return Image.frombytes("RGB", (WIDTH, HEIGHT), pixels)


def resized():
    bicubic = Image.Resampling.BICUBIC
    source, soft = noise("noise", 0, 256), noise("soft", 80, 176)
    stretched = source.resize((10, 6), bicubic)
    (FOLDER / "noise_stretch_6x10.rgb").write_bytes(stretched.tobytes())
    # Pillow runs the horizontal pass first, the processor the vertical one. The two differ where a pass leaves the
    # range of a byte and is clamped, so full-range noise is enlarged here in the processor's order.
    enlarged = source.resize((WIDTH, 31), bicubic).resize((29, 31), bicubic)
    (FOLDER / "noise_stretch_31x29.rgb").write_bytes(enlarged.tobytes())
    (FOLDER / "soft_stretch_31x29.rgb").write_bytes(soft.resize((29, 31), bicubic).tobytes())
    # torchvision: Resize(8) makes the shortest side 8 and rounds the other down; CenterCrop(8) rounds its start.
    long_side = int(8 * WIDTH / HEIGHT)
    left = round((long_side - 8) / 2)
    whole = source.resize((long_side, 8), bicubic)
    (FOLDER / "noise_crop_8x8.rgb").write_bytes(whole.crop((left, 0, left + 8, 8)).tobytes())


encoded()
resized()
