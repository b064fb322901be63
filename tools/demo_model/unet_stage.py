"""The text encoder and the U-Net: a warm start on the captions' facts, then joint training on noise."""

import numpy
import torch
import torch.nn.functional as F
from torch import nn

from layouts import KINDS, NUMBERS, plural
from model import TOKENS, alphas_cumprod, pause_finest
from ornaments import Ornaments
from palette import NAMES
from run import Stage
from shapes import TILINGS
from vae import SCALING_FACTOR
from vae_stage import as_tensor
from vignettes import SUBJECTS

END = 49407
WORD_TOKENS = 49406  # every token but begin and end
NOUNS = [*SUBJECTS, *TILINGS, *NUMBERS.values()]


class Captions:
    """Token numbers for training: some captions are left out, some get a word that means nothing.

    The empty ones are for guidance; the odd words teach the U-Net to bear with words it never learns.
    """

    EMPTY, ODD_WORD = 0.1, 0.15

    def __init__(self, tokens, random):
        self.tokens, self.random = tokens, random
        self.empty = tokens([""])[0]

    def vary(self, ids):
        """(B, 77) to the same with captions dropped and odd words put in."""
        ids = ids.clone()
        for row in ids:
            chance = self.random.uniform()
            if chance < self.EMPTY:
                row[:] = self.empty
            elif chance < self.EMPTY + self.ODD_WORD:
                place = self.random.integers(1, int((row == END).nonzero()[0, 0]) + 1)
                row[place:] = torch.cat([torch.tensor([self.random.integers(WORD_TOKENS)]), row[place:-1]])
        return ids


class TextStage(Stage):
    """Teaches the text encoder to tell colours, layout and things from any token after the caption's end."""

    name = "text"
    peak_rate = 1e-3
    BATCH = 32

    def __init__(self, folder, minutes, text_encoder, tokens, vignettes, seed):
        self.text_encoder, self.tokens = text_encoder, tokens
        self.sizes = [len(NAMES), len(NAMES), len(KINDS), len(NOUNS)]
        torch.manual_seed(seed)
        self.heads = nn.Linear(text_encoder.config.hidden_size, sum(self.sizes))
        super().__init__(folder, minutes, {"text_encoder": text_encoder, "heads": self.heads}, seed)
        self.ornaments = Ornaments(vignettes, self.random)

    def step(self):
        drawn = [self.ornaments.draw(32) for _ in range(self.BATCH)]
        ids = self.tokens([ornament.caption for ornament in drawn])
        ends = (ids == END).int().argmax(1)
        places = ends + torch.from_numpy(self.random.integers(0, TOKENS, self.BATCH)) % (TOKENS - ends)
        states = self.text_encoder(ids)[0][torch.arange(self.BATCH), places]
        figure, ground, layout, nouns = self.heads(states).split(self.sizes, dim=1)
        wanted_figure = torch.tensor([NAMES.index(ornament.figure) for ornament in drawn])
        wanted_ground = torch.tensor([NAMES.index(ornament.ground) for ornament in drawn])
        losses = {
            "figure": F.cross_entropy(figure, wanted_figure),
            "ground": F.cross_entropy(ground, wanted_ground),
            "layout": F.cross_entropy(layout, torch.tensor([KINDS.index(ornament.layout) for ornament in drawn])),
            "nouns": 10 * F.binary_cross_entropy_with_logits(nouns, named(drawn)),
        }
        self.descend(sum(losses.values()))
        right = (figure.argmax(1) == wanted_figure).float().mean().item()
        return {**{name: loss.item() for name, loss in losses.items()}, "figure_right": right}


def named(drawn):
    """Which of NOUNS each caption names, (B, nouns) of 0 and 1."""
    return torch.tensor([[float(noun in o.caption or plural(noun) in o.caption) for noun in NOUNS] for o in drawn])


