"""Record what the learning-rate schedules of diffusers and transformers give, as the fixture of src/train/lr_schedule.rs.

    python tools/record_lr_schedules.py > src/train/fixtures/lr_schedules.json

Needs torch, diffusers and transformers. REX, which neither has, is OneTrainer's formula. The rates are those the optimizer uses at step 0, 1, 2, ...: the scheduler
steps once after each optimizer step.
"""

import json

import torch
import transformers
from diffusers.optimization import get_scheduler

LEARNING_RATE = 2e-4
DEFAULTS = {"warmup": 0, "total": 12, "cycles": 1, "power": 1.0, "min_ratio": 0.0, "timescale": 10_000, "decay": 0}
CASES = [
    {"name": "constant"},
    {"name": "constant_with_warmup", "warmup": 4},
    {"name": "linear"},
    {"name": "linear", "warmup": 3, "total": 20},
    {"name": "cosine"},
    {"name": "cosine", "warmup": 5, "total": 40},
    {"name": "cosine_with_restarts", "warmup": 2, "total": 20},
    {"name": "cosine_with_restarts", "warmup": 3, "total": 40, "cycles": 3},
    {"name": "polynomial"},
    {"name": "polynomial", "warmup": 4, "total": 30, "power": 2.5},
    {"name": "cosine_with_min_lr"},
    {"name": "cosine_with_min_lr", "warmup": 4, "total": 30, "min_ratio": 0.1},
    {"name": "cosine_with_min_lr", "total": 20, "min_ratio": 0.25, "cycles": 2},
    {"name": "inverse_sqrt"},
    {"name": "inverse_sqrt", "warmup": 4, "total": 30, "timescale": 4},
    {"name": "inverse_sqrt", "warmup": 4, "total": 30, "timescale": 25},
    {"name": "warmup_stable_decay", "warmup": 4, "total": 30, "decay": 10},
    {"name": "warmup_stable_decay", "warmup": 4, "total": 30, "decay": 10, "min_ratio": 0.1, "cycles": 3},
    {"name": "rex"},
    {"name": "rex", "warmup": 4, "total": 30},
]
# as sd-scripts hands its options on
SPECIFIC = {
    "cosine_with_min_lr": lambda c: {"num_cycles": c["cycles"] / 2, "min_lr_rate": c["min_ratio"]},
    "inverse_sqrt": lambda c: {"timescale": c["timescale"]},
    "warmup_stable_decay": lambda c: {
        "num_cycles": c["cycles"] / 2,
        "min_lr_ratio": c["min_ratio"],
        "num_decay_steps": c["decay"],
        "num_stable_steps": c["total"] - c["warmup"] - c["decay"],
    },
}


def rex(step, warmup, total):
    remaining = max(0.0, 1 - (step - warmup) / (total - warmup))
    return step / warmup if step < warmup else remaining / (0.1 + 0.9 * remaining)


def scheduler_of(case, optimizer):
    name, warmup, total = case["name"], case["warmup"], case["total"]
    if name == "rex":
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rex(step, warmup, total))
    if name in SPECIFIC:
        return transformers.get_scheduler(
            name, optimizer, warmup, None if name == "warmup_stable_decay" else total,
            scheduler_specific_kwargs=SPECIFIC[name](case),
        )
    return get_scheduler(
        name,
        optimizer,
        num_warmup_steps=warmup,
        num_training_steps=total,
        num_cycles=case["cycles"],
        power=case["power"],
    )


def rates(case):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LEARNING_RATE)
    scheduler = scheduler_of(case, optimizer)
    out = []
    for _ in range(case["total"] + 2):  # two steps past the end: a schedule must stay defined there
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return out


def main():
    cases = [{**DEFAULTS, **case} for case in CASES]
    lines = ",\n".join(json.dumps({**case, "rates": rates(case)}) for case in cases)
    print(f'{{"learning_rate": {LEARNING_RATE}, "cases": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
