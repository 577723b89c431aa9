"""Errors and warnings of scripts written for the machine."""

from __future__ import annotations

import sys
import warnings

from neurosim.errors import NeurosimError

__all__ = ["ConfigurationException", "MachineWarning", "SpynnakerException", "note"]


class ConfigurationException(NeurosimError, ValueError):
    """What sPyNNaker refuses, under the name that it has there."""


class SpynnakerException(NeurosimError, RuntimeError):
    """What sPyNNaker cannot do, under the name that it has there."""


class MachineWarning(UserWarning):
    """What the machine does without a word, or does otherwise than the script may expect."""


def note(message: str) -> None:
    """Warn, with the line of the script."""
    depth, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("neurosim", "pyNN"):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, MachineWarning, stacklevel=depth)
