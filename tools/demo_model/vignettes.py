"""Western vignettes as masks, rasterised from SVG once.

The drawings are those of the LaTeX package pgfornament (family "vectorian", LPPL 1.3c or later), one SVG a number.
"""

import io
import subprocess
from pathlib import Path

import numpy
from PIL import Image, ImageFilter

# What a caption calls each drawing; the boldest ones, since a latent pixel is 8 pixels wide.
CATALOGUE = {
    "leaf": (1, 17, 20, 94, 133, 140, 141, 188, 189),
    "holly branch": (77, 78, 79),
    "flower": (9, 10, 19, 29, 116, 118),
    "rose": (8,),
    "tulip": (30, 177),
    "daisy": (117,),
    "bird": (112, 113, 190),
    "rooster": (90,),
    "eagle": (124, 136, 137),
    "butterfly": (122,),
    "scroll": (2, 3, 43, 44, 70, 97, 98, 183),
    "palmette": (25, 28, 52, 65, 66, 67),
    "lily": (6,),
    "heart": (130,),
    "wheel": (4,),
    "crown": (147,),
    "ship": (127, 128),
    "knot": (115, 129),
    "swirl": (24,),
    "cross": (58, 162),
    "tree": (184,),
    "fish": (106,),
    "elephant": (107,),
    "horseshoe": (187,),
    "corner": (31, 35, 37, 39, 53, 61, 63),
}
CORNER = "corner"  # drawings that grow out of the upper left or right corner
SUBJECTS = [name for name in CATALOGUE if name != CORNER]

SIDE = 256  # longest side of a cached mask in pixels
THIN = 0.2  # drawings that cover less than this are drawn with a broader pen
BROAD_PEN, PEN = 7, 3  # pixels that lines gain, plus one


def rasterise(svg):
    """How dark each pixel of a drawing is: 0..255, (SIDE, SIDE), centred."""
    command = ["rsvg-convert", "--keep-aspect-ratio", f"--width={SIDE}", f"--height={SIDE}"]
    command += ["--background-color=white", str(svg)]
    picture = Image.open(io.BytesIO(subprocess.run(command, check=True, capture_output=True).stdout)).convert("L")
    square = Image.new("L", (SIDE, SIDE), 255)
    square.paste(picture, ((SIDE - picture.width) // 2, (SIDE - picture.height) // 2))
    return 255 - numpy.asarray(square)


def emboldened(mask):
    """The mask with broader lines: what is thinner than a few pixels is lost on latents of 8 pixels."""
    pen = BROAD_PEN if mask.mean() < THIN * 255 else PEN
    return numpy.asarray(Image.fromarray(mask).filter(ImageFilter.MaxFilter(pen)))


class Vignettes:
    """The catalogue's masks, by subject."""

    def __init__(self, folder, cache):
        """Reads `cache` (an .npz), or makes it from the SVG files in `folder`."""
        if not Path(cache).exists():
            numbers = sorted({number for group in CATALOGUE.values() for number in group})
            masks = {str(n): emboldened(rasterise(Path(folder) / f"{n:03d}.svg")) for n in numbers}
            numpy.savez_compressed(cache, **masks)
        with numpy.load(cache) as masks:
            self.masks = {int(name): Image.fromarray(masks[name]) for name in masks.files}

    def pick(self, subject, random):
        """One of the drawings of `subject`, as a greyscale picture."""
        return self.masks[int(random.choice(CATALOGUE[subject]))]


def fitted(mask, size):
    """The mask as a square of `size` pixels."""
    return mask.resize((size, size), Image.Resampling.BOX if size < mask.width // 2 else Image.Resampling.BILINEAR)
