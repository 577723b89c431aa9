"""The benchmark models M1 to M6: one description of their numbers, read by every peer.

Units are those of the library: ms, mV, nA, nF, uS, Hz. Names are PyNN's. All models: dt = 0.1 ms, spikes on the grid,
the first 80 % of the neurons excitatory, and every neuron has the same number of inputs, with sources drawn
uniformly.

=====  ===============================================================================  ==================
M1     current-based, Vogels & Abbott; benchmark 2 of Brette et al. 2007                 4000, 20000, 100000
M2     conductance-based, benchmark 1 of Brette et al. 2007, with a constant drive       4000, 20000
M3     Brunel 2000, order 2500, asynchronous irregular (g = 5, eta = 2)                  12500
M4     M3, smaller, with STDP between excitatory neurons                                 10000
M5     microcircuit of Potjans & Diesmann 2014; its size is the scale of both neurons   0.1, 1
       and inputs
M6     a large network in which 1 % of the neurons fire and the others listen            100000, 1000000
=====  ===============================================================================  ==================

neurosim measures the models that it ships (`neurosim.models`); a test holds their numbers against those written here
for the peers. The microcircuit's arrays are read from there.

References
----------
Brette R et al. (2007) J Comput Neurosci 23:349-398, doi:10.1007/s10827-007-0038-6.
Brunel N (2000) J Comput Neurosci 8:183-208, doi:10.1023/A:1008925309027.
Potjans TC, Diesmann M (2014) Cereb Cortex 24:785-806, doi:10.1093/cercor/bhs358.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from neurosim.models import microcircuit as shipped

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


def _nA(mV: float, cell: CurrentCell) -> float:
    """The current that the equations of Vogels & Abbott write as a voltage."""
    return mV * cell.cm / cell.tau_m


def _current_based() -> RandomNetwork:
    cell = CurrentCell(v_rest=-49.0, v_thresh=-50.0, v_reset=-60.0)
    return RandomNetwork(
        key="M1", title="CUBA", cell=cell, indegree_E=64, indegree_I=16, delay=DT, v_init=(-60.0, -50.0),
        weight_E=_nA(1.62, cell), weight_I=_nA(-9.0, cell), sizes=(4000, 20000, 100000),
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
        pacemaker_fraction=0.01, pacemaker_current=_nA(12.0, cell), sizes=(100000, 1000000),
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
        ms; a normal distribution, redrawn below one step and rounded to steps.
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


def microcircuit(scale: float = 0.1) -> Microcircuit:
    """The microcircuit with both the neurons and the inputs of each scaled: the numbers of `neurosim.models`.

    Weights grow by 1/sqrt(scale), and a constant current replaces the mean input that is lost, so that mean and
    variance of the input stay those of the full network (van Albada et al. 2015, doi:10.1371/journal.pcbi.1004490).

    Examples
    --------
    >>> m = microcircuit(0.1)
    >>> int(m.sizes.sum()), int(m.synapses.sum() // 1000)
    (7717, 2988)
    """
    circuit = shipped.circuit(scale)
    cell = CurrentCell(**{f.name: float(getattr(shipped.CELL, f.name)) for f in fields(CurrentCell)})
    delay = np.tile(shipped.DELAY, (8, 4))
    v_init, v_init_sd = shipped.V_INIT["optimized"]
    return Microcircuit(
        names=shipped.POPULATIONS,
        sizes=circuit.sizes,
        synapses=circuit.synapses,
        weight=circuit.weight,
        weight_sd=shipped.WEIGHT_SD * np.abs(circuit.weight),
        delay=delay,
        delay_sd=shipped.DELAY_SD * delay,
        i_offset=circuit.i_offset,
        poisson_inputs=np.round(circuit.external_rate / shipped.BACKGROUND_RATE).astype(np.int64),
        poisson_rate=shipped.BACKGROUND_RATE,
        poisson_weight=circuit.external_weight,
        v_init=v_init,
        v_init_sd=v_init_sd,
        cell=cell,
    )


@dataclass(frozen=True)
class MicrocircuitModel:
    """M5: its size is the scale, 1 for the published circuit; the arrays come from :func:`microcircuit`."""

    key: str = "M5"
    title: str = "microcircuit"
    sizes: tuple[float, ...] = (0.1, 1)

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
OTHER_DURATION = {
    ("neurosim", "M5", 1): 10000.0,
    ("nest", "M1", 100000): 200.0,
    ("nest", "M2", 20000): 250.0,
    ("nest", "M3", 12500): 250.0,
    ("nest", "M5", 1): 200.0,
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
    return OTHER_DURATION.get((family, name, size), DURATION[name])


def synaptic_events(key: str, size: float, spikes: int) -> float:
    """Recurrent synaptic events: spikes times the mean number of synapses of a neuron; Poisson input is not counted."""
    net = model(key)
    return spikes * net.synapses(size) / net.neurons(size)
