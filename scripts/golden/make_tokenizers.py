"""Makes test/golden/tokenizer-parts.json: small tokenizers, one for each part that a tokenizer.json may have, and what the
tokenizers library makes of some strings with each.

    python scripts/golden/make_tokenizers.py test/golden/tokenizer-parts.json        (tokenizers 0.23)

Two base tokenizers are trained on the text below: `bytes` (byte-level BPE) and `pieces` (SentencePiece-style BPE with byte
fallback). A case changes some of a base's entries.
"""
import copy
import json
import sys

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXT = ["the whale and the sea, the ship and the men; he said that they'd seen the whales", "in the other end of the sea",
        "a hundred and twenty 100 120 2026 whales' tails", "Die Wale schwimmen über das Meer", "la mer et les baleines d'été"]

STRINGS = ["", " ", "the whale", " The  sea\tand   the\n\nmen ", "they'd they'LL it's 'tis", "1234567 3.14 \u00bd \u00b2 \u0663\u0664 \u2167",
           "x=1;y_2+=foo(bar)[0]//c!? ... \u2014\u00ab\u00bb\u00bf", "\u00e9t\u00e9 e\u0301te\u0301 \u1100\u1161 \ufb01 \uff26\uff35\uff2c\uff2c", "\u0391\u03a3 \u0130 \u017f \u212a '\u017f",
           "\u65e5\u672c\u8a9e\u306e\u6d77 \U0001f600\U0001f433 \U0001f468\u200d\U0001f469", "a\u0085b\ufeffc\u00a0d\u2028e\u3000f\u180eg\x00h\x1ci",
           "\u2581 \u2581\u2581x \u0120G $& $1", "<s>the</s> sea<s>", " <mask> the  <mask>\u3000<pad>  the <pad>   whale", "...  the ...\u0085 ...\ufeff.",
           "HELLO Hello hello the<tok>sea [x]", "<0x41><0xE6> <unk>", "aaaaaaaaaaaaaaaaaaaaaaa", "\n \n", "\ufffd\ufffd"]


