"""Record captions and embeddings of made-up BLIP and CLIP models, as tests/fixtures/label_*.safetensors.

    python tools/record_case/label.py

What transformers makes of given pixels: image features, logits, captions, similarities; and for BLIP its captions of a few
pictures, from file to text. Weights are made up in synthetic.py, the tests make the same ones:
names and shapes, configuration and vocabulary lie in the file's header.
"""

import json

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, CLIPConfig, CLIPModel

import synthetic
from record import FIXTURES

PICTURES = ["assets/demo/01-clouds.png", "src/data/fixtures/resize_source.png", "assets/demo/05-rosette.png"]
WORDS = (
    "a an the of and in on with photo picture photograph flower bird cloud silk thread silver indigo cloth red white "
    "black gold pink blue green pattern border lotus dragon peony embroidered woven dyed chased two small large"
).split()
SIGNS = list("!\"#$%&'()*+,-./0123456789:;<=>?@abcdefghijklmnopqrstuvwxyz")
VOCABULARY = ["[PAD]", *[f"[unused{i}]" for i in range(99)], "[UNK]", "[CLS]", "[SEP]", "[MASK]", *SIGNS, *[word for word in WORDS if word not in SIGNS],
              "##s", "##ed", "##er", "##ing"]


def fill(model, part):
    """Sets every parameter, and gives names and shapes as the file has them."""
    shapes = {}
    for name, tensor in model.named_parameters():
        tensor.data.copy_(synthetic.weight(f"{part}.{name}", tuple(tensor.shape)))
        shapes[name] = list(tensor.shape)
    return shapes


def save(name, model, shapes, tensors, **header):
    header = {"parameters": json.dumps(shapes), "config": model.config.to_json_string(use_diff=False), **header}
    tensors = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    save_file(tensors, FIXTURES / f"label_{name}.safetensors", metadata=header)
    print(name, {name: tuple(tensor.shape) for name, tensor in tensors.items()})


def prepared(path, size):
    """A picture as BLIP's processor prepares it: stretched by Pillow's bicubic, normalized as CLIP's are."""
    picture = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    pixels = torch.tensor(list(picture.getdata()), dtype=torch.float32).reshape(1, size, size, 3).permute(0, 3, 1, 2) / 255
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def blip():
    count = len(VOCABULARY)
    begin = count  # [DEC], behind the vocabulary
    model = BlipForConditionalGeneration(BlipConfig(
        text_config=dict(vocab_size=count + 2, hidden_size=32, encoder_hidden_size=48, intermediate_size=64, num_hidden_layers=2,
                         num_attention_heads=4, max_position_embeddings=40, bos_token_id=begin, sep_token_id=102, pad_token_id=0),
        vision_config=dict(hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8))).eval()
    shapes = fill(model, "blip")
    model.text_decoder.cls.predictions.bias[:100] -= 20  # nobody wants a caption of unused tokens
    pixels = synthetic.uniform("blip.pixel_values", (2, 3, 32, 32), 1.0)
    ids = torch.tensor([[begin, 120, 170, 175]]).repeat(2, 1)
    out = {"pixel_values": pixels, "text_ids": ids, "image_embeds": model.vision_model(pixels)[0]}
    out["logits"] = model.text_decoder(input_ids=ids, encoder_hidden_states=out["image_embeds"]).logits
    out["gen_greedy"] = model.generate(pixel_values=pixels, max_new_tokens=12, num_beams=1, do_sample=False)
    out["gen_beam3"] = model.generate(pixel_values=pixels, max_new_tokens=12, num_beams=3, do_sample=False)
    prompt = torch.tensor([[begin, 108, 110, 102]]).repeat(2, 1)
    out["gen_prompt_greedy"] = model.generate(pixel_values=pixels, input_ids=prompt, max_new_tokens=8, num_beams=1, do_sample=False)
    print({name: tensor.tolist() for name, tensor in out.items() if name.startswith("gen")})
    scores = model.generate(pixel_values=pixels, max_new_tokens=12, num_beams=1, do_sample=False, output_scores=True, return_dict_in_generate=True).scores
    best = torch.stack(scores).topk(2, -1).values
    print("smallest margin", (best[..., 0] - best[..., 1]).min().item())
    vocabulary = FIXTURES / "vocab.txt"
    vocabulary.write_text("\n".join(VOCABULARY) + "\n")
    tokenizer = BertTokenizer(vocab=str(vocabulary))
    vocabulary.unlink()
    prefix = tokenizer("a photo of", return_tensors="pt").input_ids
    captions = {}
    for name in PICTURES:
        pixels = prepared(FIXTURES.parent.parent / name, 32)
        beams = model.generate(pixel_values=pixels, input_ids=prefix, max_length=16, num_beams=3, do_sample=False)
        captions[name] = tokenizer.decode(beams[0], skip_special_tokens=True)
    print(captions)
    save("blip", model, shapes, out, vocabulary="\n".join(VOCABULARY), captions=json.dumps(captions))


def clip():
    model = CLIPModel(CLIPConfig(
        text_config=dict(hidden_size=32, intermediate_size=64, num_attention_heads=4, num_hidden_layers=2, bos_token_id=49406, eos_token_id=49407),
        vision_config=dict(hidden_size=48, intermediate_size=96, num_attention_heads=4, num_hidden_layers=2, image_size=32, patch_size=8),
        projection_dim=24)).eval()
    shapes = fill(model, "clip")
    model.logit_scale.data.copy_(synthetic.uniform("clip.logit_scale", (), 1.0))
    pixels = synthetic.uniform("clip.pixel_values", (2, 3, 32, 32), 1.0)
    ids = torch.from_numpy(synthetic.raw_bits("clip.input_ids", 3 * 7) % 49406).reshape(3, 7)
    for row, length in zip(ids, (7, 4, 5), strict=True):
        row[0], row[length - 1:] = 49406, 49407
    given = {"pixel_values": pixels, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
    result = model(**given)
    out = {**given, "image_embeds": result.image_embeds, "text_embeds": result.text_embeds, "logits_per_image": result.logits_per_image}
    save("clip", model, shapes, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        blip()
        clip()
