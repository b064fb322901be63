"""Records the weighted losses of a batch of latents and their gradients: sd-scripts' loss types, with and without a mask."""
import torch

from common import save


def elements(kind, d, c):
    """The loss of each element, as sd-scripts' `conditional_loss` has it."""
    if kind == "l2":
        return d**2
    if kind == "l1":
        return d.abs()
    return 2 * (torch.sqrt(d**2 + c**2) - c) * (c if kind == "huber" else 1)


torch.manual_seed(0)
inputs = {
    "prediction": torch.randn(3, 11, 13, 4),
    "target": torch.randn(3, 11, 13, 4),
    "weight": torch.tensor([0.5, 0.0, 1.7]),
    "threshold": torch.tensor([0.9, 0.1, 0.35]),
    "mask": torch.rand(3, 11, 13),
}
tensors = dict(inputs)
target, weight, threshold, mask = (inputs[name].double() for name in ("target", "weight", "threshold", "mask"))
for kind in ("l2", "l1", "huber", "smooth_l1"):
    for suffix, factor in (("", 1), ("_masked", mask[..., None])):
        leaf = inputs["prediction"].double().requires_grad_()
        loss = factor * elements(kind, leaf - target, threshold[:, None, None, None])
        samples = loss.mean(dim=(1, 2, 3))
        loss = (weight * samples).sum()
        loss.backward()
        tensors[f"{kind}{suffix}/loss"] = loss.detach().reshape(1)
        tensors[f"{kind}{suffix}/samples"] = samples.detach()
        tensors[f"{kind}{suffix}/d_prediction"] = leaf.grad.float()
save("weighted_loss", tensors)
