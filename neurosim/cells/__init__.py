"""Cell models and spike sources, by PyNN's names."""

from .adex import EIF_cond_alpha_isfa_ista, EIF_cond_exp_isfa_ista
from .astrocyte import Astrocyte, IF_curr_delta_astro
from .base import Cell, Model
from .compartments import CompartmentalCell, Section
from .conductance import (
    IF_cond_alpha,
    IF_cond_exp,
    IF_cond_exp_gsfa_grr,
    IF_facets_hardware1,
)
from .gif import GIF_cond_exp
from .hh import HH_cond_exp
from .homeostatic import IF_cond_exp_homeostatic
from .izhikevich import Izhikevich
from .lif import IF_curr_alpha, IF_curr_delta, IF_curr_exp, IF_jump
from .point import (
    LIF,
    AdExp,
    AlphaPSR,
    BetaPSR,
    CondAlphaPostSynapticResponse,
    CondBetaPostSynapticResponse,
    CondExpPostSynapticResponse,
    CurrExpPostSynapticResponse,
    ExpPSR,
    PointNeuron,
)
from .sources import (
    SpikeSourceArray,
    SpikeSourceGamma,
    SpikeSourceInhGamma,
    SpikeSourcePoisson,
    SpikeSourcePoissonRefractory,
)

__all__ = [
    "AdExp", "AlphaPSR", "Astrocyte", "BetaPSR", "Cell", "CompartmentalCell", "CondAlphaPostSynapticResponse",
    "CondBetaPostSynapticResponse", "CondExpPostSynapticResponse", "CurrExpPostSynapticResponse",
    "EIF_cond_alpha_isfa_ista", "EIF_cond_exp_isfa_ista", "ExpPSR", "GIF_cond_exp", "HH_cond_exp", "IF_cond_alpha",
    "IF_cond_exp", "IF_cond_exp_gsfa_grr", "IF_cond_exp_homeostatic", "IF_curr_alpha", "IF_curr_delta",
    "IF_curr_delta_astro", "IF_curr_exp", "IF_facets_hardware1", "IF_jump", "Izhikevich", "LIF", "Model",
    "PointNeuron", "Section", "SpikeSourceArray", "SpikeSourceGamma", "SpikeSourceInhGamma", "SpikeSourcePoisson",
    "SpikeSourcePoissonRefractory",
]
