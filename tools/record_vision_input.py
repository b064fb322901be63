"""Records what transformers' image processors make of made-up pictures, for the test of src/data/vision_input.rs.

    pip install transformers "Pillow>=13"
    python tools/record_vision_input.py > src/data/fixtures/vision_inputs.json

Of every result, channels last, a sample and the digest of the whole are kept. The Pillow-based processors are
asked; transformers 5 calls them BlipImageProcessorPil and CLIPImageProcessorPil.
"""

import hashlib
import json

import numpy as np
from PIL import Image
from transformers import BlipImageProcessorPil, CLIPImageProcessorPil

# width, height
PICTURES = [(1, 300), (300, 1), (7, 5), (640, 37), (50, 223), (223, 50), (384, 384), (97, 101), (20, 400), (1, 1)]
SIZES = {"blip": (384, 48), "clip": (224, 35)}
SAMPLES = 12


def made_up(width, height):
    """The picture that the test makes too: waves, hard edges and noise."""
    y, x = np.mgrid[:height, :width]
    noise = (x * 7919 + y * 104_729 + x * y * 31) % 251
    edge = np.where((x // 5 + y // 3) % 2 == 0, 255, 0)
    return Image.fromarray(np.stack([noise, edge, (x * x + 3 * y) % 256], axis=-1).astype(np.uint8))


def processed(processor, picture, size):
    if processor == "blip":
        made = BlipImageProcessorPil(size={"height": size, "width": size})
    else:
        made = CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    pixels = made(picture, return_tensors="np")["pixel_values"][0]
    assert pixels.shape == (3, size, size) and pixels.dtype == np.float32
    return np.ascontiguousarray(pixels.transpose(1, 2, 0)).ravel()


def main():
    cases = []
    for processor, sizes in SIZES.items():
        for picture in PICTURES:
            for size in sizes:
                values = processed(processor, made_up(*picture), size)
                stride = len(values) // SAMPLES + 1
                cases.append(json.dumps({
                    "processor": processor, "picture": picture, "size": size, "stride": stride,
                    "sampled": [float(str(value)) for value in values[::stride]],
                    "sha256": hashlib.sha256(values.astype("<f4").tobytes()).hexdigest(),
                }))
    print("[\n" + ",\n".join(cases) + "\n]")


main()
