"""Record training runs of a synthetic model in PyTorch, as tests/fixtures/reference_*.safetensors.

    python tools/record_case/record.py

Needs torch, diffusers, transformers, peft and safetensors. Weights and cases are made up in synthetic.py; the tests make
the same ones. Every run is repeated in f64, and what f32 itself loses is printed.
"""

import os
import pathlib

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads cost tenfold on a shared machine

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file

import synthetic

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures"
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
TARGETS = {"attn": ATTENTION, "kohya": ATTENTION + ["ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]}

OPTIMIZER = dict(lr="1e-3", weight_decay="1e-2", beta1="0.9", beta2="0.999", eps="1e-8")
ATTENTION_CASE = dict(OPTIMIZER, steps="2", batch="1", height="16", width="16", rank="4", alpha="4", targets="attn",
                      prediction="epsilon", snr_gamma="0", max_grad_norm="0")
TRANSFORMER_CASE = dict(OPTIMIZER, steps="3", batch="2", height="16", width="24", rank="5", alpha="3", targets="kohya",
                        prediction="v_prediction", snr_gamma="5", max_grad_norm="1")

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
SMALL_MODULES = ["time_embedding", "mid_block", "down_blocks.0.downsamplers.0", "up_blocks.0.upsamplers.0",
                 *(f"down_blocks.{level}" for level in range(4)), "up_blocks.0"]
LARGE_MODULES = ["conv_in", "conv_norm_out", "up_blocks.1", "up_blocks.2", "up_blocks.3", "down_blocks.0.resnets.0",
                 "down_blocks.0.attentions.0", BLOCK, f"{BLOCK}.attn1", f"{BLOCK}.attn2", f"{BLOCK}.ff"]


def observe(unet, paths, out):
    """Keeps the outputs of modules until the hooks are removed."""
    modules = dict(unet.named_modules())

    def keep(path):
        def hook(_module, _inputs, output):
            output = output if torch.is_tensor(output) else output[0]
            out[f"step1/block/{path}"] = output.detach().clone()
        return hook

    return [modules[path].register_forward_hook(keep(path)) for path in paths]


def add_lora(unet, header):
    """Wraps the targets and gives the case's tensors, and the trained parameters by their names in it."""
    unet.add_adapter(LoraConfig(r=int(header["rank"]), lora_alpha=float(header["alpha"]), init_lora_weights=False,
                                target_modules=TARGETS[header["targets"]]))
    layers = [(path, module) for path, module in unet.named_modules() if isinstance(module, LoraLayer)]
    case = synthetic.case(header, [(path, layer.base_layer) for path, layer in layers])
    parameters = {}
    for path, layer in layers:
        for half, module in (("lora_A", layer.lora_A["default"]), ("lora_B", layer.lora_B["default"])):
            parameters[f"{path}.{half}.weight"] = module.weight
            module.weight.data.copy_(case[f"lora/{path}.{half}.weight"])
    return case, parameters


def record_vae(vae, image, out):
    moments = vae.encode(image).latent_dist
    out["vae/mean"], out["vae/logvar"] = moments.mean, moments.logvar
    out["vae/roundtrip"] = vae.decode(moments.mean).sample


def record_text(text, ids, out):
    states = text(ids, output_hidden_states=True).hidden_states
    inner = getattr(text, "text_model", text)
    out["step1/hidden_skip2"] = inner.final_layer_norm(states[-2])
    out["step1/te_embed"], out["step1/te_layer0"] = states[0], states[1]


def loss_of(prediction, latents, noise, timesteps, scheduler, header):
    """Mean squared error, weighted by min-SNR where the case asks for it (https://arxiv.org/abs/2303.09556)."""
    epsilon = header["prediction"] == "epsilon"
    target = noise if epsilon else scheduler.get_velocity(latents, noise, timesteps)
    losses = F.mse_loss(prediction, target, reduction="none").mean(dim=(1, 2, 3))
    gamma = float(header["snr_gamma"])
    if gamma > 0:
        signal = scheduler.alphas_cumprod[timesteps]
        snr = signal / (1 - signal)
        losses = losses * snr.clamp(max=gamma) / (snr if epsilon else snr + 1)
    return losses.mean()


def train(header, modules, half, dtype):
    """Everything a reference can hold, in `dtype`."""
    unet, vae, text = (model.to(dtype) for model in synthetic.models(half))
    case, parameters = add_lora(unet, header)
    unet.train().to(dtype)
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(dtype)
    optimizer = torch.optim.AdamW(parameters.values(), lr=float(header["lr"]), eps=float(header["eps"]),
                                  betas=(float(header["beta1"]), float(header["beta2"])),
                                  weight_decay=float(header["weight_decay"]))
    limit = float(header["max_grad_norm"]) or float("inf")
    out, losses, norms = {}, [], []
    with torch.no_grad():
        record_vae(vae, case["image"].to(dtype), out)
        record_text(text, case["input_ids"][0], out)
    hooks = observe(unet, modules, out)
    for step in range(int(header["steps"])):
        latents, noise = case["latents"][step].to(dtype), case["noise"][step].to(dtype)
        timesteps = case["timesteps"][step]
        noisy = scheduler.add_noise(latents, noise, timesteps)
        hidden = text(case["input_ids"][step])[0]
        prediction = unet(noisy, timesteps, hidden).sample
        loss = loss_of(prediction, latents, noise, timesteps, scheduler, header)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            [hook.remove() for hook in hooks]
            out |= {"step1/unet_out": prediction.detach(), "step1/noisy": noisy, "step1/hidden": hidden}
            out |= {f"step1/grad/{name}": value.grad.clone() for name, value in parameters.items()}
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), limit).item())
        optimizer.step()
        if step == 0:
            out |= {f"step1/after/{name}": value.detach().clone() for name, value in parameters.items()}
        losses.append(loss.item())
    out |= {f"final/{name}": value.detach() for name, value in parameters.items()}
    double = {"dtype": torch.float64}
    return out | {"loss": torch.tensor(losses, **double), "grad_norm": torch.tensor(norms, **double)}


