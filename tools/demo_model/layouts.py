"""Layouts: each gives the coverage of figure and accent, and the phrase that describes what it drew."""

from dataclasses import dataclass

import numpy
from PIL import Image, ImageChops, ImageOps

import shapes
from vignettes import CORNER, SUBJECTS, fitted

NUMBERS = {3: "three", 4: "four", 5: "five", 6: "six", 8: "eight", 10: "ten", 12: "twelve"}
IRREGULAR = {"leaf": "leaves", "holly branch": "holly branches", "butterfly": "butterflies", "lily": "lilies",
             "daisy": "daisies", "fish": "fish", "cross": "crosses"}  # fmt: skip


# Layouts by name, those all over are drawn twice as often.
KINDS = ("tiling", "repeat", "single", "pair", "petals", "rosette", "medallion", "corners", "border")


def plural(noun):
    return IRREGULAR.get(noun, noun + "s")


def article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


@dataclass
class Drawing:
    """Coverage 0..1 of the figure, and of a part that may have a colour of its own; (size, size) each."""

    phrase: str
    figure: numpy.ndarray
    accent: numpy.ndarray | None = None
    accent_name: str = ""


class Stamp:
    """Greyscale pictures collected on one canvas, the darker covering."""

    def __init__(self, size):
        self.size = size
        self.canvas = Image.new("L", (size, size))

    def put(self, mask, x, y, side, degrees=0.0):
        """Puts a mask of `side` (canvas sides) with its centre at (x, y), 0..1, turned clockwise."""
        piece = fitted(mask, max(4, round(side * self.size)))
        if degrees:
            piece = piece.rotate(-degrees, Image.Resampling.BILINEAR, expand=True)
        left, top = round(x * self.size - piece.width / 2), round(y * self.size - piece.height / 2)
        layer = Image.new("L", self.canvas.size)
        layer.paste(piece, (left, top))
        self.canvas = ImageChops.lighter(self.canvas, layer)

    def coverage(self):
        return numpy.asarray(self.canvas, numpy.float32) / 255


