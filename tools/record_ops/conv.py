"""Records conv3x3 in each geometry: channels last, weights as [tap][c_in][c_out]."""
import torch
import torch.nn.functional as F

from common import record, save

GEOMETRIES = {
    "same": lambda x, w, b: F.conv2d(x, w, b, stride=1, padding=1),
    "down": lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
    "down_asymmetric": lambda x, w, b: F.conv2d(F.pad(x, (0, 1, 0, 1)), w, b, stride=2),
}


def channels_last(conv):
    def forward(x, weight, bias):
        c_in, c_out = weight.shape[1:]
        kernel = weight.reshape(3, 3, c_in, c_out).permute(3, 2, 0, 1)
        return conv(x.permute(0, 3, 1, 2), kernel, bias).permute(0, 2, 3, 1)

    return forward


torch.manual_seed(0)
tensors = {}
for name, conv in GEOMETRIES.items():
    inputs = {"x": torch.randn(2, 9, 14, 20), "weight": torch.randn(9, 20, 24), "bias": torch.randn(24)}
    record("conv", name, inputs, channels_last(conv), ["x", "weight"], tensors)
save("conv", tensors)
