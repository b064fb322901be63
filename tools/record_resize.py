"""Records Pillow's LANCZOS on a small picture, for the test of src/data/resize.rs.

    pip install Pillow
    python tools/record_resize.py src/data/fixtures

Writes resize_source.png (53x37: noise, a ramp, hard edges) and what Pillow makes of it: resize_down.png (17x23)
and resize_up.png (80x61).
"""

import pathlib
import random
import sys

from PIL import Image

SOURCE_SIZE = (53, 37)


def source_picture():
    generator = random.Random(1)
    picture = Image.new("RGB", SOURCE_SIZE)
    for y in range(SOURCE_SIZE[1]):
        for x in range(SOURCE_SIZE[0]):
            noise = generator.randrange(256)
            edge = 255 if (x // 5 + y // 4) % 2 else 0
            picture.putpixel((x, y), (noise, edge, x * 4 + y))
    return picture


def main():
    folder = pathlib.Path(sys.argv[1])
    picture = source_picture()
    picture.save(folder / "resize_source.png")
    picture.resize((17, 23), Image.Resampling.LANCZOS).save(folder / "resize_down.png")
    picture.resize((80, 61), Image.Resampling.LANCZOS).save(folder / "resize_up.png")


main()
