"""Record what diffusers' learning-rate schedules give, as the fixture of src/train/lr_schedule.rs.

    python tools/record_lr_schedules.py > src/train/fixtures/lr_schedules.json

Needs torch and diffusers. The rates are those the optimizer uses at step 0, 1, 2, ...: the scheduler
steps once after each optimizer step.
"""

import json

import torch
from diffusers.optimization import get_scheduler

LEARNING_RATE = 2e-4
CASES = [
    # name, warm-up steps, total steps, cycles, power
    ("constant", 0, 12, 1, 1.0),
    ("constant_with_warmup", 4, 12, 1, 1.0),
    ("linear", 0, 12, 1, 1.0),
    ("linear", 3, 20, 1, 1.0),
    ("cosine", 0, 12, 1, 1.0),
    ("cosine", 5, 40, 1, 1.0),
    ("cosine_with_restarts", 2, 20, 1, 1.0),
    ("cosine_with_restarts", 3, 40, 3, 1.0),
    ("polynomial", 0, 12, 1, 1.0),
    ("polynomial", 4, 30, 1, 2.5),
]


def rates(name, warmup, total, cycles, power):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=LEARNING_RATE)
    scheduler = get_scheduler(
        name, optimizer, num_warmup_steps=warmup, num_training_steps=total, num_cycles=cycles, power=power
    )
    out = []
    for _ in range(total + 2):  # two steps past the end: a schedule must stay defined there
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return out


def main():
    cases = [
        {"name": c[0], "warmup": c[1], "total": c[2], "cycles": c[3], "power": c[4], "rates": rates(*c)} for c in CASES
    ]
    lines = ",\n".join(json.dumps(case) for case in cases)
    print(f'{{"learning_rate": {LEARNING_RATE}, "cases": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
