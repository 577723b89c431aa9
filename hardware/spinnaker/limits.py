"""SpiNNaker as sPyNNaker 1!7.4.1 uses it: what there is, how much of it, and where each number comes from.

A source ``module:expression`` is Python that yields the number where sPyNNaker is installed, and ``cfg [Section] option`` an entry of
its configuration (a test compares all of these); other sources are prose.  Nothing here imports sPyNNaker.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from .binaries import BINARIES

__all__ = ["ABSENT_CELLS", "BINARIES", "CELLS", "CONNECTORS", "DYNAMICS", "MACHINE", "SYNAPSES", "VERSION", "Cell", "Machine", "Support",
           "bits", "cell_binaries", "delay_slots", "has_binary", "max_delay", "ring_slots"]

VERSION = "1!7.4.1"

_CONSTANTS = "spynnaker.pyNN.utilities.constants"
_BOARD = "spinn_machine.version.version_5"
_DELAYS = "spynnaker.pyNN.models.utility_models.delays.delay_extension_vertex"


def _n(value: Any, unit: str, what: str, source: str) -> Any:
    return dataclasses.field(default=value, metadata={"unit": unit, "what": what, "source": source})


@dataclasses.dataclass(frozen=True)
class Machine:
    """Numbers of a SpiNNaker 1 board (versions 4 and 5: 48 chips); `Machine.told` says what each is and where it is from."""

    chips_per_board: int = _n(48, "", "chips of a board", f"{_BOARD}:len(CHIPS_PER_BOARD)")
    cores_per_chip: int = _n(18, "", "cores of a chip; eight chips of a board have 17", f"{_BOARD}:max(CHIPS_PER_BOARD.values())")
    cores_per_board: int = _n(856, "", "cores of a board", f"{_BOARD}:sum(CHIPS_PER_BOARD.values())")
    scamp_cores: int = _n(1, "", "cores of a chip that run the monitor SC&MP", f"{_BOARD}:Version5().n_scamp_cores")
    monitor_cores: int = _n(1, "", "cores of a chip that run extra_monitor_support, which moves data (cfg enable_advanced_monitor_support)",
                            "spinn_front_end_common.interface.abstract_spinnaker_base: add_monitor_cores, measured on the virtual board")
    gatherer_cores: int = _n(1, "", "cores of a board's Ethernet chip that run data_speed_up_packet_gatherer", "as monitor_cores")
    sdram: int = _n(123469792, "bytes", "memory of a chip for all cores, after SC&MP's", f"{_BOARD}:Version5().max_sdram_per_chip")
    dtcm: int = _n(65536, "bytes", "data memory of a core", f"{_BOARD}:Version5().dtcm_bytes")
    itcm: int = _n(32768, "bytes", "instruction memory of a core: the greatest binary that is safe",
                   "spinn_front_end_common.utilities.constants:MAX_SAFE_BINARY_SIZE")
    clock: int = _n(200_000_000, "Hz", "of a core", f"{_BOARD}:Version5().clock_speeds_hz[0]")
    router_entries: int = _n(1023, "", "entries of a chip's routing table (1024, one kept by SC&MP)",
                             f"{_BOARD}:Version5().n_router_entries")
    neurons_per_core: int = _n(256, "", "of any cell: the index of a neuron has 8 bits", f"{_CONSTANTS}:MAX_NEURON_SIZE")
    row_length: int = _n(256, "", "synapses of a source in one row of the synaptic matrix of a core",
                         f"{_CONSTANTS}:POP_TABLE_MAX_ROW_LENGTH")
    poisson_per_core: int = _n(500, "", "Poisson sources of a core",
                               "spynnaker.pyNN.models.spike_source.spike_source_poisson:DEFAULT_MAX_ATOMS_PER_CORE")
    ring_bits: int = _n(14, "", "log2 of the ring buffer's entries: neurons x synapse types x steps of delay",
                        f"{_CONSTANTS}:MAX_RING_BUFFER_BITS")
    weight_bits: int = _n(16, "", "of a stored weight and of a ring buffer's entry, both unsigned",
                          "spynnaker.pyNN.models.neuron.synapse_io: a row's word is weight << 16 | ...; synapse_row.h")
    delay_stages: int = _n(8, "", "of a delay extension: each is one ring buffer long", f"{_DELAYS}:DelayExtensionVertex.MAX_SLOTS")
    min_delay: int = _n(1, "steps", "least delay", f"{_CONSTANTS}:MIN_SUPPORTED_DELAY")
    colour_bits: int = _n(4, "", "of a routing key that say in which step a spike was sent", "cfg [Simulation] n_colour_bits")
    ring_buffer_sigma: float = _n(5.0, "", "standard deviations above the mean input that ring buffers have room for",
                                  "cfg [Simulation] ring_buffer_sigma")
    spikes_per_second: float = _n(30.0, "Hz", "rate that is assumed of cells", "cfg [Simulation] spikes_per_second")
    incoming_spikes: int = _n(256, "", "packets that wait in a core before more are lost", "cfg [Simulation] incoming_spike_buffer_size")
    synapses_per_second: int = _n(13_000_000, "1/s", "static synapses that a core adds, as sPyNNaker reckons",
                                  "spynnaker.pyNN.models.neuron.synapse_dynamics:SynapseDynamicsStatic().synapses_per_second")
    plastic_synapses_per_second: int = _n(1_400_000, "1/s", "plastic synapses that a core changes, as sPyNNaker reckons",
                                          "spynnaker.pyNN:STDPMechanism(SpikePairRule(), AdditiveWeightDependence()).synapses_per_second")
    s1615_least: float = _n(-65536.0, "", "least s16.15", "spinn_front_end_common.interface.ds:float(DataType.S1615.min)")
    s1615_most: float = _n(65536.0 - 2.0**-15, "", "greatest s16.15", "spinn_front_end_common.interface.ds:float(DataType.S1615.max)")
    s1615_step: float = _n(2.0**-15, "", "resolution of s16.15", "spinn_front_end_common.interface.ds:1.0 / float(DataType.S1615.scale)")
    conductance_scale: float = _n(1024.0, "", "what conductances in uS are multiplied by before they are stored",
                                  "spynnaker.pyNN.models.neuron.input_types:InputTypeConductance(0.0, 0.0).get_global_weight_scale()")
    dt: float = _n(1.0, "ms", "step at which a second of the model takes a second", "spynnaker.pyNN:SPYNNAKER_AUTO_TIMESTEP")
    array_spikes_per_step: int = _n(100, "", "spikes of one SpikeSourceArray in one step, beyond which sPyNNaker warns of lost packets",
                                    "spynnaker.pyNN.models.spike_source.spike_source_array_vertex:TOO_MANY_SPIKES")
    stdp_traces: int = _n(16, "", "post-synaptic spikes of a neuron that are remembered until the next spike of a source",
                          "neural_modelling/src/neuron/plasticity/stdp/post_events.h: MAX_POST_SYNAPTIC_EVENTS")

    @staticmethod
    def told() -> dict[str, tuple[Any, str, str, str]]:
        """Of each number: value, unit, what it is, and its source."""
        return {one.name: (one.default, one.metadata["unit"], one.metadata["what"], one.metadata["source"])
                for one in dataclasses.fields(Machine)}


MACHINE = Machine()


# ------------------------------------------------------------------------------------------ cells


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell that there is a binary for.

    Attributes
    ----------
    name : str
        sPyNNaker's name.
    module : str
        Where a script finds it.
    binary : str
        Stem of its binaries' names; empty for sources that are not made of neurons.
    receptors : tuple of str
        By index of synapse type.
    scale : float
        What weights are multiplied by before they are stored.
    parameters, states : tuple of str
        Names that the constructor takes, and that `initialize` takes.
    recordable : tuple of str
    per_core : int
        Most on one core; 0: no limit.
    """

    name: str
    module: str
    binary: str
    receptors: tuple[str, ...]
    scale: float
    parameters: tuple[str, ...]
    states: tuple[str, ...]
    recordable: tuple[str, ...]
    per_core: int = MACHINE.neurons_per_core


