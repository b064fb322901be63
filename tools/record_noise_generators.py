"""Record the generators that image sampling imitates, as the fixture of src/diffusion/{torch_normal,webui_noise}.rs.

    python tools/record_noise_generators.py > src/diffusion/fixtures/noise_generators.json

Needs torch and numpy. PyTorch is held to its plain kernels: those for AVX2 have approximations of their own.
"""

import json
import os

os.environ["ATEN_CPU_CAPABILITY"] = "default"

import numpy
import torch

# Each generator draws these lengths one after the other. Draws below 16 take pairs and keep an odd one for later.
TORCH_DRAWS = {
    0: [4, 15, 16, 17, 100],
    42: [16, 3, 17, 3, 100, 4 * 16 * 16],
    1234567890123: [100, 15, 15, 1],
    2**32 - 1: [31],
}
WEBUI_SEEDS, WEBUI_DRAWS, WEBUI_ELEMENTS = [0, 42, 1234567890123], 3, 24

MASK = 2**32 - 1


def short(values):
    """The shortest decimals that read back as the same f32."""
    return [float(str(numpy.float32(value))) for value in values]


def torch_draws(seed, lengths):
    generator = torch.Generator().manual_seed(seed)
    return [short(torch.randn(length, generator=generator).numpy()) for length in lengths]


def philox(counter, key):
    """Philox 4x32-10 on Python's integers, after the paper."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & MASK, (a >> 32) ^ c3 ^ k1, a & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c0, c1


def webui_draw(seed, draw):
    words = [philox((draw, 0, i, 0), (seed & MASK, seed >> 32)) for i in range(WEBUI_ELEMENTS)]
    x, y = numpy.array(words, dtype=numpy.float64).T
    u = x / 2**32 + 1 / 2**33
    angle = float(numpy.float32(2 * numpy.pi / 2**32))  # as the WebUIs round it
    v = y * angle + angle / 2
    return short(numpy.sqrt(-2 * numpy.log(u)) * numpy.sin(v))


def main():
    torch_cases = [{"seed": seed, "draws": torch_draws(seed, lengths)} for seed, lengths in TORCH_DRAWS.items()]
    webui_cases = [{"seed": seed, "draws": [webui_draw(seed, n) for n in range(WEBUI_DRAWS)]} for seed in WEBUI_SEEDS]
    print(json.dumps({"torch": torch_cases, "webui": webui_cases}))


if __name__ == "__main__":
    main()
