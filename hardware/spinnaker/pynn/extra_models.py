"""``sim.extra_models``: models beyond PyNN's that the machine has."""

from __future__ import annotations

from .. import extra
from .absent import EXTRA, stand_ins
from .listed import AllButMeConnector, OneToOneOffsetConnector
from .models import IF_curr_delta as IFCurDelta
from .models import cell_class
from .synapses import PfisterSpikeTriplet, SpikeNearestPairRule, Vogels2011Rule, WeightDependenceAdditiveTriplet

_V = {"v": -65.0, "isyn_exc": 0.0, "isyn_inh": 0.0}
_IZHIKEVICH = {"u": -14.0, "v": -70.0, "isyn_exc": 0.0, "isyn_inh": 0.0}

IFCondExpStoc = cell_class("IFCondExpStoc", extra.IFCondExpStoc, _V)
IFCurrExpCa2Adaptive = cell_class("IFCurrExpCa2Adaptive", extra.IFCurrExpCa2Adaptive, {"i_ca2": 0.0, **_V})
IFCurrDeltaCa2Adaptive = cell_class("IFCurrDeltaCa2Adaptive", extra.IFCurrDeltaCa2Adaptive, {"i_ca2": 0.0, **_V})
IFCurrDeltaFixedProb = cell_class("IFCurrDeltaFixedProb", extra.IFCurrDeltaFixedProb, {**_V, "v": 0.0, "seed": 1.0})
IFTruncDelta = cell_class("IFTruncDelta", extra.IFTruncDelta, {**_V, "v": 0.0})
IF_curr_dual_exp = cell_class("IF_curr_dual_exp", extra.IF_curr_dual_exp, {**_V, "isyn_exc2": 0.0})
IF_curr_exp_sEMD = cell_class("IF_curr_exp_sEMD", extra.IF_curr_exp_sEMD, {**_V, "isyn_exc2": 0.0, "multiplicator": 0.0, "exc2_old": 0.0})
Izhikevich_cond = cell_class("Izhikevich_cond", extra.Izhikevich_cond, _IZHIKEVICH)
Izhikevich_cond_dual = cell_class("Izhikevich_cond_dual", extra.Izhikevich_cond_dual, {**_IZHIKEVICH, "isyn_exc2": 0.0})

globals().update(stand_ins(EXTRA))

__all__ = ["AllButMeConnector", "IFCondExpStoc", "IFCurDelta", "IFCurrDeltaCa2Adaptive", "IFCurrDeltaFixedProb", "IFCurrExpCa2Adaptive",
           "IFTruncDelta", "IF_curr_dual_exp", "IF_curr_exp_sEMD", "Izhikevich_cond", "Izhikevich_cond_dual",
           "OneToOneOffsetConnector", "PfisterSpikeTriplet", "SpikeNearestPairRule", "Vogels2011Rule",
           "WeightDependenceAdditiveTriplet", *EXTRA]
