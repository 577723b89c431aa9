"""The neurons that SpiNNaker has: what each is put together from, and its numbers as the machine stores them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from neurosim.errors import ParameterError
from neurosim.kernels import spinnaker_cells
from neurosim.kernels import spinnaker_layout as kernel

__all__ = ["MODELS", "MachineModel", "words"]

ONE = 32768
LOWEST, HIGHEST = -65536.0, 65536.0 - 1.0 / ONE

# Fields of the machine's structures in their order.  `~` marks the state variables, `=x` is a constant, `dt` the step.
_MEMBRANES = {
    kernel.LEAKY: "~v v_rest cm tau_m i_offset v_reset tau_refrac =0 dt",
    kernel.IZHIKEVICH: "a b c d ~v ~u i_offset dt dt",
    kernel.TRUNCATED: "~v cm tau_m i_offset v_reset tau_refrac =0 dt",
}
_INPUTS = {kernel.CURRENT: "", kernel.CONDUCTANCE: "e_rev_E e_rev_I", kernel.JUMP: "dt"}
_SYNAPSES = {
    kernel.EXPONENTIAL: "tau_syn_E ~isyn_exc tau_syn_I ~isyn_inh dt",
    kernel.ALPHA: "~exc_response ~exc_exp_response =0 tau_syn_E ~inh_response ~inh_exp_response =0 tau_syn_I dt",
    kernel.DELTA: "~isyn_exc ~isyn_inh",
    kernel.DUAL: "tau_syn_E ~isyn_exc tau_syn_E2 ~isyn_exc2 tau_syn_I ~isyn_inh dt",
    kernel.SEMD: "tau_syn_E ~isyn_exc tau_syn_E2 ~isyn_exc2 tau_syn_I ~isyn_inh ~multiplicator ~exc2_old scaling_factor dt",
}
_ADAPTATION = "tau_ca2 ~i_ca2 i_alpha dt"
_UNITS = {"cm": "nF", "i_offset": "nA", "i_alpha": "nA", "i_ca2": "nA", "isyn_exc": "nA", "isyn_exc2": "nA", "isyn_inh": "nA",
          "a": "/ms", "b": "/ms", "d": "mV/ms", "u": "mV/ms", "c": "mV", "v": "mV", "e_rev_E": "mV", "e_rev_I": "mV"}
_CHANCE = "v_thresh p_thresh ~seed0 ~seed1 ~seed2 ~seed3"
_HAZARD = "du_th tau_th v_thresh dt"
_DIVISORS = ("cm", "du_th", "tau_th", "tau_m", "tau_syn_E", "tau_syn_E2", "tau_syn_I", "tau_ca2")


def words(values: np.ndarray | float, one: int = ONE) -> np.ndarray:
    """Numbers as s16.15, int64: what they are written as in decimals, times 32768 (``one``), rounded to the nearest (halves to even).

    sPyNNaker rounds the same way (``DataType.S1615.encode_as_int``).  The range is not looked at.
    """
    distinct, place = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
    stored = [int(round(Decimal(repr(float(value))) * one)) for value in distinct]
    return np.array(stored, dtype=np.int64)[place].reshape(np.shape(values))


def _unit(name: str) -> str:
    return _UNITS.get(name, "ms" if name.startswith("tau") else "mV" if name.startswith("v_") or name == "du_th" else "")


@dataclasses.dataclass(frozen=True)
class MachineModel:
    """A neuron of the machine.

    Attributes
    ----------
    name : str
        sPyNNaker's.
    binary : str
        Name of its file of machine code, without ``.aplx``.  The files with ``_neuron`` or ``_stdp_mad_...`` after that hold the
        same instructions for a step of neurons.
    membrane, synapses, acts_as, adapts : int, int, int, bool
        What it is put together from (digits of `neurosim.kernels.spinnaker_layout`).
    threshold : str
        Name of the parameter (and of what chance needs), or `=` and a number of mV.  `dt`: that the machine code of IFTruncDelta
        takes the step in ms for its threshold in mV is an error of sPyNNaker 7.4.1 (the host writes a structure that this program
        does not have).
    verified : bool
        Whether a test holds it against the machine code in every bit.
    instructions : tuple of int
        Of the ARM, counted: for a neuron and step, what each receptor with input adds, and what a spike adds.  A core has 200 000
        cycles a ms, and no instruction takes less than one.
    """

    name: str
    binary: str
    membrane: int
    synapses: int = kernel.EXPONENTIAL
    acts_as: int = kernel.CURRENT
    adapts: bool = False
    threshold: str = "v_thresh"
    verified: bool = True
    instructions: tuple[int, int, int] = (0, 0, 0)

    @property
    def code(self) -> int:
        """Number of the model in the kernels."""
        chances = {_CHANCE: kernel.FIXED_CHANCE, _HAZARD: kernel.HAZARD}
        return kernel.code_of(self.membrane, self.synapses, self.acts_as, self.adapts, chances.get(self.threshold, kernel.CERTAIN))

    @property
    def receptors(self) -> tuple[str, ...]:
        """By index of synapse type."""
        two = self.synapses in (kernel.DUAL, kernel.SEMD)
        return ("excitatory", "excitatory2", "inhibitory") if two else ("excitatory", "inhibitory")

    @property
    def scale(self) -> float:
        """What weights are multiplied by before they are stored."""
        return 1024.0 if self.acts_as == kernel.CONDUCTANCE else 1.0

    @property
    def structures(self) -> tuple[tuple[str, ...], ...]:
        """Fields of the structures that the machine reads, in its order: names, ``~`` before those of states, ``=0`` a constant."""
        parts = [_MEMBRANES[self.membrane], _INPUTS[self.acts_as], self.threshold, _SYNAPSES[self.synapses],
                 _ADAPTATION if self.adapts else ""]
        return tuple(tuple(part.split()) for part in parts if part)

    @property
    def fields(self) -> tuple[str, ...]:
        """Of all structures."""
        return tuple(name for structure in self.structures for name in structure)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that it has."""
        return tuple(name for name in self.fields if name[0] not in "~=" and name != "dt")

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the state variables that can be given, as sPyNNaker has them (``isyn_inh`` positive; ``seed`` of all cells)."""
        return tuple(dict.fromkeys("seed" if "seed" in name else name[1:] for name in self.fields if name[0] == "~"))

    @property
    def variables(self) -> dict[str, tuple[int, float]]:
        """What can be recorded: name -> (variable of ``kernels.spinnaker_cells.sample``, factor on its s16.15 words).

        Machine names ``v``, ``gsyn_exc``, ``gsyn_inh``; those of a neurosim cell are also there (``isyn_inh`` is negative).
        What it records of two excitatory receptors is their sum, and of sEMD the product.
        """
        one = 1.0 / ONE
        exc, inh = spinnaker_cells.EXCITATORY, spinnaker_cells.INHIBITORY
        found = {"v": (spinnaker_cells.V, one), "gsyn_exc": (exc, one), "gsyn_inh": (inh, one)}
        if self.acts_as != kernel.CONDUCTANCE:
            found |= {"isyn_exc": (exc, one), "isyn_inh": (inh, -one)}
        return found

    def words(self, parameters: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float,
              label: str = "", per_core: int = 256) -> np.ndarray:
        """What the host writes into the machine's memory for each neuron.

        Parameters
        ----------
        parameters, initial : dict of ndarray, float64, shape (n,)
            PyNN's names and units.  A state that is not given is 0 (v: v_rest, or v_reset where there is none).  Initial
            ``gsyn_exc`` and ``gsyn_inh`` (uS), and ``isyn_inh`` (nA, negative), are those of a neurosim cell.
        dt : float
            ms.
        label : str
            Whose, for messages.
        per_core : int
            Neurons on a core: random generators are seeded core by core.

        Returns
        -------
        ndarray, int64, shape (fields, n)

        Raises
        ------
        ParameterError
            For a number that s16.15 cannot hold, a time constant or capacitance that becomes 0, a resistance that
            overflows, and names that the model does not have.
        """
        n = len(np.atleast_1d(next(iter(parameters.values()))))
        owner = f"{label}: {self.name}" if label else self.name
        states = self._states(owner, parameters, initial)
        threshold = np.asarray(parameters.get("v_thresh", dt))
        if self.threshold == "dt" and (threshold != dt).any():
            got = threshold[threshold != dt].flat[0]
            raise ParameterError(f"{owner}.v_thresh must be {dt:g} mV, as many as the step has ms, got {got:g}: "
                                 "the machine's program takes the step for its threshold")
        rows = []
        for field in self.fields:
            if field.startswith("~seed"):
                rows.append(_seeds(owner, states["seed"], n, per_core)[int(field[-1])])
                continue
            if field == "dt":
                value: np.ndarray | float = dt
            elif field[0] == "=":
                value = float(field[1:])
            elif field[0] == "~":
                value = states[field[1:]]
            elif field in parameters:
                value = parameters[field]
            else:
                raise ParameterError(f"{owner} needs {field} ({_unit(field)}); given are {', '.join(parameters)}")
            rows.append(_stored(owner, field.lstrip("~="), np.broadcast_to(np.asarray(value, dtype=np.float64), (n,))))
        stored = np.stack(rows)
        if self.synapses == kernel.ALPHA:
            for name in ("tau_syn_E", "tau_syn_I"):
                _check_square(f"{owner}.{name}", stored[self.fields.index(name)])
        if "cm" in self.fields:
            _check_resistance(owner, stored[self.fields.index("tau_m")], stored[self.fields.index("cm")])
        return stored

    def _states(self, owner: str, parameters: Mapping[str, np.ndarray],
                initial: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | float]:
        """Every state, in sPyNNaker's names and signs."""
        values: dict[str, np.ndarray | float] = dict.fromkeys(self.states, 0.0)
        values["v"] = parameters.get("v_rest", parameters.get("v_reset", 0.0))
        for name, value in initial.items():
            given = np.asarray(value, dtype=np.float64)
            target, factor = name, 1.0
            if self.acts_as == kernel.CONDUCTANCE and name in ("gsyn_exc", "gsyn_inh", "gsyn_exc2"):
                target, factor = "isyn" + name[4:], self.scale
            elif self.acts_as != kernel.CONDUCTANCE and name == "isyn_inh":
                factor = -1.0
            if target in values:
                values[target] = given * factor + 0.0
            elif given.any():
                raise ParameterError(f"{owner}: initial {name} cannot be given on the machine, got {given.flat[0]:g}; "
                                     f"its states are {', '.join(self.states)}")
        return values

    def encode(self, parameters: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float,
               label: str = "", per_core: int = 256) -> tuple[np.ndarray, np.ndarray]:
        """Arrays for the kernels: what a core makes of :meth:`words` when it starts.

        Returns
        -------
        par : ndarray, int64 (rows, n)
        state : ndarray, int32 (rows, n)
        """
        stored = self.words(parameters, initial, dt, label, per_core)
        rows, columns = kernel.rows_of(self.code)
        state = np.zeros((rows, stored.shape[1]), dtype=np.int32)
        par = np.zeros((columns, stored.shape[1]), dtype=np.int64)
        kernel.initialise(self.code, stored, state, par)
        if self.threshold == _HAZARD:
            par[-1] = np.arange(stored.shape[1]) // per_core * per_core
        return par, state

    def effective(self, parameters: Mapping[str, np.ndarray], dt: float, label: str = "") -> dict[str, np.ndarray]:
        """Each parameter as the machine has it.

        Numbers are those of their words; tau_refrac is whole steps; a time constant is that of the factor by which something
        decays in a step, which is made from dt/tau with 15 fractional bits: 0 if it does not last, infinite if it does not decay.

        Parameters
        ----------
        parameters : dict of ndarray, shape (n,)
        dt : float
            ms.

        Returns
        -------
        dict of ndarray, float64, shape (n,)
        """
        stored = self.words(parameters, {}, dt, label)
        par, _ = self.encode(parameters, {}, dt, label)
        found = {name: stored[self.fields.index(name)] / (2 * ONE if name == "p_thresh" else ONE) for name in self.parameters}
        factors = {name: par[kernel.PAR_SYNAPSES + 2 * k] / 2.0**32 for k, name in enumerate(
            name for name in self.fields if name.startswith("tau_syn"))}
        if self.membrane == kernel.LEAKY:
            factors["tau_m"] = par[6] / ONE
        if self.adapts:
            factors["tau_ca2"] = par[9] / ONE
        with np.errstate(divide="ignore"):
            found |= {name: -dt / np.log(factor) for name, factor in factors.items()}
        return found | ({"tau_refrac": par[3] * dt} if "tau_refrac" in found else {})


