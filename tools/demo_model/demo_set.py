"""Composes the demo's training pictures: Chinese clouds and meanders in white on resist-dyed indigo cloth.

    python demo_set.py --ornaments DIR --out assets/demo

The motifs are pgfornament-han's (NNN.svg); the checkpoint has never seen them, nor cloth.
"""

import argparse
import csv
from pathlib import Path

import numpy
from PIL import Image, ImageFilter, ImageOps

from layouts import Stamp
from ornaments import cover, stretched
from vignettes import rasterise

SIDE = 256
COLOURS = 14  # of a palette PNG: few, so that the folder stays small
INDIGO, UNDYED = (0.13, 0.16, 0.40), (0.93, 0.93, 0.90)

CLOUDS = {"round": 66, "flying": 68, "drifting": 70, "curling": 64}
TILES = (37, 39, 41, 43, 45)
CORNERS = {"fretwork": (1, 7, 13, 21), "cloud": (72, 74)}
RINGS = (49, 51, 53)
SEALS = {"fortune": 55, "longevity": 56, "joy": 57}
RUYI = 76


class Motifs:
    """Masks of the drawings, each rasterised when first asked for."""

    def __init__(self, folder):
        self.folder, self.masks = folder, {}

    def __getitem__(self, number):
        if number not in self.masks:
            self.masks[number] = Image.fromarray(trimmed(rasterise(self.folder / f"{number:03d}.svg")))
        return self.masks[number]


