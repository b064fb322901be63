"""Writes kernels-tests/fixtures/<op>.safetensors: inputs, outputs and gradients of small PyTorch computations."""
import pathlib

import torch
from safetensors.torch import save_file

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "kernels-tests" / "fixtures"


def record(op, case, inputs, forward, wanted, tensors):
    """Adds case/<input>, case/out, case/upstream and case/d_<wanted> to `tensors`, computed in f64 from f32 inputs."""
    leaves = {name: value.double().requires_grad_(name in wanted) for name, value in inputs.items()}
    out = forward(**leaves)
    generator = torch.Generator().manual_seed(len(tensors) + 1)
    upstream = torch.randn(out.shape, generator=generator)
    out.backward(upstream.double())
    for name, value in inputs.items():
        tensors[f"{case}/{name}"] = value.float().contiguous()
    tensors[f"{case}/out"] = out.detach().float().contiguous()
    tensors[f"{case}/upstream"] = upstream.contiguous()
    for name in wanted:
        tensors[f"{case}/d_{name}"] = leaves[name].grad.float().contiguous()


def save(op, tensors):
    FIXTURES.mkdir(parents=True, exist_ok=True)
    save_file(tensors, FIXTURES / f"{op}.safetensors")
    print(f"{op}: {len(tensors)} tensors, {sum(t.numel() * t.element_size() for t in tensors.values())} bytes")
