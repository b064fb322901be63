"""Records Pillow's LANCZOS and BICUBIC on a small picture, for the test of src/data/resize.rs.

    pip install "Pillow>=13"
    python tools/record_resize.py src/data/fixtures

Writes resize_source.png (53x37: noise, a ramp, hard edges) and what Pillow makes of it: LANCZOS' resize_down.png
(17x23) and resize_up.png (80x61), BICUBIC's resize_bicubic_down.png (17x11), resize_bicubic_up.png (59x43) and
resize_bicubic_mixed.png (97x7).
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
    lanczos, bicubic = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC
    picture.resize((17, 23), lanczos).save(folder / "resize_down.png")
    picture.resize((80, 61), lanczos).save(folder / "resize_up.png")
    picture.resize((17, 11), bicubic).save(folder / "resize_bicubic_down.png")
    picture.resize((59, 43), bicubic).save(folder / "resize_bicubic_up.png")
    picture.resize((97, 7), bicubic).save(folder / "resize_bicubic_mixed.png")


main()
