"""Record loss weights, Huber thresholds and training noise, as the fixture of src/diffusion/training_rules_tests.rs.

    python tools/record_training_rules.py > src/diffusion/fixtures/training_rules.json

Needs torch and diffusers. The formulas are those of sd-scripts (library/custom_train_functions.py and train_util.py);
alphas come from diffusers in f32, weights are computed from them in f64. Noise tensors are channels first here and
written channels last, (B, H, W, C).
"""

import json
import math

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler

TIMESTEPS = [0, 1, 100, 500, 998, 999]
GAMMA, PULL, HUBER_C, HUBER_SCALE = 5.0, 0.5, 0.1, 2.0
RATIOS, DISCOUNT = [2.7, 3.1, 2.2, 3.9, 2.5, 3.3], 0.3


def alphas(zero_terminal_snr):
    return DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        rescale_betas_zero_snr=zero_terminal_snr,
    ).alphas_cumprod.double()


def weights(snr):
    capped = snr.clamp(max=1000)
    least = snr.clamp(max=GAMMA)
    return {
        "min_snr/epsilon": least / snr,
        "min_snr/v_prediction": least / (snr + 1),
        "debiased/epsilon": capped**-0.5,
        "debiased/v_prediction": 1 / (capped + 1),
        "scale_v": capped / (capped + 1),
        "v_pred_like": 1 + PULL * (capped + 1) / capped,
        "scale_v_min_snr_debiased": least / (snr + 1) * (capped / (capped + 1)) / (capped + 1),
    }


def thresholds(alpha, timesteps):
    sigma = ((1 - alpha) / alpha) ** 0.5
    return {
        "snr": (1 - HUBER_C) / (1 + sigma) ** 2 + HUBER_C,
        "exponential": torch.exp(math.log(HUBER_C) / 1000 * timesteps) * HUBER_SCALE,
        "constant": torch.full_like(alpha, HUBER_C * HUBER_SCALE),
    }


def pyramid(noise, randn):
    levels, height, width = [], *noise.shape[2:]
    for i, ratio in enumerate(RATIOS):
        rows, columns = max(1, int(height / ratio**i)), max(1, int(width / ratio**i))
        levels.append(randn(*noise.shape[:2], rows, columns))
        noise = noise + F.interpolate(levels[-1], size=(height, width), mode="bilinear") * DISCOUNT**i
        if rows == 1 or columns == 1:
            break
    return levels, noise / noise.std()


def noises():
    generator = torch.Generator().manual_seed(11)
    # sixteenths, so that the file is short
    randn = lambda *shape: (torch.randn(*shape, generator=generator) * 16).round() / 16
    latents, noise, offset = 0.5 * randn(2, 4, 8, 11) + 0.25, randn(2, 4, 8, 11), randn(2, 4, 1, 1)
    levels, multires = pyramid(noise, randn)
    mean = latents.mean(dim=(2, 3), keepdim=True).abs()
    flat = lambda tensor: [float(f"{value:.8g}") for value in tensor.permute(0, 2, 3, 1).flatten().tolist()]
    return {
        "latents": flat(latents),
        "noise": flat(noise),
        "offset": flat(offset),
        "levels": [{"height": x.shape[2], "width": x.shape[3], "values": flat(x)} for x in levels],
        "with_offset": flat(noise + (0.1 + 0.05 * mean).clamp(min=0) * offset),
        "with_falling_offset": flat(noise + (0.1 - 0.5 * mean).clamp(min=0) * offset),
        "with_levels": flat(multires),
    }


def main():
    alpha, shifted, timesteps = alphas(False), alphas(True), torch.tensor(TIMESTEPS)
    at = lambda table: {name: values[timesteps].tolist() for name, values in table.items()}
    everywhere = torch.arange(1000, dtype=torch.float64)
    print(
        json.dumps(
            {
                "timesteps": TIMESTEPS,
                "zero_terminal_snr": [float(f"{value:.9g}") for value in shifted.tolist()],
                "weights": at(weights(alpha / (1 - alpha))),
                "thresholds": at(thresholds(alpha, everywhere)),
                "thresholds_zero_terminal_snr": at(thresholds(shifted, everywhere)),
                "noise": noises(),
            }
        )
    )


if __name__ == "__main__":
    main()
