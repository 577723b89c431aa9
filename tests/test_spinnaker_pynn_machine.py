"""The same script for sPyNNaker and for the emulation: what the virtual board stores, and every bit that the machine code computes."""

import json
import runpy
import warnings

import numpy as np
import pytest

pytest.importorskip("pyNN", reason="needs PyNN, which is not installed")

import spinnaker_examples as examples

import neurosim.hardware.spinnaker.pynn as sim
from neurosim.hardware.spinnaker.pynn import simulator
from neurosim.hardware.spinnaker.pynn.__main__ import standing_in

pytestmark = pytest.mark.needs("spynnaker", "unicorn", "pyNN")

# Lets sPyNNaker hand generated synapses to the board's own expander, which the machine in software runs, as on a board.
EXPANDED = """
from spynnaker.pyNN.models.neural_projections import SynapseInformation
SynapseInformation.may_generate_on_machine = lambda self: True
"""
EXACT = ["SYNFIRE", "CONDUCTANCES", "CONNECTORS", "ON_BOARD", "PAIRS", "TRIPLETS", "EXTRA", "NOISE", "TENTHS"]


def here(name, folder):
    """What the script kept."""
    folder.mkdir(parents=True)
    script = folder / "script.py"
    script.write_text(getattr(examples, name).replace("sim.end()", ""), encoding="utf-8")
    with standing_in(), warnings.catch_warnings():
        warnings.simplefilter("ignore", sim.MachineWarning)
        return json.loads(json.dumps(runpy.run_path(str(script))["KEEP"]))


@pytest.mark.parametrize("name", EXACT)
def test_a_script_gets_what_the_machine_computes(name, tmp_path):
    """Stored weights and delays, every spike, and every recorded sample to its last bit."""
    from spinnaker_machine import machine
    kept = here(name, tmp_path / "here")
    populations = {one.label: one for one in simulator.state.populations if one.recorder.chosen}
    steps = round(sim.get_current_time() / sim.get_time_step())
    emulated, there = machine((EXPANDED if name == "ON_BOARD" else "") + getattr(examples, name), tmp_path / "there")
    assert there == kept
    emulated.run(steps)
    compared = 0
    for label, population in populations.items():
        for variable in population.recorder.chosen:
            ours = population.spinnaker_get_data(variable, as_matrix=True)
            if variable == "spikes":
                source = not population.celltype.receptor_types
                theirs = emulated.spikes(label) if source else emulated.recorded(label, "spikes")
                assert sorted((round(time / sim.get_time_step()), int(cell)) for cell, time in ours) == sorted(theirs), label
                compared += len(theirs)
            else:
                ticks, ids, words = emulated.recorded(label, variable)
                assert np.array_equal(words[:, np.argsort(ids)] / 32768.0, ours), (label, variable)
                assert len(ticks) == steps
    assert compared > 5


def test_what_is_drawn_is_stored_alike(tmp_path):
    """Of random synapses numbers, delays and units of the stored weights agree: the shifts are those of the board."""
    from spinnaker_board import run_script
    ours = here("RANDOM", tmp_path / "here")
    theirs = run_script(examples.RANDOM, tmp_path / "there").kept
    assert len(ours) == len(theirs) == 5
    for mine, other in zip(ours, theirs, strict=True):
        mine, other = np.array(mine), np.array(other)
        assert abs(len(mine) - len(other)) < 0.06 * len(other)
        assert _digits(mine[:, 0]) == _digits(other[:, 0])
        assert set(mine[:, 1]) == set(other[:, 1])
        assert np.isclose(mine[:, 0].mean(), other[:, 0].mean(), rtol=0.06)


TABLES = """
import numpy as np, neo
from spynnaker.pyNN.utilities import neo_convertor as tables
block = neo.io.PickleIO("block.pkl").read_block()
np.savez("tables.npz", spikes=tables.convert_spikes(block), v=tables.convert_v_list(block)[0], gsyn=tables.convert_gsyn_inh_list(block)[0],
         count=tables.count_spikes(block))
"""


def test_spynnaker_reads_our_blocks(tmp_path):
    """Its own converter makes of them what ours makes."""
    from spinnaker_board import python
    sim.setup(1.0)
    population = sim.Population(4, sim.IF_curr_exp(i_offset=[0.0, 1.0, 2.0, 3.0], tau_refrac=2.0), label="cells")
    population.record(["spikes", "v", "gsyn_exc", "gsyn_inh"])
    sim.run(50)
    population.write_data(str(tmp_path / "block.pkl"))
    python(tmp_path, "-c", TABLES)
    theirs, tables, block = np.load(tmp_path / "tables.npz"), sim.utilities.neo_convertor, population.get_data()
    assert np.array_equal(theirs["spikes"], tables.convert_spikes(block)) and len(theirs["spikes"]) == theirs["count"] > 5
    assert np.array_equal(theirs["v"], tables.convert_v_list(block)[0])
    assert np.array_equal(theirs["gsyn"], tables.convert_gsyn_inh_list(block)[0])


def _digits(weights):
    """Binary digits after the point that the weights need."""
    digits = 0
    while (weights * 2.0**digits % 1.0).any():
        digits += 1
    return digits
