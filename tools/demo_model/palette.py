"""Colours that captions can name."""

import numpy

COLOURS = {
    "white": (247, 246, 240),
    "cream": (243, 229, 196),
    "black": (24, 23, 26),
    "grey": (134, 136, 140),
    "silver": (196, 201, 207),
    "gold": (212, 168, 60),
    "yellow": (245, 214, 56),
    "orange": (235, 125, 40),
    "red": (212, 36, 38),
    "dark red": (118, 16, 28),
    "pink": (240, 160, 182),
    "purple": (110, 48, 140),
    "lilac": (186, 160, 216),
    "brown": (112, 70, 38),
    "green": (52, 142, 66),
    "dark green": (18, 66, 44),
    "light green": (164, 212, 134),
    "turquoise": (52, 178, 176),
    "light blue": (150, 200, 236),
    "blue": (38, 92, 196),
    "indigo": (36, 42, 106),
}

NAMES = list(COLOURS)

# Rec. 709 luma, 0 to 255: figure and ground must differ by this much, or clearly in colour.
LUMA = numpy.array([0.2126, 0.7152, 0.0722])
LEAST_LUMA_STEP = 50
LEAST_DISTANCE = 150


def contrasts(first, second):
    """Whether one named colour can be told from the other as figure on ground."""
    difference = numpy.subtract(COLOURS[first], COLOURS[second], dtype=float)
    return abs(difference @ LUMA) > LEAST_LUMA_STEP and numpy.linalg.norm(difference) > LEAST_DISTANCE


PAIRS = [(figure, ground) for figure in NAMES for ground in NAMES if contrasts(figure, ground)]


def shade(name, random):
    """The named colour as RGB in 0..1, a little off as no two dyes are the same."""
    return numpy.clip((numpy.array(COLOURS[name]) + random.normal(0, 5, 3)) / 255, 0, 1).astype(numpy.float32)
