"""Record noise schedules and samplers, as the fixture of src/diffusion/{sigmas,samplers}.

    python tools/record_samplers.py > src/diffusion/fixtures/samplers.json

Needs torch, numpy and diffusers. Each case is the latents after every one of 12 steps of a diffusers scheduler, with a
polynomial in place of the U-Net. The levels of the k-diffusion samplers follow k-diffusion's formulas in f32 and
replace the scheduler's own; the Brownian motion of DPM++ SDE is built from recorded noise.
"""

import json
import sys
import types

import numpy
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
)
from diffusers.schedulers import scheduling_euler_ancestral_discrete, scheduling_lcm

# diffusers' module asks for torchsde when it is loaded, for the noise sampler that is replaced here.
sys.modules.setdefault("torchsde", types.ModuleType("torchsde"))
from diffusers.schedulers.scheduling_dpmsolver_sde import DPMSolverSDEScheduler  # noqa: E402

STEPS, ELEMENTS = 12, 16
SD = {"num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULE_STEPS = [1, 2, 12, 20, 50]
DDIM_STEPS = [1, 3, 12, 20, 30, 50, 333]

CASES = [
    # sampler, prediction, strength
    *[(name, "epsilon", 1.0) for name in ("euler", "euler_a", "ddim", "heun", "dpmpp_2m", "dpmpp_2m_karras")],
    *[(name, "epsilon", 1.0) for name in ("dpmpp_sde", "lcm")],
    *[(name, "v_prediction", 1.0) for name in ("euler", "ddim", "heun", "dpmpp_sde", "lcm")],
    *[(name, "epsilon", 0.6) for name in ("euler", "ddim", "dpmpp_2m_karras", "lcm")],
]


def short(values):
    """The shortest decimals that read back as the same f32."""
    return [float(str(numpy.float32(value))) for value in values]


def model(x, timestep):
    """In place of the U-Net: not linear, of about unit size, and dependent on the timestep."""
    return x * (0.9 - 0.02 * x * x) + 0.0002 * (float(timestep) - 500)


# Noise schedules


def alphas():
    return DDIMScheduler(**SD).alphas_cumprod


def model_sigmas():
    return ((1 - alphas()) / alphas()) ** 0.5


def normal_sigmas(steps):
    log_sigmas = model_sigmas().log()
    t = torch.linspace(999, 0, steps)
    low, high, fraction = t.floor().long(), t.ceil().long(), t.frac()
    return ((1 - fraction) * log_sigmas[low] + fraction * log_sigmas[high]).exp()


def karras_sigmas(steps):
    low, high = model_sigmas()[0].item() ** (1 / 7), model_sigmas()[-1].item() ** (1 / 7)
    return (high + torch.linspace(0, 1, steps) * (low - high)) ** 7


def sigma_to_timestep(sigma):
    log_sigmas = model_sigmas().double().log().numpy()
    return float(numpy.interp(numpy.log(float(sigma)), log_sigmas, numpy.arange(1000)))


def schedule(sigmas):
    return {"sigmas": short([*sigmas, 0]), "timesteps": [sigma_to_timestep(sigma) for sigma in sigmas]}


def scheduled_timesteps(scheduler, steps):
    scheduler.set_timesteps(steps)
    return {"steps": steps, "timesteps": [min(t, 999) for t in scheduler.timesteps.tolist()]}


# Samplers


class Noise:
    """The recorded draws, one after the other."""

    def __init__(self, draws):
        self.draws = iter(draws)

    def __call__(self, *_, **__):
        return next(self.draws).clone()


class Brownian:
    """W(to) - W(from) of one Brownian motion over sigma, of unit variance; W grows by a draw with each new sigma."""

    def __init__(self, noise, start):
        self.noise, self.walk = noise, [(float(start), torch.zeros(ELEMENTS, dtype=torch.float64))]

    def at(self, sigma):
        for known, value in self.walk:
            if abs(known - sigma) < 1e-4 * known:
                return value
        last, value = self.walk[-1]
        assert sigma < last
        self.walk.append((sigma, value + self.noise().double() * (last - sigma) ** 0.5))
        return self.walk[-1][1]

    def __call__(self, start, end):
        start, end = float(start), float(end)
        return ((self.at(end) - self.at(start)) / (start - end) ** 0.5).float()


def second_order(values):
    return torch.cat([values[:1], values[1:].repeat_interleave(2)])


def k_scheduler(name, prediction, sigmas, noise):
    """A diffusers scheduler made to visit `sigmas`."""
    kinds = {
        "euler": (EulerDiscreteScheduler, {}),
        "euler_a": (EulerAncestralDiscreteScheduler, {}),
        "heun": (HeunDiscreteScheduler, {}),
        "dpmpp_2m": (DPMSolverMultistepScheduler, {"final_sigmas_type": "zero"}),
        "dpmpp_2m_karras": (DPMSolverMultistepScheduler, {"final_sigmas_type": "zero"}),
        "dpmpp_sde": (DPMSolverSDEScheduler, {}),
    }
    kind, settings = kinds[name]
    scheduler = kind(**SD, prediction_type=prediction, **settings)
    scheduler.set_timesteps(STEPS)
    timesteps = torch.tensor([sigma_to_timestep(sigma) for sigma in sigmas], dtype=torch.float64)
    levels = torch.cat([sigmas, torch.zeros(1)])
    if name == "heun":
        levels, timesteps = torch.cat([second_order(levels[:-1]), levels[-1:]]), second_order(timesteps)
    if name == "dpmpp_sde":
        between = [sigma_to_timestep((a * b) ** 0.5) for a, b in zip(sigmas, sigmas[1:])]
        levels, timesteps = torch.cat([second_order(levels[:-1]), levels[-1:]]), second_order(timesteps)
        timesteps[1::2] = torch.tensor(between, dtype=torch.float64)
        scheduler.noise_sampler = Brownian(noise, sigmas[0])
    scheduler.sigmas, scheduler.timesteps = levels, timesteps
    return scheduler


def k_inputs(name, scheduler):
    """sigma at which each call of the model is made."""
    sigmas = [float(sigma) for sigma in scheduler.sigmas[:-1]]
    if name == "dpmpp_sde":
        sigmas[1::2] = [(a * b) ** 0.5 for a, b in zip(sigmas[0::2], sigmas[2::2])]
    return sigmas


def sample_k(name, prediction, start, image, unit, noise):
    sigmas = (karras_sigmas if name.endswith("karras") else normal_sigmas)(STEPS)[start:]
    scheduler = k_scheduler(name, prediction, sigmas, noise)
    scheduler.set_begin_index(0)
    x = unit * sigmas[0] + (image if start else 0)
    # DPM-Solver++ of diffusers keeps variance-preserving latents.
    preserving = name.startswith("dpmpp_2m")
    calls = k_inputs(name, scheduler)
    if preserving:
        x = x / (calls[0] ** 2 + 1) ** 0.5
    states = []
    for index, (sigma, timestep) in enumerate(zip(calls, scheduler.timesteps)):
        scale = 1 if preserving else (sigma**2 + 1) ** 0.5
        scheduler.is_scale_input_called = True
        x = scheduler.step(model(x / scale, timestep), timestep, x).prev_sample
        after = float(scheduler.sigmas[index + 1])
        states.append(x * (after**2 + 1) ** 0.5 if preserving else x)
    # Of two calls, the second completes the step; the last step has one.
    return [*states[1::2], states[-1]] if len(calls) > len(sigmas) else states


def sample_timesteps(name, prediction, start, image, unit):
    kind, settings = {"ddim": (DDIMScheduler, {"steps_offset": 1}), "lcm": (LCMScheduler, {})}[name]
    scheduler = kind(**SD, prediction_type=prediction, clip_sample=False, set_alpha_to_one=False, **settings)
    scheduler.set_timesteps(STEPS)
    timesteps = scheduler.timesteps[start:]
    x = scheduler.add_noise(image, unit, timesteps[:1]) if start else unit
    if name == "lcm":
        scheduler.set_begin_index(start)
    states = []
    for timestep in timesteps:
        x = scheduler.step(model(x, timestep), timestep, x).prev_sample
        states.append(x)
    return states


def sample(name, prediction, strength, image, unit, draws):
    noise = Noise(draws)
    scheduling_euler_ancestral_discrete.randn_tensor = noise
    scheduling_lcm.randn_tensor = noise
    start = STEPS - int(STEPS * strength)
    if name in ("ddim", "lcm"):
        states = sample_timesteps(name, prediction, start, image, unit)
    else:
        states = sample_k(name, prediction, start, image, unit, noise)
    assert len(states) == STEPS - start
    return {
        "sampler": name,
        "prediction": prediction,
        "strength": strength,
        "latents": [short(state.numpy()) for state in states],
    }


def main():
    generator = torch.Generator().manual_seed(20)
    image, unit, *draws = torch.randn(2 + 2 * STEPS, ELEMENTS, generator=generator)
    print(
        json.dumps(
            {
                "steps": STEPS,
                "image": short(image),
                "unit": short(unit),
                "draws": [short(draw) for draw in draws],
                "cases": [sample(*case, image, unit, draws) for case in CASES],
                "model_sigmas": short(model_sigmas()),
                "schedules": [
                    {"steps": n, "normal": schedule(normal_sigmas(n)), "karras": schedule(karras_sigmas(n))}
                    for n in SCHEDULE_STEPS
                ],
                "ddim": [
                    scheduled_timesteps(DDIMScheduler(**SD, steps_offset=1, set_alpha_to_one=False), n)
                    for n in DDIM_STEPS
                ],
                "lcm": [scheduled_timesteps(LCMScheduler(**SD), n) for n in range(1, 51)],
            }
        )
    )


if __name__ == "__main__":
    main()
