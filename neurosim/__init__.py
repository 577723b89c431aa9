"""neurosim: describe a spiking network once, run it event-driven, see what it did."""

from pathlib import Path

_root = Path(__file__).resolve().parent.parent
if (_root / "setup.cfg").is_file():
    # In a checkout kernels/, hardware/ and benchmarks/ lie beside this folder, not inside it.
    __path__.append(str(_root))

__version__ = "0.1.0"

from .cells import (
    LIF,
    AdExp,
    AlphaPSR,
    Astrocyte,
    BetaPSR,
    CompartmentalCell,
    CondAlphaPostSynapticResponse,
    CondBetaPostSynapticResponse,
    CondExpPostSynapticResponse,
    CurrExpPostSynapticResponse,
    EIF_cond_alpha_isfa_ista,
    EIF_cond_exp_isfa_ista,
    ExpPSR,
    GIF_cond_exp,
    HH_cond_exp,
    IF_cond_alpha,
    IF_cond_exp,
    IF_cond_exp_gsfa_grr,
    IF_cond_exp_homeostatic,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_delta_astro,
    IF_curr_exp,
    IF_facets_hardware1,
    IF_jump,
    Izhikevich,
    PointNeuron,
    Section,
    SpikeSourceArray,
    SpikeSourceGamma,
    SpikeSourceInhGamma,
    SpikeSourcePoisson,
    SpikeSourcePoissonRefractory,
)
from .cells.base import State
from .cells.custom import neuron
from .connectors import (
    AllToAllConnector,
    ArrayConnector,
    DistanceDependentProbabilityConnector,
    FixedNumberPostConnector,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    FixedTotalNumberConnector,
    FromFileConnector,
    FromListConnector,
    IndexBasedProbabilityConnector,
    OneToOneConnector,
    PairsConnector,
    SmallWorldConnector,
)
from .currents import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource
from .engine import Simulation
from .errors import (
    FileFormatError,
    NetworkError,
    NeurosimError,
    ParameterError,
    SimulationError,
)
from .homeostasis import SynapticScaling, WeightNormalization
from .network import (
    Network,
    PoissonInput,
    Population,
    PopulationView,
    Projection,
    Record,
)
from .parameters import (
    Distribution,
    Exponential,
    Gamma,
    Integers,
    LogNormal,
    Normal,
    Parameter,
    Uniform,
)
from .plasticity import (
    AdditivePotentiationMultiplicativeDepression,
    AdditiveWeightDependence,
    ClopathRule,
    Dopamine,
    ElectricalSynapse,
    GutigWeightDependence,
    MultiQuantalSynapse,
    MultiplicativeWeightDependence,
    OjaRule,
    STDPMechanism,
    SimpleStochasticSynapse,
    SpikePairRule,
    SpikeTripletRule,
    StochasticTsodyksMarkramSynapse,
    TsodyksMarkramSynapse,
    Vogels2011Rule,
)
from .result import Result, Spikes, Trace
from .space import Grid2D, Grid3D, Line, RandomStructure, Space
from .structure import GaussianGrowth, HomeostaticGrowth, LinearGrowth, Rewiring
from .subspace import LateralSubspace

__all__ = [
    "ACSource", "AdExp", "AdditivePotentiationMultiplicativeDepression", "AdditiveWeightDependence",
    "AllToAllConnector", "AlphaPSR", "ArrayConnector", "Astrocyte", "BetaPSR", "ClopathRule", "CompartmentalCell",
    "CondAlphaPostSynapticResponse", "CondBetaPostSynapticResponse", "CondExpPostSynapticResponse",
    "CurrExpPostSynapticResponse", "DCSource", "DistanceDependentProbabilityConnector", "Distribution", "Dopamine",
    "EIF_cond_alpha_isfa_ista", "EIF_cond_exp_isfa_ista", "ElectricalSynapse", "ExpPSR", "Exponential",
    "FileFormatError", "FixedNumberPostConnector", "FixedNumberPreConnector", "FixedProbabilityConnector",
    "FixedTotalNumberConnector", "FromFileConnector", "FromListConnector", "GIF_cond_exp", "Gamma",
    "GaussianGrowth", "Grid2D", "Grid3D", "GutigWeightDependence", "HH_cond_exp", "HomeostaticGrowth",
    "IF_cond_alpha", "IF_cond_exp", "IF_cond_exp_gsfa_grr", "IF_cond_exp_homeostatic", "IF_curr_alpha",
    "IF_curr_delta", "IF_curr_delta_astro", "IF_curr_exp", "IF_facets_hardware1", "IF_jump",
    "IndexBasedProbabilityConnector", "Integers", "Izhikevich", "LIF", "LateralSubspace", "Line", "LinearGrowth",
    "LogNormal", "MultiQuantalSynapse", "MultiplicativeWeightDependence", "Network", "NetworkError",
    "NeurosimError", "NoisyCurrentSource", "Normal", "OjaRule", "OneToOneConnector", "PairsConnector", "Parameter",
    "ParameterError", "PointNeuron", "PoissonInput", "Population", "PopulationView", "Projection",
    "RandomStructure", "Record", "Result", "Rewiring", "STDPMechanism", "Section", "SimpleStochasticSynapse",
    "Simulation", "SimulationError", "SmallWorldConnector", "Space", "SpikePairRule", "SpikeSourceArray",
    "SpikeSourceGamma", "SpikeSourceInhGamma", "SpikeSourcePoisson", "SpikeSourcePoissonRefractory",
    "SpikeTripletRule", "Spikes", "State", "StepCurrentSource", "StochasticTsodyksMarkramSynapse",
    "SynapticScaling", "Trace", "TsodyksMarkramSynapse", "Uniform", "Vogels2011Rule", "WeightNormalization",
    "neuron",
]
