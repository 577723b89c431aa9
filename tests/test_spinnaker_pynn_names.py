"""Every name of sPyNNaker: there, with its arguments and defaults, or saying what to use; and what is refused."""

import dataclasses
import inspect
import json
import warnings

import numpy as np
import pytest

pytest.importorskip("pyNN", reason="needs PyNN, which is not installed")

from pyNN.errors import InvalidParameterValueError
from spinnaker_dialect import begun, cells, noted  # noqa: F401

import neurosim.hardware.spinnaker.pynn as sim
from neurosim.hardware.spinnaker import extra
from neurosim.hardware.spinnaker.pynn import absent, connectors

# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(("action", "error", "match"), [
    (lambda: cells().set(v=-60.0), KeyError, "state variable, which initialize"),
    (lambda: cells().set(nothing=1), KeyError, "'nothing' is not a parameter of IF_curr_exp"),
    (lambda: cells().get("v"), KeyError, "not a parameter"),
    (lambda: cells().initialize(w=1), KeyError, "not a state variable"),
    (lambda: sim.IF_curr_exp(foo=1), TypeError, "no parameter 'foo'"),
    (lambda: sim.Population(1, sim.SpikeSourceArray("3 ms")), InvalidParameterValueError, "must be times in ms, got '3 ms'"),
    (lambda: sim.Population(0, sim.IF_curr_exp()), sim.ConfigurationException, "must be > 0"),
    (lambda: sim.Population(2.5, sim.IF_curr_exp()), sim.ConfigurationException, "whole number"),
    (lambda: sim.Population(2, sim.IF_curr_exp(), {"tau_m": 3.0}), sim.ConfigurationException, "cellparams must be None"),
    (lambda: sim.Population(2, "IF_curr_exp"), sim.ConfigurationException, "cell type"),
    (lambda: sim.Population(2, sim.IF_curr_exp(), n_steps_per_timestep=2), NotImplementedError, "n_steps_per_timestep"),
    (lambda: cells().positions, ValueError, "no positions"),
    (lambda: cells() + cells(), NotImplementedError, "no assemblies"),
    (lambda: cells().nearest((0, 0, 0)), NotImplementedError, "nearest"),
    (lambda: sim.initialize(cells(), v=sim.RandomDistribution("uniform", (-70, -60), rng=sim.NumpyRNG(seed=1))),
     sim.ConfigurationException, "seed=... to the target population"),
    (lambda: sim.Projection(cells(), cells(), sim.FixedProbabilityConnector(0.5, rng=sim.NumpyRNG(seed=1))),
     sim.ConfigurationException, "rng in FixedProbabilityConnector"),
    (lambda: sim.Projection(cells(), cells(), sim.AllToAllConnector(), sim.StaticSynapse(
        weight=sim.RandomDistribution("uniform", (0, 1), rng=sim.NumpyRNG(seed=1)))), sim.ConfigurationException, "RandomDistribution"),
    (lambda: sim.FixedProbabilityConnector(1.5), sim.ConfigurationException, "within 0 and 1"),
    (lambda: sim.FromListConnector([(0, 0, 1, 1, 1)]), sim.ConfigurationException, "2 or 4 columns"),
    (lambda: sim.FromListConnector([(0, 0, 1)]), sim.ConfigurationException, "2 or 4 columns"),
    (lambda: sim.FromListConnector([(0, 0, 1)], ["weight", "delay"]), sim.ConfigurationException, "source, target, weight, delay"),
    (lambda: sim.Projection(cells(), cells(), sim.FixedNumberPreConnector(4)), sim.ConfigurationException, "n <= 3"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector(), receptor_type="third"), sim.ConfigurationException,
     "third not found"),
    (lambda: sim.Projection(cells(), sim.Population(1, sim.SpikeSourceArray()), sim.OneToOneConnector()), sim.ConfigurationException,
     "takes no input"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector(), source="soma"), NotImplementedError, "compartments"),
    (lambda: sim.Projection([1], cells(), sim.OneToOneConnector()), sim.ConfigurationException, "populations and views"),
    (lambda: sim.Projection(cells(), cells(), "all"), sim.ConfigurationException, "connector must be"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector(), "static"), sim.ConfigurationException, "synapse_type must be"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector()).set(weight=1), NotImplementedError, "no Projection.set"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector()).size(), NotImplementedError, "no Projection.size"),
    (lambda: sim.Projection(cells(), cells(), sim.OneToOneConnector()).get("weight", "table"), sim.ConfigurationException,
     "'list' or 'array'"),
    (lambda: sim.STDPMechanism(sim.SpikePairRule(), sim.AdditiveWeightDependence(), dendritic_delay_fraction=0.5), NotImplementedError,
     "dendritic"),
    (lambda: sim.STDPMechanism(sim.SpikePairRule(), sim.AdditiveWeightDependence(), backprop_delay=False), NotImplementedError, "backprop"),
    (lambda: sim.STDPMechanism("pairs", sim.AdditiveWeightDependence()), sim.ConfigurationException, "is not one of"),
    (lambda: sim.STDPMechanism(sim.extra_models.PfisterSpikeTriplet(1, 1, 1, 1, 1, 1), sim.AdditiveWeightDependence()),
     sim.ConfigurationException, "AdditiveTriplet"),
    (lambda: sim.set_number_of_neurons_per_core("IF_curr_exp", 5), sim.ConfigurationException, "cell type"),
    (lambda: sim.set_number_of_neurons_per_core(sim.IF_curr_exp, 500), sim.SpynnakerException, "at most 256"),
    (lambda: sim.setup(1.0, n_chips_required=1, n_boards_required=1), sim.ConfigurationException, "not both"),
    (lambda: sim.get_max_delay(), NotImplementedError, "its own"),
])
def test_what_is_refused(action, error, match):
    with pytest.raises(error, match=match):
        action()


