"""Records torch.nn.functional.group_norm, alone and followed by SiLU, on channels-last tensors."""
import torch
import torch.nn.functional as F

from common import record, save

# case: (samples, height, width, channels, groups, silu)
CASES = {
    "groups_of_two": (2, 5, 3, 8, 4, False),
    "groups_of_ten": (1, 17, 7, 40, 4, True),
    "groups_of_one": (1, 9, 9, 32, 32, True),
}


def forward(groups, silu):
    def run(x, gamma, beta):
        y = F.group_norm(x.movedim(-1, 1), groups, gamma, beta, eps=1e-5).movedim(1, -1)
        return F.silu(y) if silu else y

    return run


tensors = {}
for case, (samples, height, width, channels, groups, silu) in CASES.items():
    torch.manual_seed(len(tensors))
    inputs = {
        "x": torch.randn(samples, height, width, channels) * 3 + 1,
        "gamma": torch.randn(channels),
        "beta": torch.randn(channels),
    }
    record("group_norm", case, inputs, forward(groups, silu), ["x"], tensors)
save("group_norm", tensors)
