"""Records how A1111's WebUI reads odd prompts, for the tests of src/sample/prompt/.

    pip install transformers torch
    python tools/record_prompts.py assets/clip_merges.txt.gz > src/sample/fixtures/prompts.json

Written anew from the rules of the WebUI 1.10 (modules/prompt_parser.py, sd_hijack_clip.py, sd_emphasis.py): a regular
expression finds the tokens, brackets become spans that are multiplied when they close, chunks are cut by position.
"""

import json
import re
import sys

import torch
from record_tokenizer import clip_tokenizer

TOKEN = re.compile(
    r"\\(?P<escaped>[\\()\[\]]?)|:\s*(?P<weight>[+-]?[.\d]+)\s*\)|(?P<bracket>[()\[\]])|(?P<text>:|[^\\()\[\]:]+)"
)
BREAK = re.compile(r"\s*\bBREAK\b\s*")
CHUNK, BACKTRACK = 75, 20
BEGIN, END = 49406, 49407

WORDS = "flower lotus crane silk thread gold river moon bridge lantern willow plum".split()


def words(count, every=0):
    """So many tokens, each a word, with a comma in place of each so manyth."""
    return " ".join("," if every and n % every == every - 1 else WORDS[n % len(WORDS)] for n in range(count))


PROMPTS = [
    "",
    " ",
    "a photo of a cat",
    "an (important) word",
    "((a)) (((b))) [c] [[d]] [(e)] ([f])",
    "(unnecessary)(parens) (same:1.5)(weight:1.5)",
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
    "(peony:1.2), (silk thread : 0.8 ), (gold:+.5), (red:-1), (blue:2.)",
    "(zero:0) (zero too:0.0) text",
    r"\(literal\] \\ and \[more\) (a \(b\):1.3)",
    r"lone \ backslash, \x and at the end \\\ ",
    "\\",
    "(unbalanced",
    "a ((b (c:1.4)",
    "[open [twice (and round",
    "closed) without] opening",
    "a :1.2) b (c)) d:2) :",
    "time 12:30 (at 12:30) (a:b:1.2) (a: 1.2",
    "(a:1.2 b) (a:,1.2) (a:1,2)",
    "(nested (brackets:0.5) and [squares]:1.5), plain",
    "([)]",
    "()[](:1.5)",
    "(:",
    "苏州刺绣，(粉色牡丹:1.3)，[绢] （全角：1.2）",
    "(牡丹:１.２), ：１",
    "👩‍🎨 (🧵🪡:1.2) ❤️ [🌸]",
    "café (nai\u0308ve:1.1) A\u030angstro\u0308m",
    "a BREAK b",
    "BREAK",
    "BREAK a",
    "a BREAK",
    "a BREAK BREAK b",
    "a  \n BREAK\tb, BREAK, c BREAKS _BREAK BREAK2 break",
    "(a BREAK b:1.3) c",
    "((a BREAK b:-1):-1)",
    "(a BREAK b:0)",
    r"\BREAK (a)BREAK(b)",
    "line one\nline two, (tab\tbed:1.1)",
    "<|endoftext|> (x:1.4), ,, ,;",
    "(masterpiece:1.2), best quality, " * 14,
    words(75),
    words(76),
    words(75, 25),
    words(76, 19),
    words(150, 7),
    words(200, 9),
    words(200, 21),
    words(200, 55),
    words(200, 56),
    words(75) + ", " + words(70),
    words(74) + ", " + words(70),
    words(75) + ", " + words(74) + " crane " + words(10),
    words(60, 11) + " BREAK " + words(90, 11),
    words(75) + " BREAK " + words(75) + " BREAK",
    "(" + words(40, 6) + ":1.3) [" + words(60, 6) + "] " + words(100, 6),
    "牡丹，" * 30 + ", " + "(牡丹:1.2), " * 20,
]

