"""Cells with the arithmetic of frameworks that take Euler steps, for what the exact cells cannot say."""

from __future__ import annotations

from ..parameters import Parameter
from .base import State
from .custom import neuron

__all__ = ["RESETS", "EulerAdaptiveLIF", "EulerCubaLIF", "EulerLIF"]

# The number of each is the parameter ``reset``.  The last but one is what snntorch makes of "subtract": if v is above the threshold
# even after a spike took it off, it is taken off in the next step before the test, and given back if there is no spike.
RESETS = ("value", "subtract", "late subtract", "late value", "snntorch subtract", "none")

_MEMBRANE = {
    "keep": Parameter(0.9, "", "part of v - v_leak that is left after a step"),
    "gain": Parameter(1.0, "mV/nA", "what a current adds to v in a step"),
    "i_offset": Parameter(0.0, "nA", "constant current into the cell"),
    "v_leak": Parameter(0.0, "mV", "potential that v decays to"),
    "v_thresh": Parameter(1000.0, "mV", "potential above which the cell spikes"),
    "v_reset": Parameter(0.0, "mV", "potential after a spike"),
    "reset": Parameter(0.0, "", "what a spike does to v: the number of one of RESETS"),
    "reached": Parameter(0.0, "", "1: the cell spikes at v_thresh too, 0: only above it", low=0, high=1),
}
_V = State("mV", "v_leak", "membrane potential")
_Z = State("", 0.0, "whether the step before left something to be reset")


@neuron(_MEMBRANE, {"v": _V, "z": _Z}, weight_unit="mV")
def EulerLIF(s, p, x):
    """Leaky or not, one step of Euler; NIR's LIF, IF and Threshold::

        v <- v_leak + keep (v - v_leak) + gain (i_offset + current) + what arrives,      spike if v > v_thresh

    Weights are jumps of v, mV.  ``reset`` numbers `RESETS`; with ``reached`` = 1 a cell spikes if v >= v_thresh.
    """
    s.v = p.v_leak + p.keep * (s.v - p.v_leak) + p.gain * (p.i_offset + x.current) + x.excitatory + x.inhibitory
    if p.reset == 3.0 and s.z == 1.0:
        s.v = p.v_reset
    elif p.reset != 3.0:
        s.v -= p.v_thresh * s.z
    spike = s.v > p.v_thresh or (p.reached == 1.0 and s.v == p.v_thresh)
    if p.reset == 0.0 and spike:
        s.v = p.v_reset
    elif p.reset == 1.0 and spike:
        s.v -= p.v_thresh
    elif p.reset == 4.0:
        s.v -= p.v_thresh * ((1.0 if spike else 0.0) - s.z)
        s.z = 1.0 if s.v > p.v_thresh else 0.0
    elif p.reset == 2.0 or p.reset == 3.0:
        s.z = 1.0 if spike else 0.0
    return spike


@neuron({**_MEMBRANE, "keep_syn": Parameter(0.8, "", "part of the synaptic current that is left after a step"),
         "gain_syn": Parameter(1.0, "", "what a constant input adds to the synaptic current in a step, nA/nA")},
        {"v": _V, "z": _Z, "isyn": State("nA", 0.0, "synaptic current")}, weight_unit="nA")
def EulerCubaLIF(s, p, x):
    """With a synaptic current, one step of Euler, the synapse first; NIR's CubaLIF::

        isyn <- keep_syn isyn + gain_syn (i_offset + current) + what arrives
        v    <- v_leak + keep (v - v_leak) + gain isyn,      spike if v > v_thresh

    Weights are jumps of isyn, nA.  ``reset`` numbers `RESETS`; with ``reached`` = 1 a cell spikes if v >= v_thresh.
    """
    s.isyn = p.keep_syn * s.isyn + p.gain_syn * (p.i_offset + x.current) + x.excitatory + x.inhibitory
    s.v = p.v_leak + p.keep * (s.v - p.v_leak) + p.gain * s.isyn
    if p.reset == 3.0 and s.z == 1.0:
        s.v = p.v_reset
    elif p.reset != 3.0:
        s.v -= p.v_thresh * s.z
    spike = s.v > p.v_thresh or (p.reached == 1.0 and s.v == p.v_thresh)
    if p.reset == 0.0 and spike:
        s.v = p.v_reset
    elif p.reset == 1.0 and spike:
        s.v -= p.v_thresh
    elif p.reset == 4.0:
        s.v -= p.v_thresh * ((1.0 if spike else 0.0) - s.z)
        s.z = 1.0 if s.v > p.v_thresh else 0.0
    elif p.reset == 2.0 or p.reset == 3.0:
        s.z = 1.0 if spike else 0.0
    return spike


@neuron({**_MEMBRANE, "keep_syn": Parameter(0.0, "", "part of the synaptic current that is left after a step"),
         "gain_syn": Parameter(1.0, "", "what a constant input adds to the synaptic current in a step, nA/nA"),
         "beta": Parameter(0.0, "mV", "how far a spike just sent raises the threshold"),
         "keep_adapt": Parameter(0.99, "", "part of the threshold's rise that is left after a step")},
        {"v": _V, "isyn": State("nA", 0.0, "synaptic current"), "a": State("", 0.0, "spikes sent, decaying")}, weight_unit="nA")
def EulerAdaptiveLIF(s, p, x):
    """With a synaptic current and a threshold that adapts (Bellec et al. 2018), one step of Euler::

        isyn <- keep_syn isyn + gain_syn (i_offset + current) + what arrives
        v    <- v_leak + keep (v - v_leak) + gain isyn,      spike if v > v_thresh + beta a
        a    <- keep_adapt a + (1 with a spike)

    Weights are jumps of isyn, nA.  ``reset`` 0 sets v to v_reset, 1 takes the threshold of the step off it; with ``reached`` = 1
    a cell spikes at its threshold too.
    """
    s.isyn = p.keep_syn * s.isyn + p.gain_syn * (p.i_offset + x.current) + x.excitatory + x.inhibitory
    s.v = p.v_leak + p.keep * (s.v - p.v_leak) + p.gain * s.isyn
    threshold = p.v_thresh + p.beta * s.a
    spike = s.v > threshold or (p.reached == 1.0 and s.v == threshold)
    s.a = p.keep_adapt * s.a
    if spike:
        s.a += 1.0
        s.v = p.v_reset if p.reset == 0.0 else s.v - threshold
    return spike
