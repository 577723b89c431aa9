"""PyNN's source distribution: its scenarios and examples, which no wheel holds, fetched once and kept.

Nothing of it is shipped here.  PyNN is under the CeCILL licence.
"""

import os
import re
import tarfile
import urllib.parse
from pathlib import Path

from ..errors import FileFormatError
from ..fetch import cached, read

__all__ = ["archive", "unpack"]

INDEX = "https://pypi.org/simple"
NAME = "pynn-0.13.0.tar.gz"
SHA256 = "da2821e45055a88de6cf34896067eaaebcabbfdfb7883dd147353e7b78617815"


def archive(fetch: bool = True) -> Path:
    """The source distribution in the cache (below ``XDG_CACHE_HOME``, else ``~/.cache``), fetched if it is not there.

    It is asked of the package index that pip is told to use (``PIP_INDEX_URL``), else of PyPI; the usual variables for
    proxies count.  Its checksum is fixed here.

    Raises
    ------
    FileFormatError
        If it cannot be fetched or written, or is another file; without ``fetch``, if it is not in the cache.
    """
    page = (os.environ.get("PIP_INDEX_URL") or INDEX).rstrip("/") + "/pynn/"
    what = "PyNN's source distribution"

    def content() -> bytes:
        found = re.search(rf'href="([^"]*/{re.escape(NAME)})[#"]', read(page, what).decode("utf-8", "replace"))
        if found is None:
            raise FileFormatError(f"{page} does not list {NAME}")
        return read(urllib.parse.urljoin(page, found[1]), what)

    return cached(NAME, SHA256, what, "0.5 MB", page, content if fetch else None)


def unpack(folder: Path) -> Path:
    """The distribution unpacked below ``folder``: what holds ``examples``, ``pyNN`` and ``test``."""
    with tarfile.open(archive()) as file:
        file.extractall(folder, filter="data")
    return folder / NAME.removesuffix(".tar.gz")
