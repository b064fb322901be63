"""Record a sampling run of the synthetic model in PyTorch, as tests/fixtures/sampling.safetensors.

    python tools/record_case/sample.py

DDIM with classifier-free guidance under one LoRA at strength 0.7, and one prediction of the U-Net under two LoRAs at
0.8 and 0.5 (peft's `set_adapters`). Weights are made up in synthetic.py; the tests make the same ones.
"""

import torch
from diffusers import DDIMScheduler
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file

import synthetic
from record import ATTENTION, FIXTURES, TARGETS

STEPS, CFG, HEIGHT, WIDTH = 4, 5.0, 8, 16
STYLE = ("style", "kohya", 4, 2.0)  # name, targets, rank, alpha
OTHER = ("other", "attn", 3, 3.0)


def add_lora(unet, name, targets, rank, alpha):
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, init_lora_weights=False, target_modules=TARGETS[targets]), name)
    for path, layer in unet.named_modules():
        if isinstance(layer, LoraLayer) and name in layer.lora_A:
            down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
            down.data.copy_(synthetic.uniform(f"{name}.{path}.lora_A", down.shape, down.shape[1] ** -0.5))
            up.data.copy_(synthetic.uniform(f"{name}.{path}.lora_B", up.shape, 0.1))


def sample(unet, vae, text, out):
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                              set_alpha_to_one=False, steps_offset=1)
    scheduler.set_timesteps(STEPS)
    out["timesteps"] = scheduler.timesteps.clone()
    out["cond"], out["uncond"] = text(out["ids_cond"])[0], text(out["ids_uncond"])[0]
    x = out["init"]
    for index, t in enumerate(scheduler.timesteps):
        both = unet(torch.cat([x, x]), t, torch.cat([out["uncond"], out["cond"]])).sample
        without, with_prompt = both.chunk(2)
        x = scheduler.step(without + CFG * (with_prompt - without), t, x, eta=0.0).prev_sample
        out[f"step{index}/eps_uncond"], out[f"step{index}/eps_cond"], out[f"step{index}/latents"] = without, with_prompt, x
    out["latents"] = x
    out["image"] = vae.decode(x / 0.18215).sample


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    unet, vae, text = synthetic.models(half=False)
    ids = torch.from_numpy(synthetic.raw_bits("case.input_ids", 2 * 77) % 49406).reshape(2, 77)
    for row, length in zip(ids, (9, 4), strict=True):
        row[0], row[length:] = 49406, 49407
    out = {"init": synthetic.uniform("case.init", (1, 4, HEIGHT, WIDTH), 1.0), "ids_cond": ids[:1], "ids_uncond": ids[1:]}
    add_lora(unet, *STYLE)
    unet.set_adapters(["style"], [0.7])
    sample(unet, vae, text, out)
    add_lora(unet, *OTHER)
    unet.set_adapters(["style", "other"], [0.8, 0.5])
    stacked = unet(out["init"], torch.tensor(501), out["cond"]).sample
    unet.set_adapters(["style", "other"], [0.8, 0.0])
    print("what the second LoRA adds:", ((stacked - unet(out["init"], torch.tensor(501), out["cond"]).sample).norm() / stacked.norm()).item())
    header = {"kind": "sample", "sampler": "ddim", "steps": str(STEPS), "cfg": str(CFG), "lora_scale": "0.7"}
    save_file({name: value.contiguous().clone() for name, value in out.items()}, FIXTURES / "sampling.safetensors", metadata=header)
    save_file({"prediction": stacked.contiguous()}, FIXTURES / "sampling_two_loras.safetensors")
    print("latents", out["latents"].std().item(), "picture", out["image"].std().item())


if __name__ == "__main__":
    main()
