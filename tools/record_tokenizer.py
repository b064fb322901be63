"""Records what transformers' CLIP tokenizer makes of odd strings, for the test of src/data/tokenizer.rs.

    pip install transformers
    python tools/record_tokenizer.py assets/clip_merges.txt.gz > src/data/fixtures/clip_ids.json

The vocabulary follows from the merges alone (256 bytes, the same with </w>, one token per merge, begin, end),
so nothing is downloaded.
"""

import gzip
import json
import sys

from transformers import CLIPTokenizer

CAPTIONS = [
    "",
    " ",
    "a photo of a cat",
    "A Photo of a CAT!!!",
    "traditional Suzhou embroidery style, pink peony flower",
    "  leading,  double   spaces\tand\ttabs \n newline  ",
    "it's we're they'll I'd you've I'm can't o'clock",
    "IT'S A DOG'S LIFE",
    "1girl, 2boys, 1920x1080, 3.14159, 007",
    "masterpiece, best quality, (red:1.2), [blue], {green}",
    "snake_case-and-hyphen/slash\\backslash",
    "café naïve Ångström coöperate",
    "cafe\u0301 decomposed A\u030angstro\u0308m",
    "İstanbul ıspanak STRASSE straße ẞ",
    "苏州刺绣，粉色牡丹花",
    "蘇州 embroidery 刺繍 ししゅう 자수",
    "Русская вышивка",
    "تطريز عربي",
    "ΑΣ Σας ΟΔΟΣ",
    "👩‍🎨 🧵🪡 embroidery ❤️",
    "full-width ＡＢＣ　１２３",
    "non\u00a0breaking\u2003em\u200bzero width\ufeffbom",
    "½ ² ① Ⅷ ٣",
    "<|endoftext|> in the middle <|startoftext|>",
    "<lora:suzhou_flower:0.9>",
    "...!?,;:'\"``´",
    "a&b &amp; <b>bold</b>",
    "control\u0007bell and \u0000 nul",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "word " * 75,
    "word " * 76,
    "peony, silk thread, " * 30,
    "牡丹" * 40,
]


def clip_tokenizer(merges_path):
    with gzip.open(merges_path, "rt", encoding="utf-8") as file:
        merges = [tuple(line.rstrip("\n").split(" ")) for line in file if line.strip()]
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(b) for b in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    tokens = letters + [c + "</w>" for c in letters] + ["".join(pair) for pair in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: number for number, token in enumerate(tokens)}
    assert len(vocab) == 49408
    return CLIPTokenizer(vocab=vocab, merges=merges)


def main():
    tokenizer = clip_tokenizer(sys.argv[1])
    cases = []
    for text in CAPTIONS:
        ids = tokenizer(text, padding="max_length", truncation=True, max_length=77)["input_ids"]
        own = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        cases.append(json.dumps({"text": text, "token_count": len(own), "ids": ids}))
    print("[\n" + ",\n".join(cases) + "\n]")


if __name__ == "__main__":
    main()
