"""Text: pieces that have nothing in common, the Bible of a Debian package, and its old compression against a plain writer of it."""

import hashlib
import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.errors import FileFormatError, ParameterError

module = importlib.import_module("neurosim.data.text")


def compressed(data: bytes) -> bytes:
    """LZW as Unix's ``compress`` writes it, without its header: groups of eight codes of one width, filled up where the width grows."""
    table, width, codes, out, word = {bytes([i]): i for i in range(256)}, 9, [], b"", b""

    def flush():
        nonlocal codes, out
        bits = sum(code << (k * width) for k, code in enumerate(codes))
        out += bits.to_bytes(width, "little")
        codes = []

    free = 257
    for byte in data:
        longer = word + bytes([byte])
        if longer in table:
            word = longer
            continue
        codes.append(table[word])
        table[longer], free = free, free + 1
        word = bytes([byte])
        # the reader's table lags by one entry
        if free - 1 >= 1 << width:
            flush()
            width += 1
        elif len(codes) == 8:
            flush()
    codes.append(table[word])
    bits = sum(code << (k * width) for k, code in enumerate(codes))
    return out + bits.to_bytes(-(-len(codes) * width // 8), "little")


@given(st.integers(0, 10**6), st.integers(1, 9000), st.integers(1, 60))
def test_the_reader_undoes_compress(seed, size, letters):
    data = bytes(np.random.default_rng(seed).integers(0, letters, size).astype(np.uint8))
    assert module._decompressed(compressed(data), size) == data


def test_damage_is_told():
    # after its first code, a 9-bit code beyond the table
    with pytest.raises(FileFormatError, match="damaged"):
        module._decompressed((65 | 500 << 9).to_bytes(3, "little"), 100)


def test_pieces_follow_one_another():
    words = "abcab" * 40
    found = module.text(words, (0.5, 0.25))
    assert found.characters == "abc"
    assert [len(one) for one in (found.train, found.validation, found.test)] == [100, 50, 50]
    assert "".join(map(found.decoded, (found.train, found.validation, found.test))) == words
    np.testing.assert_array_equal(found.encoded("cab"), [2, 0, 1])
    with pytest.raises(ParameterError, match="'x'"):
        found.encoded("ax")
    for parts in ((0.5, 0.5), (0.0, 0.5), (1.2, 0.1)):
        with pytest.raises(ParameterError, match="three pieces"):
            module.text(words, parts)


def test_the_bible_is_whole():
    try:
        words = module.bible()
    except FileFormatError as error:
        pytest.skip(f"needs Debian's package bible-kjv-text: {error}")
    assert len(words) == 4404412 and words.count("\n") == 31102
    assert words.startswith("Ge1:1 In the beginning God created the heaven and the earth.\n")
    assert words.endswith("Rev22:21 The grace of our Lord Jesus Christ be with you all. Amen.\n")
    assert hashlib.sha256(words.encode()).hexdigest() == "cd45f0c9cedab8e4439bd6486c8952c77cc8b0ecc5d1f6ae3513f2039f47229d"
