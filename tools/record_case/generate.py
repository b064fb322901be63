"""Record what transformers generates from a made-up language model, as the fixture of src/label/generate.

    python tools/record_case/generate.py > src/label/generate/fixtures/generated.json

Needs torch and transformers 5.23. src/label/generate/tests.rs makes the same model: its logits are sums of two table
entries, whole numbers times a power of two, exact in f32 on both sides.
"""

import itertools
import json

import torch
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

PERIOD = 3  # positions after which the tables repeat
END, PAD, BEGIN = 2, 0, 1
END_BIAS = 3.0  # makes some sequences end early and leaves others to be cut
PROMPTS = [[BEGIN], [BEGIN, 7, 11, 5]]
# a sequence that ends at a rank past num_beams would win with this one, if it counted
LATE_END_SEED = 67
TOP_P = [1.0, 0.97, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.05]


def numbers(seed, count):
    """Nearly normal numbers of standard deviation 2.3: four 16-bit draws of an LCG, summed and centred."""
    state = seed
    out = []
    for _ in range(count):
        total = 0
        for _ in range(4):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            total += state >> 48
        out.append((total - 131070) / 16384)
    return torch.tensor(out)


class TableModel(PreTrainedModel, GenerationMixin):
    """logits = last[position % PERIOD, last token] + before[token before it]; `before` of a first token is its own."""

    config_class = PretrainedConfig

    def __init__(self, seed, vocabulary, end_bias, coarse=False):
        super().__init__(PretrainedConfig(vocab_size=vocabulary, is_decoder=True))
        self.anchor = torch.nn.Parameter(torch.zeros(1))  # tells transformers the device
        values = numbers(seed, (PERIOD + 1) * vocabulary**2)
        if coarse:
            values = values.round()
        tables = values.reshape(PERIOD + 1, vocabulary, vocabulary)
        tables[:PERIOD, :, END] += end_bias
        self.last, self.before = tables[:PERIOD], tables[PERIOD]

    def forward(self, input_ids, **_):
        position = input_ids.shape[1] - 1
        logits = self.last[position % PERIOD, input_ids[:, -1]] + self.before[input_ids[:, max(position - 1, 0)]]
        return CausalLMOutput(logits=logits[:, None])


def run(model, prompt, **options):
    # whole sequences at each step: the model has no cache
    config = GenerationConfig(eos_token_id=END, pad_token_id=PAD, use_cache=False, **options)
    return model.generate(torch.tensor([prompt]), generation_config=config)


def sequences(vocabulary):
    cases = list(enumerate(itertools.product([1, 2, 3, 5], [0, 8], [12, 20], [1.0, 1.5, 0.8], PROMPTS), 1))
    cases += [(LATE_END_SEED, (num_beams, 0, 20, 1.5, [BEGIN])) for num_beams in (2, 3)]
    for seed, (num_beams, min_length, max_length, repetition_penalty, prompt) in cases:
        case = dict(num_beams=num_beams, min_length=min_length, max_length=max_length,
                    repetition_penalty=repetition_penalty)
        ids = run(TableModel(seed, vocabulary, END_BIAS), prompt, do_sample=False, **case)[0].tolist()
        yield dict(seed=seed, prompt=prompt, **case, ids=ids)


def kept_sets(vocabulary):
    """Tokens that sampling may draw first. Coarse tables have equal logits, of which top_k keeps all; top_p keeps some,
    and torch.sort leaves open which, so that it is not asked for them."""
    for seed, (top_p, coarse) in enumerate([(1.0, True)] * 4 + [(top_p, False) for top_p in TOP_P * 2], 101):
        out = run(TableModel(seed, vocabulary, 0.0, coarse), [BEGIN], do_sample=True, top_p=top_p, max_length=2,
                  output_scores=True, return_dict_in_generate=True)
        kept = out.scores[0][0].isfinite().nonzero().flatten().tolist()
        yield dict(seed=seed, coarse=coarse, top_p=top_p, kept=kept)


def listed(cases):
    return "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]"


def main():
    head = dict(period=PERIOD, end=END, end_bias=END_BIAS, vocabulary=40, sampling_vocabulary=90)
    fields = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    fields.append('"sequences": ' + listed(sequences(head["vocabulary"])))
    fields.append('"kept": ' + listed(kept_sets(head["sampling_vocabulary"])))
    print("{" + ",\n".join(fields) + "}")


if __name__ == "__main__":
    main()
