"""Records LoKr's change of a weight as LyCORIS builds it (functional/lokr.py: make_kron), for a linear layer and a convolution."""
import torch

from common import record, save

torch.manual_seed(0)
tensors = {}
for case, w1, w2 in [("linear", (4, 8), (6, 10)), ("conv", (4, 4), (6, 5, 3, 3))]:

    def change(w1, w2, shape=w2):
        w2 = w2.reshape(shape)
        for _ in range(w2.dim() - w1.dim()):
            w1 = w1.unsqueeze(-1)
        return torch.kron(w1, w2)

    inputs = {"w1": torch.randn(w1), "w2": torch.randn(w2[0], torch.Size(w2[1:]).numel())}
    record("kron", case, inputs, change, ["w1", "w2"], tensors)
save("kron", tensors)
