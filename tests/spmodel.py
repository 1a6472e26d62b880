"""spmodel.py -- sentencepiece models made by hand: protocol buffers of pieces, as tokenizer.model has them.

SPDX-License-Identifier: Apache-2.0"""
import struct


def varint(n):
    out = b""
    while n >= 0x80:
        out, n = out + bytes([n & 0x7f | 0x80]), n >> 7
    return out + bytes([n])


def field(number, raw):
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def pieces(tokens):
    """The model of these: texts, which are then of the default type, or (text, type)."""
    out = b""
    for t in tokens:
        text, kind = (t, b"") if isinstance(t, str) else (t[0], b"\x18" + varint(t[1]))
        out += field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", -1.5) + kind)
    return out + field(2, b"\x18\x05" + b"\x22\x01x") + field(3, b"\x0a\x03nfc")
