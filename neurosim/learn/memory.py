"""Large arrays whose memory is used again: the pages of fresh memory cost more than what a kernel does with them."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["LIMIT", "empty"]

LIMIT = 512 * 2**20  # bytes that are kept while nobody uses them
SMALLEST = 2**20  # bytes; the system's own allocator is good at less

_free: list[np.ndarray] = []  # the oldest first
_lock = threading.RLock()


class _Lent:
    """Memory of an array, kept for the next one of that size when the array is gone."""

    def __init__(self, size: int) -> None:
        with _lock:
            fits = [place for place, one in enumerate(_free) if one.size == size]
            self.memory = _free.pop(fits[-1]) if fits else np.empty(size, np.uint8)
        self.__array_interface__ = self.memory.__array_interface__

    def __del__(self, lock: Any = _lock, free: list[np.ndarray] = _free) -> None:  # the module may be gone before
        with lock:
            free.append(self.memory)
            while sum(one.size for one in free) > LIMIT:
                del free[0]


def empty(shape: Any, like: Tensor) -> Tensor:
    """A tensor of the type of ``like`` (float32 or float64), on the CPU, that holds anything."""
    dtype = np.dtype(np.float32 if like.dtype == torch.float32 else np.float64)
    size = math.prod(shape) * dtype.itemsize
    if size < SMALLEST:
        return torch.from_numpy(np.empty(shape, dtype))
    return torch.from_numpy(np.asarray(_Lent(size)).view(dtype).reshape(shape))
