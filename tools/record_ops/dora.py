"""Records weight decomposition over both axes, with the norm differentiated and f32's epsilon added as in LyCORIS
(functional/general.py: _weight_decompose), and with the norm as a constant as in PEFT (tuners/lora/dora.py)."""
import torch

from common import record, save


def decompose(axis, detached):
    def forward(v, magnitude):
        dims = [dim for dim in range(v.dim()) if dim != axis]
        norm = v.square().sum(dims, keepdim=True).sqrt()
        norm = norm.detach() if detached else norm + torch.finfo(torch.float32).eps
        return v * (magnitude / norm)

    return forward


torch.manual_seed(0)
tensors = {}
for axis, name in [(0, "out"), (1, "in")]:
    for taps, shape in [(1, (12, 20)), (9, (12, 8, 3, 3))]:
        magnitude = [length if dim == axis else 1 for dim, length in enumerate(shape)]
        for trainer, detached in [("lycoris", False), ("peft", True)]:
            inputs = {"v": torch.randn(shape), "magnitude": torch.randn(magnitude)}
            record("dora", f"{name}_{taps}_{trainer}", inputs, decompose(axis, detached), ["v", "magnitude"], tensors)
save("dora", tensors)
