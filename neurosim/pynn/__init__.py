# ruff: noqa: E402, F401, F403
"""A complete PyNN back end: ``import neurosim.pynn as sim``.

PyNN's populations, projections, currents and recorders are described to one `neurosim.Network`, which is then simulated;
`describe_network` returns it.
"""

from ..extras import need

need("pyNN", "pynn")

from pyNN import errors, random, space
from pyNN.network import Network
from pyNN.random import GSLRNG, NumpyRNG, RandomDistribution
from pyNN.recording import *
from pyNN.space import Space
from pyNN.standardmodels import StandardCellType

from . import morphology
from .connectors import *
from .control import (
    describe_network,
    end,
    get_current_time,
    get_max_delay,
    get_min_delay,
    get_time_step,
    initialize,
    num_processes,
    rank,
    reset,
    run,
    run_for,
    run_until,
    setup,
)
from .native_rng import NativeRNG
from .populations import Assembly, Population, PopulationView
from .procedural_api import connect, create, record, record_gsyn, record_v, set
from .projections import Projection
from .standardmodels import *


def list_standard_models() -> list[str]:
    """The names of the standard cells and sources that this back end has."""
    return [one.__name__ for one in globals().values()
            if isinstance(one, type) and issubclass(one, StandardCellType) and one is not StandardCellType]
