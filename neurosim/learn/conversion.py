"""From an artificial network to a spiking one: activations become rates of integrate-and-fire cells."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import NetworkError, ParameterError
from .integrating import IF, SPREAD, Integrator, Scale, opened
from .pieces import ACTIVATIONS, WEIGHTED, Piece, Sum, each
from .quantised import QCFS
from .residual import Residual
from .sequence import Layer, Sequential
from .tracing import Traced, traced

__all__ = ["Converted", "convert"]

METHODS = ("percentile", "max", "mse", "qcfs")
INPUTS = ("current", "rate")
_SEEN = 10_000_000  # activations of a layer that a threshold is sought with; of more, so many drawn


class Converted(Sequential):
    """A spiking network made of an artificial one: layers of weights, `IF` cells, and an `Integrator` at the end.

    Attributes
    ----------
    thresholds : dict
        Layer of cells -> the activation that a spike at every step stands for.
    input : {"current", "rate"}
        Whether it gets the real numbers of a sample at every step, or spikes.
    input_shape : tuple of int
        Of one sample.
    steps : int or None
        How many it was made for.
    unit : float
        What 1 in the output stands for.
    """

    thresholds: dict[str, float]
    input: str
    input_shape: tuple[int, ...]
    steps: int | None
    unit: float

    def encode(self, x: Tensor, steps: int | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Samples, shape (B, ...), as a sequence of shape (steps, B, ...).

        As currents they are the same at every step.  As rates each number is the probability of a spike in a step, drawn
        from ``generator``, which is then needed.
        """
        steps = _steps(self.steps if steps is None else steps)
        if self.input == "current":
            return x.expand(steps, *x.shape)
        if generator is None:
            raise ParameterError("Converted.encode: spikes are drawn, give a torch.Generator")
        _check_rates(x)
        return (torch.rand((steps, *x.shape), generator=generator, dtype=x.dtype) < x).to(x.dtype)

    def scores(self, x: Tensor, steps: int | Sequence[int] | None = None, generator: torch.Generator | None = None,
               batch: int = 100, piece: int = 8, see: Callable[[dict[str, Tensor]], None] | None = None) -> Tensor:
        """What the network makes of samples, in the units of the artificial network's output.

        Parameters
        ----------
        x : Tensor, shape (B, ...)
        steps : int or sequence of int
            After how many steps it is read.
        generator : torch.Generator, optional
            For spikes as input.
        batch, piece : int
            Samples and steps at a time, which bounds memory.
        see : callable, optional
            Gets a dict of what every layer sends in each piece, (steps, B, ...), the input as ``"input"``.

        Returns
        -------
        Tensor, shape (B, ...), or (len(steps), B, ...) for a sequence of steps
        """
        asked = [_steps(one) for one in (steps if isinstance(steps, Sequence) else [self.steps if steps is None else steps])]
        found = []
        with torch.no_grad():
            for some in x.split(batch):
                state, total, done, read = None, None, 0, {}
                first, after = self._constant(some)
                while done < max(asked):
                    now = min(piece, max(asked) - done)
                    frames = self.encode(some, now, generator)
                    sent = {name: one.expand(now, *one.shape) for name, one in first.items()}
                    start = next(reversed(sent.values()), frames)
                    if see is None:
                        y, state = after(start, state)
                    else:
                        y, state, rest = opened(after, start, state)
                        see({"input": frames, **sent, **rest})
                    if not isinstance(self[-1], Integrator):
                        y = y.cumsum(0) if total is None else y.cumsum(0) + total
                    total = y[-1]
                    read.update({k: y[k - done - 1] * (self.unit / k) for k in asked if done < k <= done + now})
                    done += now
                found.append(torch.stack([read[k] for k in asked]))
        whole = torch.cat(found, 1)
        return whole if isinstance(steps, Sequence) else whole[0]

    def _constant(self, x: Tensor) -> tuple[dict[str, Tensor], Sequential]:
        """What the layers before the first cells send, which is the same at every step of a current; the layers after them."""
        layers = self.layers()
        if self.input != "current":
            return {}, self
        sent: dict[str, Tensor] = {}
        while not isinstance(layers[0][1], Layer):
            name, layer = layers.pop(0)
            x = sent[name] = layer(x)
        return sent, Sequential(OrderedDict(layers))

    def activity(self, x: Tensor, state: Any = None) -> dict[str, Tensor]:
        """What each layer sends for the input ``x``, (T, B, ...), by name; within branches ``block.branch.layer``."""
        return opened(self, x, state)[2]


