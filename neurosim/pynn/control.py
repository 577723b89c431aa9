"""`setup`, `run`, `reset`, `end` and questions about time."""

from __future__ import annotations

from typing import Any

from pyNN import common
from pyNN.common.control import DEFAULT_MAX_DELAY, DEFAULT_MIN_DELAY, DEFAULT_TIMESTEP
from pyNN.recording import get_io

from ..network import Network
from . import simulator

__all__ = ["describe_network", "end", "get_current_time", "get_max_delay", "get_min_delay", "get_time_step", "initialize",
           "num_processes", "rank", "reset", "run", "run_for", "run_until", "setup"]


def setup(timestep: float = DEFAULT_TIMESTEP, min_delay: Any = DEFAULT_MIN_DELAY, **extra_params: Any) -> int:
    """Forget what was there and begin anew; the first time, load the compiled simulator.

    Parameters
    ----------
    timestep : float
        Step, ms.
    min_delay : float or "auto"
        ms; the delay of synapses that are given none.
    max_delay : float or "auto", optional
        ms.
    rng_seed : int, optional
        Decides Poisson spikes, noise and what the library itself draws; segments after a `reset` have others.  1 by default.
    threads : int, optional
        The spikes do not depend on it.
    update : {"auto", "clock", "event"}, optional
    progress : bool, optional
        Show a bar while simulating.

    Other keywords, which other simulators know, are passed over.

    Returns
    -------
    int
        The rank of this process: 0.
    """
    common.setup(timestep, min_delay, **extra_params)
    known = {key: extra_params[key] for key in ("threads", "update", "progress") if key in extra_params}
    simulator.load()
    simulator.state.begin(timestep, min_delay, extra_params.get("max_delay", DEFAULT_MAX_DELAY),
                          seed=extra_params.get("rng_seed", 1), **known)
    return rank()


def end(compatible_output: bool = True) -> None:
    """Write what `record(to_file=...)` asked for."""
    for population, variables, filename in simulator.state.write_on_end:
        population.write_data(get_io(filename), variables)
    simulator.state.write_on_end = []


def describe_network() -> Network:
    """The script's network as a `neurosim.Network`: to be counted, drawn, exported, or simulated apart from PyNN."""
    return simulator.state.describe()


_run, _run_until = common.build_run(simulator)


def run_until(time_point: float, callbacks: Any = None) -> float:
    return _run_until(round(time_point / simulator.state.dt) * simulator.state.dt, callbacks)


def run(simtime: float, callbacks: Any = None) -> float:
    return run_until(simulator.state.t + simtime, callbacks)


run.__doc__, run_until.__doc__ = _run.__doc__, _run_until.__doc__
run_for = run
reset = common.build_reset(simulator)
initialize = common.initialize
get_current_time, get_time_step, get_min_delay, get_max_delay, num_processes, rank = common.build_state_queries(simulator)
