"""A training stage that can be stopped at any time: its clock, its learning rate, its averaged weights, its state."""

import copy
import os
import signal
import time
from pathlib import Path

import numpy
import torch

SAVE_EVERY_SECONDS = 600
WARM_UP_STEPS = 100
DECAY_SHARE = 0.3  # the learning rate falls during this last share of the time


def write_atomically(path, write):
    """Calls `write(temporary path)`, then puts the file in place: a reader never sees half a file."""
    temporary = Path(path).with_suffix(".part" + Path(path).suffix)
    write(temporary)
    os.replace(temporary, path)


class Average:
    """Exponential moving average of a module's weights."""

    def __init__(self, module, decay=0.999):
        self.module, self.decay = module, decay
        self.average = copy.deepcopy(module).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, step):
        decay = min(self.decay, (1 + step) / (10 + step))  # follows quickly in the beginning
        torch._foreach_lerp_(list(self.average.parameters()), list(self.module.parameters()), 1 - decay)


class Stage:
    """One stage of training; `step()` trains one step and returns what the log shows, a dict of numbers.

    Time is CPU time over the number of threads, so that a stopped or crowded process loses none of its budget.
    """

    name = ""
    peak_rate = 1e-3

    def __init__(self, folder, minutes, modules, seed):
        self.path = Path(folder) / f"{self.name}.pt"
        self.minutes, self.seconds, self.steps = minutes, 0.0, 0
        self.modules = modules
        self.averages = {name: Average(module) for name, module in modules.items()}
        self.trained = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.trained, lr=self.peak_rate, betas=(0.9, 0.995), weight_decay=1e-4, fused=True)
        self.random = numpy.random.default_rng(seed)
        torch.manual_seed(seed)
        if self.path.exists():
            self.restore(torch.load(self.path, weights_only=False))

    # ----- what a stage adds -----

    def step(self):
        raise NotImplementedError

    def extra(self):
        """State beyond weights, optimiser and random numbers."""
        return {}

    def restore_extra(self, state):
        """Takes what `extra` gave."""

    def picture(self):
        """Draws how far the stage is; called at each save."""

    # ----- state -----

    def state(self):
        return {
            "seconds": self.seconds, "steps": self.steps, "optimiser": self.optimiser.state_dict(),
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "averages": {name: average.average.state_dict() for name, average in self.averages.items()},
            "random": self.random.bit_generator.state, "torch_random": torch.get_rng_state(), "extra": self.extra(),
        }  # fmt: skip

    def restore(self, state):
        self.seconds, self.steps = state["seconds"], state["steps"]
        self.optimiser.load_state_dict(state["optimiser"])
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
            self.averages[name].average.load_state_dict(state["averages"][name])
        self.random.bit_generator.state = state["random"]
        torch.set_rng_state(state["torch_random"])
        self.restore_extra(state["extra"])

    def save(self):
        write_atomically(self.path, lambda path: torch.save(self.state(), path))
        self.picture()

    # ----- running -----

    @property
    def progress(self):
        """Share of the budget that is used, 0..1."""
        return min(1.0, self.seconds / (60 * self.minutes))

    def rate(self):
        """Learning rate: warm-up, plateau, and a cosine fall at the end."""
        fall = max(0.0, (self.progress - 1 + DECAY_SHARE) / DECAY_SHARE)
        return self.peak_rate * min(1.0, (self.steps + 1) / WARM_UP_STEPS) * (0.02 + 0.98 * numpy.cos(fall * numpy.pi / 2) ** 2)

    def descend(self, loss):
        """One optimiser step down `loss`."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        for average in self.averages.values():
            average.update(self.steps)

    def run(self):
        """Trains until the budget is used; saves every ten minutes, at the end and when told to stop."""
        if self.progress >= 1:
            return
        stop = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.append(True))
        log, saved = Log(self), time.monotonic()
        while self.progress < 1:
            began = time.process_time()
            numbers = self.step()
            self.steps += 1
            self.seconds += (time.process_time() - began) / torch.get_num_threads()
            log.add(numbers)
            if stop or time.monotonic() - saved > SAVE_EVERY_SECONDS:
                self.save()
                saved = time.monotonic()
            if stop:
                raise SystemExit(f"{self.name}: stopped and saved at step {self.steps}")
        self.save()


class Log:
    """Prints means over the last fifty steps."""

    EVERY = 50

    def __init__(self, stage):
        self.stage, self.rows, self.since = stage, [], time.monotonic()

    def add(self, numbers):
        self.rows.append(numbers)
        if len(self.rows) < self.EVERY:
            return
        means = "  ".join(f"{key} {numpy.nanmean([row[key] for row in self.rows]):.4f}" for key in self.rows[0])
        speed = len(self.rows) / (time.monotonic() - self.since)
        stage = self.stage
        print(f"{stage.name} {stage.steps}  {stage.seconds / 60:.1f}/{stage.minutes} min  {speed:.2f} steps/s  {means}", flush=True)
        self.rows, self.since = [], time.monotonic()
