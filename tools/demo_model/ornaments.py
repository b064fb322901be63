"""Pictures of ornaments with captions that are true by construction."""

from dataclasses import dataclass

import numpy

from layouts import Layouts, article
from palette import NAMES, PAIRS, contrasts, shade


@dataclass
class Ornament:
    """A picture, (size, size, 3) in 0..1, its caption, and the facts that the caption tells."""

    image: numpy.ndarray
    caption: str
    layout: str
    figure: str
    ground: str


class Ornaments:
    """An endless source of ornaments."""

    def __init__(self, vignettes, random):
        self.vignettes, self.random = vignettes, random

    def draw(self, size):
        """One ornament of `size` pixels."""
        figure, ground = PAIRS[self.random.integers(len(PAIRS))]
        layout, drawing = Layouts(self.vignettes, size, self.random).draw()
        accent = self.accent(figure, ground) if drawing.accent is not None else None
        image = numpy.broadcast_to(shade(ground, self.random), (size, size, 3)).copy()
        figure_shade = shade(figure, self.random)
        cover(image, drawing.figure, figure_shade)
        if drawing.accent is not None:
            cover(image, drawing.accent, shade(accent, self.random) if accent else figure_shade)
        caption = self.caption(drawing, figure, ground, accent)
        return Ornament(image, caption, layout, figure, ground)

    def accent(self, figure, ground):
        """A third colour, or None for the figure's."""
        if self.random.uniform() < 0.5:
            return None
        fitting = [name for name in NAMES if contrasts(name, ground) and name != figure]
        return fitting[self.random.integers(len(fitting))]

    def caption(self, drawing, figure, ground, accent):
        """The phrase of what is drawn, and its colours, in varied words."""
        colours = [f"{figure} on {ground}", f"in {figure} on {ground}", f"{figure} on {article(ground)} ground",
                   f"in {figure} on {article(ground)} background"]  # fmt: skip
        parts = f"{drawing.phrase}, {colours[self.random.integers(len(colours))]}"
        if self.random.uniform() < 0.12:
            parts = f"on {ground}, {drawing.phrase} in {figure}"
        if accent:
            parts += f", {accent} {drawing.accent_name}"
        openings = ("", "", "", "", "ornament, ", "an ornament: ", "a print of ", "textile, ")
        return openings[self.random.integers(len(openings))] + parts


def cover(image, mask, colour):
    """Lays `colour` over `image` where `mask` is 1."""
    image += mask[..., None] * (colour - image)


def clothlike(image, random):
    """The picture as if dyed on woven cloth: uneven, with a fine weave. Only the VAE sees such pictures."""
    size = image.shape[0]
    axis = numpy.arange(size, dtype=numpy.float32)
    period, depth = random.uniform(2, 5), random.uniform(0.01, 0.06)
    weave = numpy.sin(2 * numpy.pi * axis / period)[:, None] + numpy.sin(2 * numpy.pi * axis / period)[None]
    coarse = random.normal(0, random.uniform(0.02, 0.12), (9, 9)).astype(numpy.float32)
    rough = random.normal(0, random.uniform(0, 0.03), (size, size)).astype(numpy.float32)
    light = 1 + depth * weave / 2 + stretched(coarse, size) + rough
    return numpy.clip(image * light[..., None], 0, 1)


def stretched(field, size):
    """A small field, bilinearly enlarged to `size` × `size`."""
    places = numpy.linspace(0, field.shape[0] - 1.001, size)
    low, part = places.astype(int), (places % 1).astype(numpy.float32)
    rows = field[low] * (1 - part)[:, None] + field[low + 1] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, low + 1] * part
