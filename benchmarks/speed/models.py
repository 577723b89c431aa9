"""The benchmark models M1 to M6: one description of their numbers, read by every peer.

Units are those of the library: ms, mV, nA, nF, uS, Hz. Names are PyNN's. All models: dt = 0.1 ms, spikes on the grid,
the first 80 % of the neurons excitatory, and every neuron has the same number of inputs, with sources drawn
uniformly.

=====  ===============================================================================  ==================
M1     current-based, Vogels & Abbott; benchmark 2 of Brette et al. 2007                 4000, 20000, 100000
M2     conductance-based, benchmark 1 of Brette et al. 2007, with a constant drive       4000, 20000
M3     Brunel 2000, order 2500, asynchronous irregular (g = 5, eta = 2)                  12500
M4     M3, smaller, with STDP between excitatory neurons                                 10000
M5     microcircuit of Potjans & Diesmann 2014, scaled down in neurons and synapses      0.1 (the scale)
M6     a large network in which 1 % of the neurons fire and the others listen            100000, 1000000
=====  ===============================================================================  ==================

References
----------
Brette R et al. (2007) J Comput Neurosci 23:349-398, doi:10.1007/s10827-007-0038-6.
Brunel N (2000) J Comput Neurosci 8:183-208, doi:10.1023/A:1008925309027.
Potjans TC, Diesmann M (2014) Cereb Cortex 24:785-806, doi:10.1093/cercor/bhs358.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

DT = 0.1
"""Step of every model, ms."""


@dataclass(frozen=True)
class CurrentCell:
    """tau_m dv/dt = v_rest - v + tau_m / cm (i_E + i_I + i_offset), tau_syn di/dt = -i (``IF_curr_exp``).

    While refractory v is clamped at v_reset; the synaptic currents go on decaying.
    """

    v_rest: float
    v_thresh: float
    v_reset: float
    tau_m: float = 20.0
    tau_refrac: float = 5.0
    cm: float = 0.25
    tau_syn_E: float = 5.0
    tau_syn_I: float = 10.0


@dataclass(frozen=True)
class ConductanceCell:
    """cm dv/dt = cm / tau_m (v_rest - v) + g_E (e_rev_E - v) + g_I (e_rev_I - v) + i_offset (``IF_cond_exp``)."""

    v_rest: float = -60.0
    v_thresh: float = -50.0
    v_reset: float = -60.0
    tau_m: float = 20.0
    tau_refrac: float = 5.0
    cm: float = 0.2
    tau_syn_E: float = 5.0
    tau_syn_I: float = 10.0
    e_rev_E: float = 0.0
    e_rev_I: float = -80.0
    i_offset: float = 0.2

    @property
    def g_leak(self) -> float:
        """Leak conductance, uS."""
        return self.cm / self.tau_m


@dataclass(frozen=True)
class DeltaCell:
    """tau_m dv/dt = v_rest - v; a spike that arrives moves v by its weight, and is lost in the refractory time."""

    v_rest: float = 0.0
    v_thresh: float = 20.0
    v_reset: float = 10.0
    tau_m: float = 20.0
    tau_refrac: float = 2.0


@dataclass(frozen=True)
class PairSTDP:
    """Pair rule, all to all, multiplicative (mu = 1), between excitatory neurons.

    When a spike arrives, w -= learning_rate * alpha * w * y and then w is delivered; when the target fires,
    w += learning_rate * (w_max - w) * x. The traces x (of arrivals) and y (of the target) grow by 1 and decay with tau.
    """

    learning_rate: float = 0.01
    alpha: float = 1.0
    w_max: float = 0.2
    tau_plus: float = 20.0
    tau_minus: float = 20.0


@dataclass(frozen=True)
class RandomNetwork:
    """Excitatory and inhibitory neurons of one kind, with a fixed number of random inputs each.

    Attributes
    ----------
    key, title : str
    cell : CurrentCell, ConductanceCell or DeltaCell
    indegree_E, indegree_I : int
        Inputs of every neuron from each kind.
    weight_E, weight_I : float
        Jump for each spike: of the synaptic current (nA), of the conductance (uS), or of v (mV), by the kind of cell.
    delay : float
        ms, from the spike to the jump.
    v_init : (float, float)
        v starts uniform between these, mV.
    poisson_rate : float
        Hz, of an independent Poisson input of weight ``weight_E`` to each neuron.
    poisson_inputs : int
        Number of sources this rate is the sum of, for peers that draw a binomial.
    pacemaker_fraction : float
        Share of the neurons, the first ones, that have a constant current of their own.
    pacemaker_current : float
        nA.
    stdp : PairSTDP or None
    excitatory_fraction : float
    sizes : tuple of int
        Numbers of neurons this model is measured at.
    """

    key: str
    title: str
    cell: CurrentCell | ConductanceCell | DeltaCell
    indegree_E: int
    indegree_I: int
    weight_E: float
    weight_I: float
    delay: float
    v_init: tuple[float, float]
    sizes: tuple[int, ...]
    poisson_rate: float = 0.0
    poisson_inputs: int = 0
    pacemaker_fraction: float = 0.0
    pacemaker_current: float = 0.0
    stdp: PairSTDP | None = None
    excitatory_fraction: float = 0.8

    def neurons(self, size: int) -> int:
        """Number of neurons at this size."""
        return int(size)

    def excitatory(self, size: int) -> int:
        """Number of excitatory neurons at this size; they are the first."""
        return round(self.excitatory_fraction * size)

    def pacemakers(self, size: int) -> int:
        """Number of neurons with a current of their own at this size; they are the first."""
        return round(self.pacemaker_fraction * size)

    def synapses(self, size: int) -> int:
        """Number of recurrent synapses at this size."""
        return (self.indegree_E + self.indegree_I) * int(size)


def _per_mV(cell: CurrentCell) -> float:
    """nA that stand for 1 mV in the equations of Vogels & Abbott, where g is written in mV."""
    return cell.cm / cell.tau_m


def _current_based() -> RandomNetwork:
    cell = CurrentCell(v_rest=-49.0, v_thresh=-50.0, v_reset=-60.0)
    return RandomNetwork(
        key="M1", title="CUBA", cell=cell, indegree_E=64, indegree_I=16, delay=DT, v_init=(-60.0, -50.0),
        weight_E=1.62 * _per_mV(cell), weight_I=-9.0 * _per_mV(cell), sizes=(4000, 20000, 100000),
    )  # fmt: skip


def _conductance_based() -> RandomNetwork:
    return RandomNetwork(
        key="M2", title="COBA", cell=ConductanceCell(), indegree_E=64, indegree_I=16, delay=DT, v_init=(-60.0, -50.0),
        weight_E=0.006, weight_I=0.067, sizes=(4000, 20000),
    )  # fmt: skip


def _brunel() -> RandomNetwork:
    return RandomNetwork(
        key="M3", title="Brunel 2000", cell=DeltaCell(), indegree_E=1000, indegree_I=250, delay=1.5, v_init=(0.0, 20.0),
        weight_E=0.1, weight_I=-0.5, poisson_rate=20000.0, poisson_inputs=1000, sizes=(12500,),
    )  # fmt: skip


def _sparse() -> RandomNetwork:
    cell = CurrentCell(v_rest=-60.0, v_thresh=-50.0, v_reset=-60.0)
    return replace(
        _current_based(), key="M6", title="sparse activity", cell=cell, indegree_E=80, indegree_I=20, delay=1.5,
        pacemaker_fraction=0.01, pacemaker_current=12.0 * _per_mV(cell), sizes=(100000, 1000000),
    )  # fmt: skip


@dataclass(frozen=True)
class Microcircuit:
    """The microcircuit of Potjans & Diesmann 2014 at one scale, as plain arrays; rows are targets, columns sources.

    Attributes
    ----------
    names : tuple of str
    sizes : ndarray, int64, shape (8,)
    synapses : ndarray, int64, shape (8, 8)
        Number of synapses; sources and targets are drawn with replacement.
    weight, weight_sd : ndarray, float64, shape (8, 8)
        nA; a normal distribution, redrawn where it has the wrong sign.
    delay, delay_sd : ndarray, float64, shape (8, 8)
        ms; a normal distribution, redrawn below half a step and rounded to steps.
    i_offset : ndarray, float64, shape (8,)
        nA; restores the mean input that scaling down takes away.
    poisson_inputs : ndarray, int64, shape (8,)
        Sources of ``poisson_rate`` (Hz) for each neuron, of weight ``poisson_weight`` (nA).
    v_init, v_init_sd : ndarray, float64, shape (8,)
        mV; a normal distribution.
    cell : CurrentCell
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    synapses: np.ndarray
    weight: np.ndarray
    weight_sd: np.ndarray
    delay: np.ndarray
    delay_sd: np.ndarray
    i_offset: np.ndarray
    poisson_inputs: np.ndarray
    poisson_rate: float
    poisson_weight: float
    v_init: np.ndarray
    v_init_sd: np.ndarray
    cell: CurrentCell


