"""linear: tokens with an odd count, and pixels as a 1×1 convolution sees them."""
import torch
import torch.nn.functional as F

from common import record, save

torch.manual_seed(1)
tensors = {}


def twice(x, weight, bias):
    return 2 * F.linear(x, weight, bias)


def pixels(x, weight, bias):
    out = F.conv2d(x.permute(0, 3, 1, 2), weight[:, :, None, None], bias)
    return 2 * out.permute(0, 2, 3, 1)


for case, shape, n, forward in [("tokens", (2, 13, 40), 52, twice), ("pixels", (2, 5, 7, 36), 20, pixels)]:
    inputs = {"x": torch.randn(shape), "weight": torch.randn(n, shape[-1]), "bias": torch.randn(n)}
    record("linear", case, inputs, forward, ["x", "weight"], tensors)
save("linear", tensors)
