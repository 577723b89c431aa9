"""The machine's order of operations in double precision, on the exact engine: what the scheme changes, apart from what rounding changes.

SpiNNaker adds what arrives at a tick to the synaptic input before it advances the membrane over that tick, holds the input constant
meanwhile, and sends a spike in the same tick.  The first tick is 0.  `in_scheme` gives a network whose cells do so; a
`neurosim.Simulation` of it with the machine's step runs them (``kernels/spinnaker_scheme.py`` has the equations).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from neurosim.cells.base import Cell, StepModel, stack
from neurosim.cells.conductance import IF_cond_exp
from neurosim.cells.izhikevich import Izhikevich
from neurosim.cells.lif import IF_curr_alpha, IF_curr_delta, IF_curr_exp
from neurosim.errors import NetworkError, ParameterError
from neurosim.network import Network
from neurosim.plasticity import STDPMechanism

__all__ = ["CELLS", "in_scheme"]

_SLACK = 1e-9  # of a tick


def _decays(p: Mapping[str, np.ndarray], dt: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each receptor: decay over a tick, and what an arriving weight adds, tau/dt (1 - exp(-dt/tau))."""
    taus = (p["tau_syn_E"], p["tau_syn_I"])
    return [(np.exp(-dt / tau), -tau / dt * np.expm1(-dt / tau)) for tau in taus]


def _membrane(p: Mapping[str, np.ndarray], dt: float) -> list[np.ndarray]:
    """The parameters that the kernels of leaky cells begin with."""
    return [p["v_thresh"], p["v_reset"], np.ceil(p["tau_refrac"] / dt - _SLACK), p["v_rest"], np.exp(-dt / p["tau_m"]),
            p["tau_m"] / p["cm"], p["i_offset"]]


def _model(function: str, parameters: list[np.ndarray], rows: Mapping[str, np.ndarray], inputs: tuple[str, str]) -> StepModel:
    return StepModel(
        module="spinnaker_scheme", function=function, parameters=stack(parameters), states=tuple(rows),
        initial=np.stack(list(rows.values())), inputs=dict(zip(("excitatory", "inhibitory"), inputs, strict=True)),
        deliver_first=True, from_zero=True,
    )


def _rows(initial: Mapping[str, np.ndarray], *more: str, **given: np.ndarray) -> dict[str, np.ndarray]:
    """The state rows: the declared ones, then the kernel's own, which begin at zero unless they are given."""
    zero = np.zeros_like(initial["v"])
    return {**initial, **{name: given.get(name, zero) for name in more}}


class _Scheme(Cell):
    """Base: a cell of the machine is named as the one that it stands for."""

    exact: ClassVar[bool] = False
    order: ClassVar[int] = 1

    @property
    def name(self) -> str:
        return f"{type(self).__bases__[-1].__name__} (SpiNNaker's scheme)"


class CurrExp(_Scheme, IF_curr_exp):
    """`IF_curr_exp` as the machine updates it; below threshold of order 2 in dt, since the charge of an input is kept."""

    order: ClassVar[int] = 2

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.spinnaker_scheme.step_exp``."""
        rows = _rows(initial, "_r", "_v", "_shown", "_xe", "_xi", _v=initial["v"])
        return _model("step_exp", [*_membrane(p, dt), *(one for pair in _decays(p, dt) for one in pair)], rows, ("_xe", "_xi"))


class CondExp(_Scheme, IF_cond_exp):
    """`IF_cond_exp` as the machine updates it; of order 1, and unstable where conductance times dt is beyond 2 cm."""

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.spinnaker_scheme.step_cond``."""
        rows = _rows(initial, "_r", "_v", "_shown", "_xe", "_xi", _v=initial["v"])
        (keep_e, adds_e), (keep_i, adds_i) = _decays(p, dt)
        synapses = [keep_e, adds_e, p["e_rev_E"], keep_i, adds_i, p["e_rev_I"]]
        return _model("step_cond", [*_membrane(p, dt), *synapses], rows, ("_xe", "_xi"))