def base_bytes():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(TEXT * 3, trainers.BpeTrainer(vocab_size=310, special_tokens=["<s>", "</s>"], show_progress=False,
                                                       initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return json.loads(t.to_str())


def base_pieces():
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.train_from_iterator([s.replace(" ", "\u2581") for s in TEXT * 3],
                          trainers.BpeTrainer(vocab_size=350, special_tokens=["<unk>", "<s>", "</s>"] + bytes_, show_progress=False))
    j = json.loads(t.to_str())
    j["added_tokens"] = j["added_tokens"][:3]
    replace = lambda a, b: {"type": "Replace", "pattern": {"String": a}, "content": b}
    j["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, replace(" ", "\u2581")]}
    j["decoder"] = {"type": "Sequence", "decoders": [replace("\u2581", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                                                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    j["post_processor"] = {"type": "TemplateProcessing",
                           "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    return j


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
REGEXES = [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
           r"(?i:'s|foo)|\w+|\W", r"\h+|.", r"[[:alpha:]]+|\d{2}|[^\S\n]+"]


def added(first, *tokens):
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return [{"id": first + i, "content": content, **plain, **flags} for i, (content, flags) in enumerate(tokens)]


def cases(bases):
    def split(*parts):
        return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [*parts, BYTES]}}

    for behavior in BEHAVIORS:
        for invert in [False, True]:
            yield f"Split {behavior}{' inverted' if invert else ''}", "bytes", split(
                {"type": "Split", "pattern": {"Regex": r"\s+|\p{N}|[aeiou]"}, "behavior": behavior, "invert": invert})
        yield f"Split {behavior} at a text", "bytes", split({"type": "Split", "pattern": {"String": "e"}, "behavior": behavior, "invert": False})
        yield f"Punctuation {behavior}", "bytes", split({"type": "Punctuation", "behavior": behavior})
    for number, regex in enumerate(REGEXES):
        yield f"Split regular expression {number}", "bytes", split({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False})
    for single in [True, False]:
        yield f"Digits {'one by one' if single else 'together'}", "bytes", split({"type": "Digits", "individual_digits": single})
    yield "ByteLevel alone", "bytes", {"pre_tokenizer": {**BYTES, "use_regex": True}}
    yield "ByteLevel with a space before", "bytes", {"pre_tokenizer": {**BYTES, "use_regex": True, "add_prefix_space": True}}
    for form in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase"]:
        yield form, "bytes", {"normalizer": {"type": form}}
    yield "Replace with signs", "bytes", {"normalizer": {"type": "Replace", "pattern": {"String": "h"}, "content": "$&x$1"}}
    yield "Replace by a regular expression", "bytes", {"normalizer": {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": ""}}
    tokens = [("<mask>", {"lstrip": True, "special": True}), ("<pad>", {"rstrip": True, "special": True}), ("<tok>", {"normalized": True}),
              ("HELLO", {"normalized": True}), ("[x]", {"normalized": True, "special": True}), ("hel", {"normalized": True}),
              ("  ", {"normalized": True}), ("\u65e5\u672c", {}), ("...", {"lstrip": True, "rstrip": True})]
    for base in bases:
        size = len(bases[base]["model"]["vocab"])
        for name, normalizer in [("as it is", bases[base]["normalizer"]), ("without normalizer", None), ("with NFC", {"type": "NFC"})]:
            yield f"added tokens, {base} {name}", base, {"added_tokens": bases[base]["added_tokens"] + added(size, *tokens), "normalizer": normalizer}
    for scheme in ["always", "first", "never"]:
        for whole in [True, False]:
            mark = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": not whole}
            yield f"Metaspace {scheme}{' in one' if whole else ''}", "pieces", {"normalizer": None, "pre_tokenizer": mark, "decoder": mark}
    for fuse in [True, False]:
        for fallback in [True, False]:
            for unknown in ["<unk>", None]:
                model = {**bases["pieces"]["model"], "fuse_unk": fuse, "byte_fallback": fallback, "unk_token": unknown}
                yield f"unknown: fuse {fuse}, bytes {fallback}, token {unknown}", "pieces", {"model": model}
    words = {"type": "Split", "pattern": {"Regex": "\u2581|[^\u2581]{3}"}, "behavior": "Isolated", "invert": False}
    yield "unknown at the end of words", "pieces", {"pre_tokenizer": words, "model": {**bases["pieces"]["model"], "byte_fallback": False}}
    yield "pieces as they are", "pieces", {}
    yield "no decoder", "pieces", {"decoder": None}
    yield "decoder ByteLevel for pieces", "pieces", {"decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}}
    yield "no post-processor", "pieces", {"post_processor": None}


def run(tokenizer, text):
    ids = tokenizer.encode(text).ids
    return [ids, tokenizer.encode(text, add_special_tokens=False).ids, tokenizer.decode(ids, skip_special_tokens=False), tokenizer.decode(ids)]


def main(path):
    bases = {"bytes": base_bytes(), "pieces": base_pieces()}
    rows = []
    for name, base, changes in cases(bases):
        tokenizer = Tokenizer.from_str(json.dumps({**copy.deepcopy(bases[base]), **changes}))
        # A model differs from the base's in a few flags only.
        flags = {key: {k: v for k, v in value.items() if k not in ("vocab", "merges")} if key == "model" else value for key, value in changes.items()}
        rows.append({"name": name, "base": base, "changes": flags, "results": [run(tokenizer, text) for text in STRINGS]})
    with open(path, "w") as file:
        json.dump({"made_with": f"tokenizers {tokenizers.__version__}", "strings": STRINGS, "bases": bases, "cases": rows}, file, separators=(",", ":"))


main(sys.argv[1])
