"""A `Network` as a program for SpiNNaker that needs no neurosim: the source of `script`, with the data in a file beside it."""

from __future__ import annotations

import inspect
import json
import os
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from neurosim import __version__
from neurosim.errors import FileFormatError, ParameterError
from neurosim.network import Network
from neurosim.parameters import numbers

from ..packing import packed
from . import script
from .check import stored
from .deployment import Deployment, Settings
from .limits import VERSION
from .plain import deployed, plain

__all__ = ["changes", "write_script"]

_EXACT = 1e-12  # of a weight


def changes(deployment: Deployment) -> list[str]:
    """What is different on the machine: the deployment's notes; of each projection, how far delays and weights are from those asked for."""
    told = list(deployment.notes)
    for loaded in deployment.synapses:
        one, said = stored(deployment, loaded), []
        if one.moved:
            which = "all delays" if one.moved == one.synapses else f"{one.moved} of {one.synapses} delays"
            said.append(f"{which} moved to whole steps, by <= {one.off:.2g} ms")
        if one.worst > _EXACT * one.greatest:
            zeros = f", {one.zeros} are 0" if one.zeros else ""
            said.append(f"weights stored in steps of {one.step:.3g} {one.unit}, the worst error {one.worst:.2g} {one.unit}"
                        f" ({100.0 * one.relative:.2g} %){zeros}")
        if said:
            told.append(f"{'projection' if loaded.projection else 'Poisson input'} {one.label}: {'; '.join(said)}")
    return told


def write_script(network: Network, path: str | os.PathLike, duration: float = 1000.0, settings: Settings | None = None,
                 **overrides: Any) -> list[str]:
    """Write a program that runs a network on SpiNNaker, and the data file beside it; neither needs neurosim.

    ``python network.py`` runs it on the board of ``~/.spynnaker.cfg`` and writes what was recorded as ``.npz``; ``--virtual`` maps
    it only.

    Parameters
    ----------
    path : path
        Of the program, ending in ``.py``; the data gets the same name with ``.npz``.  Files of that name are replaced.
    duration : float
        ms, by default.
    network, settings, **overrides
        As for :func:`export`.

    Returns
    -------
    list of str
        What was changed or is different there, which is in the program's comments too.

    Raises
    ------
    NetworkError, ParameterError
        As :func:`export`.
    FileFormatError
        If the files cannot be written, or the name does not end in ``.py``.
    """
    program = Path(path)
    if program.suffix != ".py":
        raise FileFormatError(f"the name of a program must end in .py, got {os.fspath(path)!r}")
    number = numbers(duration)
    if number is None or number.ndim or not 0 < number < np.inf:
        raise ParameterError(f"duration must be > 0 ms, got {duration!r}")
    deployment = deployed(network, settings, **overrides)
    notes, arrays = changes(deployment), dict[str, np.ndarray]()
    told = json.dumps(packed({**plain(deployment), "neurosim": __version__, "duration": float(duration)}, arrays))
    try:
        np.savez_compressed(program.with_suffix(".npz"), network=np.array(told), **arrays)  # type: ignore[arg-type]
        program.write_text(_program(deployment, program, float(duration), notes), encoding="utf-8")
    except OSError as error:
        raise FileFormatError(f"cannot write {program}: {error.strerror or error}") from error
    return notes


def _program(deployment: Deployment, path: Path, duration: float, notes: list[str]) -> str:
    """The program's text: what it is, and the source of `script`."""
    lines = [f"{deployment.network.label}: {duration:g} ms in steps of {deployment.settings.dt:g} ms on SpiNNaker.", "",
             f"Written by neurosim {__version__} for sPyNNaker {VERSION}; it needs NumPy and sPyNNaker.", "",
             f"    python {path.name}             on the board of ~/.spynnaker.cfg",
             f"    python {path.name} --virtual   mapped onto a board that is not there", "",
             f"The network is in {path.with_suffix('.npz').name}:", ""]
    lines += [f"    {one.label}: {one.size} {one.model}, at most {one.per_core} a core" for one in deployment.cells]
    for one in deployment.synapses:
        pre, post = deployment.cells[one.pre], deployment.cells[one.post]
        lines.append(f"    {pre.label} to {post.label}, {post.receptors[one.receptor]}: {one.source.size} synapses")
    lines += ["", "What was changed, and what is different there:", ""]
    for note in notes or ["nothing"]:
        lines += textwrap.wrap(note, 116, initial_indent="    * ", subsequent_indent="      ")
    docstring = "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")
    body = inspect.getsource(script).split('"""', 2)[2].lstrip("\n")
    tail = '\n\nif __name__ == "__main__":\n    main(Path(__file__).with_suffix(".npz"))\n'
    return f'"""{docstring}\n"""\n\n{body.rstrip()}\n{tail}'
