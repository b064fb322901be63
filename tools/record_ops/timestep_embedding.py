"""Records diffusers' get_timestep_embedding as SD v1.5's U-Net calls it."""
import torch
from diffusers.models.embeddings import get_timestep_embedding

from common import save

t = torch.tensor([0, 1, 2, 37, 250, 501, 749, 998, 999])
embedding = get_timestep_embedding(t, 320, flip_sin_to_cos=True, downscale_freq_shift=0)
save("timestep_embedding", {"t": t.float(), "embedding": embedding})
