"""Numba kernels on plain arrays: neuron steps, event delivery, random numbers.

Nothing here knows a population or a projection.  Every function is compiled through :func:`jit`
or :func:`compiled_callback`, whose cache directory is named by a hash of all sources of this
folder: Numba itself checks only the file of the function that is called, so that editing a
helper would otherwise leave its callers on stale machine code.
"""

import hashlib
import os
from pathlib import Path

import numba
from numba.core import config

__all__ = ["cache_directory", "compiled_before", "compiled_callback", "inlined", "jit"]


def _source_digest() -> str:
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=8)
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()


def cache_directory() -> Path:
    """The folder that holds this version's compiled kernels (below ``NUMBA_CACHE_DIR`` if set)."""
    base = os.environ.get("NUMBA_CACHE_DIR")
    if base is None:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "neurosim")
    return Path(base) / f"kernels-{_DIGEST}"


def compiled_before(loop: str = "engine.advance") -> bool:
    """Whether a main loop lies in the cache; if not, the first simulation compiles it, which takes half a minute."""
    return any(cache_directory().rglob(f"{loop}-*.nbi"))


_DIGEST = _source_digest()
_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}


class _OwnCache:
    """Points Numba's cache at ours while a kernel is being decorated, and back afterwards."""

    def __enter__(self) -> None:
        self.saved = config.CACHE_DIR
        config.CACHE_DIR = str(cache_directory())

    def __exit__(self, *exc: object) -> None:
        config.CACHE_DIR = self.saved


def jit(function):
    """``numba.njit`` with the house options: cached, without the GIL, IEEE arithmetic."""
    with _OwnCache():
        return numba.njit(**_OPTIONS)(function)


def inlined(function):
    """As :func:`jit`, and always inlined into its callers: a loop that calls a large rule is vectorised only then."""
    with _OwnCache():
        return numba.njit(forceinline=True, **_OPTIONS)(function)


def compiled_callback(signature):
    """``numba.cfunc`` with the house options; compiled on import, or read from the cache."""

    def decorate(function):
        with _OwnCache():
            return numba.cfunc(signature, cache=True, error_model="numpy")(function)

    return decorate