EMPHASIS = [[1.5, 1.0, 0.5], [1.1] * 75, [0.0, -1.0, 2.0, 1 / 1.1]]


def pieces(prompt):
    found, open_brackets = [], {"(": [], "[": []}

    def multiply(start, factor):
        for piece in found[start:]:
            piece[1] *= factor

    for token in TOKEN.finditer(prompt):
        bracket, weight = token["bracket"], token["weight"]
        if token["escaped"] is not None:
            found.append([token["escaped"], 1.0])
        elif bracket in ("(", "["):
            open_brackets[bracket].append(len(found))
        elif (weight is not None or bracket == ")") and open_brackets["("]:
            multiply(open_brackets["("].pop(), 1.1 if weight is None else float(weight))
        elif bracket == "]" and open_brackets["["]:
            multiply(open_brackets["["].pop(), 1 / 1.1)
        else:
            first, *others = BREAK.split(token[0])
            found.append([first, 1.0])
            for other in others:
                found += [["BREAK", -1.0], [other, 1.0]]
    for bracket, factor in ("(", 1.1), ("[", 1 / 1.1):
        for start in open_brackets[bracket]:
            multiply(start, factor)
    merged = []
    for text, weight in found or [["", 1.0]]:
        if merged and merged[-1][1] == weight:
            merged[-1][0] += text
        else:
            merged.append([text, weight])
    return [[None, -1.0] if piece == ["BREAK", -1.0] else piece for piece in merged]


def cuts(ids, comma):
    """The starts of the chunks of what stands between two breaks, and its end."""
    starts = [0]
    while len(ids) - starts[-1] > CHUNK:
        start, end = starts[-1], starts[-1] + CHUNK
        commas = [at for at in range(start, end) if ids[at] == comma]
        near = ids[end] != comma and commas and end - commas[-1] <= BACKTRACK
        starts.append(commas[-1] + 1 if near else end)
    return starts + [len(ids)]


def chunks(prompt, tokenizer):
    comma = tokenizer.get_vocab()[",</w>"]
    stretches = [[]]
    for text, weight in pieces(prompt):
        if text is None:
            stretches.append([])
        else:
            ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
            stretches[-1] += [(number, weight) for number in ids]
    if len(stretches) > 1 and not stretches[-1]:
        stretches.pop()
    found = []
    for stretch in stretches:
        ends = cuts([number for number, _ in stretch], comma)
        found += [stretch[start:end] for start, end in zip(ends, ends[1:])]
    return [framed(chunk) for chunk in found]


def framed(chunk):
    ids, weights = [BEGIN] + [number for number, _ in chunk], [1.0] + [weight for _, weight in chunk]
    assert len(ids) <= CHUNK + 1
    while ids[-1] == END:
        ids.pop()
    while weights and weights[-1] == 1.0:
        weights.pop()
    return [ids, weights]


def emphasis(weights):
    states = torch.tensor([(index * 37 % 101) / 64 - 0.5 for index in range(77 * 3)]).reshape(77, 3)
    multipliers = torch.ones(77)
    multipliers[1 : 1 + len(weights)] = torch.tensor(weights)
    weighed = states * multipliers[:, None]
    weighed = weighed * (states.mean() / weighed.mean())
    return {"weights": weights, "states": [float(f"{value:.8g}") for value in weighed.flatten().tolist()]}


def main():
    tokenizer = clip_tokenizer(sys.argv[1])
    assert all(len(tokenizer(word)["input_ids"]) == 3 for word in WORDS), "a word is one token and two marks"
    prompts = [{"prompt": text, "pieces": pieces(text), "chunks": chunks(text, tokenizer)} for text in PROMPTS]
    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in prompts)
    states = ",\n".join(json.dumps(emphasis(weights), separators=(",", ":")) for weights in EMPHASIS)
    print(f'{{"prompts":[\n{rows}\n],"emphasis":[\n{states}\n]}}')


main()
