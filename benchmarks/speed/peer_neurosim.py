"""The benchmark models in neurosim, as `neurosim.models` ships them (M4, which is not shipped, from its numbers).

The spikes of all neurons are recorded and come back as arrays, as they do for every user; the peers only count theirs.
"""

from dataclasses import fields, replace

import neurosim.kernels.engine  # what a Simulation would load: Numba is an import, not a part of building
import numpy as np

import neurosim
from neurosim import (
    FixedNumberPreConnector,
    IF_curr_delta,
    MultiplicativeWeightDependence,
    Network,
    Simulation,
    SpikePairRule,
    STDPMechanism,
    Uniform,
)
from neurosim.models import MODELS, brunel, coba, cuba, sparse

from . import measure, models

MODES = ("auto", "clock", "event")
SHIPPED = {"M1": ("cuba", cuba.NEURONS), "M2": ("coba", coba.NEURONS), "M3": ("brunel", brunel.NEURONS),
           "M6": ("sparse", sparse.NEURONS)}  # fmt: skip
"""Name in neurosim of each random network, and its number of neurons at scale 1."""
CHANGEABLE = {"pacemaker_fraction", "pacemaker_current"}
WARM_UP = 5.0
"""ms, simulated and undone before the clock starts: all that the run needs is compiled, or loaded, by then."""


def network(model_key: str, size: float, seed: int) -> Network:
    """One benchmark model as a network that records all spikes.

    Raises
    ------
    measure.NotAvailableError
        For a model, or a change of one, that neurosim lacks.
    """
    net, key = models.model(model_key), model_key.partition(":")[0]
    if key == "M5":
        return MODELS["microcircuit"].build(scale=size, seed=seed, dt=models.DT)
    if key == "M4":
        return _plastic(net, int(size), seed)
    name, neurons = SHIPPED[key]
    built = MODELS[name].build(scale=size / neurons, seed=seed, dt=models.DT)
    usual = replace(models.model(key), key=net.key)
    changed = {f.name for f in fields(net) if getattr(net, f.name) != getattr(usual, f.name)}
    if fixed := sorted(changed - CHANGEABLE):
        raise measure.NotAvailableError(f"neurosim is measured without changes of {', '.join(fixed)}")
    if changed:
        current = np.zeros(built["exc"].size)
        current[: net.pacemakers(size)] = net.pacemaker_current
        built["exc"].set(i_offset=current)
    return built


def _plastic(net: models.RandomNetwork, size: int, seed: int) -> Network:
    """M4, from the numbers that the peers get; the delay is the axon's, as the model says."""
    stdp, cell = net.stdp, net.cell
    made = Network(seed, net.title)
    kind = IF_curr_delta(v_rest=cell.v_rest, v_thresh=cell.v_thresh, v_reset=cell.v_reset, tau_m=cell.tau_m, tau_refrac=cell.tau_refrac)
    exc = made.population(net.excitatory(size), kind, "exc")
    inh = made.population(size - net.excitatory(size), kind, "inh")
    learns = STDPMechanism(
        SpikePairRule(stdp.tau_plus, stdp.tau_minus, stdp.learning_rate, stdp.learning_rate * stdp.alpha),
        MultiplicativeWeightDependence(0.0, stdp.w_max), dendritic_delay_fraction=0.0,
    )
    for pre, indegree, weight, receptor in ((exc, net.indegree_E, net.weight_E, "excitatory"),
                                            (inh, net.indegree_I, -abs(net.weight_I), "inhibitory")):
        for post in (exc, inh):
            made.project(pre, post, FixedNumberPreConnector(indegree, with_replacement=True), weight=weight, delay=net.delay,
                         receptor=receptor, synapse=learns if pre is post is exc else None)
    for cells in (exc, inh):
        cells.initialize(v=Uniform(*net.v_init))
        made.poisson_input(cells, net.poisson_rate, net.weight_E)
    made.record([exc, inh], "spikes")
    return made


def run(model_key: str, size: float, duration: float, threads: int = 1, seed: int = 1, mode: str = "auto") -> dict:
    """Build and simulate one model in neurosim, from time 0; see :func:`measure.row` for what it returns.

    Loading the loop, and a short run after which the simulation is put back to time 0, count in ``compile_s``; kernels
    that make synapses are compiled where they are used, in ``build_s`` (as in Brian2 with Cython).

    Parameters
    ----------
    model_key : str
        A key of :func:`models.model`, perhaps with changes: "M6:pacemaker_fraction=0.05".
    size : float
        Number of neurons; for M5 the scale.
    duration : float
        ms.
    mode : {"auto", "clock", "event"}
        How neurons are updated.
    """
    warm = any(neurosim.kernels.cache_directory().rglob("*.nbi"))
    described = network(model_key, size, seed)
    with measure.Stopwatch() as build:
        simulation = Simulation(described, dt=models.DT, seed=seed, threads=threads, update=mode)
    with measure.Stopwatch() as compiling:
        simulation.run(WARM_UP)
        simulation.reset()
    with measure.Stopwatch() as sim:
        result = simulation.run(duration)
    spikes = sum(result.spikes(label).count for label in result.populations)
    return measure.row(
        model_key, size, duration, peer="neurosim" if mode == "auto" else f"neurosim-{mode}",
        version=neurosim.__version__, threads=threads, seed=seed, spikes=spikes, cache="warm" if warm else "cold",
        import_s=0.0, compile_s=simulation.compile_seconds + compiling.wall,
        build_s=build.wall - simulation.compile_seconds, wall_s=sim.wall, cpu_s=sim.cpu,
        peak=measure.peak_mb(), update=mode,
    )  # fmt: skip


if __name__ == "__main__":
    measure.main(run, MODES)
