"""The VAE: trained on crops of ornaments, some as if on cloth."""

import numpy
import torch
import torch.nn.functional as F
from PIL import Image

from ornaments import Ornaments, clothlike
from run import Stage

# From which share of the time, and which (crop side, crops a step): small ones for speed, at last whole pictures too.
CROPS = (
    (0.0, ((32, 8),)),
    (0.45, ((64, 4),)),
    (0.8, ((64, 4), (64, 4), (64, 4), (128, 1), (256, 1))),
)
KL_WEIGHT = 1e-4  # keeps latents smooth; far below what would blur
EDGE_WEIGHT = 0.5


def as_tensor(images):
    """(B, H, W, 3) in 0..1 to (B, 3, H, W) in -1..1, channels last."""
    batch = torch.from_numpy(numpy.stack(images)) * 2 - 1
    return batch.permute(0, 3, 1, 2)


def edges(x):
    """Differences to the right and lower neighbours."""
    return x.diff(dim=3), x.diff(dim=2)


def reconstruction_loss(made, wanted):
    """Mean absolute error of pixels and of edges."""
    steps = zip(edges(made), edges(wanted), strict=True)
    return F.l1_loss(made, wanted) + EDGE_WEIGHT * sum(F.l1_loss(a, b) for a, b in steps)


class VaeStage(Stage):
    name = "vae"
    peak_rate = 5e-4

    def __init__(self, folder, minutes, vae, vignettes, seed):
        self.vae, self.sheet = vae, folder / f"{self.name}.png"
        super().__init__(folder, minutes, {"vae": vae}, seed)
        self.ornaments = Ornaments(vignettes, self.random)

    def crop(self, side):
        """A crop with something on it."""
        image = self.ornaments.draw(256 if self.random.uniform() < 0.75 or side > 128 else 128).image
        if self.random.uniform() < 0.3:
            image = clothlike(image, self.random)
        for _ in range(4):
            left, top = self.random.integers(0, image.shape[0] - side + 1, 2)
            piece = image[top : top + side, left : left + side]
            if piece.std(axis=(0, 1)).max() > 0.05:
                break
        return piece

    def batch(self):
        crops = [crops for share, crops in CROPS if self.progress >= share][-1]
        side, count = crops[self.random.integers(len(crops))]
        return as_tensor([self.crop(side) for _ in range(count)])

    def step(self):
        wanted = self.batch()
        posterior = self.vae.encode(wanted).latent_dist
        made = self.vae.decode(posterior.sample()).sample
        loss = reconstruction_loss(made, wanted)
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        self.descend(loss + KL_WEIGHT * kl)
        error = F.mse_loss(made.detach(), wanted).item()
        return {"loss": loss.item(), "kl": kl.item(), "psnr": 10 * numpy.log10(4 / error)}

    @torch.no_grad()
    def picture(self):
        """Pictures above their reconstructions."""
        ornaments = Ornaments(self.ornaments.vignettes, numpy.random.default_rng(5))
        images = [ornaments.draw(256).image for _ in range(5)]
        images.append(clothlike(images[0], ornaments.random))
        vae = self.averages["vae"].average
        made = vae.decode(vae.encode(as_tensor(images)).latent_dist.mean).sample.clamp(-1, 1)
        rows = [numpy.concatenate(images, 1), numpy.concatenate(list((made.permute(0, 2, 3, 1).numpy() + 1) / 2), 1)]
        Image.fromarray((numpy.concatenate(rows) * 255).round().astype(numpy.uint8)).save(self.sheet)


class DecoderStage(VaeStage):
    """More training of the decoder alone, with the latents as the U-Net knows them."""

    name = "decoder"
    peak_rate = 4e-4

    def __init__(self, folder, minutes, vae, vignettes, seed):
        for part in (vae.encoder, vae.quant_conv):
            part.requires_grad_(False)
        super().__init__(folder, minutes, vae, vignettes, seed)
