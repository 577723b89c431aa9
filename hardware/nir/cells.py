"""Cells with the arithmetic of frameworks that step NIR's equations by Euler's method, for what the exact cells cannot say."""

from __future__ import annotations

from neurosim.cells.base import State
from neurosim.cells.custom import neuron
from neurosim.parameters import Parameter

__all__ = ["RESETS", "EulerCubaLIF", "EulerLIF"]

# The number of each is the parameter ``reset``.  The last is what snntorch makes of "subtract": if v is above the threshold even
# after a spike took it off, it is taken off in the next step before the test, and given back if there is no spike.
RESETS = ("value", "subtract", "late subtract", "late value", "snntorch subtract")

_MEMBRANE = {
    "keep": Parameter(0.9, "", "part of v - v_leak that is left after a step"),
    "gain": Parameter(1.0, "mV/nA", "what a current adds to v in a step"),
    "i_offset": Parameter(0.0, "nA", "constant current into the cell"),
    "v_leak": Parameter(0.0, "mV", "potential that v decays to"),
    "v_thresh": Parameter(1000.0, "mV", "potential above which the cell spikes"),
    "v_reset": Parameter(0.0, "mV", "potential after a spike"),
    "reset": Parameter(0.0, "", "what a spike does to v: the number of one of RESETS"),
}
_V = State("mV", "v_leak", "membrane potential")
_Z = State("", 0.0, "whether the step before left something to be reset")


@neuron(_MEMBRANE, {"v": _V, "z": _Z}, weight_unit="mV")
def EulerLIF(s, p, x):
    """NIR's LIF, IF and Threshold, one step of Euler::

        v <- v_leak + keep (v - v_leak) + gain (i_offset + current) + what arrives,      spike if v > v_thresh

    Weights are jumps of v, mV.  ``reset`` numbers `RESETS`.
    """
    s.v = p.v_leak + p.keep * (s.v - p.v_leak) + p.gain * (p.i_offset + x.current) + x.excitatory + x.inhibitory
    if p.reset == 3.0 and s.z == 1.0:
        s.v = p.v_reset
    elif p.reset != 3.0:
        s.v -= p.v_thresh * s.z
    spike = s.v > p.v_thresh
    if p.reset == 0.0 and spike:
        s.v = p.v_reset
    elif p.reset == 1.0 and spike:
        s.v -= p.v_thresh
    elif p.reset == 4.0:
        s.v -= p.v_thresh * ((1.0 if spike else 0.0) - s.z)
        s.z = 1.0 if s.v > p.v_thresh else 0.0
    elif p.reset >= 2.0:
        s.z = 1.0 if spike else 0.0
    return spike


@neuron({**_MEMBRANE, "keep_syn": Parameter(0.8, "", "part of the synaptic current that is left after a step"),
         "gain_syn": Parameter(1.0, "", "what a constant input adds to the synaptic current in a step, nA/nA")},
        {"v": _V, "z": _Z, "isyn": State("nA", 0.0, "synaptic current")}, weight_unit="nA")
def EulerCubaLIF(s, p, x):
    """NIR's CubaLIF, one step of Euler, the synapse first::

        isyn <- keep_syn isyn + gain_syn (i_offset + current) + what arrives
        v    <- v_leak + keep (v - v_leak) + gain isyn,      spike if v > v_thresh

    Weights are jumps of isyn, nA.  ``reset`` numbers `RESETS`.
    """
    s.isyn = p.keep_syn * s.isyn + p.gain_syn * (p.i_offset + x.current) + x.excitatory + x.inhibitory
    s.v = p.v_leak + p.keep * (s.v - p.v_leak) + p.gain * s.isyn
    if p.reset == 3.0 and s.z == 1.0:
        s.v = p.v_reset
    elif p.reset != 3.0:
        s.v -= p.v_thresh * s.z
    spike = s.v > p.v_thresh
    if p.reset == 0.0 and spike:
        s.v = p.v_reset
    elif p.reset == 1.0 and spike:
        s.v -= p.v_thresh
    elif p.reset == 4.0:
        s.v -= p.v_thresh * ((1.0 if spike else 0.0) - s.z)
        s.z = 1.0 if s.v > p.v_thresh else 0.0
    elif p.reset >= 2.0:
        s.z = 1.0 if spike else 0.0
    return spike
