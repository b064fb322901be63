"""Records softmax over rows, plain and causal, with a scale."""
import torch

from common import record, save

tensors = {}
torch.manual_seed(0)
x = torch.randn(3, 13, 13) * 4
record("softmax", "plain", {"x": x.clone()}, lambda x: torch.softmax(0.5 * x, dim=-1), ["x"], tensors)
mask = torch.full((13, 13), float("-inf"), dtype=torch.double).triu(1)
record("softmax", "causal", {"x": x.clone()}, lambda x: torch.softmax(0.5 * x + mask, dim=-1), ["x"], tensors)
save("softmax", tensors)