_MICROCIRCUIT_NAMES = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
_MICROCIRCUIT_SIZES = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
_MICROCIRCUIT_PROBABILITY = (
    (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0),
    (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0),
    (0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0),
    (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0),
    (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0),
    (0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0),
    (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252),
    (0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443),
)
_MICROCIRCUIT_EXTERNAL = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)
# Rates of the full network, and the start values that avoid its first transient: reference implementation
# github.com/INM-6/microcircuit-PD14-model, PyNEST/src/microcircuit/parameter_definitions.py.
_MICROCIRCUIT_RATES = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)
_MICROCIRCUIT_V_INIT = (-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43)
_MICROCIRCUIT_V_INIT_SD = (5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48)


def psp_to_current(cell: CurrentCell) -> float:
    """Current in nA whose exponential decay lifts v by 1 mV at the peak (Hanuschkin et al. 2010, eq. 5)."""
    a, b = cell.tau_m, cell.tau_syn_E
    peak = (a / b) ** (-b / (a - b)) - (a / b) ** (-a / (a - b))
    return cell.cm * (a - b) / (a * b * peak)


def microcircuit(scale: float = 0.1) -> Microcircuit:
    """The microcircuit with both the neurons and the inputs of each scaled.

    Weights grow by 1/sqrt(scale), and a constant current replaces the mean input that is lost, so that mean and
    variance of the input stay those of the full network (van Albada et al. 2015, doi:10.1371/journal.pcbi.1004490).

    Examples
    --------
    >>> m = microcircuit(0.1)
    >>> int(m.sizes.sum()), int(m.synapses.sum() // 1000)
    (7717, 2988)
    """
    cell = CurrentCell(-65.0, -50.0, -65.0, tau_m=10.0, tau_refrac=2.0, cm=0.25, tau_syn_E=0.5, tau_syn_I=0.5)
    full = np.array(_MICROCIRCUIT_SIZES, dtype=np.float64)
    pairs = np.outer(full, full)
    full_synapses = np.log(1.0 - np.array(_MICROCIRCUIT_PROBABILITY)) / np.log((pairs - 1.0) / pairs)
    excitatory = np.tile([True, False], 4)

    poisson_weight = 0.15 * psp_to_current(cell)
    weight = np.tile(np.where(excitatory, poisson_weight, -4.0 * poisson_weight), (8, 1))
    weight[0, 2] *= 2.0
    delay = np.tile(np.where(excitatory, 1.5, 0.75), (8, 1))

    external = np.array(_MICROCIRCUIT_EXTERNAL)
    recurrent = (weight * full_synapses / full[:, np.newaxis]) @ np.array(_MICROCIRCUIT_RATES)
    lost = 0.001 * cell.tau_syn_E * (recurrent + poisson_weight * external * 8.0)
    shrink = np.sqrt(scale)
    return Microcircuit(
        names=_MICROCIRCUIT_NAMES,
        sizes=np.round(full * scale).astype(np.int64),
        synapses=np.round(full_synapses * scale * scale).astype(np.int64),
        weight=weight / shrink,
        weight_sd=0.1 * np.abs(weight) / shrink,
        delay=delay,
        delay_sd=0.5 * delay,
        i_offset=(1.0 - shrink) * lost,
        poisson_inputs=np.round(external * scale).astype(np.int64),
        poisson_rate=8.0,
        poisson_weight=poisson_weight / shrink,
        v_init=np.array(_MICROCIRCUIT_V_INIT),
        v_init_sd=np.array(_MICROCIRCUIT_V_INIT_SD),
        cell=cell,
    )


