"""Names of Stable Diffusion's original single-file checkpoints, from those of diffusers and transformers."""

import re

import torch

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
          "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}  # fmt: skip
UNET_ENDS = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
             "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}  # fmt: skip
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def unet_module(kind, block, part, index):
    """Where a U-Net module lies: `kind` "down" or "up", `part` "resnets", "attentions" or a sampler."""
    if part.endswith("samplers"):
        place = 3 * (block + 1) if kind == "down" else 3 * block + 2
        slot = "0.op" if kind == "down" else ("1.conv" if block == 0 else "2.conv")
    else:
        place = 3 * block + index + (1 if kind == "down" else 0)
        slot = "0" if part == "resnets" else "1"
    return f"{'input' if kind == 'down' else 'output'}_blocks.{place}.{slot}"


def unet_name(name):
    """A U-Net tensor's original name."""
    for ours, theirs in UNET_ENDS.items():
        if name.startswith(ours + "."):
            return theirs + name[len(ours) :]
    if found := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name):
        place = 2 * int(found[2]) if found[1] == "resnets" else 1
        module, part, rest = f"middle_block.{place}", found[1], found[3]
    else:
        found = re.match(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", name)
        part, rest = found[3], found[5].removeprefix("conv.") if found[3].endswith("samplers") else found[5]
        module = unet_module(found[1], int(found[2]), part, int(found[4]))
    if part == "resnets":
        layer, rest = rest.split(".", 1)
        rest = f"{RESNET[layer]}.{rest}"
    return f"{module}.{rest}"


def vae_name(name):
    """A VAE tensor's original name; `decoder.up` counts from the coarsest level's end."""
    name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    if found := re.match(r"(.*)mid_block\.attentions\.0\.(.*)\.(weight|bias)", name):
        name = f"{found[1]}mid.attn_1.{VAE_ATTENTION[found[2]]}.{found[3]}"
    return name


def vae_tensor(name, value):
    """Attention projections are 1×1 convolutions in the original layout."""
    return value[:, :, None, None] if ".attn_1." in name and value.dim() == 2 else value


def text_name(name):
    """A text tensor's original name; newer transformers leave out the first level."""
    return name if name.startswith("text_model.") else f"text_model.{name}"


def single_file(unet, vae, text_encoder):
    """All tensors of the three state dicts under their original names, contiguous."""
    state = {f"model.diffusion_model.{unet_name(name)}": value for name, value in unet.items()}
    for name, value in vae.items():
        original = vae_name(name)
        state[f"first_stage_model.{original}"] = vae_tensor(original, value)
    for name, value in text_encoder.items():
        state[f"cond_stage_model.transformer.{text_name(name)}"] = value
    assert len(state) == len(unet) + len(vae) + len(text_encoder), "two tensors share a name"
    positions = torch.arange(77)[None]
    state["cond_stage_model.transformer.text_model.embeddings.position_ids"] = positions
    return {name: value.detach().contiguous().clone(memory_format=torch.contiguous_format) for name, value in state.items()}
