"""Record sampling with the synthetic model in PyTorch, as tests/fixtures/sampling*.safetensors.

    python tools/record_case/sample.py

DDIM with classifier-free guidance under one LoRA at strength 0.7, and one prediction of the U-Net under two LoRAs at
0.8 and 0.5 (peft's `set_adapters`). Then one prediction and one text embedding under a file of other adapters at
strength 0.7, each merged into its weight by the formulas of LyCORIS. Weights are made up in synthetic.py; the tests make
the same ones.
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


BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
CORE = "i j k l, j r, i p -> p r k l"  # LyCORIS: a Tucker core, then the factors of in and out


def values(module, name, *shape):
    return synthetic.uniform(f"{module}.{name}", shape, 0.4)


def locon(module, weight):
    """LoRA; on a convolution `down` is one too."""
    out, inner, *kernel = weight.shape
    down, up = values(module, "down", 3, inner, *kernel), values(module, "up", out, 3, *[1] * len(kernel))
    delta = torch.einsum("or, ri... -> oi...", up.flatten(1), down) * 2 / 3
    return {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(2.0)}, weight + 0.7 * delta


def tucker_locon(module, weight):
    out, inner, *kernel = weight.shape
    down, up, mid = values(module, "down", 3, inner, 1, 1), values(module, "up", out, 3, 1, 1), values(module, "mid", 3, 3, *kernel) / 8
    delta = torch.einsum("n m k l, i n, m j -> i j k l", mid, up.flatten(1), down.flatten(1))
    return {"lora_down.weight": down, "lora_up.weight": up, "lora_mid.weight": mid}, weight + 0.7 * delta


def loha(module, weight):
    out, inner = weight.shape[0], weight[0].numel()
    parts = {f"hada_w{n}_{side}": values(module, f"w{n}{side}", *shape) for n in (1, 2) for side, shape in (("a", (out, 2)), ("b", (2, inner)))}
    delta = (parts["hada_w1_a"] @ parts["hada_w1_b"]) * (parts["hada_w2_a"] @ parts["hada_w2_b"]) / 2
    return parts | {"alpha": torch.tensor(1.0)}, weight + 0.7 * delta.reshape(weight.shape)


def tucker_loha(module, weight):
    out, inner, *kernel = weight.shape
    parts = {}
    for n in (1, 2):
        parts |= {f"hada_w{n}_a": values(module, f"w{n}a", 2, out), f"hada_w{n}_b": values(module, f"w{n}b", 2, inner),
                  f"hada_t{n}": values(module, f"t{n}", 2, 2, *kernel)}
    first, second = (torch.einsum(CORE, parts[f"hada_t{n}"], parts[f"hada_w{n}_b"], parts[f"hada_w{n}_a"]) for n in (1, 2))
    return parts | {"alpha": torch.tensor(1.0)}, weight + 0.7 * first * second / 2


def lokr(module, weight):
    out, inner = weight.shape
    whole, a, b = values(module, "w1", 4, 2), values(module, "w2a", out // 4, 3), values(module, "w2b", 3, inner // 2)
    delta = torch.kron(whole, a @ b) * 2 / 3
    return {"lokr_w1": whole, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": torch.tensor(2.0)}, weight + 0.7 * delta


def tucker_lokr(module, weight):
    out, inner, *kernel = weight.shape
    w1a, w1b = values(module, "w1a", 2, 2), values(module, "w1b", 2, 4)
    t2, w2a, w2b = values(module, "t2", 3, 3, *kernel), values(module, "w2a", 3, out // 2), values(module, "w2b", 3, inner // 4)
    second = torch.einsum(CORE, t2, w2b, w2a).contiguous()
    delta = torch.kron((w1a @ w1b)[:, :, None, None], second) * 2 / 3
    parts = {"lokr_w1_a": w1a, "lokr_w1_b": w1b, "lokr_t2": t2, "lokr_w2_a": w2a, "lokr_w2_b": w2b}
    return parts | {"alpha": torch.tensor(2.0)}, weight + 0.7 * delta


def dora(by_output):
    def adapter(module, weight):
        parts, _ = locon(module, weight)
        merged = weight + torch.einsum("or, ri... -> oi...", parts["lora_up.weight"].flatten(1), parts["lora_down.weight"]) * 2 / 3
        axes = [axis for axis in range(weight.dim()) if axis != (0 if by_output else 1)]
        norm = merged.square().sum(axes, keepdim=True).sqrt()
        magnitudes = norm * (1 + 0.2 * values(module, "magnitude", *norm.shape))
        return parts | {"dora_scale": magnitudes}, weight + 0.7 * (merged * magnitudes / norm - weight)
    return adapter


ADAPTERS = [
    ("unet", "time_embedding.linear_1", locon), ("unet", "down_blocks.0.resnets.0.time_emb_proj", locon),
    ("unet", "down_blocks.1.resnets.0.conv_shortcut", locon), ("unet", "down_blocks.0.resnets.0.conv1", locon),
    ("unet", "down_blocks.1.resnets.0.conv2", tucker_locon), ("unet", f"{BLOCK}.attn1.to_q", loha),
    ("unet", "mid_block.resnets.0.conv1", loha), ("unet", "up_blocks.1.resnets.0.conv2", tucker_loha),
    ("unet", f"{BLOCK}.attn1.to_v", lokr), ("unet", "up_blocks.2.resnets.0.conv2", tucker_lokr),
    ("unet", f"{BLOCK}.attn2.to_k", dora(by_output=False)), ("unet", f"{BLOCK}.attn2.to_q", dora(by_output=True)),
    ("unet", "up_blocks.3.resnets.0.conv2", dora(by_output=False)),
    ("te", "text_model.encoder.layers.0.self_attn.q_proj", locon), ("te", "text_model.encoder.layers.1.mlp.fc1", loha),
]


def record_adapters(out):
    """One file with an adapter of each kind, and what the model makes of it."""
    unet, _, text = synthetic.models(half=False)
    inner = getattr(text, "text_model", text)
    file = {}
    for part, path, kind in ADAPTERS:
        network = unet if part == "unet" else inner
        layer = network.get_submodule(path.removeprefix("text_model.") if part == "te" else path)
        tensors, merged = kind(f"{part}.{path}", layer.weight.data)
        print(f"{kind.__name__:14} {path}: {((merged - layer.weight).norm() / layer.weight.norm()).item():.2f}")
        layer.weight.data.copy_(merged)
        file |= {f"lora_{part}_{path.replace('.', '_')}.{name}": value.contiguous() for name, value in tensors.items()}
    save_file(file, FIXTURES / "sampling_adapters.safetensors")
    hidden = text(out["ids_cond"])[0]
    prediction = unet(out["init"], torch.tensor(501), out["cond"]).sample
    save_file({"hidden": hidden.contiguous(), "prediction": prediction.contiguous()}, FIXTURES / "sampling_adapters_reference.safetensors")


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
    record_adapters(out)
    print("latents", out["latents"].std().item(), "picture", out["image"].std().item())


if __name__ == "__main__":
    main()
