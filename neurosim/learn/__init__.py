"""Training spiking networks with PyTorch, and running what was trained with the very same spikes.

Sequences are tensors of shape (time, batch, ...).  Time constants and delays are in steps, potentials in units of the
threshold; `to_network` says how long a step is, in ms.
"""

from ..extras import need

need("torch", "learn")

from .sequence import Layer, Sequential  # noqa: E402

__all__ = ["Layer", "Sequential"]
