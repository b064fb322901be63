"""A contact sheet: what the checkpoint draws for captions of each kind."""

import textwrap

import torch
from diffusers import DDIMScheduler
from PIL import Image, ImageDraw, ImageFont

from vae import SCALING_FACTOR

STEPS, GUIDANCE, SIDE = 30, 5.0, 192

CAPTIONS = [
    "a rosette of eight petals, gold on dark red",
    "a rosette of five round petals, pink on dark green, white heart",
    "a star with six points, yellow on indigo",
    "a round medallion with a rose, red on cream, gold ring",
    "an all-over pattern of leaves, white on indigo",
    "a half-drop repeat of lilies, gold on purple",
    "a repeating pattern of butterflies, orange on black",
    "an all-over pattern of swirls, dark green on light green",
    "an all-over pattern of hexagons, white on blue",
    "checks, geometric pattern, black on white",
    "a pattern of waves, light blue on indigo",
    "a pattern of stars, gold on black",
    "a large leaf, dark green on cream",
    "a mirrored pair of birds, white on red",
    "a crown in a border of diamonds, gold on indigo",
    "four corner scrolls around a rosette of six petals, red on cream",
]


@torch.no_grad()
def sample(captions, seed, *, unet, vae, text_encoder, tokens):
    """Pictures of `captions` by DDIM with guidance, (B, 3, SIDE, SIDE) in 0..1; one seed for all."""
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    scheduler.set_timesteps(STEPS)
    context = text_encoder(tokens([""] * len(captions) + captions))[0]
    start = torch.randn(1, 4, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(seed))
    latents = start.repeat(len(captions), 1, 1, 1)
    for time in scheduler.timesteps:
        free, guided = unet(torch.cat([latents, latents]), time, context).sample.chunk(2)
        latents = scheduler.step(free + GUIDANCE * (guided - free), time, latents).prev_sample
    return (vae.decode(latents / SCALING_FACTOR).sample.clamp(-1, 1) + 1) / 2


def to_picture(tensor):
    """(3, H, W) in 0..1 to a PIL picture."""
    return Image.fromarray((tensor.permute(1, 2, 0) * 255).round().byte().numpy())


def contact_sheet(path, sampler, seeds=(1, 2), across=4, tile=192):
    """Draws CAPTIONS with each seed, `across` captions a row; `sampler(captions, seed)` as `sample` without networks."""
    columns = [sampler(CAPTIONS, seed) for seed in seeds]
    label, gap = 34, 8
    width, height = len(seeds) * tile + gap, tile + label + gap
    sheet = Image.new("RGB", (across * width - gap, -(-len(CAPTIONS) // across) * height - gap), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for index, caption in enumerate(CAPTIONS):
        left, top = index % across * width, index // across * height
        draw.text((left, top), textwrap.fill(caption, 58), fill="black", font=font)
        for place, pictures in enumerate(columns):
            picture = to_picture(pictures[index]).resize((tile, tile), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left + place * tile, top + label))
    sheet.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