class Layouts:
    """Draws one layout after another; `size` in pixels."""

    def __init__(self, vignettes, size, random):
        self.vignettes, self.size, self.random = vignettes, size, random
        self.grid = shapes.grid(size)

    def pick(self, *choices):
        return choices[self.random.integers(len(choices))]

    def vignette(self):
        """A subject and one of its drawings, mirrored half of the time."""
        subject = SUBJECTS[self.random.integers(len(SUBJECTS))]
        mask = self.vignettes.pick(subject, self.random)
        return subject, ImageOps.mirror(mask) if self.random.uniform() < 0.5 else mask

    # ----- all over -----

    def tiling(self):
        name = self.pick(*shapes.TILINGS)
        field = shapes.tiling(self.grid, name, self.random.uniform(2.5, 6), self.random)
        scale = self.pick("", "", "all-over ", "repeating ")
        phrase = self.pick(f"{article(scale + 'pattern')} of {name}", f"{scale}{name}", f"{name}, geometric pattern")
        return Drawing(phrase, self.grid.mask(field))

    def repeat(self):
        """Vignettes in rows and columns; in a half-drop, every other column starts half a cell lower."""
        subject, mask = self.vignette()
        across, half_drop = int(self.random.integers(2, 5)), self.random.uniform() < 0.5
        stamp, cell = Stamp(self.size), 1 / across
        flips = self.random.uniform() < 0.3
        for column in range(across):
            lower = 0.5 * (column % 2) if half_drop else 0
            for row in range(-1, across + 1):
                turned = ImageOps.mirror(mask) if flips and (row + column) % 2 else mask
                stamp.put(turned, (column + 0.5) * cell, (row + 0.5 + lower) * cell, cell * 0.9)
        kind = "a half-drop repeat" if half_drop else self.pick("an all-over pattern", "a repeating pattern", "rows")
        return Drawing(f"{kind} of {plural(subject)}", stamp.coverage())

    # ----- centred -----

    def single(self):
        subject, mask = self.vignette()
        stamp = Stamp(self.size)
        large = self.random.uniform() < 0.5
        stamp.put(mask, 0.5, 0.5, self.random.uniform(0.75, 0.95) if large else self.random.uniform(0.4, 0.6))
        phrase = self.pick(f"a large {subject}", f"one large {subject}") if large else self.pick(
            f"a small {subject}", f"a single {subject}, centred", article(subject) + " in the middle")  # fmt: skip
        return Drawing(phrase, stamp.coverage())

    def pair(self):
        subject, mask = self.vignette()
        stamp, side = Stamp(self.size), self.random.uniform(0.4, 0.5)
        stamp.put(mask, 0.5 - side / 2, 0.5, side)
        stamp.put(ImageOps.mirror(mask), 0.5 + side / 2, 0.5, side)
        return Drawing(self.pick(f"a mirrored pair of {plural(subject)}", f"two {plural(subject)} face to face"), stamp.coverage())

    def petals(self):
        """A rosette of petals, a star, or a ring of beads; the heart of it may be an accent."""
        count, radius = int(self.pick(*NUMBERS)), self.random.uniform(0.28, 0.46)
        r, angle = self.grid.radius / radius, self.grid.angle + numpy.pi / 2
        kind = self.pick("round petals", "pointed petals", "petals", "star", "beads")
        if kind == "star":
            field, phrase = shapes.star_field(r, angle, count), f"a star with {NUMBERS[count]} points"
        elif kind == "beads":
            field = shapes.beads(r, angle, 0.85, 2 * count, 0.09) | (r < 0.55)
            phrase = "a disc in a ring of beads"
        else:
            field = shapes.petals_field(r, angle, count, kind == "pointed petals")
            phrase = f"a rosette of {NUMBERS[count]} {kind}"
        heart = r < self.random.uniform(0.2, 0.32)
        accent = self.grid.mask(heart)
        return Drawing(phrase, self.grid.mask(field), accent, self.pick("heart", "centre"))

    def rosette(self):
        """Vignettes around the middle, feet inwards."""
        subject, mask = self.vignette()
        count = int(self.pick(4, 5, 6, 8))
        stamp, side = Stamp(self.size), {4: 0.36, 5: 0.33, 6: 0.3, 8: 0.25}[count]
        for k in range(count):
            turn = 2 * numpy.pi * k / count
            stamp.put(mask, 0.5 + 0.31 * numpy.sin(turn), 0.5 - 0.31 * numpy.cos(turn), side, numpy.degrees(turn))
        return Drawing(f"a rosette of {NUMBERS[count]} {plural(subject)}", stamp.coverage())

    def medallion(self):
        """A vignette or a rosette in one or two rings."""
        inner = self.single_small() if self.random.uniform() < 0.7 else self.small_rosette()
        outer, width = self.random.uniform(0.4, 0.48), self.random.uniform(0.015, 0.04)
        rings = shapes.ring(self.grid.radius, outer, width)
        kind = self.pick("ring", "double ring", "beaded ring")
        if kind == "double ring":
            rings |= shapes.ring(self.grid.radius, outer - 2.2 * width, width * 0.6)
        if kind == "beaded ring":
            count = int(self.pick(16, 24, 32))
            rings = shapes.beads(self.grid.radius, self.grid.angle, outer - 0.03, count, min(0.035, outer * 2.2 / count))
        phrase = self.pick(f"a round medallion with {inner.phrase}", f"{inner.phrase} in {article(kind)}")
        return Drawing(phrase, inner.figure, self.grid.mask(rings), "ring")

    def single_small(self):
        subject, mask = self.vignette()
        stamp = Stamp(self.size)
        stamp.put(mask, 0.5, 0.5, 0.5)
        return Drawing(article(subject), stamp.coverage())

    def small_rosette(self):
        count = int(self.pick(*NUMBERS))
        field = shapes.petals_field(self.grid.radius / 0.27, self.grid.angle + numpy.pi / 2, count, self.random.uniform() < 0.5)
        return Drawing(f"a rosette of {NUMBERS[count]} petals", self.grid.mask(field))

    # ----- edges -----

    def corners(self):
        """The same drawing in all four corners, turned outwards; often something in the middle."""
        mask, stamp, side = self.vignettes.pick(CORNER, self.random), Stamp(self.size), self.random.uniform(0.26, 0.36)
        for x, y, piece in self.four_corners(mask):
            stamp.put(piece, 0.5 + x * (0.48 - side / 2), 0.5 + y * (0.48 - side / 2), side)
        phrase = self.pick("four corner scrolls", "scrolls in the corners")
        if self.random.uniform() < 0.4:
            return Drawing(phrase, stamp.coverage())
        inner = self.single_small() if self.random.uniform() < 0.6 else self.small_rosette()
        together = self.pick(f"{inner.phrase} with {phrase}", f"{phrase} around {inner.phrase}")
        return Drawing(together, inner.figure, stamp.coverage(), "corners")

    @staticmethod
    def four_corners(mask):
        """(x, y, drawing) with x and y -1 or 1, from a drawing of the upper left corner."""
        right, lower = ImageOps.mirror(mask), ImageOps.flip(mask)
        return [(-1, -1, mask), (1, -1, right), (-1, 1, lower), (1, 1, ImageOps.mirror(lower))]

    def border(self):
        """A frame of lines, of a tiling, of beads or of vignettes around a figure or nothing."""
        phrase, edge = self.edge()
        if self.random.uniform() < 0.25:
            return Drawing(phrase, edge)
        inner = self.single_small() if self.random.uniform() < 0.7 else self.small_rosette()
        together = self.pick(f"{inner.phrase} in {phrase}", f"{phrase} around {inner.phrase}")
        return Drawing(together, inner.figure, edge, "border")

    def edge(self):
        kind = self.pick("lines", "tiling", "tiling", "vignettes")
        if kind == "vignettes":
            return self.vignette_edge()
        width = self.random.uniform(0.1, 0.14)
        if kind == "tiling":
            name = self.pick("checks", "diamonds", "waves", "zigzags", "dots", "circles", "stars", "triangles", "lattice")
            field = shapes.tiling(self.grid, name, self.random.uniform(9, 13), self.random)
            return f"a border of {name}", self.grid.mask(field & shapes.frame(self.grid, 0.02, width))
        field = shapes.frame(self.grid, 0.03, 0.03) | shapes.frame(self.grid, 0.085, 0.015)
        return self.pick("a border of double lines", "a plain border", "a double frame"), self.grid.mask(field)

    def vignette_edge(self):
        subject, mask = self.vignette()
        stamp, count = Stamp(self.size), 5
        for k in range(count):
            along, near, far = (k + 0.5) / count, 0.5 / count, 1 - 0.5 / count
            stamp.put(mask, along, near, 0.17)
            stamp.put(mask, along, far, 0.17)
            if 0 < k < count - 1:
                stamp.put(mask, near, along, 0.17)
                stamp.put(mask, far, along, 0.17)
        return f"a border of {plural(subject)}", stamp.coverage()

    def draw(self):
        """Any layout; returns its name too."""
        kind = self.pick("tiling", "repeat", *KINDS)
        return kind, getattr(self, kind)()
