"""Optional third-party modules: imported where they are needed, and named, with their extra, where they are missing."""

import importlib
from types import ModuleType

__all__ = ["need"]


def need(module: str, extra: str) -> ModuleType:
    """Import ``module``, which ``pip install "neurosim-snn[extra]"`` brings.

    >>> need("json", "plot").dumps([1])
    '[1]'

    Raises ModuleNotFoundError, an ImportError that says what to install, when the module or one that it imports is
    missing; a module that is there but broken raises its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        wanted = missing if module.startswith(missing) else f"{module} (which imports {missing})"
        raise ModuleNotFoundError(
            f'{wanted} is not installed; it comes with the extra [{extra}]: pip install "neurosim-snn[{extra}]"',
            name=missing,
        ) from None