def trimmed(mask):
    """The drawing without its margin, in the middle of a square."""
    rows, columns = numpy.nonzero(mask.max(1) > 20)[0], numpy.nonzero(mask.max(0) > 20)[0]
    piece = Image.fromarray(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    square = Image.new("L", (max(piece.size), max(piece.size)))
    square.paste(piece, ((square.width - piece.width) // 2, (square.height - piece.height) // 2))
    return numpy.asarray(square)


# ----- compositions: f(motifs, stamp, variant) draws, and gives the phrase -----


def clouds(motifs, stamp, variant):
    """Half-drop or square repeat of one cloud."""
    kind = list(CLOUDS)[variant % 4]
    mask, across = motifs[CLOUDS[kind]], 2 + variant % 3
    for column in range(across):
        for row in range(-1, 2 * across):
            turned = ImageOps.mirror(mask) if column % 2 else mask
            drop = 0.5 * (column % 2)
            stamp.put(turned, (column + 0.5) / across, (row * 0.7 + 0.4 + 0.7 * drop) / across, 0.92 / across)
    return f"a half-drop repeat of {kind} clouds"


def meander(motifs, stamp, variant):
    """Rows of a meander that join into bands."""
    mask, across = motifs[TILES[variant % len(TILES)]], 3 + variant % 3
    for row in range(across):
        for column in range(across):
            stamp.put(mask, (column + 0.5) / across, (row + 0.5) / across, 1 / across)
    return "an all-over pattern of meanders"


def medallion(motifs, stamp, variant):
    """A seal or a cloud in a meander ring."""
    stamp.put(motifs[RINGS[variant % 3]], 0.5, 0.5, 0.9)
    if variant % 2:
        kind = list(SEALS)[variant // 2 % 3]
        stamp.put(motifs[SEALS[kind]], 0.5, 0.5, 0.5)
        return f"a round medallion with a seal of {kind} in a meander ring"
    stamp.put(motifs[CLOUDS["round"]], 0.5, 0.5, 0.56)
    return "a round medallion with a cloud in a meander ring"


def four_corners(motifs, stamp, variant):
    """Corner pieces around a seal or ruyi heads."""
    kind = list(CORNERS)[variant % 2]
    mask, side = motifs[CORNERS[kind][variant // 2 % len(CORNERS[kind])]], 0.33
    upright = mask if kind == "fretwork" else ImageOps.flip(mask)  # the cloud corners are drawn for the lower left
    for turn in range(4):
        piece = upright.rotate(-90 * turn)
        x, y = ((0, 0), (1, 0), (1, 1), (0, 1))[turn]
        stamp.put(piece, 0.03 + side / 2 + x * (0.94 - side), 0.03 + side / 2 + y * (0.94 - side), side)
    if variant % 3:
        stamp.put(motifs[list(SEALS.values())[variant % 3]], 0.5, 0.5, 0.34)
        return f"four {kind} corners around a seal"
    ruyi_rosette(motifs, stamp, 4, 0.13, 0.2)
    return f"four {kind} corners around a rosette of four ruyi"


def ruyi_rosette(motifs, stamp, count, radius, side):
    for k in range(count):
        turn = 2 * numpy.pi * k / count
        stamp.put(motifs[RUYI], 0.5 + radius * numpy.sin(turn), 0.5 - radius * numpy.cos(turn), side, numpy.degrees(turn))


def rosette(motifs, stamp, variant):
    """Ruyi heads around the middle, in a ring or around a seal."""
    name, count = [("six", 6), ("eight", 8), ("five", 5), ("four", 4)][variant % 4]
    ruyi_rosette(motifs, stamp, count, 0.3, 1.5 / (count + 1))
    if variant % 2:
        stamp.put(motifs[list(SEALS.values())[variant % 3]], 0.5, 0.5, 0.24)
        return f"a rosette of {name} ruyi around a seal"
    return f"a rosette of {name} ruyi"


def border(motifs, stamp, variant):
    """A border of meanders around a cloud or a pair of them."""
    mask, count = motifs[TILES[(variant + 1) % len(TILES)]], 7
    for k in range(count):
        along, edge = (k + 0.5) / count, 0.5 / count
        places = [(along, edge, 0), (along, 1 - edge, 180)]
        places += [(edge, along, 270), (1 - edge, along, 90)] if 0 < k < count - 1 else []
        for x, y, degrees in places:
            stamp.put(mask, x, y, 0.86 / count, degrees)
    kind = list(CLOUDS)[(variant + 1) % 4]
    if variant % 2:
        stamp.put(motifs[CLOUDS[kind]], 0.5, 0.5, 0.56)
        return f"a {kind} cloud in a border of meanders"
    stamp.put(motifs[CLOUDS[kind]], 0.5, 0.35, 0.42)
    stamp.put(ImageOps.mirror(motifs[CLOUDS[kind]]), 0.5, 0.65, 0.42)
    return f"two {kind} clouds in a border of meanders"


COMPOSITIONS = (clouds, meander, medallion, four_corners, rosette, border)


def dyed(coverage, random):
    """Resist-dyed cloth: undyed where covered, with bleeding edges, an uneven vat and a plain weave."""
    mask = Image.fromarray((coverage * 255).astype(numpy.uint8)).filter(ImageFilter.GaussianBlur(0.8))
    image = numpy.broadcast_to(numpy.float32(INDIGO), (SIDE, SIDE, 3)).copy()
    image *= 1 + stretched(random.normal(0, 0.16, (5, 5)).astype(numpy.float32), SIDE)[..., None]
    cover(image, numpy.asarray(mask, numpy.float32) / 255, numpy.float32(UNDYED))
    threads = numpy.where(numpy.indices((SIDE, SIDE)).sum(0) // 2 % 2 == 0, 1.03, 0.97)
    return numpy.clip(image * threads[..., None], 0, 1)


def save(image, path):
    picture = Image.fromarray((image * 255).round().astype(numpy.uint8))
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ornaments", type=Path, required=True, help="folder of pgfornament-han's drawings, NNN.svg")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    motifs, random = Motifs(options.ornaments), numpy.random.default_rng(11)
    with open(options.out / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["filename", "prompt"])
        for index in range(24):
            compose, stamp = COMPOSITIONS[index % len(COMPOSITIONS)], Stamp(SIDE)
            phrase = compose(motifs, stamp, index // len(COMPOSITIONS))
            name = f"{index + 1:02d}-{compose.__name__.replace('_', '-')}.png"
            save(dyed(stamp.coverage(), random), options.out / name)
            rows.writerow([name, f"lanyinhua, {phrase}"])


if __name__ == "__main__":
    main()
