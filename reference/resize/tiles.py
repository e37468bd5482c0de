"""Writes the golden files of crates/data/src/processors/image/tiles.rs: what the processor of Idefics3 makes of pictures.

Needs torch, transformers and Pillow. Run it in this folder: python tiles.py
tiles.json lists the cases with the rows and columns of their tiles, none where a picture is read whole; tiles.rgb holds the tiles
of all, and the whole picture behind those of each, height × width × 3 bytes each. Sources are made by formula, here and in the test.
"""

import json
from pathlib import Path

import numpy
import transformers
from PIL import Image

FOLDER = Path(__file__).parent
SOURCES = [(10, 10), (17, 23), (40, 9), (64, 48), (1, 30), (30, 1), (90, 31), (16, 16)]
# The longest side, and the side of a tile.
SIZES = [(32, 8), (30, 8), (8, 8), (21, 16)]


def source(height, width):
    values = [(index * 7 + index // 5) % 256 for index in range(height * width * 3)]
    return Image.frombytes("RGB", (width, height), bytes(values))


def main():
    cases, results = [], []
    for height, width in SOURCES:
        for longest, side in SIZES:
            for split in (True, False):
                processor = transformers.Idefics3ImageProcessorPil(
                    size=dict(longest_edge=longest), max_image_size=dict(longest_edge=side), do_image_splitting=split,
                    do_rescale=False, do_normalize=False,
                )  # fmt: skip
                found = processor(source(height, width), return_row_col_info=True, return_tensors="np")
                case = {"height": height, "width": width, "longest": longest, "side": side, "split": split}
                cases.append(case | {"rows": found["rows"][0][0], "columns": found["cols"][0][0]})
                results.append(found["pixel_values"][0].transpose(0, 2, 3, 1).astype(numpy.uint8).tobytes())
    (FOLDER / "tiles.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    (FOLDER / "tiles.rgb").write_bytes(b"".join(results))


main()
