"""neurosim: describe a spiking network once, run it event-driven, see what it did."""

from pathlib import Path

_root = Path(__file__).resolve().parent.parent
if (_root / "setup.cfg").is_file():
    # In a checkout kernels/, hardware/ and benchmarks/ lie beside this folder, not inside it.
    __path__.append(str(_root))

__version__ = "0.1.0"
