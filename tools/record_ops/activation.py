"""Records SiLU, GELU, quick GELU and GEGLU; GELU also on a fine sweep, to check its relative accuracy."""
import torch
import torch.nn.functional as F

from common import record, save

tensors = {}
torch.manual_seed(0)
x = torch.randn(3, 5, 24) * 3
record("activation", "silu", {"x": x.clone()}, lambda x: F.silu(x), ["x"], tensors)
record("activation", "gelu", {"x": x.clone()}, lambda x: F.gelu(x), ["x"], tensors)
record("activation", "quick_gelu", {"x": x.clone()}, lambda x: x * torch.sigmoid(1.702 * x), ["x"], tensors)


def geglu(x):
    value, gate = x.chunk(2, dim=-1)
    return value * F.gelu(gate)


record("activation", "geglu", {"x": x.clone()}, geglu, ["x"], tensors)
sweep = torch.linspace(-6, 6, 4800)
record("activation", "gelu_sweep", {"x": sweep}, lambda x: F.gelu(x), ["x"], tensors)
save("activation", tensors)