def _cell(name: str, binary: str, parameters: str, states: str, receptors: str = "excitatory inhibitory", scale: float = 1.0,
          recordable: str = "spikes v gsyn_exc gsyn_inh", module: str = "pyNN.spiNNaker.extra_models", per_core: int = 256) -> Cell:
    return Cell(name, module, binary, tuple(receptors.split()), scale, tuple(parameters.split()), tuple(states.split()),
                tuple(recordable.split()), per_core)


_SIM = "pyNN.spiNNaker"
_LIF = "tau_m cm v_rest v_reset v_thresh tau_refrac i_offset"
_EXP = f"{_LIF} tau_syn_E tau_syn_I"
_COND = f"{_EXP} e_rev_E e_rev_I"
_IZK = "a b c d i_offset tau_syn_E tau_syn_I"
_VI = "v isyn_exc isyn_inh"
_THREE = "excitatory excitatory2 inhibitory"
_ALPHA = "v exc_response exc_exp_response inh_response inh_exp_response"
_STOC = "spikes v ex_input in_input prob"

CELLS: Mapping[str, Cell] = {one.name: one for one in (
    _cell("IF_curr_exp", "IF_curr_exp", _EXP, _VI, module=_SIM),
    _cell("IF_cond_exp", "IF_cond_exp", _COND, _VI, scale=1024.0, module=_SIM),
    _cell("IF_curr_alpha", "IF_curr_alpha", _EXP, _ALPHA, module=_SIM),
    _cell("IF_curr_delta", "IF_curr_delta", _LIF, _VI, module=_SIM),
    _cell("Izhikevich", "IZK_curr_exp", _IZK, f"u {_VI}", module=_SIM),
    _cell("SpikeSourceArray", "", "spike_times", "", "", recordable="spikes", module=_SIM, per_core=0),
    _cell("SpikeSourcePoisson", "", "rate start duration", "", "", recordable="spikes", module=_SIM, per_core=500),
    _cell("SpikeSourcePoissonVariable", "", "rates starts durations", "", "", recordable="spikes", per_core=500),
    _cell("IFCondExpStoc", "IF_cond_exp_stoc", f"{_COND} du_th tau_th", _VI, scale=1024.0),
    _cell("IFCurrDeltaCa2Adaptive", "IF_curr_delta_ca2_adaptive", f"{_LIF} tau_ca2 i_alpha", f"i_ca2 {_VI}"),
    _cell("IFCurrDeltaFixedProb", "IF_curr_delta_fixed_prob", f"{_LIF} p_thresh", f"{_VI} seed"),
    _cell("IFCurrExpCa2Adaptive", "IF_curr_exp_ca2_adaptive", f"{_EXP} tau_ca2 i_alpha", f"i_ca2 {_VI}"),
    _cell("IFTruncDelta", "IF_trunc_delta", "tau_m cm v_reset v_thresh tau_refrac i_offset", _VI),
    _cell("IF_curr_dual_exp", "IF_curr_exp_dual", f"{_EXP} tau_syn_E2", f"{_VI} isyn_exc2", _THREE),
    _cell("IF_curr_exp_sEMD", "IF_curr_exp_sEMD", f"{_EXP} tau_syn_E2 scaling_factor", f"{_VI} isyn_exc2 multiplicator exc2_old", _THREE),
    _cell("Izhikevich_cond", "IZK_cond_exp", f"{_IZK} e_rev_E e_rev_I", f"u {_VI}", scale=1024.0),
    _cell("Izhikevich_cond_dual", "IZK_cond_exp_dual", f"{_IZK} tau_syn_E2 e_rev_E e_rev_I", f"u {_VI} isyn_exc2", _THREE, 1024.0),
    _cell("StocExp", "stoc_exp", "tau bias", "refract_init seed", recordable=_STOC),
    _cell("StocExpStable", "stoc_exp_stable", "v_reset tau tau_refrac bias", "v_init refract_init seed", recordable=_STOC),
    _cell("StocSigma", "stoc_sigma", "tau_refrac alpha bias", "refract_init seed", recordable=_STOC),
)}

