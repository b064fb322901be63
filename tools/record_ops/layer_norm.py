"""Records torch.nn.functional.layer_norm over the last dimension."""
import torch
import torch.nn.functional as F

from common import record, save

SHAPES = {"tokens": (2, 7, 40), "narrow": (1, 3, 4), "wide": (1, 5, 768)}

tensors = {}
for case, shape in SHAPES.items():
    torch.manual_seed(len(tensors))
    channels = shape[-1]
    inputs = {"x": torch.randn(shape) * 2 - 1, "gamma": torch.randn(channels), "beta": torch.randn(channels)}

    def forward(x, gamma, beta):
        return F.layer_norm(x, (x.shape[-1],), gamma, beta, eps=1e-5)

    record("layer_norm", case, inputs, forward, ["x"], tensors)
save("layer_norm", tensors)
