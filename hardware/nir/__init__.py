"""Networks from and to NIR, the Neuromorphic Intermediate Representation (Pedersen et al., Nature Communications 15, 2024).

`from_nir` makes a `Network` of a graph, `to_nir` a graph of a network; `docs/nir.md` says what corresponds to what.
"""

from neurosim.cells.euler import EulerCubaLIF, EulerLIF

from .graph import Note
from .read import Imported, from_nir
from .write import Exported, to_nir

__all__ = ["EulerCubaLIF", "EulerLIF", "Exported", "Imported", "Note", "from_nir", "to_nir"]
