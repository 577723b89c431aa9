"""Cell models and spike sources, by PyNN's names."""

from .adex import EIF_cond_alpha_isfa_ista, EIF_cond_exp_isfa_ista
from .astrocyte import Astrocyte, IF_curr_delta_astro
from .base import Cell, Model
from .compartments import CompartmentalCell, Section
from .conductance import IF_cond_alpha, IF_cond_exp
from .gif import GIF_cond_exp
from .hh import HH_cond_exp
from .homeostatic import IF_cond_exp_homeostatic
from .izhikevich import Izhikevich
from .lif import IF_curr_alpha, IF_curr_delta, IF_curr_exp, IF_jump
from .sources import (
    SpikeSourceArray,
    SpikeSourceInhGamma,
    SpikeSourcePoisson,
    SpikeSourcePoissonRefractory,
)

__all__ = [
    "Astrocyte", "Cell", "CompartmentalCell", "EIF_cond_alpha_isfa_ista", "EIF_cond_exp_isfa_ista", "GIF_cond_exp", "HH_cond_exp",
    "IF_cond_alpha", "IF_cond_exp", "IF_cond_exp_homeostatic", "IF_curr_alpha", "IF_curr_delta", "IF_curr_delta_astro",
    "IF_curr_exp", "IF_jump", "Izhikevich", "Model", "Section", "SpikeSourceArray", "SpikeSourceInhGamma", "SpikeSourcePoisson",
    "SpikeSourcePoissonRefractory",
]
