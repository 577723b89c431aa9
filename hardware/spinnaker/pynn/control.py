"""`setup`, `run`, `reset`, `end`, questions about time, and what sPyNNaker is told of the machine."""

from __future__ import annotations

from typing import Any

from pyNN import common, space
from pyNN.recording import get_io

from neurosim.network import Network

from . import simulator
from .connectors import FixedProbabilityConnector
from .errors import ConfigurationException, SpynnakerException, note
from .models import MachineCell
from .populations import Population
from .projections import Projection
from .synapses import StaticSynapse

__all__ = ["connect", "create", "describe_network", "distance", "end", "get_current_time", "get_max_delay", "get_min_delay",
           "get_time_step", "initialize", "machine_settings", "name", "num_processes", "rank", "record", "reset", "run",
           "run_for", "run_until", "set_allow_delay_extensions", "set_number_of_neurons_per_core", "set_number_of_synapse_cores",
           "setup"]


def setup(timestep: Any = None, min_delay: Any = "auto", max_delay: Any = None, database_socket_addresses: Any = None,
          time_scale_factor: int | None = None, n_chips_required: int | None = None, n_boards_required: int | None = None,
          **extra_params: Any) -> int:
    """Forget what was there and begin anew.

    Parameters
    ----------
    timestep : float or "auto", optional
        Step, ms; 1.0 if "auto", 0.1 with a warning if left out, as in sPyNNaker.
    min_delay : float or "auto"
        ms; the delay of synapses that are given none.
    max_delay : float, optional
        Ignored, with a warning.
    time_scale_factor : int, optional
        How many times slower than real time a board would run.
    database_socket_addresses, n_chips_required, n_boards_required
        For a board: passed over.
    rng_seed : int, optional
        Decides Poisson spikes and all that is drawn for populations without a ``seed=``.  1 by default.
    progress : bool, optional
        Show a bar while running.

    Returns
    -------
    int
        The rank of this process: 0.
    """
    if timestep is None:
        note("setup() without timestep takes PyNN's 0.1 ms, which SpiNNaker keeps up with only at time_scale_factor=10; 1.0 is usual")
        timestep = 0.1
    timestep = 1.0 if timestep == "auto" else float(timestep)
    if max_delay:
        note("max_delay is ignored, as in sPyNNaker: each population has its own")
    if n_chips_required is not None and n_boards_required is not None:
        raise ConfigurationException("give n_boards_required or n_chips_required, not both")
    common.setup(timestep, timestep if min_delay == "auto" else min_delay, **extra_params)
    unknown = [one for one in extra_params if one not in ("rng_seed", "progress")]
    if unknown:
        note(f"setup: {', '.join(unknown)} is not considered")
    simulator.state.begin(timestep, timestep if min_delay == "auto" else min_delay, time_scale_factor=time_scale_factor or 1,
                          seed=extra_params.get("rng_seed", 1), progress=extra_params.get("progress", False))
    simulator.state.active = True
    return rank()


def distance(src_cell: Any, tgt_cell: Any, mask: Any = None, scale_factor: float = 1.0, offset: float = 0.0,
             periodic_boundaries: Any = None) -> float:
    """Euclidean distance of two cells; see `pyNN.space.distance`."""
    return space.distance(src_cell, tgt_cell, mask, scale_factor, offset, periodic_boundaries)


def end(_: Any = True) -> None:
    """Write what `record(to_file=...)` asked for."""
    if not simulator.state.active:
        note("end() without setup() is ignored")
        return
    for population, variables, filename in simulator.state.write_on_end:
        population.write_data(get_io(filename) if isinstance(filename, str) else filename, variables)
    simulator.state.write_on_end = []
    simulator.state.active = False


def describe_network() -> Network:
    """The script's network as a `neurosim.Network`: to be checked, exported to a board, compared with the exact engine."""
    return simulator.state.describe()


def machine_settings() -> dict[str, Any]:
    """What the machine is told besides the network: keywords of `Emulation`, `emulate` and `check`, ``dt`` among them."""
    simulator.state.describe()
    return {"dt": simulator.state.dt, **simulator.state.settings()}


def name() -> str:
    """What this is."""
    return simulator.name


_run, _run_until = common.build_run(simulator)


def run_until(tstop: float) -> float:
    """Run to a time, ms, rounded to whole steps; returns the time now."""
    simulator.state.check_active()
    return _run_until(round(tstop / simulator.state.dt) * simulator.state.dt, None)


def run(simtime: float, callbacks: Any = None) -> float:
    """Run for ``simtime`` ms, rounded to whole steps; returns the time now.

    Raises
    ------
    neurosim.errors.NetworkError
        For a network that the machine cannot hold: what it cannot, why, and what to do instead.
    NotImplementedError
        If populations, projections or recordings were added since the last run, without `reset`.
    """
    simulator.state.check_active()
    return _run_until(round((simulator.state.t + simtime) / simulator.state.dt) * simulator.state.dt, callbacks)


def reset(annotations: Any = None) -> None:
    """Back to time 0: initial values, weights as described, a new segment of recorded data; what to record stays chosen."""
    simulator.state.check_active()
    _reset(annotations or {})


run_for = run
_reset = common.build_reset(simulator)
initialize = common.initialize
create = common.build_create(Population)
connect = common.build_connect(Projection, FixedProbabilityConnector, StaticSynapse)
record = common.build_record(simulator)
get_current_time, get_time_step, get_min_delay, _, num_processes, rank = common.build_state_queries(simulator)


def get_max_delay() -> float:
    """Not there, as in sPyNNaker: each population has its own."""
    raise NotImplementedError("sPyNNaker has no longest delay of all: each population has its own (neurosim check tells it)")


# ------------------------------------------------------------------------------------------ of the machine


def set_number_of_neurons_per_core(neuron_type: Any, max_permitted: Any) -> None:
    """At most so many cells of a model on one core, of populations made from now on.

    Parameters
    ----------
    neuron_type : cell type
    max_permitted : int, tuple of int, or None
        None: as many as the model allows.
    """
    if not (isinstance(neuron_type, type) and issubclass(neuron_type, MachineCell)):
        raise ConfigurationException(f"set_number_of_neurons_per_core needs a cell type, such as sim.IF_curr_exp, got {neuron_type!r}")
    if max_permitted is None:
        simulator.state.per_core.pop(neuron_type, None)
        return
    count = 1
    for one in max_permitted if isinstance(max_permitted, (tuple, list)) else (max_permitted,):
        count *= int(one)
    most = neuron_type.most_per_core
    if count < 1 or (most and count > most):
        raise SpynnakerException(f"{neuron_type.__name__}: neurons per core must be at least 1 and at most {most or 'the population'},"
                                 f" got {max_permitted}")
    simulator.state.per_core[neuron_type] = count


def set_number_of_synapse_cores(neuron_type: Any, n_synapse_cores: int | None) -> None:
    """How many cores a board gives to synapses: spikes do not depend on it here, where all are on the neurons' core."""
    simulator.state.synapse_cores[neuron_type] = n_synapse_cores


def set_allow_delay_extensions(neuron_type: Any, allow_delay_extensions: bool) -> None:
    """Whether delays may be longer than a core's buffer: they always may here."""
    simulator.state.delay_extensions[neuron_type] = allow_delay_extensions