def _stored(owner: str, name: str, values: np.ndarray) -> np.ndarray:
    """Numbers as s16.15, after a look at their range."""
    unit = f" {_unit(name)}".rstrip()
    bad = np.flatnonzero(~((values >= LOWEST) & (values <= HIGHEST)))
    if bad.size:
        raise ParameterError(f"{owner}.{name} must be within {LOWEST:g} and {HIGHEST:.5f}{unit} (s16.15), "
                             f"got {values[bad[0]]:g} at index {bad[0]}")
    if name == "p_thresh":
        bad = np.flatnonzero((values < 0.0) | (values > 1.0))
        if bad.size:
            raise ParameterError(f"{owner}.p_thresh must be within 0 and 1, got {values[bad[0]]:g} at index {bad[0]}")
        return words(values, 2 * ONE)
    stored = words(values)
    if name in _DIVISORS and (stored <= 0).any():
        bad = np.flatnonzero(stored <= 0)
        raise ParameterError(f"{owner}.{name} must be at least {1 / ONE:.3g}{unit}, the least that s16.15 can hold above 0, "
                             f"got {values[bad[0]]:g} at index {bad[0]}")
    return stored


def _seeds(owner: str, seed: np.ndarray | float, n: int, per_core: int) -> np.ndarray:
    """The words of n generators, int64 (4, n), as sPyNNaker draws them: core by core, on each the first words, the second ..."""
    one = float(np.atleast_1d(seed)[0])
    if not 0 <= one < 2**32 or one != int(one) or (np.asarray(seed) != one).any():
        raise ParameterError(f"{owner}: initial seed must be one whole number from 0 to 4294967295 for all cells, got {one:g}")
    generator = np.random.RandomState(int(one))
    sizes = [min(per_core, n - first) for first in range(0, n, per_core)]
    return np.concatenate([generator.uniform(0, 0xFFFFFFFF, (4, size)).astype(np.int64) for size in sizes], axis=1)


