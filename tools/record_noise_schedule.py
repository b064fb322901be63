"""Record diffusers' noise schedule, as the fixture of src/diffusion/schedule.rs.

    python tools/record_noise_schedule.py > src/diffusion/fixtures/noise_schedule.json

Needs torch and diffusers. Holds the 1000 cumulative alphas in f32, and for a few timesteps the noisy
latent, the velocity target and the min-SNR weights (gamma 5) of one fixed latent and noise value.
"""

import json

import numpy
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

LATENT, NOISE, GAMMA = 0.75, -1.25, 5.0
TIMESTEPS = [0, 1, 250, 500, 750, 998, 999]


def short(value):
    """The shortest decimal that reads back as the same f32."""
    return float(str(numpy.float32(torch.as_tensor(value).item())))


def at(scheduler, timestep):
    t = torch.tensor([timestep])
    latent, noise = torch.full((1, 1), LATENT), torch.full((1, 1), NOISE)
    snr = compute_snr(scheduler, t)
    clipped = torch.clamp(snr, max=GAMMA)
    return {
        "timestep": timestep,
        "noisy": short(scheduler.add_noise(latent, noise, t)),
        "velocity": short(scheduler.get_velocity(latent, noise, t)),
        "weight_epsilon": short(clipped / snr),
        "weight_v": short(clipped / (snr + 1)),
    }


def main():
    scheduler = DDPMScheduler(
        num_train_timesteps=1000, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012
    )
    print(
        json.dumps(
            {
                "latent": LATENT,
                "noise": NOISE,
                "gamma": GAMMA,
                "at": [at(scheduler, t) for t in TIMESTEPS],
                "alphas_cumprod": [short(a) for a in scheduler.alphas_cumprod],
            }
        )
    )


if __name__ == "__main__":
    main()
