# ruff: noqa: E402, F401, F403
"""A drop-in for ``pyNN.spiNNaker``: ``import neurosim.hardware.spinnaker.pynn as sim``.

A script written for sPyNNaker runs on the machine's own arithmetic, emulated, without a board; `describe_network` returns its network,
and `machine_settings` what it told the machine.  What sPyNNaker has and this has not is in ``absent``, with what to use instead.
"""

from typing import Any

from neurosim.extras import need

need("pyNN", "pynn")

from pyNN.random import NumpyRNG
from pyNN.space import Cuboid, Grid2D, Grid3D, Line, RandomStructure, Space, Sphere

from . import external_devices, extra_models, utilities
from .absent import ABSENT, lacking, stand_ins
from .connectors import (
    AllToAllConnector,
    ArrayConnector,
    CSAConnector,
    DistanceDependentProbabilityConnector,
    FixedNumberPostConnector,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    FixedTotalNumberConnector,
    IndexBasedProbabilityConnector,
    OneToOneConnector,
    SmallWorldConnector,
)
from .control import *
from .currents import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource
from .distributions import RandomDistribution
from .errors import ConfigurationException, MachineWarning, SpynnakerException
from .kernel import KernelConnector
from .listed import FromFileConnector, FromListConnector
from .models import IF_cond_exp, IF_curr_alpha, IF_curr_delta, IF_curr_exp, Izhikevich, MachineCell, SpikeSourceArray, SpikeSourcePoisson
from .populations import Population, PopulationView
from .projections import Projection, SpiNNakerProjection
from .synapses import AdditiveWeightDependence, MultiplicativeWeightDependence, SpikePairRule, STDPMechanism, StaticSynapse

globals().update(stand_ins(ABSENT))


def __getattr__(name: str) -> Any:
    raise AttributeError(lacking(name))


def list_standard_models() -> list[str]:
    """The names of the cells and sources that there are."""
    return [key for key, one in globals().items() if isinstance(one, type) and issubclass(one, MachineCell) and one is not MachineCell]
