"""The demo's autoencoder: Stable Diffusion's, narrow, with what narrow norms need."""

import numpy
import torch
from diffusers import AutoencoderKL
from torch import nn

SCALING_FACTOR = 0.18215  # Stable Diffusion's; the real scale of the latents is folded into the VAE
VAE_WIDTHS = (64, 32, 64, 64)
FIRST_LOG_VARIANCE = -8.0
SOFT_EPS, HARD_EPS = 1.0, 1e-6  # of norms, in training and in the file

CARRIED = 6  # channels that hold colours in the beginning: three pairs
AVERAGE = torch.full((2, 2), 0.25)
SMOOTH = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


def new_vae():
    """A VAE that begins as a mosaic: its first three latents are the mean colour of each 8 × 8 square."""
    vae = AutoencoderKL(
        block_out_channels=VAE_WIDTHS, layers_per_block=2, latent_channels=4, scaling_factor=SCALING_FACTOR,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
    )  # fmt: skip
    begin_as_mosaic(vae)
    soften_norms(vae)
    return vae.to(memory_format=torch.channels_last)


@torch.no_grad()
def begin_as_mosaic(vae):
    """Residual branches begin at zero; the rest carries colours in pairs of channels, c and -c, through the stream.

    A norm over such a pair keeps what it is, and SiLU(c) - SiLU(-c) = c undoes the activation. Only CARRIED channels
    are set: the others keep their random values, for training to use.
    """
    for name, parameter in vae.named_parameters():
        if ".conv2." in name or ".to_out.0." in name:
            parameter.zero_()
    encoder, decoder = vae.encoder, vae.decoder
    for layer in (encoder.conv_in, decoder.conv_in):
        carry(layer, spread=True)
    for layer in (encoder.conv_out, decoder.conv_out):
        carry(layer, spread=False)
    for block in encoder.down_blocks[:-1]:
        carry_along(block.downsamplers[0].conv, AVERAGE)
    for block in decoder.up_blocks[:-1]:
        carry_along(block.upsamplers[0].conv, SMOOTH)
    for resnet in [resnet for block in (*encoder.down_blocks, *decoder.up_blocks) for resnet in block.resnets]:
        if resnet.conv_shortcut is not None:
            carry_along(resnet.conv_shortcut, torch.ones(1, 1))
    for layer in (vae.quant_conv, vae.post_quant_conv):
        layer.weight.copy_(torch.eye(len(layer.weight), layer.weight.shape[1])[:, :, None, None])
        layer.bias.zero_()
    vae.quant_conv.weight[4:] = 0
    vae.quant_conv.bias[4:] = FIRST_LOG_VARIANCE


def carry(layer, spread):
    """Makes pairs of channels out of three colours, or colours out of pairs, at the middle tap."""
    layer.bias[:CARRIED] = 0
    if not spread:
        layer.weight[:3] = 0
    for colour in range(3):
        for channel, sign in ((2 * colour, 1.0), (2 * colour + 1, -1.0)):
            if spread:
                layer.weight[channel] = 0
                layer.weight[channel, colour, 1, 1] = sign
            else:
                layer.weight[colour, channel, 1, 1] = sign


def carry_along(layer, kernel):
    """Passes the carried channels on, each filtered by `kernel`, laid into the upper left of the layer's."""
    layer.weight[:CARRIED] = 0
    layer.bias[:CARRIED] = 0
    for channel in range(CARRIED):
        layer.weight[channel, channel, : len(kernel), : len(kernel)] = kernel


def soften_norms(vae):
    """Trains all norms with an eps of 1.

    32 groups leave one or two channels each. Such a norm forgets how strong a flat colour is, since one or two numbers
    less their mean and their scale leave nothing; and it blows up what little varies in a flat picture. With a large
    eps it does neither; `harden_norms` gives the same network with eps 1e-6.
    """
    for module in vae.modules():
        if isinstance(module, nn.GroupNorm):
            module.eps = SOFT_EPS


@torch.no_grad()
def harden_norms(vae):
    """Makes all that norms read a thousandth as strong, so that eps 1e-6 does what 1 did before."""
    gain = (HARD_EPS / SOFT_EPS) ** 0.5
    for name, module in vae.named_modules():
        if isinstance(module, nn.GroupNorm):
            module.eps = HARD_EPS
        if name.endswith((".conv_in", ".conv1", ".conv2", ".to_out.0")):  # begin a stream or add to one
            module.weight *= gain
            module.bias *= gain
        if name.endswith((".conv_shortcut", "samplers.0.conv")):  # from stream to stream
            module.bias *= gain


@torch.no_grad()
def fold_latent_scale(vae, mean, deviation):
    """Changes the VAE so that (its latents) × 0.18215 have mean 0 and deviation 1, and decodes as before.

    `mean` and `deviation` are those of the latents now: of each channel and of all together.
    """
    gain = 1 / (SCALING_FACTOR * deviation)
    latents = vae.config.latent_channels
    vae.quant_conv.weight[:latents] *= gain
    vae.quant_conv.bias[:latents] = (vae.quant_conv.bias[:latents] - mean) * gain
    vae.quant_conv.bias[latents:] += 2 * numpy.log(gain)
    vae.post_quant_conv.bias += vae.post_quant_conv.weight[:, :, 0, 0] @ mean
    vae.post_quant_conv.weight /= gain
