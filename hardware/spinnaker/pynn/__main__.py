"""``python -m neurosim.hardware.spinnaker.pynn script.py ...``: run a script written for sPyNNaker, as it is, without a board.

``pyNN.spiNNaker``, ``spynnaker.pyNN`` and ``spynnaker8`` are this emulation in such a script; what is installed is left as it is.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from types import ModuleType

from neurosim.extras import need
from neurosim.pynn.__main__ import run_script

USAGE = ("usage: python -m neurosim.hardware.spinnaker.pynn SCRIPT [ARGUMENT ...]   (pyNN.spiNNaker, spynnaker.pyNN and spynnaker8 are"
         " emulated)")
NAMES = ("pyNN.spiNNaker", "spynnaker.pyNN", "spynnaker8")
PARTS = ("extra_models", "external_devices", "utilities", "utilities.neo_convertor")


def as_spynnaker() -> ModuleType:
    """Make this emulation importable under sPyNNaker's names, in this process, and return it."""
    pynn, emulation = need("pyNN", "pynn"), importlib.import_module(__package__)
    spynnaker = ModuleType("spynnaker", "sPyNNaker, emulated")
    pynn.spiNNaker = spynnaker.pyNN = emulation  # type: ignore[attr-defined]
    sys.modules["spynnaker"] = spynnaker
    for name in NAMES:
        sys.modules[name] = emulation
        for part in PARTS:
            sys.modules[f"{name}.{part}"] = attrgetter(part)(emulation)
    return emulation


@contextmanager
def standing_in() -> Iterator[ModuleType]:
    """As `as_spynnaker`, until the end of a ``with`` block."""
    pynn = need("pyNN", "pynn")
    names = ["spynnaker", *NAMES, *(f"{name}.{part}" for name in NAMES for part in PARTS)]
    before = {name: sys.modules.get(name) for name in names}
    attribute = getattr(pynn, "spiNNaker", None)
    try:
        yield as_spynnaker()
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
        del pynn.spiNNaker
        if attribute is not None:
            pynn.spiNNaker = attribute  # type: ignore[attr-defined]


def main(arguments: list[str] | None = None) -> int:
    """Run a script; ``arguments``: by default those of the command line."""
    return run_script(sys.argv[1:] if arguments is None else arguments, USAGE, as_spynnaker)


if __name__ == "__main__":
    sys.exit(main())
