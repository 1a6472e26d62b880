"""tokenizers.py -- hostile files of tokenizers. Each case is a recipe that joins the model m, whose files are
hostile, with a good one: (name, {path: bytes}, the recipe, words of the refusal; None: it may also succeed).
SPDX-License-Identifier: Apache-2.0"""
import json, struct

import spmodel


def weights(rows=8):
    head = json.dumps({"model.embed_tokens.weight": {"dtype": "F32", "shape": [rows, 2], "data_offsets": [0, 8 * rows]}}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(8 * rows)


RECIPE = b"merge_method: linear\nparameters: {weight: 1}\nmodels: [%s]\ntokenizer_source: union\n"
GOOD = {"b/model.safetensors": weights(), "b/config.json": b'{"vocab_size": 8}', "b/vocab.json": b'{"a": 0, "q": 1}',
        "m/model.safetensors": weights(), "m/config.json": b'{"vocab_size": 8}'}


def both_ways(what, files, words):
    """The hostile one as the base, and as the other."""
    files = {**GOOD, **{f"m/{n}": raw for n, raw in files.items()}}
    for order in (b"m, b", b"b, m"):
        yield f"{what} ({order.decode()})", {**files, "r.yml": RECIPE % order}, "r.yml", words


def fast(vocab=b'{"a": 0}', added=b"[]"):
    return b'{"added_tokens": ' + added + b', "model": {"type": "BPE", "vocab": ' + vocab + b"}}"


def fasts():
    whole = fast(b'{"a": 0, "b": 1}', b'[{"id": 2, "content": "c"}]')
    for at in (1, 20, 50, len(whole) - 2):
        yield f"cut at {at}", whole[:at], []
    for number in (b"2147483648", b"99999999999999999999", b"-1", b"1.5", b'"1"', b"null", b"[0]", b"1e3", b"4194304"):
        yield f"id {number.decode()}", fast(b'{"a": ' + number + b"}"), []
        yield f"added id {number.decode()}", fast(added=b'[{"content": "x", "id": ' + number + b"}]"), []
    one = b'{"id": 2147483648, "content": "x"},'
    yield "a million added tokens with id 2^31", fast(added=b"[" + one * 999999 + one[:-1] + b"]"), ["2147483648"]
    yield "a million times the same text and id", fast(b"{" + b'"x": 1,' * 999999 + b'"x": 1}'), None
    yield "100,000 texts with one id", fast(b"{" + b",".join(b'"%d": 1' % i for i in range(100000)) + b"}"), None
    yield "4.2 million tokens", fast(b"[" + b'["",0],' * 4200000 + b'["",0]]'), ["at most 4194304"]
    yield "deep vocab", fast(b'{"a": ' + b"[" * 100000), []
    yield "deep elsewhere", b'{"x": ' + b'{"x":' * 100000, []
    yield "deep flags", fast(added=b'[{"id": 1, "content": "x", "y": ' + b"[" * 100000), []
    yield "not UTF-8", fast(b'{"\xff\xfe": 0}'), []
    yield "half a pair of surrogates", fast(b'{"\\ud800": 0}'), []
    yield "control characters", fast(b'{"a\x1b\n": 0}'), []
    yield "a NUL in a text", fast(b'{"a\\u0000b": 0}', b'[{"id": 1, "content": "\\u0000"}]'), None
    yield "a vocab of nothing", fast(b"{}"), None
    yield "a text of 20 MB", fast(b'{"' + b"x" * (20 << 20) + b'": 0}'), None
    yield "without content", fast(added=b'[{"id": 1}]'), ["without id or content"]
    yield "added tokens that are none", fast(added=b"[1]"), []
    yield "two vocabularies", fast(b'{"a": 0}, "vocab": {"b": 0}'), None
    yield "a token beyond the rows", fast(b'{"a": 0, "b": 4000000}'), None


def models():
    good = spmodel.pieces([("<unk>", 2), ("a", 1), ("b", 1)])
    for at in (1, 2, 5, len(good) - 1):
        yield f"cut at {at}", good[:at], []
    big = b"\xff" * 9 + b"\x01"
    yield "empty", b"", ["without a piece"]
    yield "a varint without end", b"\x0a" + b"\xff" * 100000, ["64 bits"]
    yield "a varint of 65 bits", b"\x08" + b"\xff" * 9 + b"\x02", ["64 bits"]
    yield "a key of 2^64", big, []
    yield "a length of 2^64", b"\x0a" + big + b"x", ["longer than the rest"]
    yield "a length of 2^63 inside", spmodel.field(1, b"\x0a" + b"\xff" * 8 + b"\x7f"), ["longer than the rest"]
    yield "field 0", b"\x02\x00", ["number 0"]
    yield "a group", b"\x0b" * 100000, []
    yield "a piece without text", spmodel.field(1, b"\x15\0\0\0\0"), ["without text"]
    yield "a text of another kind", spmodel.field(1, b"\x08\x01"), ["without text"]
    yield "not UTF-8", spmodel.field(1, spmodel.field(1, b"\xc0\x80")), ["UTF-8"]
    yield "a million other fields", b"\x18\x01" * 1000000, ["without a piece"]
    yield "4.2 million pieces", spmodel.field(1, spmodel.field(1, b"")) * 4200000, ["more than 4194304"]
    yield "a million texts in one piece", spmodel.field(1, spmodel.field(1, b"x") * 1000000), None
    yield "the same piece a million times", spmodel.field(1, spmodel.field(1, b"x")) * 1000000, None
    yield "a text without bytes", spmodel.field(1, spmodel.field(1, b"")), None
    yield "a type of 2^64", spmodel.field(1, spmodel.field(1, b"x") + b"\x18" + big), None
    yield "a pointer of git-lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", []
    yield "zeros", bytes(1000), ["number 0"]


def lines():
    yield "empty", b"", ["no tokens"]
    yield "4.2 million lines", b"\n" * 4200000, ["more than 4194304"]
    yield "not UTF-8", b"a\nb\xff\n", ["vocab.txt:2"]
    yield "a NUL", b"a\n\0\nb\n", None
    yield "one line of 20 MB", b"x" * (20 << 20), None


def lists():
    """(file, text, words); the vocabulary is a vocab.json."""
    for key in ("-1", "", " 1", "1e3", "99999999999999999999", "2147483648", "4194304", "1x"):
        yield "tokenizer_config.json", b'{"added_tokens_decoder": {"%s": {"content": "x"}}}' % key.encode(), ["is no number below"]
    yield "tokenizer_config.json", b'{"added_tokens_decoder": {"3": {"id": 4}}}', ["without id or content"]
    yield "tokenizer_config.json", b'{"added_tokens_decoder": {"3": 4}}', []
    yield "tokenizer_config.json", b'{"added_tokens_decoder": {"3": ' + b"[" * 100000, []
    yield "tokenizer_config.json", b'{"tokenizer_class": "' + b"T" * 1000000 + b'"}', None
    yield "tokenizer_config.json", b'{"added_tokens_decoder": {"3": {"content": "x"}, "3": {"content": "y"}}, "added_tokens_decoder": {"3": {"content": "z"}}}', None
    yield "tokenizer_config.json", b"[]", []
    yield "added_tokens.json", b'{"x": -1}', []
    yield "added_tokens.json", b'{"x": 2147483648}', []
    yield "added_tokens.json", b'["x"]', []
    yield "added_tokens.json", b'{"\\u0000": 2}', None
    yield "added_tokens.json", b'{"x": 1, "y": 1, "x": 0}', None
    yield "special_tokens_map.json", b'{"x": ' + b"[" * 100000, []
    yield "special_tokens_map.json", b'{"pad": {"content": {"content": "x"}}, "more": [[["x"]], 1, {"content": 3}]}', None
    yield "special_tokens_map.json", b"3", []
    yield "vocab.json", b'{"a": {"b": 0}}', []
    yield "vocab.json", b'{"a": 0', []
    yield "config.json", b'{"vocab_size": 99999999999999999999}', []
    yield "config.json", b'{"vocab_size": 0}', None
    yield "config.json", b'{"vocab_size": -7}', None


def cases():
    for what, raw, words in fasts():
        yield from both_ways(f"tokenizer.json: {what}", {"tokenizer.json": raw}, words if words is None else ["tokenizer.json", *words])
    for what, raw, words in models():
        yield from both_ways(f"tokenizer.model: {what}", {"tokenizer.model": raw}, words if words is None else ["tokenizer.model", *words])
    for what, raw, words in lines():
        yield from both_ways(f"vocab.txt: {what}", {"vocab.txt": raw}, words if words is None else ["vocab.txt", *words])
    for i, (file, raw, words) in enumerate(lists()):
        files = {"vocab.json": b'{"a": 0, "b": 1}', file: raw}
        yield from both_ways(f"{file} {i}", files, words if words is None else [file, *words])
