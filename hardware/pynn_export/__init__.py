"""A `Network` on any PyNN simulator: ``export(network, "nest")`` runs it there, `write_script` makes a program that needs no neurosim.

    from neurosim.hardware.pynn_export import export

    there = export(network, "nest")
    print(there.report)                    # what was listed, rounded, or is different there
    result = there.run(1000.0)             # a Result, as that of the engine
    result.spikes("exc") == simulation.result.spikes("exc")

The network is evaluated first, into plain data in PyNN's words (`plan`); what PyNN or the simulator lacks is refused by name before
anything is made.  `script` builds and runs that data; a written script is its source, with the data in a file beside it.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import os
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from neurosim import __version__
from neurosim.description import check_dt
from neurosim.errors import FileFormatError, NetworkError, ParameterError
from neurosim.network import Network, Projection
from neurosim.parameters import numbers
from neurosim.result import Result, Spikes, Trace, Weights, populations_of

from ..packing import packed
from . import script, targets
from .plan import Note, Plan, make_plan

__all__ = ["Export", "Note", "export", "write_script"]


class Export:
    """A network that was built on a PyNN simulator; made by :func:`export`.

    Attributes
    ----------
    network : Network
    sim : module
        PyNN's module of the simulator.
    dt : float
        ms.
    populations : dict
        PyNN's populations, by the labels of the network.
    projections : dict of list
        PyNN's projections, by label; more than one where a simulator cannot hold two synapses of a pair in one.
    report : list of Note
        What was rounded, listed, expanded or left out, and what is different there.
    """

    def __init__(self, network: Network, sim: ModuleType, made: Plan, seed: int, options: dict[str, Any]) -> None:
        self.network, self.sim, self.dt, self.seed, self.report = network, sim, float(made.data["dt"]), seed, list(made.notes)
        self._data, self._t = made.data, 0.0
        if script.short(sim) == "neurosim":
            options = {"rng_seed": seed, **options}
        self._model = script.build(sim, made.data, seed, **options)
        self.populations, self.projections = self._model.populations, self._model.projections

    def __repr__(self) -> str:
        return f"<{self.network.label} on {script.short(self.sim)}: {len(self.populations)} populations, at {self._t:g} ms>"

    def run(self, duration: float) -> Result:
        """Simulate ``duration`` ms more; returns what was recorded meanwhile.

        Raises
        ------
        ParameterError
            If the duration is not > 0 ms.
        """
        number = numbers(duration)
        if number is None or number.ndim or not 0 < number < np.inf:
            raise ParameterError(f"duration must be > 0 ms, got {duration!r}")
        began = self._t
        self.sim.run(float(duration))
        self._t = began + float(duration)
        return self._result(began)

    @property
    def result(self) -> Result:
        """All that was recorded since the start."""
        return self._result(0.0)

    def weights(self, projection: Projection | str) -> Weights:
        """The synapses of a projection as the simulator holds them now, by target, then source, then weight.

        Raises
        ------
        NetworkError
            If no such projection was made.
        """
        label = projection if isinstance(projection, str) else projection.label
        if label not in self.projections:
            raise NetworkError(f"{self.network.label} has no projection {label!r} here; it has {', '.join(self.projections) or 'none'}")
        rows = [np.array(part.get("weight", format="list"), dtype=float).reshape(-1, 3) for part in self.projections[label]]
        pre, post, weight = np.concatenate(rows).T
        order = np.lexsort((weight, pre, post))
        unit = next(one.weight_unit for one in [*self.network.projections, *_ends(self.network)] if one.label == label)
        return Weights(weight[order], unit, pre[order].astype(np.int32), post[order].astype(np.int32))

    def end(self) -> None:
        """Tell the simulator that nothing follows."""
        self.sim.end()

    def _result(self, began: float) -> Result:
        known = populations_of(self.network)
        spikes, traces = {}, {}
        for one in self._data["records"]:
            label, variable = one["population"], one["variable"]
            chosen = None if one["indices"] is None else np.array(one["indices"])
            found = script.recorded(self._model, label, variable)
            now = found[0] > began + 0.5 * self.dt if began else np.ones(found[0].size, bool)
            now &= found[0] < self._t + 0.5 * self.dt
            if variable == "spikes":
                spikes[label] = Spikes(found[0][now], found[1][now], known[label].size, began, self._t, chosen, label)
            else:
                unit = self.network[label].cell.states[variable].unit
                traces[label, variable] = Trace(found[0][now], found[1], found[2][now], unit)
        return Result(label=self.network.label, dt=self.dt, t_start=began, t_stop=self._t, seed=self.seed, populations=known,
                      spikes=spikes, traces=traces, provenance={
                          "neurosim": __version__, "PyNN": _version("PyNN"), "simulator": script.short(self.sim), "dt": self.dt,
                          "seed": self.seed, "network_seed": self.network.seed, "network": str(self.network.describe(self.dt)),
                          "report": [str(note) for note in self.report]})


def export(network: Any, sim: ModuleType | str, dt: float | None = None, seed: int = 1, weights: Any = None, frozen: bool = False,
           **options: Any) -> Export:
    """Build a network on a PyNN simulator.

    Parameters
    ----------
    network : Network or Simulation
        Of a simulation, the weights that its projections have now are taken.
    sim : module or str
        A PyNN module such as ``pyNN.nest``, or its name: ``"nest"``, ``"neuron"``, ``"brian2"``, ``"mock"``, ``"spiNNaker"``,
        ``"neurosim.pynn"``.
    dt : float, optional
        Step, ms; the simulation's, or 0.1.
    seed : int
        Of all that the simulator draws itself (Poisson sources, noise).  The graph, weights, delays and parameters are the network's.
    weights : Simulation, optional
        Where to take weights from that changed.
    frozen : bool
        Leave learning, homeostasis and structural plasticity out: synapses stay as they are.
    **options
        For the simulator's ``setup``, such as ``threads=4`` for NEST.

    Returns
    -------
    Export

    Raises
    ------
    NetworkError
        For what PyNN or this simulator does not have, all of it in one message; nothing was built then.
    ParameterError
        For a simulator that there is not, a seed that is not a whole number, or a bad dt.
    """
    network, simulation, dt = _given(network, dt, seed, weights)
    module = _module(sim)
    made = _checked(network, script.short(module), dt, simulation, frozen, module)
    return Export(network, module, made, seed, options)


def write_script(network: Any, path: str | os.PathLike, sim: str = "nest", duration: float = 1000.0, dt: float | None = None,
                 seed: int = 1, weights: Any = None, frozen: bool = False) -> list[Note]:
    """Write a PyNN program that runs a network, and the data file beside it; neither needs neurosim.

    ``python network.py`` runs it on ``sim``, ``python network.py brian2`` elsewhere, ``mpirun -n 4 python network.py nest`` on several
    processes.  It gathers what the network records, and writes it as ``.npz``.

    Parameters
    ----------
    path : path
        Of the program, ending in ``.py``; the data gets the same name with ``.npz``.  Files of that name are replaced.
    sim : str
        The simulator that it runs on by default; need not be installed here.
    duration : float
        ms, by default.
    network, dt, seed, weights, frozen
        As for :func:`export`.

    Returns
    -------
    list of Note
        The report, which is in the program's comments too.

    Raises
    ------
    NetworkError, ParameterError
        As :func:`export`.
    FileFormatError
        If the files cannot be written, or the name does not end in ``.py``.
    """
    network, simulation, dt = _given(network, dt, seed, weights)
    program = Path(path)
    if program.suffix != ".py":
        raise FileFormatError(f"the name of a program must end in .py, got {os.fspath(path)!r}")
    made = _checked(network, sim, dt, simulation, frozen, None)
    refused = {name: targets.checks(name, made.data)[0] for name in targets.TARGETS}
    data = {**made.data, "neurosim": __version__, "seed": seed, "duration": float(duration), "refused": refused}
    arrays: dict[str, np.ndarray] = {}
    told = json.dumps(packed(data, arrays))
    try:
        np.savez_compressed(program.with_suffix(".npz"), network=np.array(told), **arrays)
        program.write_text(_program(made, program, sim, float(duration)), encoding="utf-8")
    except OSError as error:
        raise FileFormatError(f"cannot write {program}: {error.strerror or error}") from error
    return made.notes


# ------------------------------------------------------------------------------------------ arguments


def _given(network: Any, dt: float | None, seed: Any, weights: Any) -> tuple[Network, Any, float]:
    simulation = weights
    if not isinstance(network, Network):
        if not isinstance(getattr(network, "network", None), Network) or weights is not None:
            raise ParameterError(f"export needs a Network, or a Simulation and no weights, got {network!r:.200}")
        network, simulation = network.network, network
    if simulation is not None:
        if getattr(simulation, "network", None) is not network:
            raise ParameterError(f"weights must be a Simulation of {network.label}, got {simulation!r:.200}")
        if dt is not None and dt != simulation.dt:
            raise ParameterError(f"dt must be that of the simulation, {simulation.dt:g} ms, got {dt:g} ms")
        dt = simulation.dt
    dt = 0.1 if dt is None else dt
    check_dt(dt, "export: dt")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 < seed < 2**31:
        raise ParameterError(f"export: seed must be a whole number > 0 and < 2**31, got {seed!r}")
    if not network.populations:
        raise NetworkError(f"{network.label} has no population: there is nothing to export")
    return network, simulation, float(dt)


def _module(sim: Any) -> ModuleType:
    """The PyNN module, by itself or its name."""
    if isinstance(sim, str):
        try:
            return script.simulator(sim)
        except ModuleNotFoundError as error:
            raise ParameterError(f"export: sim={sim!r} cannot be imported: {error}") from error
    if not isinstance(sim, ModuleType) or not all(hasattr(sim, name) for name in ("setup", "Population", "Projection", "run")):
        raise ParameterError(f"export: sim must be a PyNN module such as pyNN.nest, or its name, got {sim!r:.200}")
    return sim


def _checked(network: Network, name: str, dt: float, simulation: Any, frozen: bool, module: ModuleType | None) -> Plan:
    """The plan; raises for all that is refused, in one message."""
    made = make_plan(network, dt, simulation, frozen)
    problems, notes = targets.checks(name, made.data)
    problems = [*made.problems, *(script.missing(module, made.data) if module is not None else []), *problems]
    if problems:
        raise NetworkError("\n  ".join([f"{network.label} cannot be exported to {name}:", *dict.fromkeys(problems)]))
    made.notes += notes
    return made


def _ends(network: Network) -> list[Any]:
    """Poisson inputs as something that has a label and a unit of weights."""
    return [type("End", (), {"label": one.label, "weight_unit": one.target.cell.weight_unit}) for one in network.inputs]


# ------------------------------------------------------------------------------------------ the program


def _program(made: Plan, path: Path, sim: str, duration: float) -> str:
    """The program's text: what it is, and the source of `script`."""
    data = made.data
    lines = [f"{data['label']}: {duration:g} ms in steps of {data['dt']:g} ms on a PyNN simulator.", "",
             f"Written by neurosim {__version__} (NumPy {np.__version__}, PyNN {_version('PyNN')}); it needs NumPy, PyNN and a simulator.",
             "", f"    python {path.name}                      on {sim}", f"    python {path.name} brian2               elsewhere",
             f"    mpirun -n 4 python {path.name} nest     on four processes (NEST built with MPI, and mpi4py)", "",
             f"The network is in {path.with_suffix('.npz').name}:", ""]
    lines += [f"    {one['label']}: {one['size']} {one['cell']}" for one in data["populations"]]
    for one in data["projections"]:
        count = one["pre"].size if one["connector"] == "list" else one["connector"]
        synapse = one["synapse"]["type"]
        lines.append(f"    {one['pre_population']} to {one['post_population']}, {one['receptor']}, {synapse}: {count} synapses")
    lines += ["", f"What was changed for {sim}, and what is different there:", ""]
    for note in made.notes or ["nothing"]:
        lines += textwrap.wrap(str(note), 116, initial_indent="    * ", subsequent_indent="      ")
    docstring = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    source = inspect.getsource(script)
    body = source.split('"""', 2)[2].lstrip("\n")
    tail = f'\n\nif __name__ == "__main__":\n    main({sim!r}, Path(__file__).with_suffix(".npz"))\n'
    return f'"""{docstring}\n"""\n\n{body.rstrip()}\n{tail}'


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
