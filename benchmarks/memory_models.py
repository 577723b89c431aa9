"""Networks of equal size for the benchmarks of memory (astrocyte_memory, spiking_language), and what they cost.

Sizes are chosen so that all have as many trained parameters as the LIF network, within a few per cent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..learn import AdaptiveLIF, AstroAttention, AstroLIF, LI, LIF, Layer, Recurrent, Sequential

__all__ = ["COLOURS", "NAMES", "built", "parameters", "sized", "synaptic_operations", "written"]

NAMES = ("LIF", "adaptive LIF", "AstroLIF", "AstroAttention", "GRU")
COLOURS = {"LIF": "#888888", "adaptive LIF": "#e08e0b", "AstroLIF": "#2a7fba", "AstroAttention": "#b3312c", "GRU": "#222222"}
GROUP = 4  # neurons that share an astrocyte


class Gru(Layer):
    """``nn.GRU`` as a layer."""

    def __init__(self, inputs: int, n: int) -> None:
        super().__init__()
        self.cells = nn.GRU(inputs, n)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return self.cells(x, state)


def _linear(inputs: int, outputs: int, deviation: float, draws: torch.Generator) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, 0.0, deviation, generator=draws)
    return layer


def built(name: str, inputs: int, outputs: int, n: int, seed: int, *, drive: float, tau_m: float, slow: tuple[float, float],
          blocks: int = 1) -> Sequential:
    """A network.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    n : int
        Hidden neurons, or channels of attention.
    drive : float
        Standard deviation of the weights of the input.
    tau_m : float
        Membrane time constants to begin with, steps.
    slow : (float, float)
        Range, steps, over which time constants of adaptation or calcium are spread, evenly by logarithm.
    blocks : int
        Of attention, one after another.
    """
    draws = torch.Generator().manual_seed(seed)
    wide = 2.0 / math.sqrt(n)  # a tenth of n spikes have a deviation of 0.6

    def spread(count: int) -> np.ndarray:
        return np.random.default_rng(seed).permutation(np.geomspace(*slow, count))

    if name == "GRU":
        torch.manual_seed(seed)
        return Sequential(Gru(inputs, n), nn.Linear(n, outputs))
    first, last = _linear(inputs, n, drive, draws), _linear(n, outputs, 0.5 * wide, draws)
    read = LI(outputs, tau_m=2.0, train=("tau_m",))
    again = 0.5 * wide * torch.randn(n, n, generator=draws)
    if name == "LIF":
        return Sequential(first, Recurrent(LIF(n, tau_m=tau_m, train=("tau_m",)), again), last, read)
    if name == "adaptive LIF":
        cells = AdaptiveLIF(n, tau_m=tau_m, tau_adapt=spread(n), beta=0.1, train=("tau_m", "tau_adapt", "beta"))
        return Sequential(first, Recurrent(cells, again), last, read)
    if name == "AstroLIF":
        groups = n // GROUP
        signs = np.where(np.arange(groups) % 2, 0.3, -0.3)
        cells = AstroLIF(n, tau_m=tau_m, tau_c=spread(groups), kappa=signs, g_astro=0.3, delta_c=0.3, group_size=GROUP, recurrent=again,
                         train=("tau_m", "tau_c", "kappa", "g_astro", "delta_c"))
        return Sequential(first, cells, last, read)
    layers: list[nn.Module] = []
    for block in range(blocks):
        layers += [_linear(n if block else inputs, 3 * n, wide if block else drive, draws), LIF(3 * n, tau_m=tau_m, train=("tau_m",)),
                   AstroAttention(n, tau_m=tau_m, tau_c=spread(n), direct=1.0,
                                  train=("tau_m", "tau_c", "write", "gain", "bonus", "direct"))]
    return Sequential(*layers, last, read)


def parameters(net: nn.Module) -> int:
    """Trained numbers of a network."""
    return sum(one.numel() for one in net.parameters() if one.requires_grad)


def sized(name: str, build: Callable[[str, int], nn.Module], size: int) -> int:
    """The n for which ``build(name, n)`` comes closest to ``size`` parameters."""
    step = GROUP if name == "AstroLIF" else 1
    return min(range(step, 400, step), key=lambda n: abs(parameters(build(name, n)) - size))


def synaptic_operations(net: Sequential, x: Tensor) -> tuple[float, float]:
    """(synaptic operations per step and sequence, mean spikes per neuron and step) for the input x, shape (T, B, inputs).

    An operation is a number other than 0 that goes along one weight: an accumulation (AC) where it is a spike, else a multiplication
    and addition (MAC).  Keys, values and queries each go along one connection.  Updates of membranes, calcium and gates are not counted.
    """
    with torch.no_grad():
        total, sent = 0.0, []
        for _, layer in net.layers():
            active = float((x != 0).sum())
            if isinstance(layer, nn.Linear):
                total += active * layer.out_features
                x = layer(x)
                continue
            given, (x, _) = x, layer(x)
            out = float((x != 0).sum())
            if isinstance(layer, AstroAttention):
                total += active
            elif isinstance(layer, Recurrent) or (isinstance(layer, AstroLIF) and layer.weight is not None):
                total += out * x.shape[-1]
            elif isinstance(layer, Gru):
                total += 3 * x.shape[-1] * (float((given != 0).sum()) + out)
            if not isinstance(layer, (Gru, LI)):
                sent.append(out / x.numel())
    return total / (x.shape[0] * x.shape[1]), float(np.mean(sent)) if sent else 1.0


def written(found: dict[str, Any], path: Path) -> None:
    """Results into a file of JSON, beside those of networks that this run did not have."""
    before = json.loads(path.read_text(encoding="utf-8"))["networks"] if path.is_file() else {}
    both = {**before, **found["networks"]}
    whole = {**found, "networks": {name: both[name] for name in NAMES if name in both}}
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
