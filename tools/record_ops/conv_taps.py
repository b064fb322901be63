"""Records the LoRA of a convolution as sd-scripts computes it (networks/lora.py): 3×3 `down`, 1×1 `up`, channels last."""
import torch
import torch.nn.functional as F

from common import record, save


def lora(stride):
    def forward(x, down, up):
        hidden = F.conv2d(x.permute(0, 3, 1, 2), down, stride=stride, padding=1)
        return F.conv2d(hidden, up[:, :, None, None]).permute(0, 2, 3, 1)

    return forward


torch.manual_seed(0)
tensors = {}
for case, stride, rank in [("same", 1, 3), ("down", 2, 8)]:
    inputs = {"x": torch.randn(2, 7, 10, 12), "down": torch.randn(rank, 12, 3, 3), "up": torch.randn(20, rank)}
    record("conv_taps", case, inputs, lora(stride), ["x", "down", "up"], tensors)
save("conv_taps", tensors)