# Cells of PyNN and of neurosim that no binary knows, and what comes nearest.
ABSENT_CELLS: Mapping[str, str] = {
    "IF_cond_alpha": "Use IF_cond_exp (tau_syn about e/2 times as long keeps the half-width)",
    "IF_cond_exp_gsfa_grr": "Use IFCurrExpCa2Adaptive of extra_models, or IF_cond_exp without adaptation",
    "IF_cond_exp_homeostatic": "Use IF_cond_exp with the threshold that homeostasis ended at",
    "IF_curr_delta_astro": "Use neurosim.hardware.spinnaker.astrocytes.with_machine_astrocytes, or IF_curr_delta with the gain put into"
                           " its weights",
    "IF_facets_hardware1": "Use IF_cond_exp with the parameters of that hardware",
    "IF_jump": "Use IF_curr_delta",
    "HH_cond_exp": "Use IF_cond_exp, or Izhikevich_cond of extra_models",
    "EIF_cond_exp_isfa_ista": "Use IF_cond_exp, or IFCurrExpCa2Adaptive of extra_models for adaptation",
    "EIF_cond_alpha_isfa_ista": "Use IF_cond_exp, or IFCurrExpCa2Adaptive of extra_models for adaptation",
    "AdExp": "Use IF_cond_exp, or IFCurrExpCa2Adaptive of extra_models for adaptation",
    "GIF_cond_exp": "Use IF_cond_exp, or IFCurrExpCa2Adaptive of extra_models for adaptation",
    "PointNeuron": "Use IF_curr_exp or IF_cond_exp, which have one excitatory and one inhibitory receptor",
    "CompartmentalCell": "Use a point neuron such as IF_cond_exp",
    "Astrocyte": "Use slowly integrating IF_curr_exp cells",
    "SpikeSourcePoissonRefractory": "Use SpikeSourcePoisson, or a SpikeSourceArray with times that were drawn before",
    "SpikeSourceGamma": "Use SpikeSourcePoisson, or a SpikeSourceArray with times that were drawn before",
    "SpikeSourceInhGamma": "Use SpikeSourcePoisson, or a SpikeSourceArray with times that were drawn before",
}