def _check_square(what: str, tau: np.ndarray) -> None:
    """tau**2 must not become 0: the machine divides by it."""
    bad = np.flatnonzero(tau * tau < ONE)
    if bad.size:
        raise ParameterError(f"{what} must be at least {182 / ONE:.4f} ms, the least whose square s16.15 can hold above 0, "
                             f"got {tau[bad[0]] / ONE:g} at index {bad[0]}")


def _check_resistance(owner: str, tau_m: np.ndarray, cm: np.ndarray) -> None:
    """tau_m / cm must fit a word."""
    ratio = tau_m / cm
    bad = np.flatnonzero(ratio >= HIGHEST)
    if bad.size:
        raise ParameterError(f"{owner}: tau_m / cm must be below {HIGHEST:.5f} MOhm (s16.15), got {ratio[bad[0]]:g} at index {bad[0]}")


_IZHIKEVICH: dict[str, Any] = {"membrane": kernel.IZHIKEVICH, "threshold": "=30"}
_LEAKY: dict[str, Any] = {"membrane": kernel.LEAKY}
_JUMPS: dict[str, Any] = {"synapses": kernel.DELTA, "acts_as": kernel.JUMP}
_CONDUCTS: dict[str, Any] = {"acts_as": kernel.CONDUCTANCE}
MODELS: dict[str, MachineModel] = {name: MachineModel(name, binary, **parts, instructions=counted) for name, binary, parts, counted in (
    ("IF_curr_exp", "IF_curr_exp", _LEAKY, (113, 14, 49)),
    ("IF_cond_exp", "IF_cond_exp", _LEAKY | _CONDUCTS, (145, 14, 49)),
    ("IF_curr_alpha", "IF_curr_alpha", _LEAKY | {"synapses": kernel.ALPHA}, (138, 53, 49)),
    ("IF_curr_delta", "IF_curr_delta", _LEAKY | _JUMPS, (112, 9, 48)),
    ("Izhikevich", "IZK_curr_exp", _IZHIKEVICH, (168, 14, 55)),
    ("Izhikevich_cond", "IZK_cond_exp", _IZHIKEVICH | _CONDUCTS, (199, 14, 55)),
    ("Izhikevich_cond_dual", "IZK_cond_exp_dual", _IZHIKEVICH | _CONDUCTS | {"synapses": kernel.DUAL}, (230, 15, 55)),
    ("IF_curr_dual_exp", "IF_curr_exp_dual", _LEAKY | {"synapses": kernel.DUAL}, (130, 15, 49)),
    ("IF_curr_exp_sEMD", "IF_curr_exp_sEMD", _LEAKY | {"synapses": kernel.SEMD}, (150, 15, 49)),
    ("IFCurrExpCa2Adaptive", "IF_curr_exp_ca2_adaptive", _LEAKY | {"adapts": True}, (126, 14, 53)),
    ("IFCurrDeltaCa2Adaptive", "IF_curr_delta_ca2_adaptive", _LEAKY | _JUMPS | {"adapts": True}, (127, 9, 51)),
    ("IFCurrDeltaFixedProb", "IF_curr_delta_fixed_prob", _LEAKY | _JUMPS | {"threshold": _CHANCE}, (121, 9, 76)),
    ("IFCondExpStoc", "IF_cond_exp_stoc", _LEAKY | _CONDUCTS | {"threshold": _HAZARD}, (229, 14, 51)),
    ("IFTruncDelta", "IF_trunc_delta", {"membrane": kernel.TRUNCATED, "synapses": kernel.DELTA, "threshold": "dt"}, (109, 9, 48)),
)}
