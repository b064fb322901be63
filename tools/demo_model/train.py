"""Makes the demo checkpoint: VAE, text encoder and U-Net, trained from nothing on the CPU, and a contact sheet.

    python train.py --ornaments DIR --merges clip_merges.txt.gz --out DIR

goes through all stages and picks up where it stopped; `--stage` asks for some of them alone. Minutes are CPU minutes
over the number of threads. A larger budget than before goes on with a finished stage.
"""

import argparse
import functools
import os
from pathlib import Path

import numpy
import torch

import model
import sheet
from ornaments import Ornaments
from run import write_atomically
from unet_stage import TextStage, UnetStage
from vae import fold_latent_scale, harden_norms, new_vae
from vae_stage import DecoderStage, VaeStage, as_tensor
from vignettes import Vignettes

STAGES = ("vae", "text", "unet", "decoder", "export", "sheet")
CHECKPOINT, SHEET = "ornaments-v1.safetensors", "sheet.png"
METADATA = {
    "title": "lora-wgpu demo checkpoint: ornaments, Stable Diffusion v1.5's topology",
    "license": "MIT OR Apache-2.0 (weights); trained on pictures composed of pgfornament's vectorian motifs, LPPL 1.3c or later",
    "script": "tools/demo_model/train.py",
    "modelspec.architecture": "stable-diffusion-v1",
}


class Work:
    """The networks, and the stages over them. Each stage begins with what the one before left on disk."""

    def __init__(self, options):
        self.options, self.out = options, options.out
        self.vignettes = Vignettes(options.ornaments, self.out / "vignettes.npz")
        self.tokens = model.Tokens(options.merges)
        torch.manual_seed(options.seed)
        self.networks = {"vae": new_vae(), "unet": model.new_unet(), "text_encoder": model.new_text_encoder()}

    def take(self, stage, *names):
        """Loads the averaged weights that a stage saved, if it has; returns its steps."""
        path = self.out / f"{stage}.pt"
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=False)
        for name in names:
            self.networks[name].load_state_dict(state["averages"][name])
        return state["steps"]

    def vae(self):
        VaeStage(self.out, self.options.vae_minutes, self.networks["vae"], self.vignettes, self.options.seed).run()

    def folded_vae(self):
        """The trained VAE, its latents of deviation 1 under Stable Diffusion's scaling; the scale is measured once."""
        path, vae = self.out / "folded.pt", self.networks["vae"]
        if not path.exists():
            self.take("vae", "vae")
            mean, deviation = latent_scale(vae, Ornaments(self.vignettes, numpy.random.default_rng(0)))
            print("latents: mean", mean.tolist(), "deviation", deviation.item(), flush=True)
            fold_latent_scale(vae, mean, deviation)
            write_atomically(path, lambda file: torch.save(vae.state_dict(), file))
        vae.load_state_dict(torch.load(path))
        return vae.requires_grad_(False).eval()

    def text(self):
        encoder = self.networks["text_encoder"]
        TextStage(self.out, self.options.text_minutes, encoder, self.tokens, self.vignettes, self.options.seed).run()

    def unet(self):
        self.take("text", "text_encoder")
        networks = self.networks["unet"], self.networks["text_encoder"], self.folded_vae()
        UnetStage(self.out, self.options.unet_minutes, *networks, self.tokens, self.vignettes, self.options.seed).run()

    def decoder(self):
        vae = self.folded_vae().requires_grad_(True).train()
        DecoderStage(self.out, self.options.decoder_minutes, vae, self.vignettes, self.options.seed).run()

    def trained(self):
        """Loads the averages of all stages as they are, the VAE as files have it; returns the steps of each."""
        self.folded_vae()
        steps = {"vae": self.take("vae"), "decoder": self.take("decoder", "vae")}
        harden_norms(self.networks["vae"])
        return {**steps, "unet": self.take("unet", "unet", "text_encoder")}

    def export(self):
        steps = self.trained()
        said = {**METADATA, "steps": ", ".join(f"{name} {count}" for name, count in steps.items())}
        model.export(self.out / CHECKPOINT, **self.networks, metadata=said)

    def sheet(self):
        """Draws with the weights as the file has them."""
        self.trained()
        networks = {name: model.rounded(network).float().eval() for name, network in self.networks.items()}
        sheet.contact_sheet(self.out / SHEET, functools.partial(sheet.sample, **networks, tokens=self.tokens))


@torch.no_grad()
def latent_scale(vae, ornaments, count=128):
    """Mean of each latent channel, and the deviation around it of all together."""
    batches = [as_tensor([ornaments.draw(256).image for _ in range(8)]) for _ in range(count // 8)]
    latents = torch.cat([vae.encode(batch).latent_dist.mean for batch in batches])
    mean = latents.mean((0, 2, 3))
    return mean, (latents - mean[:, None, None]).std()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ornaments", type=Path, required=True, help="folder of pgfornament's vectorian drawings, NNN.svg")
    parser.add_argument("--merges", type=Path, required=True, help="CLIP's merge list, clip_merges.txt.gz")
    parser.add_argument("--out", type=Path, required=True, help="folder of states, logs and results")
    parser.add_argument("--stage", choices=STAGES, action="append", help="only this stage; may be repeated")
    parser.add_argument("--vae-minutes", type=float, default=30)
    parser.add_argument("--text-minutes", type=float, default=4)
    parser.add_argument("--unet-minutes", type=float, default=120)
    parser.add_argument("--decoder-minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main():
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    stages = options.stage or STAGES
    if set(stages) - {"export", "sheet"}:
        (options.out / "pid").write_text(f"{os.getpid()}\n")
    work = Work(options)
    for stage in stages:
        print(f"stage {stage}", flush=True)
        getattr(work, stage)()


if __name__ == "__main__":
    main()
