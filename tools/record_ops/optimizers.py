"""Records twenty steps of every optimizer on given gradients, in f64 from f32 numbers, by the packages that are followed.

Besides torch and transformers: pip install --no-deps prodigyopt==1.1.2 lion-pytorch==0.2.5 schedulefree==1.4.1 \
dadaptation==3.2 came-pytorch==0.1.3
"""
import importlib

import torch

from common import save

STEPS = 20
KEPT = (1, 20)
SHAPES = {
    "matrix": (3, 50),
    "large": (20, 25),
    "vector": (37,),
    "magnitude": (6, 1),
    "conv1x1": (3, 10, 1, 1),
    "conv3x3": (3, 4, 3, 3),
}
OPTIMIZERS = {  # case: (module, class, arguments)
    "adamw": ("torch.optim", "AdamW", dict(lr=1e-3, weight_decay=0.01)),
    "sgd_nesterov": ("torch.optim", "SGD", dict(lr=1e-2, momentum=0.9, nesterov=True, weight_decay=0.1)),
    "lion": ("lion_pytorch", "Lion", dict(lr=1e-4, weight_decay=0.01)),
    "adafactor": ("transformers.optimization", "Adafactor", dict(relative_step=True)),
    "adafactor_warmup": ("transformers.optimization", "Adafactor", dict(relative_step=True, warmup_init=True)),
    "adafactor_fixed": (
        "transformers.optimization",
        "Adafactor",
        dict(lr=1e-3, relative_step=False, scale_parameter=False, weight_decay=0.01),
    ),
    "prodigy": ("prodigyopt", "Prodigy", dict(lr=1.0)),
    "prodigy_recipe": (
        "prodigyopt",
        "Prodigy",
        dict(
            lr=1.0,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            decouple=True,
            use_bias_correction=True,
            safeguard_warmup=True,
            d_coef=2.0,
        ),
    ),
    "prodigy_coupled": (
        "prodigyopt",
        "Prodigy",
        dict(lr=1.0, weight_decay=0.01, decouple=False, growth_rate=1.02, beta3=0.9),
    ),
    "dadapt_adam": ("dadaptation", "DAdaptAdam", dict(lr=1.0, decouple=True, weight_decay=0.01)),
    "dadapt_adam_corrected": (
        "dadaptation",
        "DAdaptAdam",
        dict(lr=0.5, use_bias_correction=True, weight_decay=0.01, growth_rate=1.5),
    ),
    "adamw_schedule_free": (
        "schedulefree",
        "AdamWScheduleFree",
        dict(lr=1e-3, weight_decay=0.01, warmup_steps=4, foreach=False),
    ),
    "adamw_schedule_free_weighted": (
        "schedulefree",
        "AdamWScheduleFree",
        dict(lr=1e-3, r=0.5, weight_lr_power=1.0, warmup_steps=4, foreach=False),
    ),
    "radam_schedule_free": ("schedulefree", "RAdamScheduleFree", dict(lr=1e-3, weight_decay=0.01, foreach=False)),
    "came": ("came_pytorch", "CAME", dict(lr=1e-4, weight_decay=0.01)),
}


def given():
    """A fading common direction and noise, magnitudes spread over four decades."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    first, gradients = {}, {}
    for name, shape in SHAPES.items():
        first[name] = (normal(*shape) * (1.0 if name in ("vector", "magnitude") else 0.05)).float()
        magnitude = 10 ** (torch.rand(shape, generator=generator, dtype=torch.float64) * 4 - 5)
        common = normal(*shape)
        steps = [(common * 0.9**step + 0.5 * normal(*shape)) * magnitude for step in range(STEPS)]
        gradients[name] = torch.stack(steps).float()
    return first, gradients


def run(case, first, gradients, tensors):
    module, name, arguments = OPTIMIZERS[case]
    parameters = {key: torch.nn.Parameter(value.double()) for key, value in first.items()}
    optimizer = getattr(importlib.import_module(module), name)(list(parameters.values()), **arguments)
    if hasattr(optimizer, "train"):
        optimizer.train()
    distances = []
    for step in range(1, STEPS + 1):
        for key, parameter in parameters.items():
            parameter.grad = gradients[key][step - 1].double()
        optimizer.step()
        distances.append(optimizer.param_groups[0].get("d", 0.0))
        if step in KEPT:
            for key, parameter in parameters.items():
                tensors[f"{case}/{step}/{key}"] = parameter.detach().float().contiguous()
    if hasattr(optimizer, "eval"):
        optimizer.eval()
        for key, parameter in parameters.items():
            tensors[f"{case}/evaluated/{key}"] = parameter.detach().float().contiguous()
    if any(distances):
        tensors[f"{case}/d"] = torch.tensor(distances)


first, gradients = given()
tensors = {f"first/{key}": value.contiguous() for key, value in first.items()}
tensors |= {f"gradients/{key}": value.contiguous() for key, value in gradients.items()}
for case in OPTIMIZERS:
    run(case, first, gradients, tensors)
save("optimizers", tensors)
