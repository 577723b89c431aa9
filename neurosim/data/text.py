"""Text to learn to continue, character by character."""

from __future__ import annotations

import dataclasses
import io
import struct
import tarfile

import numpy as np

from ..errors import FileFormatError, ParameterError
from ..fetch import cached, read

__all__ = ["Text", "bible", "text"]

_PACKAGE = "http://deb.debian.org/debian/pool/main/b/bible-kjv/bible-kjv-text_4.38_all.deb"
_SHA256 = "d61b6aad4c51ba9e2800b825325fa6a09e99a0d02a9bb6dc4724fcc4995a1b7a"


@dataclasses.dataclass(frozen=True, eq=False)
class Text:
    """Three successive pieces of a text, as numbers of characters.

    Attributes
    ----------
    characters : str
        All that occur, in their order by code; a number is a place in it.
    train, validation, test : ndarray, uint8
    """

    characters: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def encoded(self, words: str) -> np.ndarray:
        """A text as numbers, uint8; raises :class:`ParameterError` for a character that does not occur."""
        missing = sorted(set(words) - set(self.characters))
        if missing:
            raise ParameterError(f"characters that the text does not have: {missing}")
        return np.array([self.characters.index(one) for one in words], dtype=np.uint8)

    def decoded(self, numbers: np.ndarray) -> str:
        """Numbers as a text."""
        return "".join(self.characters[int(one)] for one in numbers)


def text(words: str | None = None, parts: tuple[float, float] = (0.9, 0.05)) -> Text:
    """A text cut into three successive pieces.

    Parameters
    ----------
    words : str, optional
        By default :func:`bible`.
    parts : (float, float)
        The parts to train and to validate with; the rest is to test with.

    Returns
    -------
    Text

    Raises
    ------
    ParameterError
        If a piece would be empty, or there are more than 256 different characters.
    """
    whole = bible() if words is None else words
    characters = "".join(sorted(set(whole)))
    cuts = [round(len(whole) * part) for part in np.cumsum(parts)] if len(parts) == 2 else []
    if len(cuts) != 2 or not 0 < cuts[0] < cuts[1] < len(whole) or len(characters) > 256:
        raise ParameterError(f"text: parts must leave three pieces of {len(whole)} characters (of at most 256 kinds, there are"
                             f" {len(characters)}), got {parts}")
    place = np.zeros(ord(characters[-1]) + 1, dtype=np.uint8)
    place[[ord(one) for one in characters]] = np.arange(len(characters))
    numbers = place[np.frombuffer(whole.encode("utf-32-le"), dtype=np.uint32)]
    return Text(characters, *np.split(numbers, cuts))


def bible() -> str:
    """The King James Bible, in the public domain: 4.4 million characters, a verse in each line after its place ("Ge1:1 In the ...").

    From Debian's package bible-kjv-text 4.38 (2.4 MB), which is fetched once and kept.

    Raises
    ------
    FileFormatError
        If the package is not in the cache and cannot be fetched.
    """
    path = cached("bible-kjv-text_4.38_all.deb", _SHA256, "the King James Bible of Debian", "2.4 MB", _PACKAGE,
                  lambda: read(_PACKAGE, "the King James Bible of Debian"))
    with tarfile.open(fileobj=io.BytesIO(_member(path.read_bytes(), b"data.tar.xz"))) as archive:
        file = archive.extractfile("./usr/lib/bible.data")
        assert file is not None
        data = file.read()
    return _windows(data).decode("ascii").split("\n", 1)[1]  # without its title


def _member(package: bytes, name: bytes) -> bytes:
    """A file of an ``ar`` archive, which a Debian package is."""
    at = 8
    while at + 60 <= len(package):
        size = int(package[at + 48:at + 58])
        if package[at:at + 16].rstrip(b" /") == name:
            return package[at + 60:at + 60 + size]
        at += 60 + size + size % 2
    raise FileFormatError(f"the package has no {name.decode()}")


def _windows(data: bytes) -> bytes:
    """The text of a file of the Bible Retrieval System: windows that Unix's ``compress`` wrote, the first with its header."""
    size, count = struct.unpack(">II", data[0x54:0x5c])
    starts = struct.unpack(f">{count}I", data[0x5c:0x5c + 4 * count])
    if data[:4] != b"EC02" or data[starts[0] - 3:starts[0] - 1] != b"\x1f\x9d":
        raise FileFormatError("bible.data is not a file of the Bible Retrieval System")
    return b"".join(_decompressed(data[a:b], size) for a, b in zip(starts, [*starts[1:], len(data)]))


def _decompressed(data: bytes, size: int) -> bytes:
    """What ``compress`` made smaller (LZW, Welch 1984): codes of 9 bits and more, in groups of eight of one width.

    At most ``size`` bytes.  No window is long enough for 16 bits to be too few, so that the table is never cleared.
    """
    table = [bytes([i]) for i in range(256)] + [b""]
    out, before, at, width, length = [], b"", 0, 9, 0
    while at < len(data) and length < size:
        group = int.from_bytes(data[at:at + width], "little")
        codes = min(8, (len(data) - at) * 8 // width)
        for k in range(codes):
            code = group >> (k * width) & ((1 << width) - 1)
            if before:
                if code > len(table):
                    raise FileFormatError("bible.data is damaged")
                entry = table[code] if code < len(table) else before + before[:1]
                table.append(before + entry[:1])
            else:
                entry = table[code]
            out.append(entry)
            length += len(entry)
            before = entry
            if length >= size or len(table) >= 1 << width:  # the width grows: what is left of the group is filler
                break
        at += width
        if len(table) >= 1 << width:
            width += 1
    return b"".join(out)
