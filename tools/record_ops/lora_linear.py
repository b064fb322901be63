"""lora_linear: the sum of a frozen linear and a scaled low-rank update, with and without bias."""
import torch
import torch.nn.functional as F

from common import record, save

torch.manual_seed(2)
tensors = {}


def forward(x, weight, down, up, scale, bias=None):
    return 2 * (F.linear(x, weight, bias) + scale * F.linear(F.linear(x, down), up))


for case, shape, n, rank in [("rank_4", (2, 13, 40), 52, 4), ("rank_12", (1, 67, 36), 20, 12)]:
    inputs = {
        "x": torch.randn(shape),
        "weight": torch.randn(n, shape[-1]),
        "down": torch.randn(rank, shape[-1]),
        "up": torch.randn(n, rank),
        "scale": torch.tensor([0.625]),
    }
    if case == "rank_4":
        inputs["bias"] = torch.randn(n)
    record("lora_linear", case, inputs, forward, ["x", "down", "up"], tensors)
save("lora_linear", tensors)