def convert(ann: nn.Module, calibration: Any, steps: int | None = None, *, method: str = "percentile", percentile: float = 99.9,
            reset: str = "subtract", initial: float | str | None = None, input: str = "current", batch: int = 200) -> Converted:
    """Make a spiking network of a trained artificial one.

    Activations become rates: a cell whose threshold stands for the activation ``theta`` spikes a / theta times a step.
    Weights are divided by the threshold of the layer that they lead to and multiplied by that of the layer that they come
    from, so that all cells have the threshold 1 (Diehl et al., IJCNN 2015; Rueckauer et al., Frontiers in
    Neuroscience 11, 2017, for biases, batch normalisation and percentiles).

    Parameters
    ----------
    ann : nn.Module
        Linear, Conv1d, Conv2d, AvgPool, AdaptiveAvgPool (windows of one size), ReLU, `QCFS`, BatchNorm, Dropout, Flatten, and
        additions of branches, as modules or functions; it is traced by `torch.fx` and left as it is.
    calibration : array or Tensor, shape (B, *sample)
        Samples on which activations are measured.  Take them from the training data.
    steps : int, optional
        For how many steps it is made: what ``method="mse"`` needs, and the default of `Converted.scores`.
    method : {"percentile", "max", "mse", "qcfs"}
        Thresholds of layers with ReLU: a percentile of their positive activations; the largest; the one that makes the mean
        squared error of a rate in ``steps`` steps smallest; or refuse ReLU.  Layers with `QCFS` have learnt their own.
    percentile : float
        0 < percentile <= 100.  Less gives more spikes, and cuts more off.
    reset : {"subtract", "zero"}
        See `IF`.
    initial : float or "spread", optional
        Potential at the beginning, in thresholds; see `IF`.  By default one half, and ``"spread"`` in maps of convolutions: cells
        that look at an even background get the same, would spike together, and send volleys to the next layer.
    input : {"current", "rate"}
        Samples are given as they are at every step, as currents into the first layer; or as spikes, with numbers in [0, 1] as
        probabilities.
    batch : int
        Samples at a time while activations are measured.

    Returns
    -------
    Converted
        In double precision; ``float()`` makes it faster, and ``requires_grad_()`` lets it be trained on.

    Raises
    ------
    NetworkError
        For layers that spikes cannot do, by name, with what to train instead.
    ParameterError
        For arguments out of range, or a layer without a positive activation.

    The threshold is one number for a layer, not one for a channel.
    """
    x = torch.as_tensor(calibration)
    _check(x, method, percentile, input)
    if method == "mse" and steps is None:
        raise ParameterError("convert: method 'mse' needs steps")
    if steps is not None:
        _steps(steps)
    training = {module: module.training for module in ann.modules()}
    ann.eval()
    try:
        with torch.no_grad():
            x = x.to(next((one.dtype for one in ann.parameters()), torch.float32))
            net = traced(ann, x)
            thresholds = _balanced(net, x, method, percentile, steps, batch)
            if not any(isinstance(one.module, ACTIVATIONS) for one in each(net.pieces)):
                raise NetworkError("convert: the network has no ReLU and no QCFS, so nothing would spike")
            made, unit = _in_units(net.pieces, 1.0, thresholds)
            spiking = isinstance(made[-1], Piece) and isinstance(made[-1].module, ACTIVATIONS)
            if not spiking:
                _rescale(made, unit)
            layers = _layers(made, lambda one: IF(_beginning(initial, one.shape), reset))
    finally:
        for module, was in training.items():
            module.training = was
    if not spiking:
        layers[_free("readout", layers)] = Integrator()
    out = Converted(layers)
    out.thresholds, out.input, out.input_shape, out.steps = thresholds, input, net.input_shape, steps
    out.unit = unit if spiking else 1.0
    return out.eval()


# ------------------------------------------------------------------------------------------------ thresholds


def _balanced(net: Traced, x: Tensor, method: str, percentile: float, steps: int | None, batch: int) -> dict[str, float]:
    """Activation for which a spike stands, by the name of the layer of cells."""
    kept: dict[str, list[np.ndarray]] = {}
    largest: dict[str, float] = {}

    draws = np.random.default_rng(1)

    def see(name: str, z: Tensor) -> None:
        values = z.reshape(-1).numpy()
        largest[name] = float(np.maximum(largest.get(name, 0.0), values.max()))
        most = _SEEN * len(z) // len(x)
        positive = values[values > 0]
        kept.setdefault(name, []).append(positive if values.size <= most else _some(positive, most, draws))

    for some in x.split(batch):
        net.run(some, see)
    found = {}
    for piece in each(net.pieces):
        if piece.name in largest and not np.isfinite(largest[piece.name]):
            raise ParameterError(f"convert: what {piece.name} gets is not finite on the calibration data")
        if isinstance(piece.module, QCFS):
            found[piece.name] = float(piece.module.threshold)
            if not found[piece.name] > 0:
                raise ParameterError(f"convert: {piece.name}: the learnt threshold must be > 0, got {found[piece.name]:g}")
        elif isinstance(piece.module, nn.ReLU):
            if method == "qcfs":
                raise NetworkError(f"convert: {piece.name} is a ReLU; method 'qcfs' takes networks trained with QCFS alone")
            values = np.concatenate(kept[piece.name]).astype(np.float64)
            if not values.size:
                raise ParameterError(f"convert: {piece.name} must have activations > 0 on the calibration data")
            found[piece.name] = largest[piece.name] if method == "max" else _threshold(values, method, percentile, steps)
    return found


