"""Geometric masks: tilings, rosettes, frames.

Every function takes a `Grid` and gives a boolean field on it; `Grid.mask` turns one into soft-edged coverage.
Lengths are in canvas sides, so that a picture looks the same at every size.
"""

from functools import lru_cache

import numpy

OVERSAMPLING = 2


class Grid:
    """Sample points of a square canvas, OVERSAMPLING a pixel along each side; x and y in -0.5..0.5."""

    def __init__(self, size):
        self.size = size
        count = size * OVERSAMPLING
        axis = ((numpy.arange(count) + 0.5) / count - 0.5).astype(numpy.float32)
        self.x, self.y = numpy.meshgrid(axis, axis)
        self.radius = numpy.hypot(self.x, self.y)
        self.angle = numpy.arctan2(self.y, self.x)

    def mask(self, field):
        """Coverage 0..1 of each pixel, (size, size) f32."""
        cells = field.reshape(self.size, OVERSAMPLING, self.size, OVERSAMPLING)
        return cells.mean((1, 3), dtype=numpy.float32)


@lru_cache(maxsize=4)
def grid(size):
    """The grid of a canvas size, made once."""
    return Grid(size)


# ----- tilings: f(u, v, random), u and v in cells -----


def wrapped(u):
    """Distance to the middle of the own cell, -0.5..0.5."""
    return u - numpy.floor(u) - 0.5


def checks(u, v, random):
    return (numpy.floor(u) + numpy.floor(v)) % 2 == 0


def stripes(u, v, random):
    return wrapped(v) < random.uniform(-0.15, 0.1)


def diagonal_stripes(u, v, random):
    return wrapped((u + v * random.choice([-1, 1])) / 1.5) < random.uniform(-0.1, 0.1)


def diamonds(u, v, random):
    return checks((u + v) / 1.4, (u - v) / 1.4, random)


def lattice(u, v, random):
    width = random.uniform(0.1, 0.16)
    return (abs(wrapped((u + v) / 1.4)) < width) | (abs(wrapped((u - v) / 1.4)) < width)


def plaid(u, v, random):
    width = random.uniform(0.1, 0.2)
    return (abs(wrapped(u)) < width) | (abs(wrapped(v)) < width)


def waves(u, v, random):
    return wrapped(v + random.uniform(0.2, 0.35) * numpy.sin(2 * numpy.pi * u / 1.5)) < random.uniform(-0.15, 0.05)


def zigzag(u, v, random):
    return wrapped(v + abs(wrapped(u / 1.2)) * random.uniform(1, 1.6)) < random.uniform(-0.1, 0.05)


def dots(u, v, random):
    shifted = u + 0.5 * (numpy.floor(v) % 2)
    return numpy.hypot(wrapped(shifted), wrapped(v)) < random.uniform(0.22, 0.34)


def circles(u, v, random):
    inner = random.uniform(0.24, 0.32)
    distance = numpy.hypot(wrapped(u), wrapped(v))
    return (distance > inner) & (distance < inner + 0.15)


def scales(u, v, random):
    """Overlapping discs with a rim, each row half a cell aside and over the row above."""
    rim = random.uniform(0.12, 0.2)
    inside = numpy.zeros(u.shape, bool)
    for step in (0, 1):  # the disc of the own row lies over that of the next
        row = numpy.floor(2 * v) + step
        distance = numpy.hypot(wrapped(u + 0.5 * (row % 2)), (row / 2 - v) + 0.02)
        edge = (distance < 0.5) & (distance > 0.5 - rim) | (distance < 0.16)
        inside = numpy.where(distance < 0.5, edge, inside) if step == 1 else edge
    return inside


def honeycomb(u, v, random):
    """Walls between hexagons: near the border of the Voronoi cells of a triangular lattice."""
    height = numpy.sqrt(3).astype(numpy.float32)
    near = []
    for shift in (0.0, 0.5):
        a, b = wrapped(u + shift), wrapped(v / height + shift) * height
        near.append(numpy.maximum(abs(a), abs(a) / 2 + abs(b) * height / 2))
    return numpy.minimum(*near) > 0.5 - random.uniform(0.07, 0.13)


def triangles(u, v, random):
    return abs(wrapped(u)) * 2 < 1 - (v - numpy.floor(v))


def cell_polar(u, v):
    return numpy.hypot(wrapped(u), wrapped(v)), numpy.arctan2(wrapped(v), wrapped(u))


def stars(u, v, random):
    radius, angle = cell_polar(u, v)
    return star_field(radius / 0.46, angle + numpy.pi / 2, int(random.choice([5, 6, 8])))


def blossoms(u, v, random):
    radius, angle = cell_polar(u, v)
    petals = int(random.choice([4, 5, 6]))
    return (radius < 0.31 + 0.13 * numpy.cos(petals * angle)) & (radius > 0.1)


def crosses(u, v, random):
    a, b, width = abs(wrapped(u)), abs(wrapped(v)), random.uniform(0.1, 0.16)
    return ((a < width) | (b < width)) & (a < 0.38) & (b < 0.38)


def bricks(u, v, random):
    shifted = u / 2 + 0.5 * (numpy.floor(v) % 2)
    return (abs(wrapped(shifted)) < 0.45) & (abs(wrapped(v)) < 0.4)


TILINGS = {
    "checks": checks, "stripes": stripes, "diagonal stripes": diagonal_stripes, "diamonds": diamonds,
    "lattice": lattice, "plaid": plaid, "waves": waves, "zigzags": zigzag, "dots": dots, "circles": circles,
    "scales": scales, "hexagons": honeycomb, "triangles": triangles, "stars": stars, "blossoms": blossoms,
    "crosses": crosses, "bricks": bricks,
}  # fmt: skip


def tiling(canvas, name, cells, random):
    """The field of a tiling with about `cells` cells a side, somewhere shifted."""
    u = (canvas.x + random.uniform()) * cells
    v = (canvas.y + random.uniform()) * cells
    return TILINGS[name](u, v, random)


# ----- single figures; `radius` is in units of the figure's own radius -----


def star_field(radius, angle, points):
    """A star polygon: straight edges between tips at radius 1 and notches at half of it."""
    sector = numpy.pi / points
    turn = abs((angle + sector) % (2 * sector) - sector)
    notch_x, notch_y = 0.5 * numpy.cos(sector), 0.5 * numpy.sin(sector)
    x, y = radius * numpy.cos(turn), radius * numpy.sin(turn)
    return (x - 1) * notch_y - y * (notch_x - 1) < 0


def petals_field(radius, angle, petals, pointed):
    """Petals that touch: pointed ones by a power of the cosine, round ones by its root."""
    wave = abs(numpy.cos(petals * angle / 2))
    return radius < 0.25 + 0.75 * (wave**1.6 if pointed else wave**0.5)


def ring(radius, outer, width):
    return (radius < outer) & (radius > outer - width)


def beads(radius, angle, distance, count, size):
    """`count` discs on a circle."""
    sector = 2 * numpy.pi / count
    turn = (angle + sector / 2) % sector - sector / 2
    return numpy.hypot(radius * numpy.cos(turn) - distance, radius * numpy.sin(turn)) < size


def frame(canvas, margin, width):
    """A square frame, `margin` from the edge."""
    distance = numpy.maximum(abs(canvas.x), abs(canvas.y))
    return (distance < 0.5 - margin) & (distance > 0.5 - margin - width)
