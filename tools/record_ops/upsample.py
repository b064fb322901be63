"""Records nearest-neighbour upsampling by two, channels last."""
import torch
import torch.nn.functional as F

from common import record, save


def upsample(x):
    return F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2, mode="nearest").permute(0, 2, 3, 1)


torch.manual_seed(0)
tensors = {}
record("upsample", "nearest", {"x": torch.randn(2, 5, 7, 12)}, upsample, ["x"], tensors)
save("upsample", tensors)