@dataclass(frozen=True)
class MicrocircuitModel:
    """M5: its size is the scale; the arrays come from :func:`microcircuit`."""

    key: str = "M5"
    title: str = "microcircuit"
    sizes: tuple[float, ...] = (0.1,)

    def neurons(self, size: float) -> int:
        """Number of neurons at this scale."""
        return int(microcircuit(size).sizes.sum())

    def synapses(self, size: float) -> int:
        """Number of recurrent synapses at this scale."""
        return int(microcircuit(size).synapses.sum())


MODELS = {
    "M1": _current_based(),
    "M2": _conductance_based(),
    "M3": _brunel(),
    "M4": replace(_brunel(), key="M4", title="Brunel with STDP", indegree_E=800, indegree_I=200, stdp=PairSTDP(),
                  sizes=(10000,)),
    "M5": MicrocircuitModel(),
    "M6": _sparse(),
}  # fmt: skip

# Biological time in ms; in M4 the rate drifts with the weights, so it is the same for all. Elsewhere a peer gets less
# where a second of it takes minutes; the table gives the time beside the costs, which are for one biological second.
DURATION = {"M1": 1000.0, "M2": 1000.0, "M3": 1000.0, "M4": 250.0, "M5": 1000.0, "M6": 1000.0}
SHORTENED = {
    ("nest", "M1", 100000): 200.0,
    ("nest", "M3", 12500): 250.0,
    ("nest", "M6", 100000): 100.0,
    ("nest", "M6", 1000000): 100.0,
    ("brian2", "M3", 12500): 250.0,
    ("brian2", "M6", 1000000): 100.0,
}


