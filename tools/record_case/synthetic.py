"""Weights and case tensors that follow from a name: tests/end_to_end/support/synthetic.rs makes the same bits in Rust.

Element i of a tensor is the top 24 bits of splitmix64(fnv1a(name) + i), as a number in [-1, 1) that f32 holds exactly,
times one f32 factor. Names are diffusers' and transformers', behind `unet.`, `vae.` or `text_encoder.`.
"""

import math

import numpy
import torch

ROOT_3 = math.sqrt(3.0)  # uniform in [-1, 1) has the standard deviation 1/√3

# Layers that end a residual branch: half as strong, so that activations stay near 1 through the whole depth.
RESIDUAL_ENDS = ("conv2.weight", "to_out.0.weight", "ff.net.2.weight", "proj_out.weight", "out_proj.weight", "fc2.weight")

# Chosen so that predicted noise and scaled latents have a standard deviation near 1, as the real model's.
OUTPUT_GAINS = {"unet.conv_out.weight": 2.0, "vae.quant_conv.weight": 8.0, "vae.post_quant_conv.weight": 0.125}
EMBEDDING_DEVIATIONS = {"token_embedding.weight": 0.05, "position_embedding.weight": 0.03, "word_embeddings.weight": 1.0}


def raw_bits(name, count):
    """The top 24 bits of `count` hashed values."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = (key ^ byte) * 0x100000001B3 % 2**64
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(key) + numpy.arange(count, dtype=numpy.uint64)
        z = z + numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(40)).astype(numpy.int64)


def uniform(name, shape, deviation):
    """Uniform values around 0 of the given standard deviation, f32."""
    units = ((raw_bits(name, math.prod(shape)) - 2**23) * 2.0**-23).astype(numpy.float32)
    return torch.from_numpy(units * numpy.float32(deviation * ROOT_3)).reshape(shape)


def weight(name, shape):
    """A parameter of the synthetic checkpoint."""
    if name.endswith(".bias"):
        return uniform(name, shape, 0.05)
    if len(shape) == 1:
        return 1.0 + uniform(name, shape, 0.1)
    last = ".".join(name.rsplit(".", 2)[-2:])
    if last in EMBEDDING_DEVIATIONS:
        return uniform(name, shape, EMBEDDING_DEVIATIONS[last])
    gain = OUTPUT_GAINS.get(name, 0.5 if name.endswith(RESIDUAL_ENDS) else 1.0)
    return uniform(name, shape, gain / math.sqrt(math.prod(shape[1:])))


def fill(module, part, half):
    """Sets every parameter of a diffusers or transformers module; `half` rounds them as an f16 file does."""
    for name, parameter in module.named_parameters():
        if part == "text_encoder" and not name.startswith("text_model."):
            name = "text_model." + name  # newer transformers drop the level that checkpoints have
        values = weight(f"{part}.{name}", tuple(parameter.shape))
        parameter.data.copy_(values.half().float() if half else values)
    return module.requires_grad_(False).eval()


def models(half):
    """U-Net, VAE and text encoder of Stable Diffusion v1's topology, as narrow as its 32 norm groups allow."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    unet = UNet2DConditionModel(
        block_out_channels=[32, 64, 64, 64], cross_attention_dim=32, attention_head_dim=8, norm_num_groups=32,
        down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3)
    vae = AutoencoderKL(
        block_out_channels=[32, 32, 32, 32], down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4, layers_per_block=2, latent_channels=4, norm_num_groups=32)
    text = CLIPTextModel(CLIPTextConfig(
        hidden_size=32, intermediate_size=128, num_attention_heads=4, num_hidden_layers=2, projection_dim=32,
        vocab_size=49408, max_position_embeddings=77, hidden_act="quick_gelu", layer_norm_eps=1e-5))
    return fill(unet, "unet", half), fill(vae, "vae", half), fill(text, "text_encoder", half)


def case(header, modules):
    """The tensors of a training case: `header` gives sizes, `modules` the LoRA's paths and layers."""
    steps, batch, height, width, rank = (int(header[key]) for key in ("steps", "batch", "height", "width", "rank"))
    latent_shape = (steps, batch, 4, height, width)
    ids = torch.from_numpy(raw_bits("case.input_ids", steps * batch * 77) % 49406).reshape(steps, batch, 77)
    for prompt, row in enumerate(ids.view(-1, 77)):
        length = 5 + 7 * prompt % 60
        row[0], row[length:] = 49406, 49407
    tensors = {
        "latents": uniform("case.latents", latent_shape, 1.0),
        "noise": uniform("case.noise", latent_shape, 1.0),
        "timesteps": torch.from_numpy(raw_bits("case.timesteps", steps * batch) % 1000).reshape(steps, batch),
        "input_ids": ids,
        "image": uniform("case.image", (1, 3, 8 * height, 8 * width), 1.0 / ROOT_3),
    }
    for path, layer in modules:
        out, inner = layer.weight.shape[:2]
        axes = tuple(layer.weight.shape[2:])
        tensors[f"lora/{path}.lora_A.weight"] = uniform(f"{path}.lora_A", (rank, inner, *axes), 1 / math.sqrt(inner))
        tensors[f"lora/{path}.lora_B.weight"] = uniform(f"{path}.lora_B", (out, rank, *axes), 0.02)
    return tensors