def _some(values: np.ndarray, most: int, draws: np.random.Generator) -> np.ndarray:
    """As many of the values, drawn with replacement, if there are more."""
    return values if values.size <= most else values[draws.integers(0, values.size, most)]


def _threshold(values: np.ndarray, method: str, percentile: float, steps: int | None) -> float:
    """Of a layer with ReLU, from its positive activations."""
    if method == "percentile":
        return float(np.percentile(values, percentile))
    values = _some(values, 20_000, np.random.default_rng(1))
    tried = values.max() * np.arange(1, 101) / 100
    lost = [np.mean((theta * np.clip(np.floor(steps * values / theta + 0.5), 0, steps) / steps - values) ** 2) for theta in tried]
    return float(tried[int(np.argmin(lost))])


# ------------------------------------------------------------------------------------------------ units


def _in_units(pieces: list[Any], unit: float, thresholds: dict[str, float]) -> tuple[list[Any], float]:
    """The pieces, such that cells have the threshold 1; ``unit`` is what 1 stands for in the input, and in what is returned.

    Factors go into the weights before or after; `Scale` remains where there are none.
    """
    out: list[Any] = []
    for one in pieces:
        if isinstance(one, Sum):
            branches = []
            for branch in one.branches:
                made, left = _in_units(branch, unit, thresholds)
                _rescale(made, left)
                branches.append(made)
            out.append(Sum(one.name, branches))
            unit = 1.0
            continue
        if isinstance(one.module, ACTIVATIONS):
            _rescale(out, unit / thresholds[one.name])
            unit = thresholds[one.name]
        elif isinstance(one.module, WEIGHTED):
            one.module.weight.mul_(unit)
            unit = 1.0
        out.append(one)
    return out, unit


def _rescale(pieces: list[Any], factor: float) -> None:
    """Multiply what a series gives, in its last weights; pools and flattening let a factor pass."""
    if factor == 1.0:
        return
    at = len(pieces)
    while at and not (isinstance(pieces[at - 1], Piece) and isinstance(pieces[at - 1].module, ACTIVATIONS)):
        one = pieces[at - 1]
        if isinstance(one, Sum):
            for branch in one.branches:
                _rescale(branch, factor)
            return
        if isinstance(one.module, WEIGHTED):
            one.module.weight.mul_(factor)
            if one.module.bias is not None:
                one.module.bias.mul_(factor)
            return
        if isinstance(one.module, Scale):
            one.module.factor *= factor
            return
        at -= 1
    shape = pieces[at].shape if at < len(pieces) and isinstance(pieces[at], Piece) else ()
    pieces.insert(at, Piece("scale", Scale(factor), shape))


def _layers(pieces: list[Any], cells: Callable[[Piece], IF]) -> OrderedDict[str, nn.Module]:
    """Layers by name, branches as `Residual`."""
    out: OrderedDict[str, nn.Module] = OrderedDict()
    for one in pieces:
        if isinstance(one, Sum):
            out[_free(one.name, out)] = Residual(*(Sequential(_layers(branch, cells)) for branch in one.branches))
        else:
            out[_free(one.name, out)] = cells(one) if isinstance(one.module, ACTIVATIONS) else one.module
    return out


def _beginning(given: float | str | None, shape: Any) -> float | str:
    """The initial potential of cells of a shape, without time and batch."""
    return given if given is not None else SPREAD if len(shape) > 1 else 0.5


def _free(name: str, taken: OrderedDict[str, nn.Module]) -> str:
    """The name, or one like it that nothing has: no other layer, and not the input and output of a network."""
    while name in taken or name in ("input", "output"):
        name += "_"
    return name


# ------------------------------------------------------------------------------------------------ checks


def _check(x: Tensor, method: str, percentile: float, input: str) -> None:
    if method not in METHODS:
        raise ParameterError(f"convert: method must be one of {', '.join(METHODS)}, got {method!r}")
    if input not in INPUTS:
        raise ParameterError(f"convert: input must be one of {', '.join(INPUTS)}, got {input!r}")
    if not 0 < percentile <= 100:
        raise ParameterError(f"convert: percentile must be in (0, 100], got {percentile!r}")
    if x.ndim < 2 or not len(x) or not torch.isfinite(x).all():
        raise ParameterError(f"convert: calibration must be finite numbers of shape (samples, ...), got shape {tuple(x.shape)}")
    if input == "rate":
        _check_rates(x)


def _check_rates(x: Tensor) -> None:
    if x.min() < 0 or x.max() > 1:
        raise ParameterError(f"Converted: rates must be in [0, 1] spikes per step, got {float(x.min()):g} to {float(x.max()):g};"
                             " scale the samples, and train with them")


def _steps(steps: Any) -> int:
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ParameterError(f"Converted: steps must be a whole number >= 1, got {steps!r}")
    return steps


