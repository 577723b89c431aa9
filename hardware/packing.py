"""Plain data with arrays in it as JSON: the arrays are put aside, to be saved beside it."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["packed"]


def packed(part: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Dicts, lists and numbers for JSON; arrays are put into ``arrays``, and ``{"array": name}`` in their place."""
    if isinstance(part, np.ndarray):
        name = f"array{len(arrays)}"
        arrays[name] = part
        return {"array": name}
    if isinstance(part, dict):
        return {key: packed(value, arrays) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [packed(value, arrays) for value in part]
    return part.item() if isinstance(part, np.generic) else part
