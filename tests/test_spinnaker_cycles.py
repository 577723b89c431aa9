"""What `check` reckons a core's time with, against whole ticks of the machine code."""
import pytest

pytestmark = [pytest.mark.needs("spynnaker", "unicorn", "capstone"), pytest.mark.slow]


@pytest.mark.parametrize("name", ["IF_curr_exp", "IF_cond_exp"])
def test_cells_and_static_synapses(name, tmp_path):
    """A neuron's step, its input, a packet with its row, and a synapse."""
    from spinnaker_cycles import of_cell

    from neurosim.hardware.spinnaker.cells import MODELS
    from neurosim.hardware.spinnaker.estimates import PACKET, SYNAPSE
    found = of_cell(name, tmp_path)
    step, given, _ = MODELS[name].instructions
    assert found.pop("misfit") < 0.02
    assert found["neuron"][0] == pytest.approx(step, abs=0.5)
    assert found["its input"][0] == pytest.approx(given, abs=1.5)
    assert found["packet"][0] == pytest.approx(PACKET, rel=0.1)
    assert found["synapse"][0] == pytest.approx(SYNAPSE, rel=0.2)
    for instructions, cycles in found.values():
        assert 1.0 < cycles / instructions < 2.0


def test_synapses_that_learn(tmp_path):
    """A synapse of a row that learns, with a spike of its target since the last one; the row goes back to SDRAM, which counts too."""
    from spinnaker_cycles import of_rule

    from neurosim.hardware.spinnaker.estimates import PACKET
    from neurosim.hardware.spinnaker.learning import RULES
    found = of_rule("pair, additive", tmp_path)
    known = RULES["pair", "additive"].instructions
    assert found.pop("misfit") < 0.02
    both = found["synapse"][0] + found["and a spike of its target"][0]
    assert both == pytest.approx(known.synapse + known.post, rel=0.05)
    assert PACKET + known.row < found["packet"][0] < PACKET + known.row + 200
