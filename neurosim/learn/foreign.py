"""Cells of norse and snntorch as they are: stepped over time, and described from their own parameters."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .. import maps
from ..errors import NetworkError
from ..leaky import leaky
from ..maps import Shape
from ..stack import Cells, Connection, Description
from .deployment import array, describe
from .sequence import Layer

__all__ = ["Foreign", "described", "foreign", "over_time"]

_STEPPED = ("norse.torch.module.snn.SNNCell", "norse.torch.module.snn.SNNRecurrentCell",
            "norse.torch.module.leaky_integrator.LILinearCell", "norse.torch.module.sequential.SequentialState")
_WHOLE = ("norse.torch.module.snn.SNN", "norse.torch.module.snn.SNNRecurrent")
# snntorch's cells: how many states they take, and whether the spikes are one of them.
_SNNTORCH = {"Leaky": (1, False), "Lapicque": (1, False), "Synaptic": (2, False), "Alpha": (3, False),
             "RLeaky": (1, True), "RSynaptic": (2, True)}


def foreign(module: nn.Module) -> str | None:
    """"stepped", "whole" (norse's, with and without time in their own hands) or "snntorch", for modules of cells; else None."""
    names = {f"{kind.__module__}.{kind.__name__}" for kind in type(module).__mro__}
    if names & set(_STEPPED):
        return "stepped"
    if names & set(_WHOLE):
        return "whole"
    return "snntorch" if "snntorch._neurons.neurons.SpikingNeuron" in names else None


class Foreign(Layer):
    """A cell of norse or snntorch as a layer over time; in a `Sequential` they need not be wrapped.

    Parameters
    ----------
    cell : nn.Module
        norse's cells, with or without time (``LIFCell``, ``LIFRecurrent`` ...), its ``SequentialState``; snntorch's ``Leaky``,
        ``Lapicque``, ``Synaptic``, ``Alpha``, ``RLeaky`` and ``RSynaptic`` with ``init_hidden=False``.

    Raises
    ------
    NetworkError
        For other modules, by name.
    """

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        _steppable(cell)
        self.cell = cell

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """``x`` of shape (T, B, ...): what the cell sends, and its own state."""
        return over_time(self.cell, x, state)


def _steppable(cell: nn.Module) -> str:
    kind, name = foreign(cell), type(cell).__name__
    if kind is None:
        raise NetworkError(f"{name} is no cell of norse or snntorch that takes steps")
    if kind == "snntorch":
        if name not in _SNNTORCH:
            raise NetworkError(f"snntorch's {name} is not supported; {', '.join(_SNNTORCH)} are")
        if cell.init_hidden:
            raise NetworkError(f"snntorch's {name}: with init_hidden=True it hides its state; make it with init_hidden=False")
    return kind


def over_time(cell: nn.Module, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """(what a cell sends, its state) for a sequence of shape (T, B, ...)."""
    kind = _steppable(cell)
    if kind == "whole":
        return cell(x, state)
    sent = []
    if kind == "stepped":
        for frame in x:
            y, state = cell(frame, state)
            sent.append(y)
        return torch.stack(sent), state
    states, spikes_too = _SNNTORCH[type(cell).__name__]
    state = (torch.zeros_like(x[0]),) * (states + spikes_too) if state is None else state
    for frame in x:
        out = tuple(one.to(x.dtype) for one in cell(frame, *state))  # snntorch's spikes are float32
        state = out if spikes_too else out[1:]
        sent.append(out[0])
    for name in ("spk", "syn", "syn_exc", "syn_inh", "mem", "reset"):  # what the cell keeps must not keep the graph
        if isinstance(getattr(cell, name, None), Tensor):
            setattr(cell, name, getattr(cell, name).detach())
    return torch.stack(sent), state


# ----------------------------------------------------------------------------------- descriptions


def described(module: nn.Module, shape: Shape, dt: float) -> Description:
    """As `describe`; None for what is no cell of norse or snntorch.

    Raises
    ------
    NetworkError
        For cells, or settings of theirs, that no cells of a network do, by name.
    """
    kind, name = foreign(module), type(module).__name__
    if kind is None:
        return None
    if kind == "snntorch":
        _steppable(module)
        return _of_snntorch(module, name, shape, dt)
    if name == "SequentialState":
        return describe(nn.Sequential(OrderedDict(module.named_children())), shape, dt)
    make = _NORSE.get(name.removesuffix("Cell"))
    if make is None:
        raise NetworkError(f"norse's {name} has no counterpart here; {', '.join(_NORSE)} have, with or without Cell")
    return make(module, shape, dt)


@describe.register(Foreign)
def _(module: Any, shape: Shape, dt: float) -> Description:
    return describe(module.cell, shape, dt)


def _kept(module: Any, rate: Any) -> tuple[Any, Any]:
    """(what is left after a step, the step over the time constant) as norse computes it."""
    part = array(module.dt * rate)
    return 1.0 - part, part


def _weights(module: Any, weights: Tensor, shape: Shape, delays: int = 0) -> Connection:
    n_out, n_in = weights.shape
    if shape[-1] != n_in:
        raise NetworkError(f"{type(module).__name__} is for {n_in} values, what reaches it has shape {shape}")
    times = math.prod(shape[:-1])
    return Connection(maps.repeated(maps.dense(array(weights)), times), (*shape[:-1], n_out), delays)


def _recurrent(module: Any, shape: Shape, dt: float, cells: Callable[..., Cells], delays: int = 0) -> list:
    """norse's cells with weights of their own, for the input and for what they sent in the step before."""
    into = _weights(module, module.input_weights, shape, delays)
    loop = _weights(module, module.recurrent_weights, into.shape, delays)
    return [into, dataclasses.replace(cells(module, into.shape, dt), loops=(loop,))]


def _lif(module: Any, shape: Shape, dt: float, p: Any = None, refractory: int = 0) -> Cells:
    p = module.p if p is None else p
    keep, part = _kept(module, p.tau_mem_inv)
    return leaky(shape, keep, dt, gain=part, keep_syn=_kept(module, p.tau_syn_inv)[0], v_leak=array(p.v_leak), v_thresh=array(p.v_th),
                 v_reset=array(p.v_reset), strict=True, refractory=refractory)


def _li(module: Any, shape: Shape, dt: float) -> Cells:
    keep, part = _kept(module, module.p.tau_mem_inv)
    return leaky(shape, keep, dt, gain=part, keep_syn=_kept(module, module.p.tau_syn_inv)[0], v_leak=array(module.p.v_leak), spiking=False)


def _li_box(module: Any, shape: Shape, dt: float) -> Cells:
    keep, part = _kept(module, module.p.tau_mem_inv)
    return leaky(shape, keep, dt, gain=part, v_leak=array(module.p.v_leak), spiking=False)


def _lif_box(module: Any, shape: Shape, dt: float) -> Cells:
    p, resets = module.p, {"reset_value": "value", "reset_subtract": "subtract"}
    how = getattr(p.reset_method, "__name__", repr(p.reset_method))
    if how not in resets:
        raise NetworkError(f"norse's {type(module).__name__}: reset_method must be {' or '.join(resets)}, got {how}")
    keep, part = _kept(module, p.tau_mem_inv)
    return leaky(shape, keep, dt, gain=part, v_leak=array(p.v_leak), v_thresh=array(p.v_th), v_reset=array(p.v_reset), strict=True,
                 reset=resets[how])


def _refractory(module: Any, shape: Shape, dt: float) -> Cells:
    rho = array(module.p.rho_reset)
    if rho.size != 1:
        raise NetworkError(f"norse's {type(module).__name__}: rho_reset must be one number, got shape {rho.shape}")
    return _lif(module, shape, dt, module.p.lif, max(0, math.ceil(float(rho))))


def _iaf(module: Any, shape: Shape, dt: float) -> Cells:
    v_reset = array(module.p.v_reset)
    return leaky(shape, 1.0, dt, v_thresh=array(module.p.v_th), v_reset=v_reset, strict=True, initial=v_reset)


def _adaptive(module: Any, shape: Shape, dt: float) -> Cells:
    """The threshold decays before the test: what a spike added counts as much as is left of it after a step."""
    p = module.p
    keep, part = _kept(module, p.tau_mem_inv)
    keep_adapt = _kept(module, p.tau_adapt_inv)[0]
    return leaky(shape, keep, dt, gain=part, keep_syn=_kept(module, p.tau_syn_inv)[0], v_leak=array(p.v_leak), v_thresh=array(p.v_th),
                 v_reset=array(p.v_reset), strict=True, adapt=(keep_adapt, keep_adapt * array(p.beta)))


def _lsnn(module: Any, shape: Shape, dt: float) -> list:
    """The potential takes the current of the step before: input comes a step late."""
    size = math.prod(shape)
    return [Connection(maps.diagonal(torch.ones(size).numpy()), shape, 1), _adaptive(module, shape, dt)]


_NORSE: dict[str, Callable[[Any, Shape, float], Description]] = {
    "LIF": _lif, "LI": _li, "LIBox": _li_box, "LIFBox": _lif_box, "LIFRefrac": _refractory, "IAF": _iaf, "LSNN": _lsnn,
    "LIFRecurrent": lambda module, shape, dt: _recurrent(module, shape, dt, _lif),
    "LIFRefracRecurrent": lambda module, shape, dt: _recurrent(module, shape, dt, _refractory),
    "LSNNRecurrent": lambda module, shape, dt: _recurrent(module, shape, dt, _adaptive, 1),
    "LILinear": lambda module, shape, dt: [into := _weights(module, module.input_weights, shape), _li(module, into.shape, dt)],
}

_RESETS = {"subtract": ("late subtract", "snntorch subtract"), "zero": ("late value", "value"), "none": ("none", "none")}


def _of_snntorch(module: Any, name: str, shape: Shape, dt: float) -> list:
    refused = {"inhibition": module.inhibition, "state_quant": module.state_quant}
    for what, value in refused.items():
        if value:
            raise NetworkError(f"snntorch's {name}: {what} has no counterpart in a network")
    if name == "Alpha":
        raise NetworkError("snntorch's Alpha has no counterpart here: its reset takes the threshold off a synaptic current")
    delayed = bool(getattr(module, "reset_delay", True))
    if name == "RSynaptic" and not delayed:
        raise NetworkError("snntorch's RSynaptic cannot run with reset_delay=False (snntorch 1.0.0)")
    mechanism = ("subtract", "zero", "none")[int(module.reset_mechanism_val)]
    reset = "value" if name == "Leaky" and mechanism == "zero" else _RESETS[mechanism][not delayed]
    given: dict[str, Any] = {"reset": reset, "strict": True, "v_thresh": array(module.threshold)}
    if name == "Lapicque":
        gain = array(module.R * (1 / (module.R * module.C)) * module.time_step)
        cells = leaky(shape, array(1 - (module.time_step / (module.R * module.C))), dt, gain=gain, **given)
    else:
        if name in ("Synaptic", "RSynaptic"):
            given["keep_syn"] = array(module.alpha.clamp(0, 1))
        cells = leaky(shape, array(module.beta.clamp(0, 1)), dt, **given)
    factor = array(module.graded_spikes_factor)
    size = math.prod(shape)
    sent = Connection(maps.diagonal(array(torch.ones(size)) * factor.reshape(-1)), shape)
    if name in ("RLeaky", "RSynaptic"):
        cells = dataclasses.replace(cells, loops=(_loop(module, shape, dt, sent),))
    return [cells] if (factor == 1).all() else [cells, sent]


def _loop(module: Any, shape: Shape, dt: float, sent: Connection) -> Connection:
    """What a recurrent cell of snntorch gets from itself, times the factor of its spikes."""
    if type(module.recurrent).__name__ == "RecurrentOneToOne":
        size = math.prod(shape)
        weights = maps.diagonal((array(torch.ones(size)) * array(module.recurrent.V).reshape(-1)))
        loop = Connection(weights, shape)
    else:
        loop = describe(module.recurrent, shape, dt)
    return dataclasses.replace(loop, weights=maps.chained(loop.weights, sent.weights))
