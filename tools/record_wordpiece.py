"""Records what transformers' BERT tokenizer makes of odd strings and ids, for the test of src/data/wordpiece.rs.

    pip install transformers
    python tools/record_wordpiece.py assets/bert_vocab.txt.gz > src/data/fixtures/bert_ids.json

Decoding cleans up spaces, which was the default for every BERT folder up to transformers 4.
"""

import gzip
import json
import random
import sys

from transformers import BertTokenizer

TEXTS = [
    "",
    " ",
    "a photography of",
    "a photo of a cat",
    "A Photo of a CAT!!!",
    "traditional Suzhou embroidery style, pink peony flower",
    "a woman's hand holding a silk-thread flower.",
    "  leading,  double   spaces\tand\ttabs \n newline \r\n return  ",
    "don't",
    "it's we're they'll I'd you've I'm can't o'clock",
    "it\u2019s a \u2018curly\u2019 \u201cquote\u201d",
    "IT'S A DOG'S LIFE",
    "do not, does not, don't",
    "silk-thread",
    "state-of-the-art / either\\or",
    "1girl, 2boys, 1920x1080, 3.14159, 007",
    "1234567890123456789012345678901234567890",
    "masterpiece, best quality, (red:1.2), [blue], {green}",
    "snake_case-and-hyphen/slash\\backslash",
    "...!?,;:'\"``\u00b4",
    "wait... what?! no!!! ---- ***",
    "a , b . c ! d ? e ' f",
    "a&b &amp; <b>bold</b> $5 ^2 ~x |y| =z +1 `tick`",
    "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m co\u00f6perate",
    "cafe\u0301 decomposed A\u030angstro\u0308m",
    "\u0130stanbul \u0131spanak STRASSE stra\u00dfe \u1e9e",
    "\u1ec7 \u01d6 \u0327\u0328 \u0301",
    "\u82cf\u5dde\u523a\u7ee3\uff0c\u7c89\u8272\u7261\u4e39\u82b1",
    "\u8607\u5dde embroidery \u523a\u7e4d \u3057\u3057\u3085\u3046 \uc790\uc218",
    "\u30ab\u30bf\u30ab\u30ca \uff76\uff80\uff76\uff85 \u30fb \u300c\u300d",
    "\U00020000\U0002a6d6 \uf900 \u3400",
    "\u0420\u0443\u0441\u0441\u043a\u0430\u044f \u0432\u044b\u0448\u0438\u0432\u043a\u0430 \u0439\u043e\u0433",
    "\u062a\u0637\u0631\u064a\u0632 \u0639\u0631\u0628\u064a \u0643\u0650\u062a\u064e\u0627\u0628",
    "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22",
    "\u0391\u03a3 \u03a3\u03b1\u03c2 \u039f\u0394\u039f\u03a3",
    "\U0001f469\u200d\U0001f3a8 \U0001f9f5\U0001faa1 embroidery \u2764\ufe0f",
    "cat\U0001f408cat",
    "full-width \uff21\uff22\uff23\u3000\uff11\uff12\uff13\uff01\uff1f",
    "non\u00a0breaking\u2003em\u200bzero width\ufeffbom\u00adsoft",
    "line\u2028separator\u2029paragraph\u0085next\u000bvertical\u000cform",
    "\u00bd \u00b2 \u2460 \u2167 \u0663",
    "\u00a9 \u00ae \u2122 \u00b0 \u20ac \u00a3 \u00a5 \u2192 \u221e \u2260",
    "control\u0007bell and \u0000 nul \u001b[0m \ufffd",
    "private \ue000 unassigned \u0378 high \U0010fffd",
    "[CLS] marks [SEP] in [MASK] the [PAD] middle [UNK]",
    "[cls] [ SEP ] [DEC] [ENC] [unused0]",
    "##ing ## #",
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "x" * 100,
    "x" * 101,
    "peony" * 40 + " flower",
    "\u00e9" * 100 + " " + "\u00e9" * 101,
    "\u7261\u4e39" * 30,
    "peony, silk thread, " * 20,
    "unaffable unwantedness embroideries re-embroidered",
    "zzxqj kjhgfd",
    "http://example.org/a?b=c&d=%20#e me@example.org",
    "3'6\" tall, 50% off, #1, $9.99",
    "en\u2013dash em\u2014dash minus\u2212sign hyphen\u2010",
    "\ufb01ne \ufb02ower \u0133 \u01c6 \u33a1",
    "a\u0338b \u20dd \u1160 \u180e x",
]

CLS, SEP, MASK, UNK, PAD, DEC, ENC = 101, 102, 103, 100, 0, 30522, 30523

PHRASES = [
    "a woman ' s hat .",
    "they ' ve said they ' re here , i ' m not !",
    "do not , don ' t , n ' t",
    "' quoted ' ' twice ' '",
    "what ? ! . . .",
    "a - b ( c ) : d ; e",
    "##s first ##s then ##ing . ##ly , ##'",
    "' . ' , ' ! ' ?",
    ". leading , stop",
    "[unused0] stays [unused99]",
]


def sequences(tokenizer):
    """Sequences of ids as a captioner could emit them, and ones it never would."""
    phrases = [tokenizer.convert_tokens_to_ids(phrase.split()) for phrase in PHRASES]
    flower = tokenizer("an embroidered flower", add_special_tokens=False)["input_ids"]
    yield from ([], [SEP], [DEC, SEP], [PAD] * 4, [DEC], [ENC, 40000, 4294967295], [30521], [999])
    yield from phrases
    yield from ([DEC, *phrase, SEP, PAD, PAD] for phrase in phrases[:4])
    yield from ([CLS, *flower, SEP], [*flower, DEC, *flower, SEP], [flower[0], MASK, *flower[1:], UNK, ENC, *flower])
    yield [flower[0], SEP, *tokenizer.convert_tokens_to_ids(["##s", ".", "##s"])]
    generator = random.Random(1)
    signs = ". ? ! , ' n t m s ve re not do ##s ##t - \" [SEP] [UNK] cat".split()
    signs = [*tokenizer.convert_tokens_to_ids(signs), DEC]
    for length in range(3, 21):
        yield generator.choices(signs, k=length)
    for length in range(1, 17):
        yield [generator.randrange(30524) for _ in range(length)] + [SEP] * (length % 2)


def main():
    with gzip.open(sys.argv[1], "rt", encoding="utf-8") as file:
        vocab = {line.rstrip("\n"): number for number, line in enumerate(file)}
    assert len(vocab) == 30522
    tokenizer = BertTokenizer(vocab=vocab, clean_up_tokenization_spaces=True)
    text_of = lambda ids: tokenizer.decode(ids, skip_special_tokens=True)
    encoded = []
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        encoded.append(json.dumps({"text": text, "ids": ids, "decoded": text_of(ids)}))
    decoded = [json.dumps({"ids": ids, "text": text_of(ids)}) for ids in sequences(tokenizer)]
    print('{"encoded": [\n' + ",\n".join(encoded) + '\n],\n"decoded": [\n' + ",\n".join(decoded) + "\n]}")


if __name__ == "__main__":
    main()
