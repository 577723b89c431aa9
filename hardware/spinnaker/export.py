"""A `Network` on SpiNNaker through the real sPyNNaker: a board, or sPyNNaker's virtual board, which maps and does not simulate.

    from neurosim.hardware.spinnaker.export import export, write_script

    with export(network) as there:             # the virtual board
        there.placement                        # cores, as sPyNNaker placed them
        there.weights("exc to inh")            # as they will be on the machine
    export(network, virtual=False).run(1000.0) # the board of ~/.spynnaker.cfg: a Result, as that of the engine
    write_script(network, "network.py")        # a program that needs no neurosim

What is exported is a `Deployment`: the same numbers that `check` reports and that the emulator runs.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neurosim import __version__
from neurosim.errors import NetworkError, ParameterError, SimulationError
from neurosim.extras import need
from neurosim.network import Network, Projection
from neurosim.parameters import numbers
from neurosim.result import Result, Spikes, Trace, Weights, populations_of

from . import script
from .cells import MODELS
from .deployment import Deployment, Settings
from .limits import VERSION
from .placement import edges_of
from .plain import deployed, plain, recorded_as
from .program import changes, write_script

__all__ = ["Core", "Export", "export", "write_script"]


class Core(NamedTuple):
    """A core as sPyNNaker placed it: chip and core, its program, its population, its cells (first to last), the SDRAM that sPyNNaker
    reckons (bytes, and bytes a step), and the routing keys (key, mask) of what it sends."""

    x: int
    y: int
    p: int
    binary: str
    label: str
    kind: str
    first: int
    last: int
    sdram: tuple[int, float]
    keys: tuple[tuple[int, int], ...]


class Export:
    """A network that was built by sPyNNaker; made by :func:`export`.

    sPyNNaker holds one network at a time: a later export takes its place.  Use it as a context, or call :meth:`end`.

    Attributes
    ----------
    deployment : Deployment
    network : Network
    virtual : bool
        Whether the board is virtual, by ``virtual=True`` or in the user's configuration.
    populations : dict
        sPyNNaker's populations, by label.
    projections : dict of list
        sPyNNaker's projections, by label.
    folder : Path or None
        Of a virtual board: where sPyNNaker's reports are, until :meth:`end`.
    """

    def __init__(self, deployment: Deployment, virtual: bool) -> None:
        self.deployment, self.network, self.virtual = deployment, deployment.network, virtual
        self._sim = need("pyNN.spiNNaker", "spinnaker")
        self._temporary = tempfile.TemporaryDirectory(prefix="spinnaker") if virtual else None
        self.folder = Path(self._temporary.name) if self._temporary else None
        self._there = script.Folder(self.folder)
        self._t, self._mapped, self._ended = 0.0, False, False
        self._mixed_up = {one.label for edge in edges_of(deployment) if edge.stages > 1 and edge.neurons > edge.per_core
                          for one in edge.synapses}
        with self._there:
            try:
                self._model = script.build(self._sim, plain(deployment))
            except Exception as error:
                if type(error).__name__ != "NoConfigFoundException":
                    raise
                raise SimulationError("no board is configured: name it in ~/.spynnaker.cfg, of which sPyNNaker has just written a template,"
                                      " or use virtual=True") from error
            self.virtual = need("spinn_utilities.config_holder", "spinnaker").get_config_bool("Machine", "virtual_board")
            if lines := script.missing_binaries(self._model.populations):
                self.end()
                raise NetworkError("\n  ".join([f"{self.network.label} cannot be exported to SpiNNaker:", *lines]))
        self.populations, self.projections = self._model.populations, self._model.projections

    def __repr__(self) -> str:
        where = "a virtual board" if self.virtual else "a board"
        return f"<{self.network.label} on {where}: {len(self.populations)} populations, at {self._t:g} ms>"

    def __enter__(self) -> Export:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.end()

    def end(self) -> None:
        """Tell sPyNNaker that nothing follows; the folder of a virtual board goes."""
        if self._ended:
            return
        self._ended = True
        if self._is_held():
            with self._there:
                self._sim.end()
        if self._temporary is not None:
            self._temporary.cleanup()

    def map(self, duration: float = 1000.0) -> None:
        """Have sPyNNaker place, route and write all that is to be loaded, for a run of so many ms; on a board this is part of `run`.

        Raises
        ------
        SimulationError
            On a board, or if sPyNNaker has another network by now.
        """
        if not self.virtual:
            raise SimulationError(f"{self.network.label}: on a board, run() maps and runs")
        self._run(duration)

    def run(self, duration: float) -> Result:
        """Run ``duration`` ms more on the board; returns what was recorded meanwhile.

        Raises
        ------
        ParameterError
            If the duration is not > 0 ms.
        SimulationError
            On a virtual board, which has no data.
        """
        if self.virtual:
            raise SimulationError(f"{self.network.label}: a virtual board maps and does not simulate, so there is no data; use"
                                  " virtual=False with a board, or hardware.spinnaker.emulation")
        began = self._t
        self._run(duration)
        return self._result(began)

    @property
    def placement(self) -> list[Core]:
        """The application cores, in the order in which sPyNNaker placed them."""
        self._after_mapping()
        view = need("spynnaker.pyNN.data", "spinnaker").SpynnakerDataView
        routing, found = view.get_routing_infos(), []
        for at in view.iterate_placemements():
            vertex = at.vertex
            if vertex.app_vertex is None:
                continue
            keys = [routing.get_info_from(vertex, name) for name in routing.get_partitions_from(vertex)]
            piece, memory = vertex.vertex_slice, vertex.sdram_required
            found.append(Core(at.x, at.y, at.p, vertex.get_binary_file_name(), vertex.app_vertex.label, type(vertex).__name__,
                              int(piece.lo_atom), int(piece.hi_atom), (int(memory.fixed), float(memory.per_timestep)),
                              tuple((int(one.key), int(one.mask)) for one in keys)))
        return found

    @property
    def shifts(self) -> dict[str, tuple[int, ...]]:
        """Of each population: its ring buffers' shifts, by receptor."""
        self._after_mapping()
        return {label: tuple(int(one) for one in self.populations[label]._vertex.get_ring_buffer_shifts())
                for label in self.populations if not self.deployment[label].is_source}

    @property
    def database(self) -> Path:
        """Path of sPyNNaker's database of what is written into each core's memory (``ds.sqlite3``)."""
        self._after_mapping()
        return Path(need("spynnaker.pyNN.data", "spinnaker").SpynnakerDataView.get_ds_database_path())

    def weights(self, projection: Projection | str) -> Weights:
        """The synapses of a projection as the machine holds them, magnitudes in its unit, by target, then source, then weight.

        Raises
        ------
        NetworkError
            If no such projection was made.
        SimulationError
            Before anything was mapped; and where delays reach beyond two ring buffers from several cores, since sPyNNaker 1!7.4.1
            mixes up their sources when it reads them (`database` holds them as they are).
        """
        values, pre, post = self._read(projection, "weight")
        return Weights(values, self._unit(projection), pre, post)

    def delays(self, projection: Projection | str) -> Weights:
        """Likewise the delays, ms."""
        values, pre, post = self._read(projection, "delay")
        return Weights(values, "ms", pre, post)

    # -------------------------------------------------------------------------------------- inside

    def _run(self, duration: float) -> None:
        number = numbers(duration)
        if number is None or number.ndim or not 0 < number < np.inf:
            raise ParameterError(f"duration must be > 0 ms, got {duration!r}")
        self._current()
        with self._there:
            self._sim.run(float(duration))
        self._t += float(duration)
        self._mapped = True

    def _is_held(self) -> bool:
        """Whether sPyNNaker holds this network, not a later one."""
        view = need("spynnaker.pyNN.data", "spinnaker").SpynnakerDataView
        if not hasattr(self, "_model") or not view.is_setup():
            return view.is_setup()
        mine = next(iter(self._model.populations.values()))._vertex
        return any(vertex is mine for vertex in view.iterate_vertices())

    def _current(self) -> None:
        """Raise if sPyNNaker no longer holds this network."""
        if self._ended:
            raise SimulationError(f"{self.network.label}: this export has ended")
        if not self._is_held():
            raise SimulationError(f"{self.network.label}: sPyNNaker has another network by now")

    def _after_mapping(self) -> None:
        self._current()
        if not self._mapped:
            raise SimulationError(f"{self.network.label}: nothing is mapped yet; call {'map' if self.virtual else 'run'}() first")

    def _unit(self, projection: Projection | str) -> str:
        label = projection if isinstance(projection, str) else projection.label
        found = next(one for one in self.deployment.synapses if one.label == label)
        return "uS" if self.deployment.cells[found.post].scale > 1.0 else "nA"

    def _read(self, projection: Projection | str, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        label = projection if isinstance(projection, str) else projection.label
        if label not in self.projections:
            raise NetworkError(f"{self.network.label} has no projection {label!r} here; it has {', '.join(self.projections) or 'none'}")
        self._after_mapping()
        if label in self._mixed_up:
            raise SimulationError(f"{label}: sPyNNaker {VERSION} mixes up the sources of delays beyond two ring buffers when it reads"
                                  " synapses of several cores; what is written is right, and can be read from Export.database")
        with self._there:
            rows = [np.array([tuple(row) for row in one.get(["weight", "delay"], "list")], dtype=float).reshape(-1, 4)
                    for one in self.projections[label]]
        pre, post, weight, delay = np.concatenate(rows).T
        order = np.lexsort((delay, weight, pre, post))
        return {"weight": weight, "delay": delay}[name][order], pre[order].astype(np.int32), post[order].astype(np.int32)

    def _result(self, began: float) -> Result:
        known, dt = populations_of(self.network), float(self.deployment.settings.dt)
        first, last = round(began / dt), round(self._t / dt)
        spikes, traces = {}, {}
        for one in self.deployment.records:
            said = script.recorded(self._model, one.label, recorded_as(self.deployment[one.label], one.variable))
            now = (said[0] >= first) & (said[0] < last)
            if one.variable == "spikes":
                spikes[one.label] = Spikes(said[0][now] * dt, said[1][now], known[one.label].size, began, self._t, one.ids, one.label)
                continue
            cells = self.deployment[one.label]
            factor = MODELS[cells.model].variables[one.variable][1] * 32768.0 if cells.model in MODELS else 1.0
            unit = self.network[one.label].cell.states[one.variable].unit
            traces[one.label, one.variable] = Trace(said[0][now] * dt, said[1], said[2][now] * factor, unit)
        settings = self.deployment.settings
        return Result(label=self.network.label, dt=dt, t_start=began, t_stop=self._t, seed=settings.seed, populations=known, spikes=spikes,
                      traces=traces, provenance={"neurosim": __version__, "sPyNNaker": _version(), "simulator": "SpiNNaker", "dt": dt,
                                                 "network_seed": self.network.seed, "network": str(self.network.describe(dt)),
                                                 "report": changes(self.deployment)})


def export(network: Network, settings: Settings | None = None, virtual: bool = True, **overrides: Any) -> Export:
    """Build a network by sPyNNaker, on its virtual board or for the board that is configured.

    Parameters
    ----------
    network : Network
    settings : Settings, optional
    virtual : bool
        Map onto a board that is not there, with a configuration in a temporary folder; else ``~/.spynnaker.cfg`` names the board.
    **overrides
        Fields of `Settings` to replace, such as ``dt=0.5``.

    Returns
    -------
    Export
        Of a virtual board, mapped.

    Raises
    ------
    NetworkError
        For all that cannot be deployed, in one message; nothing was built then.
    ParameterError
        For bad settings.
    SimulationError
        If no board is configured.
    ModuleNotFoundError
        Without sPyNNaker.
    """
    made = Export(deployed(network, settings, **overrides), virtual)
    if virtual:
        try:
            made.map()
        except BaseException:
            made.end()
            raise
    return made


def _version() -> str:
    try:
        return importlib.metadata.version("sPyNNaker")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
