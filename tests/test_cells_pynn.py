"""Every standard cell, source, membrane and response of PyNN: the same parameters, defaults, units, states and receptors here."""

import numpy as np
import pytest

import neurosim as ns

standard = pytest.importorskip("pyNN.standardmodels.cells", reason="needs pyNN, which is not installed")
responses = pytest.importorskip("pyNN.standardmodels.receptors")


def declared_in(module):
    """The models that a module of PyNN defines itself."""
    return {name: one for name, one in vars(module).items()
            if isinstance(one, type) and one.__module__ == module.__name__ and getattr(one, "default_parameters", None)}


CELLS, RESPONSES = declared_in(standard), declared_in(responses)
# What has another name here: CompartmentalCell.
OTHERWISE = {"MultiCompartmentNeuron"}
MEMBRANES = {"LIF", "AdExp"}
# Rows of three numbers there, three numbers here: tau_eta1, tau_eta2, tau_eta3.
THREES = {"GIF_cond_exp": ("tau_eta", "tau_gamma", "a_eta", "a_gamma")}
# Rows of any length, which have no declared range here.
ROWS = {"SpikeSourceArray": ("spike_times",), "SpikeSourceInhGamma": ("a", "b", "tbins")}
UNITS = {"dimensionless": ""}


def plain(value):
    """A default of PyNN as a number, or a list of numbers."""
    value = getattr(value, "value", value)
    return np.asarray(value, dtype=float).tolist()


def expected(name, theirs):
    """name -> (default, unit) as this library should have it, rows of any length left out."""
    found = {}
    for parameter, value in theirs.default_parameters.items():
        unit = theirs.units.get(parameter)
        unit = UNITS.get(unit, unit)
        if parameter in THREES.get(name, ()):
            found.update({f"{parameter}{k + 1}": (one, unit) for k, one in enumerate(plain(value))})
        elif parameter not in ROWS.get(name, ()):
            found[parameter] = (plain(value), unit)
    return found


def test_nothing_is_lacking():
    assert len(CELLS) >= 19 and len(RESPONSES) == 4
    assert {name for name in (*CELLS, *RESPONSES) if not hasattr(ns, name)} == OTHERWISE
    assert OTHERWISE | MEMBRANES < set(CELLS)


@pytest.mark.parametrize("name", sorted(set(CELLS) - OTHERWISE))
def test_parameters_defaults_and_units(name):
    ours = getattr(ns, name).parameters()
    assert {p: (one.default, one.unit) for p, one in ours.items()} == expected(name, CELLS[name])
    for row in ROWS.get(name, ()):
        mine = getattr(getattr(ns, name)(), row)
        assert np.concatenate([np.atleast_1d(one) for one in mine] or [[]]).tolist() == plain(CELLS[name].default_parameters[row])


NEURONS = sorted(name for name in set(CELLS) - OTHERWISE if not name.startswith("SpikeSource"))


@pytest.mark.parametrize("name", NEURONS)
def test_states_units_and_initial_values(name):
    """A state that PyNN has without recording it (isyn_exc) may be recorded here."""
    theirs, ours = CELLS[name], getattr(ns, name)
    assert set(theirs.recordable) - {"spikes"} <= set(ours.states) == set(theirs.default_initial_values)
    for state, declared in ours.states.items():
        assert declared.unit == theirs.units[state]
        value = getattr(ours(), declared.default) if isinstance(declared.default, str) else declared.default
        assert value == theirs.default_initial_values[state]


@pytest.mark.parametrize("name", sorted(set(NEURONS) - MEMBRANES))
def test_receptors_and_kind_of_synapses(name):
    theirs, ours = CELLS[name], getattr(ns, name)
    gaps = {"source_section.gap"}  # an electrical junction of NEURON
    assert set(ours.receptors) == set(theirs.receptor_types) - gaps
    assert (ours.weight_unit == "uS") == theirs.conductance_based
    assert (ours.weight_unit == "mV") == getattr(theirs, "voltage_based_synapses", False)


@pytest.mark.parametrize("name", sorted(n for n in CELLS if n.startswith("SpikeSource")))
def test_sources_have_neither_states_nor_receptors(name):
    ours = getattr(ns, name)
    assert ours.is_source and not ours.states and not ours.receptors
    assert CELLS[name].recordable == ["spikes"] and not CELLS[name].receptor_types


@pytest.mark.parametrize("name", sorted(RESPONSES))
def test_responses(name):
    """PyNN's ``locations`` serve neurons of several compartments alone."""
    theirs, ours = RESPONSES[name], getattr(ns, name)
    wanted = {parameter: value for parameter, value in theirs.default_parameters.items() if parameter != "locations"}
    assert {parameter: one.default for parameter, one in ours.parameters().items()} == wanted
    assert all(one.unit == ("mV" if parameter == "e_syn" else "ms") for parameter, one in ours.parameters().items())
    assert ours.conductance == theirs.conductance_based
    assert {ours.state: "uS" if ours.conductance else "nA"} == theirs.units
    cell = ns.PointNeuron(ns.LIF(), r=ours())
    assert cell.states[f"r.{ours.state}"].default == theirs.default_initial_values[ours.state]


def test_composed_cells_name_things_as_pynn():
    """The names of parameters, states and recordable variables, with the components of a back end."""
    sim = pytest.importorskip("pyNN.mock")
    if not hasattr(sim, "PointNeuron"):
        pytest.importorskip("nest")
        import pyNN.nest as sim
    theirs = sim.PointNeuron(sim.AdExp(tau_m=10.0), AMPA=sim.AlphaPSR(tau_syn=1.0), GABAA=sim.BetaPSR(e_syn=-70.0))
    ours = ns.PointNeuron(ns.AdExp(tau_m=10.0), AMPA=ns.AlphaPSR(tau_syn=1.0), GABAA=ns.BetaPSR(e_syn=-70.0))
    assert theirs.recordable == ["spikes", *ours.states]
    assert list(theirs.receptor_types) == sorted(ours.receptors)
    assert theirs.conductance_based and ours.weight_unit == "uS"
    assert theirs.default_initial_values == {
        name: getattr(ours, one.default) if isinstance(one.default, str) else one.default for name, one in ours.states.items()}
    flat = {}
    for name, value in theirs.parameter_space.items():
        parts = [(f"{name}.{k}", v) for k, v in value.items()] if hasattr(value, "items") else [(name, value)]
        flat.update({k: v for k, v in parts if not k.endswith(".locations")})
    assert set(flat) == set(ours.parameters())
