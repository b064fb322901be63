"""Holds a training step of lora-wgpu against the same step in PyTorch eager, in turn on the same machine.

    python compare_step.py target/release/lora-wgpu --resolution 256 --batch-size 1

PyTorch runs first and last, so that a machine that changes its pace shows it. On a CUDA GPU seconds are compared; on the
CPU, where both use all of its cores, processor seconds. Weights are random numbers at Stable Diffusion v1.5's widths.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import nn

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


class LoraLinear(nn.Module):
    """A frozen linear layer with a trained low-rank addition."""

    def __init__(self, frozen, rank):
        super().__init__()
        self.frozen = frozen
        self.down = nn.Linear(frozen.in_features, rank, bias=False)
        self.up = nn.Linear(rank, frozen.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.frozen(x) + self.up(self.down(x))


def new_unet(rank, device):
    """Stable Diffusion v1.5's U-Net with LoRAs on the 128 attention projections; the trained parameters."""
    unet = UNet2DConditionModel(
        block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, attention_head_dim=8,
        down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    ).requires_grad_(False)  # fmt: skip
    for path, module in list(unet.named_modules()):
        if isinstance(module, nn.Linear) and path.endswith(ATTENTION):
            parent, name = path.rsplit(".", 1)
            setattr(unet.get_submodule(parent), name, LoraLinear(module, rank))
    return unet.to(device), [p for p in unet.parameters() if p.requires_grad]


class TorchStep:
    """Forward, backward, clipping and AdamW; `dtype` is that of autocast, or None."""

    def __init__(self, options, dtype):
        self.device, self.dtype = options.device, dtype
        self.unet, self.trained = new_unet(options.rank, self.device)
        self.optimiser = torch.optim.AdamW(self.trained, lr=1e-4)
        side, batch = options.resolution // 8, options.batch_size
        self.latents, self.noise = (torch.randn(batch, 4, side, side, device=self.device) for _ in range(2))
        self.times = torch.full((batch,), 500, device=self.device)
        self.context = torch.randn(batch, 77, 768, device=self.device)

    def __call__(self):
        with torch.autocast(self.device, dtype=self.dtype, enabled=self.dtype is not None):
            made = self.unet(self.latents, self.times, self.context).sample
        F.mse_loss(made.float(), self.noise).backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def seconds(self, repeats):
        """Median seconds (processor seconds on the CPU) after a step that is not counted."""
        self()
        return statistics.median(self.timed() for _ in range(repeats))

    def timed(self):
        clock = time.process_time if self.device == "cpu" else time.perf_counter
        self.wait()
        start = clock()
        self()
        self.wait()
        return clock() - start

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()


def torch_seconds(options):
    """Seconds of each precision by name."""
    precisions = {"f32": None} if options.device == "cpu" else {"f32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
    found = {}
    for name, dtype in precisions.items():
        found[name] = TorchStep(options, dtype).seconds(options.repeats)
        print(f"PyTorch {torch.__version__} {name}: {found[name]:.4f} s", flush=True)
    return found


def our_report(options):
    """What `lora-wgpu bench` measures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        command = [options.program, "bench", "--json", path, "--weights", options.weights]
        for name in ("resolution", "batch_size", "rank", "repeats"):
            command += ["--" + name.replace("_", "-"), str(getattr(options, name))]
        subprocess.run(command, check=True, stdout=sys.stderr)
        return json.loads(path.read_text())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, help="the built lora-wgpu")
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weights", default="f32", help="how lora-wgpu stores the frozen weights: f32, f16 or bf16")
    return parser.parse_args()


def main():
    options = arguments()
    options.device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    before, report, after = torch_seconds(options), our_report(options), torch_seconds(options)
    step = report["step"]
    ours = step["processor_seconds"] if options.device == "cpu" else step["median_seconds"]
    where = f"{report['device']}, {report['kernels']} kernels, {options.weights} weights"
    print(f"lora-wgpu f32 on {where}: {ours:.4f} s")
    for name in before:
        print(f"ratio to PyTorch {name}: {ours / before[name]:.2f} (first), {ours / after[name]:.2f} (last)")


if __name__ == "__main__":
    main()
