"""Run with sPyNNaker: rules from standard input (JSON) through sPyNNaker's own writers; their regions go to a file (JSON, hexadecimal)."""

import json
import sys
from pathlib import Path


class Recorder:
    """Takes the place of a data specification: keeps the bytes."""

    def __init__(self):
        self.content = b""

    def comment(self, text):
        pass

    def switch_write_focus(self, region):
        pass

    def write_value(self, data, data_type=None):
        from spinn_front_end_common.interface.ds import DataType

        kind = data_type or DataType.UINT32
        kind.check_value(data)
        self.content += kind.as_bytes(data)

    def write_array(self, values, data_type=None):
        assert values.dtype == "uint32" and data_type is None
        self.content += values.tobytes()


def dynamics(sim, timing, weight, p, backprop):
    """sPyNNaker's objects for a rule, from parameters in its own words."""
    amplitudes = {name: p[name] for name in ("A_plus", "A_minus")}
    bounds = {name: p[name] for name in ("w_min", "w_max")}
    taus = {name: p[name] for name in ("tau_plus", "tau_minus")}
    if timing == "triplet":
        when = sim.extra_models.PfisterSpikeTriplet(**taus, tau_x=p["tau_x"], tau_y=p["tau_y"], **amplitudes)
        law = sim.extra_models.WeightDependenceAdditiveTriplet(**bounds, A3_plus=p["A3_plus"], A3_minus=p["A3_minus"])
    else:
        if timing == "vogels":
            when = sim.extra_models.Vogels2011Rule(alpha=p["alpha"], tau=p["tau"], **amplitudes)
        else:
            when = (sim.SpikePairRule if timing == "pair" else sim.extra_models.SpikeNearestPairRule)(**taus, **amplitudes)
        law = (sim.AdditiveWeightDependence if weight == "additive" else sim.MultiplicativeWeightDependence)(**bounds)
    return sim.STDPMechanism(timing_dependence=when, weight_dependence=law, backprop_delay=backprop)


def main():
    import numpy as np
    import pyNN.spiNNaker as sim
    from spynnaker.pyNN.config_setup import unittest_setup
    from spynnaker.pyNN.data.spynnaker_data_writer import SpynnakerDataWriter

    regions = []
    for timing, weight, parameters, backprop, dt, scale, types in json.load(sys.stdin):
        unittest_setup()
        SpynnakerDataWriter.mock().set_up_timings(round(dt * 1000), 1)
        made = dynamics(sim, timing, weight, parameters, backprop)
        recorder = Recorder()
        made.write_parameters(recorder, 0, scale, np.ones(types))
        assert len(recorder.content) == made.get_parameters_sdram_usage_in_bytes(4, types)
        regions.append([made.get_vertex_executable_suffix(), recorder.content.hex()])
    Path(sys.argv[1]).write_text(json.dumps(regions))


if __name__ == "__main__":
    main()
