"""What sPyNNaker has and this emulation has not: names that exist, and say when they are used what to do instead."""

from __future__ import annotations

from typing import Any

from .. import limits

__all__ = ["ABSENT", "DEVICES", "EXTRA", "lacking", "stand_ins"]

_STRUCTURE = "synapses that form and disappear are not emulated; natively neurosim has Structure"
_LOCAL = "local-only cores are not emulated; KernelConnector or FromListConnector make the same synapses"
_STOCHASTIC = "it is not emulated; use IFCurrDeltaFixedProb, or IF_curr_exp with a Poisson background"
_DEVICE = "there is no hardware to talk to; use a SpikeSourceArray for input, and get_data() for output"

ABSENT = {
    "Assembly": "sPyNNaker itself has no assemblies that could be used; make a projection for each population",
    "Convolution": _LOCAL,
    "ConvolutionConnector": _LOCAL,
    "PoolDense": _LOCAL,
    "PoolDenseConnector": _LOCAL,
    "StructuralMechanismStatic": _STRUCTURE,
    "StructuralMechanismSTDP": _STRUCTURE,
    "LastNeuronSelection": _STRUCTURE,
    "RandomSelection": _STRUCTURE,
    "DistanceDependentFormation": _STRUCTURE,
    "RandomByWeightElimination": _STRUCTURE,
    "get_machine": "there is no machine; neurosim check tells how many cores, chips and boards a network needs",
}
"""Names of pyNN.spiNNaker, and what is said when they are used."""

EXTRA = {
    "StocExp": _STOCHASTIC,
    "StocExpStable": _STOCHASTIC,
    "StocSigma": _STOCHASTIC,
    "Neuromodulation": "dopamine is not emulated; natively neurosim has STDPMechanism(neuromodulation=Dopamine(...))",
    "RecurrentRule": "the recurrent rule is not emulated; use SpikePairRule",
    "SpikeSourcePoissonVariable": "rates that change by a table are not emulated; call set(rate=...) between runs, or use several"
                                  " SpikeSourcePoisson populations with start and duration",
    "WeightChangeable": "weights that other cells change are not emulated; use STDPMechanism",
    "WeightChanger": "weights that other cells change are not emulated; use STDPMechanism",
}
"""Names of pyNN.spiNNaker.extra_models, and what is said when they are used."""

DEVICES = dict.fromkeys((
    "AbstractEthernetController", "ArbitraryFPGADevice", "EIEIOType", "ExternalDeviceLifControl", "ExternalFPGARetinaDevice",
    "ICUBRetinaDevice", "MunichIoSpiNNakerLinkProtocol", "MunichMotorDevice", "MunichRetinaDevice", "PushBotEthernetLEDDevice",
    "PushBotEthernetLaserDevice", "PushBotEthernetMotorDevice", "PushBotEthernetRetinaDevice", "PushBotEthernetSpeakerDevice",
    "PushBotLED", "PushBotLaser", "PushBotLifEthernet", "PushBotLifSpinnakerLink", "PushBotMotor", "PushBotRetinaResolution",
    "PushBotRetinaViewer", "PushBotSpeaker", "PushBotSpiNNakerLinkLEDDevice", "PushBotSpiNNakerLinkLaserDevice",
    "PushBotSpiNNakerLinkMotorDevice", "PushBotSpiNNakerLinkRetinaDevice", "PushBotSpiNNakerLinkSpeakerDevice", "SPIFInputDevice",
    "SPIFLiveSpikesConnection", "SPIFOutputDevice", "SPIFRetinaDevice", "SpikeInjector", "SpynnakerLiveSpikesConnection",
    "SpynnakerPoissonControlConnection", "activate_live_output_for", "activate_live_output_to", "add_poisson_live_rate_control",
    "protocols", "register_database_notification_request", "run_forever",
), _DEVICE)
"""Names of pyNN.spiNNaker.external_devices, and what is said when they are used."""


class _Refusing(type):
    """Of classes that can be named and asked about, but neither called nor looked into."""

    sentence: str

    def __call__(cls, *args: Any, **values: Any) -> Any:
        raise NotImplementedError(f"{cls.__name__}: {cls.sentence}")

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NotImplementedError(f"{cls.__name__}.{name}: {cls.sentence}")


def lacking(name: str) -> str:
    """What is said of a name that sPyNNaker has not either: what to use instead, of cells, synapses and connectors of PyNN."""
    support = {**limits.SYNAPSES, **limits.CONNECTORS}.get(name)
    remedy = limits.ABSENT_CELLS.get(name) or (support.note if support is not None and not support.there else "")
    return f"pyNN.spiNNaker has no {name}" + (f". {remedy}" if remedy else "")


def stand_ins(sentences: dict[str, str]) -> dict[str, type]:
    """A stand-in for each name, which raises NotImplementedError with the sentence when it is called or looked into."""
    return {name: _Refusing(name, (), {"sentence": sentence, "__doc__": f"Not emulated: {sentence}.", "__module__": __package__})
            for name, sentence in sentences.items()}
