"""Records five steps of torch.optim.AdamW behind clip_grad_norm_, in f32."""
import torch

from common import save

STEPS = 5
torch.manual_seed(0)
parameters = torch.nn.Parameter(torch.randn(1028) * 0.02)
optimizer = torch.optim.AdamW(
    [parameters], lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, foreach=False, fused=False
)
tensors = {"parameters": parameters.detach().clone()}
for step in range(1, STEPS + 1):
    gradients = torch.randn(1028) * (0.01 if step == 3 else 1.0)
    tensors[f"{step}/gradients"] = gradients.clone()
    parameters.grad = gradients
    norm = torch.nn.utils.clip_grad_norm_([parameters], 1.0)
    optimizer.step()
    state = optimizer.state[parameters]
    tensors[f"{step}/norm"] = norm.reshape(1)
    tensors[f"{step}/parameters"] = parameters.detach().clone()
    tensors[f"{step}/m"] = state["exp_avg"].clone()
    tensors[f"{step}/v"] = state["exp_avg_sq"].clone()
save("adamw", tensors)
