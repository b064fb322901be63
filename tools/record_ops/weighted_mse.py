"""Records the weighted loss of a batch of latents and its gradient."""
import torch

from common import save

torch.manual_seed(0)
prediction = torch.randn(3, 16, 15, 4)
target = torch.randn(3, 16, 15, 4)
weight = torch.tensor([0.5, 0.0, 1.7])
leaf = prediction.double().requires_grad_()
samples = ((leaf - target.double()) ** 2).mean(dim=(1, 2, 3))
loss = (weight.double() * samples).sum()
loss.backward()
save(
    "weighted_mse",
    {
        "prediction": prediction,
        "target": target,
        "weight": weight,
        "loss": loss.detach().reshape(1),
        "samples": samples.detach(),
        "d_prediction": leaf.grad.float(),
    },
)