class CurrAlpha(_Scheme, IF_curr_alpha):
    """`IF_curr_alpha` as the machine updates it; a weight is the peak of the current, and its charge e tau_syn times that."""

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.spinnaker_scheme.step_alpha``."""
        rows = _rows(initial, "_r", "_v", "_shown", "_xe", "_xi", *(f"_{b}_{r}" for r in "ei" for b in ("linear", "falling", "latest")),
                     _v=initial["v"], _linear_e=initial["isyn_exc"], _linear_i=-initial["isyn_inh"],
                     _falling_e=np.ones_like(initial["v"]) * (initial["isyn_exc"] != 0.0),
                     _falling_i=np.ones_like(initial["v"]) * (initial["isyn_inh"] != 0.0))
        synapses = [one for tau in (p["tau_syn_E"], p["tau_syn_I"]) for one in (np.exp(-dt / tau), np.e * dt / tau)]
        return _model("step_alpha", [*_membrane(p, dt), *synapses], rows, ("_xe", "_xi"))


class CurrDelta(_Scheme, IF_curr_delta):
    """`IF_curr_delta` as the machine updates it: a weight is the current over one step that raises v by so much until its end."""

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.spinnaker_scheme.step_delta``."""
        membrane = [*_membrane(p, dt), -p["cm"] / p["tau_m"] / np.expm1(-dt / p["tau_m"])]
        return _model("step_delta", membrane, _rows(initial, "_r", "_v", "_shown", "_x", _v=initial["v"]), ("_x", "_x"))


class IzkCurrExp(_Scheme, Izhikevich):
    """`Izhikevich` as the machine updates it: a weight is the current over one step that raises v by so much, all else aside."""

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """The arrays for ``kernels.spinnaker_scheme.step_izhikevich``."""
        one = np.ones_like(initial["v"])
        rows = _rows(initial, "_h", "_v", "_shown", "_x", _h=one * dt, _v=initial["v"])
        parameters = [p["a"], p["b"], p["c"], p["d"], 1000.0 * p["i_offset"], 1000.0 * one, one / dt]
        return _model("step_izhikevich", parameters, rows, ("_x", "_x"))


CELLS: dict[type[Cell], type[Cell]] = {
    IF_curr_exp: CurrExp, IF_cond_exp: CondExp, IF_curr_alpha: CurrAlpha, IF_curr_delta: CurrDelta, Izhikevich: IzkCurrExp,
}


def in_scheme(network: Network) -> Network:
    """A twin of a network that is updated in the machine's order, in double precision.

    Cells become those of `CELLS`, with all their parameters and initial values; synapses that learn see a spike of the
    target first where both meet (``order="spinnaker"``), with all of the delay in the dendrite.  Amplitudes stay relative to
    w_max, as PyNN has them.  Labels and the seed are the same, so that all that is drawn is too.

    A `Simulation` of the twin for T ms, with a dt of one machine step, makes ticks 0 to T/dt: one more than the machine in
    that time.  Spikes have the time of their tick; v and synaptic inputs are recorded as the machine does it: after what
    arrives is added, before the membrane is advanced.

    Parameters
    ----------
    network : Network
        It stays as it is.

    Returns
    -------
    Network

    Raises
    ------
    NetworkError
        For cells that are neither sources nor of the kinds above, with their population and model.
    """
    if not isinstance(network, Network):
        raise ParameterError(f"in_scheme needs a Network, got {network!r:.200}")
    twin = copy.deepcopy(network)
    for population in twin.populations:
        cell: Any = population.cell
        if cell.is_source:
            continue
        if type(cell) not in CELLS:
            known = ", ".join(one.__name__ for one in CELLS)
            raise NetworkError(f"{population.label}: the machine's scheme is known for {known} and sources, not for {cell.name}")
        population.cell = CELLS[type(cell)](**{name: getattr(cell, name) for name in cell.parameters()})
    for projection in twin.projections:
        if isinstance(projection.synapse, STDPMechanism):
            ordered = dataclasses.replace(projection.synapse, order="spinnaker", dendritic_delay_fraction=1.0)
            object.__setattr__(projection, "synapse", ordered)
    return twin
