"""Records concatenation along the channels, channels last."""
import torch

from common import record, save

torch.manual_seed(0)
tensors = {}
inputs = {"a": torch.randn(2, 5, 3, 12), "b": torch.randn(2, 5, 3, 20)}
record("concat", "channels", inputs, lambda a, b: torch.cat([a, b], dim=-1), ["a", "b"], tensors)
save("concat", tensors)