# ------------------------------------------------------------------------------------------ synapses and connectors


class Support(NamedTuple):
    """Whether sPyNNaker takes something, and how the export says it, or what to use instead."""

    there: bool
    note: str


_LISTED = "written as a FromListConnector over whole populations"

CONNECTORS: Mapping[str, Support] = {
    **{name: Support(True, _LISTED) for name in (
        "AllToAllConnector", "ArrayConnector", "DistanceDependentProbabilityConnector", "FixedNumberPostConnector",
        "FixedNumberPreConnector", "FixedProbabilityConnector", "FixedTotalNumberConnector", "FromFileConnector", "FromListConnector",
        "IndexBasedProbabilityConnector", "OneToOneConnector", "PairsConnector", "SmallWorldConnector", "CSAConnector")},
    "CloneConnector": Support(False, "Use a FromListConnector with the other projection's pairs"),
    "DisplacementDependentProbabilityConnector": Support(False, "Use a FromListConnector with the pairs that were drawn"),
}

# Suffix of the binaries of each rule: (timing, weight) as in `Plastic`, or static.
DYNAMICS: Mapping[tuple[str, str] | str, str] = {
    "static": "",
    ("pair", "additive"): "_stdp_mad_pair_additive",
    ("pair", "multiplicative"): "_stdp_mad_pair_multiplicative",
    ("nearest_pair", "additive"): "_stdp_mad_nearest_pair_additive",
    ("nearest_pair", "multiplicative"): "_stdp_mad_nearest_pair_multiplicative",
    ("triplet", "additive"): "_stdp_mad_pfister_triplet_additive",
    ("triplet", "multiplicative"): "_stdp_mad_pfister_triplet_multiplicative",
    ("vogels", "additive"): "_stdp_mad_vogels_2011_additive",
    ("vogels", "multiplicative"): "_stdp_mad_vogels_2011_multiplicative",
}