def test_nothing_before_setup_or_after_end():
    population = cells()
    sim.end()
    for action in (lambda: cells(), lambda: sim.run(1), lambda: population.record("v"), lambda: sim.reset()):
        with pytest.raises(sim.SpynnakerException, match="setup"):
            action()
    noted(sim.end, "ignored")


@pytest.mark.parametrize(("names", "module"), [
    (absent.ABSENT, sim), (absent.EXTRA, sim.extra_models), (absent.DEVICES, sim.external_devices)])
def test_what_is_not_there_says_what_to_use(names, module):
    for name, sentence in names.items():
        stand_in = getattr(module, name)
        with pytest.raises(NotImplementedError, match=f"{name}: "):
            stand_in(1, two=2)
        assert sentence in stand_in.__doc__
        assert not isinstance(3, stand_in)


def test_what_only_pynn_has_says_what_to_use():
    for name, remedy in {"EIF_cond_exp_isfa_ista": "Use IF_cond_exp", "TsodyksMarkramSynapse": "Use a static synapse",
                         "CloneConnector": "Use a FromListConnector", "nonsense": "pyNN.spiNNaker has no nonsense$"}.items():
        with pytest.raises(AttributeError, match=remedy):
            getattr(sim, name)
        assert not hasattr(sim, name)


def test_signs_and_delays_that_the_machine_changes_are_told():
    def join(receptor="excitatory", **given):
        return sim.Projection(cells(), cells(), sim.AllToAllConnector(), sim.StaticSynapse(**given), receptor_type=receptor)

    noted(lambda: join(weight=-1.0).get("weight", "list"), "drops the sign, and they excite")
    noted(lambda: join(weight=1.0, delay=0.4).get("delay", "list"), "delays below the time step are 1 ms")
    with warnings.catch_warnings():
        warnings.simplefilter("error", sim.MachineWarning)
        join("inhibitory", weight=-1.0, delay=1.0).get("weight", "list")
        join("inhibitory", weight=1.0).get("weight", "list")


def test_weights_and_delays_as_text_are_functions_of_the_distance():
    def join(weight, delay):
        sheet = sim.Population(9, sim.IF_curr_exp(), structure=sim.Grid2D())
        return sim.Projection(sheet, sheet, sim.AllToAllConnector(), sim.StaticSynapse(weight=weight, delay=delay))

    text, function = join("0.2 * exp(-d)", "1 + d"), join(lambda d: 0.2 * np.exp(-d), lambda d: 1 + d)
    sim.run(1)
    made, meant = ([list(row) for row in one.get(["weight", "delay"], "list")] for one in (text, function))
    assert made == meant and len({row[2] for row in made}) > 4 and made[2][3] == 3.0
    for text in ("0.2 * exp(-x)", "0.2 *", "d.shape"):
        with pytest.raises(sim.ConfigurationException, match="weight must be a number"):
            sim.StaticSynapse(weight=text)


def test_all_distances_count_for_how_weights_are_stored():
    """Of cells 0 to 8 apart, joined where they are neighbours: the greatest of all weights decides, as sPyNNaker reckons."""
    line = sim.Population(9, sim.IF_curr_exp(), structure=sim.Line())
    made = sim.Projection(line, line, sim.DistanceDependentProbabilityConnector("d < 1.5"), sim.StaticSynapse("0.1 * 2 ** d", 1.0))
    sim.run(1)
    assert made.estimate().greatest == pytest.approx(0.1 * 2**8) and max(row[2] for row in made.get("weight", "list")) < 0.21


def test_delays_of_many_stages_are_taken():
    """Of a list sPyNNaker 7.4.1 would lose some; a connector that the machine draws is right there."""
    source = sim.Population(300, sim.SpikeSourceArray([[k] for k in range(300)]), label="source")
    target = cells(300, label="target", tau_refrac=2.0)
    sim.Projection(source, target, sim.OneToOneConnector(), sim.StaticSynapse(weight=50.0, delay=144.0))
    target.record("spikes")
    with warnings.catch_warnings():
        warnings.simplefilter("error", sim.MachineWarning)
        sim.run(500)
    assert [float(one[0]) for one in target.get_data().segments[0].spiketrains] == [k + 144.0 for k in range(300)]


