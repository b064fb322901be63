"""The demo's three networks, Stable Diffusion v1.5's topology at a hundredth of its size, and their single file."""

import copy
import gzip

import numpy
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import layout

TOKENS = 77
VOCABULARY = 49408
CONTEXT = 64

UNET_WIDTHS = (64, 64, 64, 64)
TEXT_LAYERS = 12


def new_unet():
    """Eight heads at every level, as `attention_head_dim: 8` means in Stable Diffusion v1.5.

    Residual branches begin at zero, as in the original code; so does the finest self-attention (see `pause_finest`).
    """
    unet = UNet2DConditionModel(
        block_out_channels=UNET_WIDTHS, layers_per_block=2, cross_attention_dim=CONTEXT, attention_head_dim=8,
        down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    )  # fmt: skip
    for name, parameter in unet.named_parameters():
        if name.rsplit(".", 1)[0].endswith(("conv2", "proj_out", "conv_out")) or is_finest(name) and "to_out.0" in name:
            nn.init.zeros_(parameter)
    return unet.to(memory_format=torch.channels_last)


def is_finest(name):
    """Whether a U-Net name belongs to self-attention at full latent size: 576 tokens in a 192-pixel picture."""
    return ".attn1." in name and name.startswith(("down_blocks.0.", "up_blocks.3."))


class Pause:
    """Stands in for an attention that adds nothing yet."""

    def __call__(self, attention, hidden_states, **_):
        return torch.zeros_like(hidden_states)


def pause_finest(unet, paused):
    """Leaves out the finest self-attention, or takes it back: two thirds of a step's time on a CPU.

    Its output begins at zero, so a network trained without goes on unharmed with it.
    """
    running = AttnProcessor2_0()
    unet.set_attn_processor({name: Pause() if paused and is_finest(name) else running for name in unet.attn_processors})


def new_text_encoder():
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=VOCABULARY, hidden_size=CONTEXT, intermediate_size=2 * CONTEXT, num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=4, max_position_embeddings=TOKENS, hidden_act="quick_gelu",
    ))  # fmt: skip


def clip_tokenizer(merges_path):
    """CLIP's tokenizer from its merge list: the vocabulary follows from it."""
    with gzip.open(merges_path, "rt", encoding="utf-8") as file:
        merges = [tuple(line.rstrip("\n").split(" ")) for line in file if line.strip()]
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(b) for b in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    tokens = letters + [c + "</w>" for c in letters] + ["".join(pair) for pair in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=merges)


class Tokens:
    """Captions to token numbers, (B, 77)."""

    def __init__(self, merges_path):
        self.tokenizer = clip_tokenizer(merges_path)
        assert self.tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]

    def __call__(self, captions):
        return self.tokenizer(
            list(captions), padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
        ).input_ids


def alphas_cumprod():
    """ᾱ of Stable Diffusion's schedule: linear in √β from 0.00085 to 0.012, 1000 steps."""
    betas = numpy.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    return torch.tensor(numpy.cumprod(1 - betas), dtype=torch.float32)


def rounded(network):
    """The network with its weights as the file has them: f16, in the VAE bf16.

    `vae.harden_norms` makes the VAE's weights so small that f16 keeps them as subnormals, which GPUs may take as zero.
    """
    dtype = torch.bfloat16 if isinstance(network, AutoencoderKL) else torch.float16
    return copy.deepcopy(network).to(dtype)


def export(path, unet, vae, text_encoder, metadata):
    """Writes all weights as one file in the original layout."""
    networks = (rounded(network) for network in (unet, vae, text_encoder))
    state = layout.single_file(*(network.state_dict() for network in networks))
    assert all(value.isfinite().all() for value in state.values()), "a weight is too large for f16"
    save_file(state, path, metadata={"format": "pt", **metadata})
