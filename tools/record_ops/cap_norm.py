"""Records the bound on a LoRA's norm, in f64, as sd-scripts' networks/lora.py: apply_max_norm_regularization."""
import torch

from common import save

MAX_NORM = 1.0


def cap(down, up, scale):
    product = torch.einsum("or,r...->o...", up.flatten(1), down)
    norm = (product * scale).norm().clamp(min=MAX_NORM / 2)
    ratio = norm.clamp(max=MAX_NORM) / norm
    return down * ratio**0.5, up * ratio**0.5


torch.manual_seed(0)
tensors = {}
for name, down, up, factor in [("linear", (6, 20), (13, 6), 0.5), ("conv", (5, 7, 3, 3), (12, 5, 1, 1), 0.5),
                               ("below", (4, 12), (8, 4), 0.05)]:
    down, up, scale = factor * torch.randn(down), factor * torch.randn(up), torch.tensor([0.5])
    tensors |= {f"{name}/down": down, f"{name}/up": up, f"{name}/scale": scale}
    capped = cap(down.double(), up.double(), scale.double())
    tensors |= {f"{name}/capped_{part}": value.float() for part, value in zip(["down", "up"], capped)}
save("cap_norm", tensors)