def test_populations_that_come_after_a_run_are_not_warned_of():
    cells()
    sim.run(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", sim.MachineWarning)
        late = cells(label="late")
    noted(lambda: late.initialize(v=-60.0), "without reset")


def test_notes_name_the_line_of_the_script():
    with pytest.warns(sim.MachineWarning, match="never on") as caught:
        sim.DCSource(amplitude=1.0).inject_into(cells())
    assert caught[0].filename == __file__
    noted(lambda: sim.setup(), "0.1 ms")
    noted(lambda: sim.setup(1.0, max_delay=10.0), "max_delay is ignored")
    noted(lambda: sim.setup(1.0, colour="red"), "colour")
    noted(lambda: sim.IF_curr_exp(v=-60.0), "state variable")
    noted(lambda: sim.Population(2, sim.IF_curr_exp(), speed=3), "speed will be ignored")


# ------------------------------------------------------------------------------------------ beside sPyNNaker


NAMES = '''
import inspect, json
import spynnaker.pyNN as sim
def told(one):
    target = one.__init__ if isinstance(one, type) else one
    names = [] if not callable(one) else [
        [p.name, str(p.kind), None if p.default is p.empty else repr(p.default)] for p in inspect.signature(target).parameters.values()]
    plain = lambda given: {k: repr(v) for k, v in dict(given or {}).items()}
    return {"signature": [one for one in names if one[0] != "self"], "parameters": plain(getattr(one, "default_parameters", None)),
            "initial": plain(getattr(one, "default_initial_values", None))}
parts = {"": sim, "extra_models": sim.extra_models, "external_devices": sim.external_devices}
print("NAMES", json.dumps({part: {name: told(getattr(module, name, None)) for name in module.__all__} for part, module in parts.items()}))
'''


@pytest.mark.needs("spynnaker", "pyNN")
def test_every_name_of_spynnaker_is_there_or_says_what_to_use(tmp_path):
    """Names, order and defaults of arguments, parameters of models and their defaults, state variables and theirs."""
    from spinnaker_board import python
    told = json.loads(python(tmp_path, "-c", NAMES).partition("NAMES ")[2].splitlines()[0])
    here = {"": sim, "extra_models": sim.extra_models, "external_devices": sim.external_devices}
    lacking = {"": absent.ABSENT, "extra_models": absent.EXTRA, "external_devices": absent.DEVICES}
    assert all(len(names) > 10 for names in told.values())
    for part, names in told.items():
        for name, theirs in names.items():
            assert hasattr(here[part], name), f"{part} {name}"
            ours = getattr(here[part], name)
            if name in lacking[part]:
                continue
            _same_arguments(name, ours, theirs["signature"])
            if theirs["parameters"] and name != "SpikeSourceArray":
                found = {one: value for one, value in ours.default_parameters.items()}
                if name != "SpikeSourcePoisson":
                    assert found == {one: float(value) for one, value in theirs["parameters"].items()}, name
                assert found.keys() == theirs["parameters"].keys(), name
                expected = {one: float(value) for one, value in theirs["initial"].items() if value != "None"}
                unknown = expected.keys() - ours.default_initial_values.keys()
                assert all(expected[one] == 0.0 and one.startswith("isyn") for one in unknown), (name, unknown)
                own = {one: value for one, value in ours.default_initial_values.items() if one != "seed"}
                assert own == {one: expected[one] for one in own}, name
                assert ("seed" in ours.default_initial_values) == ("seed" in theirs["initial"]), name


def _same_arguments(name, ours, theirs):
    """Each argument of sPyNNaker is there, in its place, with its default."""
    if not theirs or any(kind in ("VAR_POSITIONAL",) for _, kind, _ in theirs) and name not in ("Assembly",):
        return
    positional = [one for one in theirs if not one[1].startswith("VAR")]
    target = ours.__init__ if isinstance(ours, type) else ours
    found = [one for one in inspect.signature(target).parameters.values() if one.name != "self"]
    open_ended = any(one.kind is one.VAR_KEYWORD for one in found)
    if not positional or (open_ended and len(found) <= 2):
        return
    assert [one.name for one in found if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)][:len(positional)] == [
        one[0] for one in positional], name
    for (argument, _, default), one in zip(positional, found, strict=False):
        if default is None:
            assert one.default is one.empty or one.default is None, f"{name}({argument})"
        elif one.default is not one.empty:
            assert repr(one.default) == default or _number(one.default) == _number(default), f"{name}({argument}={default})"


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return repr(value)


def test_the_extra_cells_are_all_there():
    """Every cell of `extra` has its place in the front door, by its own name."""
    for name in extra.__all__:
        found = getattr(sim, name, None) or getattr(sim.extra_models, name)
        assert found.native is getattr(extra, name)
        assert dataclasses.is_dataclass(found.native)
    assert {"IF_curr_exp", "IF_cond_exp", "SpikeSourceArray"} <= set(sim.list_standard_models())
    assert issubclass(sim.KernelConnector, connectors.MachineConnector)