class LatentPool:
    """Latents and captions of ornaments of one size; the oldest make way for new ones."""

    def __init__(self, size, capacity, vae, tokens, ornaments):
        self.size, self.vae, self.tokens, self.ornaments = size, vae, tokens, ornaments
        self.latents = torch.empty(capacity, 4, size // 8, size // 8, dtype=torch.float16)
        self.ids = torch.empty(capacity, TOKENS, dtype=torch.int32)
        self.made = 0

    def __len__(self):
        return min(self.made, len(self.latents))

    @torch.no_grad()
    def grow(self, count):
        """Draws and encodes `count` ornaments."""
        drawn = [self.ornaments.draw(self.size) for _ in range(count)]
        latents = self.vae.encode(as_tensor([ornament.image for ornament in drawn])).latent_dist.mean * SCALING_FACTOR
        places = torch.arange(self.made, self.made + count) % len(self.latents)
        self.latents[places] = latents.half()
        self.ids[places] = self.tokens([ornament.caption for ornament in drawn]).int()
        self.made += count

    def batch(self, count, random):
        """(latents, ids) of `count` ornaments of the pool."""
        places = torch.from_numpy(random.integers(0, len(self), count))
        return self.latents[places].float(), self.ids[places].long()

    def state(self):
        return {"latents": self.latents[: len(self)], "ids": self.ids[: len(self)], "made": self.made}

    def restore(self, state):
        self.made = state["made"]
        self.latents[: len(self)], self.ids[: len(self)] = state["latents"], state["ids"]


class UnetStage(Stage):
    """Joint training on noise prediction, with min-SNR weights; smaller pictures first."""

    name = "unet"
    peak_rate = 8e-4
    SMALL_SHARE = 0.75  # of the time, on 128-pixel pictures
    PAUSE_SHARE = 0.9  # of the time, without the finest self-attention
    SMALL, LARGE = (128, 32), (192, 16)  # picture side, batch
    GAMMA = 5.0
    NOISE_OFFSET = 0.1  # see `noise_like`
    HIGH_SHARE = 0.5  # of the pictures, only at the noisier half of the steps, where colours and layout are decided
    FIRST, CAPACITY = 768, 12288  # pictures drawn before the first step, and kept at most
    TRAINED_PER_DRAWN = 8

    def __init__(self, folder, minutes, unet, text_encoder, vae, tokens, vignettes, seed):
        self.unet, self.text_encoder = unet, text_encoder
        self.vae, self.tokens, self.vignettes = vae, tokens, vignettes
        self.alphas, self.pool = alphas_cumprod(), None
        super().__init__(folder, minutes, {"unet": unet, "text_encoder": text_encoder}, seed)
        self.captions = Captions(tokens, self.random)
        self.pause()

    def pause(self):
        """Decides once whether the finest self-attention takes part; its step comes at the given share."""
        self.paused = self.progress < self.PAUSE_SHARE
        pause_finest(self.unet, self.paused)

    def new_pool(self, size):
        return LatentPool(size, self.CAPACITY, self.vae, self.tokens, Ornaments(self.vignettes, self.random))

    def extra(self):
        return {"size": self.pool.size, **self.pool.state()}

    def restore_extra(self, state):
        self.pool = self.new_pool(state["size"])
        self.pool.restore(state)

    def next_batch(self):
        """Small pictures for the first share of the budget: two and a half times as many a minute; then large ones."""
        size, count = self.SMALL if self.progress < self.SMALL_SHARE else self.LARGE
        if self.pool is None or self.pool.size != size:
            self.pool = self.new_pool(size)
            while len(self.pool) < self.FIRST:
                self.pool.grow(16)
        self.pool.grow(count // self.TRAINED_PER_DRAWN)
        return self.pool.batch(count, self.random)

    def times(self, count):
        """Steps of the schedule, the noisier half of them more often."""
        high = self.random.uniform(size=count) < self.HIGH_SHARE
        return torch.from_numpy(self.random.integers(numpy.where(high, 500, 0), 1000, count))

    def noise_like(self, latents):
        """Normal noise whose mean varies by channel: ground and figure then follow the caption, not the noise's mean.

        Stable Diffusion's schedule leaves a fifteenth of the picture in its noisiest step, and the mean of 16 × 16
        values has a deviation of a sixteenth: without the offset a network reads colours from it, and when it draws,
        it takes them from chance.
        """
        return torch.randn_like(latents) + self.NOISE_OFFSET * torch.randn(*latents.shape[:2], 1, 1)

    def step(self):
        if self.paused and self.progress >= self.PAUSE_SHARE:
            self.pause()
        latents, ids = self.next_batch()
        times = self.times(len(latents))
        alpha = self.alphas[times].view(-1, 1, 1, 1)
        noise = self.noise_like(latents)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        context = self.text_encoder(self.captions.vary(ids))[0]
        made = self.unet(noisy.contiguous(memory_format=torch.channels_last), times, context).sample
        errors = (made - noise).square().mean((1, 2, 3))
        snr = alpha / (1 - alpha)
        weights = snr.clamp(max=self.GAMMA) / snr
        self.descend((errors * weights.view(-1)).mean())
        high = errors[times >= 500].mean().item() if (times >= 500).any() else float("nan")
        return {"loss": errors.mean().item(), "noisy_half": high, "pool": len(self.pool)}
