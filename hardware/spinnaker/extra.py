"""Neurons that SpiNNaker has and neurosim has not, or not with this meaning, as cells that a `Network` can hold.

They have sPyNNaker's names, parameters, defaults and units (``pyNN.spiNNaker`` and its ``extra_models``), and the machine's
equations: a step of h ms takes its input as constant.  The emulation runs them; a `Simulation` does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from neurosim.cells.base import Cell, State, StepModel
from neurosim.errors import NetworkError
from neurosim.parameters import Value, parameter

__all__ = ["IFCondExpStoc", "IFCurrDeltaCa2Adaptive", "IFCurrDeltaFixedProb", "IFCurrExpCa2Adaptive", "IFTruncDelta", "IF_curr_alpha", 
           "IF_curr_delta", "IF_curr_dual_exp", "IF_curr_exp_sEMD", "Izhikevich", "Izhikevich_cond", "Izhikevich_cond_dual"]

_V = {"v": State("mV", "v_rest", "membrane potential")}
_CURRENTS = {"isyn_exc": State("nA", 0.0, "excitatory synaptic current"), "isyn_inh": State("nA", 0.0, "inhibitory synaptic current")}
_SECOND = {"isyn_exc2": State("nA", 0.0, "synaptic current of the second excitatory receptor")}
_CONDUCTANCES = {"gsyn_exc": State("uS", 0.0, "excitatory synaptic conductance"),
                 "gsyn_inh": State("uS", 0.0, "inhibitory synaptic conductance")}
_CALCIUM = {"i_ca2": State("nA", 0.0, "current of calcium-activated channels, which opposes depolarisation")}
_IZHIKEVICH = {"v": State("mV", -70.0, "membrane potential"), "u": State("mV/ms", -14.0, "recovery variable")}
_TWO = ("excitatory", "excitatory2", "inhibitory")
_RESET = (("v_reset", "v_thresh"),)


class MachineCell(Cell):
    """Base: a cell that only the machine and its emulation step."""

    order: ClassVar[int] = 1

    def step_model(self, p: Mapping[str, np.ndarray], initial: Mapping[str, np.ndarray], dt: float) -> StepModel:
        """Refused.

        Raises
        ------
        NetworkError
            Always.
        """
        raise NetworkError(f"{self.name} is a cell of SpiNNaker: it runs in neurosim.hardware.spinnaker.emulation, not in a Simulation")


@dataclasses.dataclass(frozen=True)
class _Leaky:
    v_rest: Value = parameter(-65.0, "mV", "resting potential")
    cm: Value = parameter(1.0, "nF", "capacitance; more of it makes every input smaller", low=0, open_low=True)
    tau_m: Value = parameter(20.0, "ms", "membrane time constant; longer sums input for longer", low=0, open_low=True)
    tau_refrac: Value = parameter(0.1, "ms", "refractory period after a spike", low=0)
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")
    v_reset: Value = parameter(-65.0, "mV", "potential after a spike")
    v_thresh: Value = parameter(-50.0, "mV", "potential at which the cell spikes")


@dataclasses.dataclass(frozen=True)
class _Decaying:
    tau_syn_E: Value = parameter(5.0, "ms", "decay time of excitatory input", low=0, open_low=True)
    tau_syn_I: Value = parameter(5.0, "ms", "decay time of inhibitory input", low=0, open_low=True)


@dataclasses.dataclass(frozen=True)
class _DecayingTwice(_Decaying):
    tau_syn_E2: Value = parameter(5.0, "ms", "decay time of the second excitatory input", low=0, open_low=True)


@dataclasses.dataclass(frozen=True)
class _Reversing:
    e_rev_E: Value = parameter(0.0, "mV", "reversal potential of excitatory input")
    e_rev_I: Value = parameter(-70.0, "mV", "reversal potential of inhibitory input")


@dataclasses.dataclass(frozen=True)
class _Calcium:
    tau_ca2: Value = parameter(50.0, "ms", "decay time of the calcium current", low=0, open_low=True)
    i_alpha: Value = parameter(0.1, "nA", "what a spike adds to the calcium current; more of it adapts more")


@dataclasses.dataclass(frozen=True)
class _Recovering:
    a: Value = parameter(0.02, "/ms", "rate of recovery; smaller makes u slower", low=0)
    b: Value = parameter(0.2, "/ms", "how strongly u follows v")
    c: Value = parameter(-65.0, "mV", "potential after a spike")
    d: Value = parameter(2.0, "mV/ms", "what a spike adds to u; more of it slows firing")
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell, 1 nA counts as 1 mV/ms")


@dataclasses.dataclass(frozen=True)
class IF_curr_alpha(_Leaky, MachineCell):
    """Leaky integrate-and-fire whose synaptic current is a line times an exponential::

        cm dv/dt = -cm/tau_m (v - v_rest) + isyn_exc + isyn_inh + i_offset
        isyn_exc = exc_response exc_exp_response
        each step: exc_response += weight h/tau_syn_E**2 (of the last arrival), exc_exp_response decays with tau_syn_E

    An arrival first scales exc_response so that the product goes on where it was.  The weight is the charge of the current
    (nA ms), where neurosim's `IF_curr_alpha` means its peak.  h/tau_syn**2 must be below 1 (the machine drops its whole part).
    """

    tau_syn_E: Value = parameter(0.5, "ms", "rise time of excitatory current", low=0, open_low=True)
    tau_syn_I: Value = parameter(0.5, "ms", "rise time of inhibitory current", low=0, open_low=True)

    states: ClassVar[Mapping[str, State]] = {
        **_V, **_CURRENTS,
        "exc_response": State("nA", 0.0, "linear factor of the excitatory current"),
        "exc_exp_response": State("", 0.0, "exponential factor of the excitatory current"),
        "inh_response": State("nA", 0.0, "linear factor of the inhibitory current"),
        "inh_exp_response": State("", 0.0, "exponential factor of the inhibitory current"),
    }
    weight_unit: ClassVar[str] = "nA"
    below: ClassVar[tuple[tuple[str, str], ...]] = _RESET


@dataclasses.dataclass(frozen=True)
class IF_curr_delta(_Leaky, MachineCell):
    """Leaky integrate-and-fire whose input is a current during one step::

        cm dv/dt = -cm/tau_m (v - v_rest) + (arrived weights)/h + i_offset

    v jumps by weight tau_m/cm (1 - exp(-h/tau_m))/h, about weight/cm: the weight is a charge (nA ms), where neurosim's
    `IF_curr_delta` means the jump itself (mV).
    """

    states: ClassVar[Mapping[str, State]] = {**_V, **_CURRENTS}
    weight_unit: ClassVar[str] = "nA"
    below: ClassVar[tuple[tuple[str, str], ...]] = _RESET


@dataclasses.dataclass(frozen=True)
class IFCurrDeltaCa2Adaptive(_Calcium, IF_curr_delta):
    """`IF_curr_delta` that a calcium current tires: subtracted from the input, it decays with tau_ca2, and a spike adds i_alpha."""

    states: ClassVar[Mapping[str, State]] = {**_V, **_CURRENTS, **_CALCIUM}


@dataclasses.dataclass(frozen=True)
class IFCurrDeltaFixedProb(MachineCell):
    """`IF_curr_delta` that spikes by chance: in each step in which v >= v_thresh with probability p_thresh, else it waits.

    The initial value of ``seed``, a whole number for all cells, is that of the random generators, one a cell; the same
    seed gives the same spikes as on the machine.  Defaults are those of a cell that forgets everything in a step.
    """

    v_rest: Value = parameter(0.0, "mV", "resting potential")
    cm: Value = parameter(0.0001, "nF", "capacitance; more of it makes every input smaller", low=0, open_low=True)
    tau_m: Value = parameter(0.0001, "ms", "membrane time constant; longer sums input for longer", low=0, open_low=True)
    tau_refrac: Value = parameter(0.0, "ms", "refractory period after a spike", low=0)
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")
    v_reset: Value = parameter(0.0, "mV", "potential after a spike")
    v_thresh: Value = parameter(1.0, "mV", "potential from which the cell may spike")
    p_thresh: Value = parameter(1.0, "", "probability of a spike in a step above v_thresh", low=0, high=1)

    states: ClassVar[Mapping[str, State]] = {**_V, **_CURRENTS, "seed": State("", 1.0, "of the random generators, one number for all")}
    weight_unit: ClassVar[str] = "nA"
    below: ClassVar[tuple[tuple[str, str], ...]] = _RESET


@dataclasses.dataclass(frozen=True)
class IFCondExpStoc(_Leaky, _Decaying, _Reversing, MachineCell):
    """`IF_cond_exp` with a threshold of chance (after Habenschuss, Jonke & Maass 2013)::

        hazard exp((v - v_thresh)/du_th)/tau_th,      a spike in a step with at most 0.8

    sPyNNaker 7.4.1 has a sign wrong: its neurons spike for certain wherever the hazard can be seen, which is from about 5 du_th
    below v_thresh on, and with probability 0.8 from 5 du_th above it.  The emulation does what the machine does.
    """

    du_th: Value = parameter(0.5, "mV", "how softly the hazard rises with v", low=0, open_low=True)
    tau_th: Value = parameter(20.0, "ms", "mean time to a spike at v_thresh", low=0, open_low=True)

    states: ClassVar[Mapping[str, State]] = {**_V, **_CONDUCTANCES}
    weight_unit: ClassVar[str] = "uS"
    below: ClassVar[tuple[tuple[str, str], ...]] = _RESET


@dataclasses.dataclass(frozen=True)
class IFTruncDelta(MachineCell):
    """Integrate-and-fire without leak, whose potential never falls below v_reset::

        each step: v = max(v + tau_m/cm (arrived weights + i_offset), v_reset)

    The threshold is v_thresh; sPyNNaker 7.4.1 runs it only with as many mV as the time step has ms (see `MachineModel`).
    """

    cm: Value = parameter(1.0, "nF", "capacitance; more of it makes every input smaller", low=0, open_low=True)
    tau_m: Value = parameter(1.0, "ms", "tau_m/cm is what an input is multiplied by", low=0, open_low=True)
    tau_refrac: Value = parameter(1.0, "ms", "refractory period after a spike", low=0)
    i_offset: Value = parameter(0.0, "nA", "constant current into the cell")
    v_reset: Value = parameter(0.0, "mV", "potential after a spike, and the least")
    v_thresh: Value = parameter(1.0, "mV", "potential at which the cell spikes")

    states: ClassVar[Mapping[str, State]] = {"v": State("mV", "v_reset", "membrane potential"), **_CURRENTS}
    weight_unit: ClassVar[str] = "nA"
    below: ClassVar[tuple[tuple[str, str], ...]] = _RESET


@dataclasses.dataclass(frozen=True)
class IFCurrExpCa2Adaptive(_Calcium, _Decaying, _Leaky, MachineCell):
    """`IF_curr_exp` that a calcium current tires::

        cm dv/dt = -cm/tau_m (v - v_rest) + isyn_exc + isyn_inh + i_offset - i_ca2
        tau_ca2 di_ca2/dt = -i_ca2,      at a spike: i_ca2 += i_alpha
    """

    states: ClassVar[Mapping[str, State]] = {**_V, **_CURRENTS, **_CALCIUM}
    weight_unit: ClassVar[str] = "nA"
    below: ClassVar[tuple[tuple[str, str], ...]] = _RESET


@dataclasses.dataclass(frozen=True)
class IF_curr_dual_exp(_DecayingTwice, _Leaky, MachineCell):
    """`IF_curr_exp` with a second excitatory receptor, ``excitatory2``, that decays with tau_syn_E2.

    The machine records one excitatory current, the sum of both.
    """

    receptors: ClassVar[tuple[str, ...]] = _TWO
    states: ClassVar[Mapping[str, State]] = {**_V, **_CURRENTS, **_SECOND}
    weight_unit: ClassVar[str] = "nA"
    below: ClassVar[tuple[tuple[str, str], ...]] = _RESET


@dataclasses.dataclass(frozen=True)
class IF_curr_exp_sEMD(_DecayingTwice, _Leaky, MachineCell):
    """Spiking elementary motion detector (Milde et al. 2018): one input gates another::

        cm dv/dt = -cm/tau_m (v - v_rest) + scaling_factor isyn_exc2 multiplicator + isyn_inh + i_offset

    multiplicator is what isyn_exc was when isyn_exc2 rose from 0, until that falls below 0.001 nA: the sooner ``excitatory2``
    follows ``excitatory``, the more current.
    """

    scaling_factor: Value = parameter(1.0, "", "factor of the product of both inputs")

    receptors: ClassVar[tuple[str, ...]] = _TWO
    states: ClassVar[Mapping[str, State]] = {
        **_V, **_CURRENTS, **_SECOND, "multiplicator": State("nA", 0.0, "the current that gates"),
        "exc2_old": State("nA", 0.0, "isyn_exc2 of the step before"),
    }
    weight_unit: ClassVar[str] = "nA"
    below: ClassVar[tuple[tuple[str, str], ...]] = _RESET


@dataclasses.dataclass(frozen=True)
class Izhikevich(_Recovering, _Decaying, MachineCell):
    """Izhikevich's simple model with synaptic currents that decay::

        dv/dt = 0.04 v**2 + 5 v + 140 - u + isyn_exc + isyn_inh + i_offset
        du/dt = a (b v - u),      v >= 30 mV:  v <- c,  u <- u + d

    A nA counts as a mV/ms.  The step is Runge-Kutta's midpoint rule; after a spike it is 1.85 times as long, for the spike began
    before the step's end.  neurosim's `Izhikevich`, as PyNN's, has jumps of v for input, and 1000 mV/ms for a nA.
    """

    states: ClassVar[Mapping[str, State]] = {**_IZHIKEVICH, **_CURRENTS}
    weight_unit: ClassVar[str] = "nA"


@dataclasses.dataclass(frozen=True)
class Izhikevich_cond(_Recovering, _Decaying, _Reversing, MachineCell):
    """`Izhikevich` with synaptic conductances: the current is gsyn_exc (e_rev_E - v) + gsyn_inh (e_rev_I - v)."""

    states: ClassVar[Mapping[str, State]] = {**_IZHIKEVICH, **_CONDUCTANCES}
    weight_unit: ClassVar[str] = "uS"


@dataclasses.dataclass(frozen=True)
class Izhikevich_cond_dual(_Recovering, _DecayingTwice, _Reversing, MachineCell):
    """`Izhikevich_cond` with a second excitatory receptor, ``excitatory2``, that decays with tau_syn_E2."""

    receptors: ClassVar[tuple[str, ...]] = _TWO
    states: ClassVar[Mapping[str, State]] = {
        **_IZHIKEVICH, **_CONDUCTANCES, "gsyn_exc2": State("uS", 0.0, "synaptic conductance of the second excitatory receptor")}
    weight_unit: ClassVar[str] = "uS"