SYNAPSES: Mapping[str, Support] = {
    "StaticSynapse": Support(True, ""),
    "STDPMechanism": Support(True, "with SpikePairRule, SpikeTripletRule or Vogels2011Rule and additive or multiplicative weights;"
                                   " one rule for all plastic synapses of a population; dendritic delays"),
    "SpikePairRule": Support(True, ""),
    "SpikeNearestPairRule": Support(True, ""),
    "SpikeTripletRule": Support(True, "PfisterSpikeTriplet of extra_models"),
    "Vogels2011Rule": Support(True, "of extra_models"),
    "AdditiveWeightDependence": Support(True, ""),
    "MultiplicativeWeightDependence": Support(True, ""),
    "AdditivePotentiationMultiplicativeDepression": Support(False, "Use AdditiveWeightDependence or MultiplicativeWeightDependence"),
    "GutigWeightDependence": Support(False, "Use AdditiveWeightDependence (mu = 0) or MultiplicativeWeightDependence (mu = 1)"),
    "OjaRule": Support(False, "Use SpikePairRule"),
    "ClopathRule": Support(False, "Use SpikeTripletRule"),
    "Dopamine": Support(False, "Use Neuromodulation of extra_models, in a script of your own"),
    "TsodyksMarkramSynapse": Support(False, "Use a static synapse with the weight at the expected rate"),
    "SimpleStochasticSynapse": Support(False, "Use a static synapse with the mean weight"),
    "StochasticTsodyksMarkramSynapse": Support(False, "Use a static synapse with the mean weight"),
    "MultiQuantalSynapse": Support(False, "Use a static synapse with the mean weight"),
    "ElectricalSynapse": Support(False, "There are no gap junctions"),
    "Rewiring": Support(False, "Use StructuralMechanismStatic in a script of your own"),
    "LateralSubspace": Support(False, "Use neurosim.hardware.spinnaker.projection.lateral_projection, with rows that are learnt already"),
    "SynapticScaling": Support(False, "Give the weights that scaling ended at"),
    "WeightNormalization": Support(False, "Give the weights that normalisation ended at"),
}


# ------------------------------------------------------------------------------------------ arithmetic of sizes


def bits(count: int) -> int:
    """Bits of a field that tells ``count`` things apart; 1 for one thing, 0 for none (``utility_calls.get_n_bits``)."""
    return count if count < 2 else math.ceil(math.log2(count))


def delay_slots(neurons: int, types: int) -> int:
    """Steps that a ring buffer can span with so many neurons on a core and synapse types."""
    return 2 ** (MACHINE.ring_bits - bits(neurons) - bits(types))


def ring_slots(neurons: int, types: int, longest: int) -> int:
    """Steps that the ring buffer spans where the longest delay of all incoming synapses is so many steps.

    Source: ``PopulationVertex.max_delay_steps_incoming``; longer delays come from a delay extension.
    """
    return min(2 ** bits(longest), delay_slots(neurons, types))


def max_delay(neurons: int, types: int) -> int:
    """Longest delay, steps: a full ring buffer and all stages of a delay extension."""
    return delay_slots(neurons, types) * (1 + MACHINE.delay_stages)


def cell_binaries(cell: str, dynamics: tuple[str, str] | str = "static") -> tuple[str, tuple[str, str]]:
    """Names of the binary with cells and synapses in one, and of the two where they are split; whether or not they exist."""
    stem, suffix = CELLS[cell].binary, DYNAMICS[dynamics]
    return f"{stem}{suffix}.aplx", (f"{stem}_neuron.aplx", f"synapses{suffix}.aplx")


def has_binary(cell: str, dynamics: tuple[str, str] | str = "static") -> str | None:
    """``"combined"``, else ``"split"``, or None where sPyNNaker was shipped without a binary for this cell with this rule."""
    combined, split = cell_binaries(cell, dynamics)
    return "combined" if combined in BINARIES else "split" if BINARIES.issuperset(split) else None
