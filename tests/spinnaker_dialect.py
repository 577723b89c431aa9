"""What tests of scripts for sPyNNaker begin with."""

import warnings

import pytest

import neurosim.hardware.spinnaker.pynn as sim


@pytest.fixture(autouse=True)
def begun():
    """A machine with steps of 1 ms; notes that a test does not ask for are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sim.MachineWarning)
        sim.setup(timestep=1.0)
        yield


def noted(action, match):
    """What an action gives that must be told about."""
    with pytest.warns(sim.MachineWarning, match=match):
        return action()


def cells(n=3, label="cells", **parameters):
    """A population."""
    return sim.Population(n, sim.IF_curr_exp(**parameters), label=label)
