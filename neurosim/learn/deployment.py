"""From trained modules to a `Network` with the same spikes, and back."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import maps
from ..cells.lif import IF_curr_delta, IF_curr_exp
from ..deployed import Deployed, Note
from ..errors import NetworkError, ParameterError
from ..leaky import leaky
from ..maps import Shape
from ..signals import own
from ..stack import Cells, Connection, Description, Named, Stack, shape_after
from .neurons import LI, LIF, AdaptiveLIF
from .recurrent import Recurrent
from .residual import Residual
from .sequence import Sequential

__all__ = ["array", "describe", "to_network"]


def array(value: Any) -> np.ndarray:
    """A tensor as float64 numbers."""
    return np.asarray(value.detach().cpu().numpy() if isinstance(value, Tensor) else value, dtype=np.float64)


# ----------------------------------------------------------------------------------- what a module is


@functools.singledispatch
def describe(module: nn.Module, shape: Shape, dt: float) -> Description:
    """What a module does, as plain data for the waist `neurosim.stack`.

    Register your own layers: ``@describe.register`` (or ``describe.register(Class)``) on a function of the same arguments.
    Potentials are in units of the threshold, taken as mV; time constants in steps become ms by ``dt``.

    Parameters
    ----------
    module : nn.Module
        As it is in evaluation: batch norm with its running statistics, no dropout.
    shape : tuple of int
        Of the input, without time and batch.
    dt : float
        ms that a step lasts.

    Returns
    -------
    Connection, Cells, Named, a list (in series; empty: nothing is done) or a tuple (in parallel, summed) of these
        They nest: a branch of a tuple may be a list with cells in it.

    Raises
    ------
    NetworkError
        For modules that are not linear and no known cells.
    """
    from .foreign import described

    made = described(module, shape, dt)
    if made is not None:
        return made
    raise NetworkError(f"{type(module).__name__} is neither a linear map nor a layer of cells that is known here; known are"
                       f" {', '.join(sorted(kind.__name__ for kind in describe.registry if kind is not object))}")


def _given(bias: Tensor | None, times: int = 1, each: int = 1) -> np.ndarray | None:
    return None if bias is None else np.tile(np.repeat(array(bias), each), times)


def _fits(module: nn.Module, ok: bool, shape: Shape, what: str) -> None:
    if not ok:
        raise NetworkError(f"{type(module).__name__} is for {what}, what reaches it has shape {shape}")


@describe.register(nn.Linear)
def _(module: Any, shape: Shape, dt: float) -> Connection:
    n_out, n_in = module.weight.shape
    _fits(module, bool(shape) and shape[-1] == n_in, shape, f"{n_in} values")
    times = math.prod(shape[:-1])
    return Connection(maps.repeated(maps.dense(array(module.weight)), times), (*shape[:-1], n_out), bias=_given(module.bias, times))


@describe.register(nn.Conv1d)
@describe.register(nn.Conv2d)
@describe.register(nn.Conv3d)
def _(module: Any, shape: Shape, dt: float) -> Connection:
    _fits(module, len(shape) == module.weight.dim() - 1 and shape[0] == module.in_channels, shape,
          f"{module.in_channels} channels in {module.weight.dim() - 2} dimensions")
    if module.padding_mode != "zeros":
        raise NetworkError(f"{type(module).__name__}: padding_mode must be 'zeros', got {module.padding_mode!r}")
    step, out = maps.conv(array(module.weight), shape, module.stride, module.padding, module.dilation, module.groups)
    return Connection(step, out, bias=_given(module.bias, each=math.prod(out[1:])))


@describe.register(nn.AvgPool1d)
@describe.register(nn.AvgPool2d)
@describe.register(nn.AvgPool3d)
def _(module: Any, shape: Shape, dt: float) -> Connection:
    n = {"1": 1, "2": 2, "3": 3}[type(module).__name__[-2]]
    _fits(module, len(shape) == n + 1, shape, f"channels in {n} dimensions")
    padded = np.any(np.asarray(module.padding) != 0)
    if module.ceil_mode or getattr(module, "divisor_override", None) or (padded and not module.count_include_pad):
        raise NetworkError(f"{type(module).__name__}: ceil_mode, divisor_override and count_include_pad=False are not supported")
    step, out = maps.pool(module.kernel_size, shape, module.stride, module.padding, True)
    return Connection(step, out)


@describe.register(nn.AdaptiveAvgPool1d)
@describe.register(nn.AdaptiveAvgPool2d)
def _(module: Any, shape: Shape, dt: float) -> Connection:
    n = len(shape) - 1
    want = [size if size is not None else have
            for size, have in zip(np.broadcast_to(np.asarray(module.output_size, dtype=object), n), shape[1:])]
    if any(have % size for have, size in zip(shape[1:], want)):
        raise NetworkError(f"{type(module).__name__}: {shape[1:]} is not a multiple of {tuple(want)}")
    kernel = [have // size for have, size in zip(shape[1:], want)]
    step, out = maps.pool(kernel, shape, kernel, 0, True)
    return Connection(step, out)


def _reshaped(shape: Shape, out: Shape) -> Connection:
    return Connection(maps.diagonal(np.ones(math.prod(shape))), out)


@describe.register(nn.Flatten)
def _(module: Any, shape: Shape, dt: float) -> Connection:
    with_batch = torch.zeros((1, *shape), device="meta")
    return _reshaped(shape, tuple(module(with_batch).shape[1:]))


@describe.register(nn.Unflatten)
def _(module: Any, shape: Shape, dt: float) -> Connection:
    return _reshaped(shape, tuple(module(torch.zeros((1, *shape), device="meta")).shape[1:]))


@describe.register(nn.Identity)
@describe.register(nn.Dropout)
@describe.register(nn.Dropout1d)
@describe.register(nn.Dropout2d)
@describe.register(nn.Dropout3d)
@describe.register(nn.FeatureAlphaDropout)
@describe.register(nn.AlphaDropout)
def _(module: Any, shape: Shape, dt: float) -> list:
    return []


@describe.register(nn.BatchNorm1d)
@describe.register(nn.BatchNorm2d)
@describe.register(nn.BatchNorm3d)
def _(module: Any, shape: Shape, dt: float) -> Connection:
    if module.running_mean is None:
        raise NetworkError(f"{type(module).__name__}: without running statistics it is no fixed map (track_running_stats=False)")
    _fits(module, bool(shape) and shape[0] == module.num_features, shape, f"{module.num_features} channels")
    factor = 1.0 / np.sqrt(array(module.running_var) + module.eps)
    factor = factor if module.weight is None else factor * array(module.weight)
    bias = -array(module.running_mean) * factor + (0.0 if module.bias is None else array(module.bias))
    each = math.prod(shape[1:])
    return Connection(maps.diagonal(np.repeat(factor, each)), shape, bias=np.repeat(bias, each))


@describe.register(nn.Sequential)
@describe.register(Sequential)
def _(module: Any, shape: Shape, dt: float) -> list:
    layers = module.layers() if isinstance(module, Sequential) else list(module._modules.items())
    return _series(layers, shape, dt)


def _series(layers: Any, shape: Shape, dt: float) -> list:
    made = []
    for name, layer in layers:
        try:
            what = describe(layer, shape, dt)
        except NetworkError as error:
            raise NetworkError(f"{name}{'.' if ': ' in str(error) and not str(error).startswith(type(layer).__name__) else ': '}"
                               f"{error}") from None
        made.append(Named(name, what))
        shape = shape_after(what, shape)
    return made


@describe.register(Residual)
def _(module: Any, shape: Shape, dt: float) -> tuple:
    return tuple(_series([(str(place), branch)], shape, dt) for place, branch in enumerate(module.branches))


# ----------------------------------------------------------------------------------- our own neurons


def _neurons(module: Any, shape: Shape, dt: float, **more: Any) -> Cells:
    _fits(module, module.n is None or tuple(module.n) == tuple(shape), shape, f"cells of shape {module.n}")
    keep_syn = None if module.tau_syn is None else array(module.kept("tau_syn"))
    return leaky(shape, array(module.kept("tau_m")), dt, keep_syn=keep_syn, **more)


def _spiking(module: Any) -> dict[str, Any]:
    return {"v_thresh": array(module.v_thresh), "reset": {"zero": "value", "subtract": "subtract"}[module.reset]}


@describe.register(LIF)
def _(module: Any, shape: Shape, dt: float) -> Cells:
    return _neurons(module, shape, dt, **_spiking(module))


@describe.register(AdaptiveLIF)
def _(module: Any, shape: Shape, dt: float) -> Cells:
    return _neurons(module, shape, dt, **_spiking(module), adapt=(array(module.kept("tau_adapt")), array(module.beta)))


@describe.register(LI)
def _(module: Any, shape: Shape, dt: float) -> Cells:
    return _neurons(module, shape, dt, spiking=False)


@describe.register(Recurrent)
def _(module: Any, shape: Shape, dt: float) -> Cells:
    cells = describe(module.neurons, shape, dt)
    return dataclasses.replace(cells, loops=(*cells.loops, Connection(maps.dense(array(module.weight)), shape)))


# ----------------------------------------------------------------------------------- to_network


_EVERYWHERE = (IF_curr_delta, IF_curr_exp)  # has PyNN, and with it NEST, Brian2, SpiNNaker


def to_network(module: nn.Module, dt: float = 1.0, input_shape: Any = None, label: str = "trained", analog: bool = False,
               scale: float = 64.0, target: str | None = None) -> Deployed:
    """Make a `Network` that spikes, step for step and neuron for neuron, as a module does in evaluation.

    Parameters
    ----------
    module : nn.Module
        A `Sequential`, or any module that `describe` knows.
    dt : float
        ms that a step lasts.
    input_shape : int or tuple of int, optional
        Of one step's input, without batch; by default what the first layer says of itself.
    label : str
        Of the network.
    analog : bool
        Whether inputs are real numbers, which become injected currents, not spikes.
    scale : float
        mV (and nA of synaptic currents) that stand for 1, the unit of the module.  A power of 2 changes no rounding; more
        of it makes fixed point finer, which reaches to 65536.
    target : {None, "spinnaker"}
        ``"spinnaker"``: for the machine's order of events within a step (`spinnaker.emulate`, `check`, boards), refusing cells
        that it does not have.

    Returns
    -------
    Deployed
        Populations are called as the layers of the `Sequential`.

    Raises
    ------
    NetworkError
        For what cannot be said, by the layer's name, before anything is made.
    """
    if isinstance(dt, bool) or not isinstance(dt, (int, float)) or not math.isfinite(dt) or dt <= 0:
        raise ParameterError(f"to_network: dt must be > 0 ms, got {dt!r}")
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not math.isfinite(scale) or scale <= 0:
        raise ParameterError(f"to_network: scale must be > 0 mV, got {scale!r}")
    if target not in (None, "spinnaker"):
        raise ParameterError(f"to_network: target must be None or 'spinnaker', got {target!r}")
    shape = _input_shape(module, input_shape)
    stack = Stack({"input": shape}, ("input",) if analog else (), where=label)
    what = describe(module, shape, float(dt))
    stack.outputs["output"] = stack.add(what, own("input", shape))
    stack.layers = {name: (cells.scaled(scale), signal) for name, (cells, signal) in stack.layers.items()}
    if isinstance(what, Cells) or not stack.layers:
        raise NetworkError(f"{label}: it has no named layer of cells; put the layers into a Sequential")
    stays = {name: cells.cell.name for name, (cells, _) in stack.layers.items() if type(cells.cell) not in _EVERYWHERE}
    if target and stays:
        names = ", ".join(f"{name} ({cell})" for name, cell in stays.items())
        raise NetworkError(f"{label}: SpiNNaker has no cells that do the same as {names}: a spike must set v to a value below the"
                           " threshold, and the threshold must stay")
    made: Deployed = stack.deployed(float(dt), label, start=None, machine=target is not None)
    notes = [Note(name, f"{one.cell.name} stays in the engine: no other simulator or machine has these cells"
                  + ("" if name in stays else "; with target='spinnaker' the loop has room for IF_curr_exp"))
             for name, one in made.populations.items() if not one.cell.is_source and type(one.cell) not in _EVERYWHERE]
    return dataclasses.replace(made, scale=float(scale), report=(*made.report, *notes))


def _input_shape(module: nn.Module, given: Any) -> Shape:
    if given is not None:
        return tuple(int(n) for n in np.atleast_1d(given))
    names = ("in_features", "input_size", "n_in", "n")
    for one in module.modules():
        known = next((getattr(one, name) for name in names if getattr(one, name, None) is not None), None)
        if known is not None:
            return tuple(int(n) for n in np.atleast_1d(array(known) if isinstance(known, Tensor) else known))
        if isinstance(one, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            break
    raise ParameterError("to_network: input_shape must be given: the shape of one step's input, without batch")
