"""Attention: head sizes of the U-Net, CLIP and the VAE, cross-attention with 77 keys, a causal mask."""
import torch
from torch.nn.functional import scaled_dot_product_attention

from common import record, save

# name: batch, queries, keys, heads, head size, causal
CASES = {
    "self_40": (1, 17, 17, 2, 40, False),
    "self_80": (1, 7, 7, 2, 80, False),
    "self_160": (1, 4, 4, 2, 160, False),
    "cross_16": (1, 9, 77, 2, 16, False),
    "causal_64": (1, 13, 13, 2, 64, True),
    "single_head_512": (1, 5, 5, 1, 512, False),
}


def attention(heads, causal):
    def forward(q, k, v):
        split = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)
        out = scaled_dot_product_attention(split(q), split(k), split(v), is_causal=causal)
        return out.transpose(1, 2).flatten(2)

    return forward


tensors = {}
for name, (batch, queries, keys, heads, head, causal) in CASES.items():
    generator = torch.Generator().manual_seed(head + keys)
    draw = lambda rows: torch.randn(batch, rows, heads * head, generator=generator)
    inputs = {"q": draw(queries), "k": draw(keys), "v": draw(keys)}
    record("attention", name, inputs, attention(heads, causal), ["q", "k", "v"], tensors)
    if head == 512:  # The VAE's, which is never trained.
        for gradient in ["d_q", "d_k", "d_v"]:
            del tensors[f"{name}/{gradient}"]
save("attention", tensors)