def model(key: str) -> RandomNetwork | MicrocircuitModel:
    """The model of this key; numbers of its network may be replaced, as in ``"M6:pacemaker_fraction=0.05"``.

    Examples
    --------
    >>> model("M1").indegree_E
    64
    >>> model("M6:pacemaker_fraction=0.05,delay=2").pacemakers(1000)
    50
    """
    name, _, changes = key.partition(":")
    if name not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {name!r}")
    base = MODELS[name]
    if not changes:
        return base
    values = {}
    for change in changes.split(","):
        field, _, value = change.partition("=")
        old = getattr(base, field, None)
        if field not in {f.name for f in fields(base)} or not isinstance(old, (int, float)):
            raise ValueError(f"{name} has no number named {field!r} to replace")
        values[field] = type(old)(float(value))
    return replace(base, key=key, **values)


def default_duration(key: str, size: float, peer: str = "neurosim") -> float:
    """Biological time, ms, that ``peer`` simulates of this model unless told otherwise."""
    model(key)
    name, family = key.partition(":")[0], peer.partition("-")[0]
    return SHORTENED.get((family, name, size), DURATION[name])


def synaptic_events(key: str, size: float, spikes: int) -> float:
    """Recurrent synaptic events: spikes times the mean number of synapses of a neuron; Poisson input is not counted."""
    net = model(key)
    return spikes * net.synapses(size) / net.neurons(size)