def precision_of_f32(single, double):
    """Prints the relative distance from f64 of each group of tensors."""
    groups = {}
    for name, value in single.items():
        group = "/".join(name.split("/")[:2]) if name.startswith(("step1/grad", "step1/after")) else name
        group = "final" if name.startswith("final/") else group
        sums = groups.setdefault(group, [0.0, 0.0])
        sums[0] += (value.double() - double[name].double()).square().sum().item()
        sums[1] += double[name].double().square().sum().item()
    for group, (difference, norm) in groups.items():
        print(f"  {group:72} {(difference / norm) ** 0.5:.1e}")


def record(name, header, modules, keep, half=False):
    out = train(header, modules, half, torch.float32)
    for tensor in ("step1/noisy", "step1/hidden", "step1/unet_out", "vae/mean", "vae/roundtrip"):
        print(f"{name} {tensor}: standard deviation {out[tensor].std():.3f}")
    precision_of_f32(out, train(header, modules, half, torch.float64))
    kept = {key: value.contiguous() for key, value in out.items() if keep(key)}
    save_file(kept, FIXTURES / f"reference_{name}.safetensors", metadata=header)
    print(f"{name}: loss {out['loss'].tolist()}, {sum(t.numel() * t.element_size() for t in kept.values())} bytes")


def main():
    torch.set_num_threads(2)
    # What is left out for size: the wide case's picture and later LoRA states, most of the f16 case.
    record("attention", ATTENTION_CASE, SMALL_MODULES + LARGE_MODULES, lambda key: not key.startswith("step1/after/"))
    record("transformer", TRANSFORMER_CASE, SMALL_MODULES,
           lambda key: not key.startswith(("final/", "step1/after/")) and key != "vae/roundtrip")
    small = ("loss", "grad_norm", "step1/unet_out", "step1/hidden", "vae/mean")
    record("attention_f16", ATTENTION_CASE, [], lambda key: key in small, half=True)


if __name__ == "__main__":
    main()
