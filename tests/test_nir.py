"""NIR graphs <-> networks: equal spikes step for step, round trips, and what is refused by name."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("nir", reason="needs nir, which is not installed")
pytest.importorskip("h5py", reason="needs h5py, which is not installed")

import nir  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from nir_graphs import affine, chain, cuba, fire, full, graph, lif, looped, recurrent, spikes, weights  # noqa: E402
from reference_nir import Executed, convolved  # noqa: E402

from neurosim import (  # noqa: E402
    AllToAllConnector,
    DCSource,
    FixedProbabilityConnector,
    FromListConnector,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    IF_jump,
    Network,
    NetworkError,
    NoisyCurrentSource,
    OneToOneConnector,
    ParameterError,
    Simulation,
    SpikeSourceArray,
    SpikeSourcePoisson,
    STDPMechanism,
    TsodyksMarkramSynapse,
    Uniform,
)
from neurosim import maps  # noqa: E402
from neurosim.errors import FileFormatError  # noqa: E402
from neurosim.hardware.nir import EulerCubaLIF, EulerLIF, from_nir, to_nir, write  # noqa: E402

STEPS = 150
DT = 1.0  # ms


def imported_run(imported, x):
    """Output of the network for frames."""
    imported.set_input(x)
    return Simulation(imported.network, dt=imported.dt, seed=1).run(imported.duration(len(x)))


def output_of(g, x, **options):
    imported = from_nir(g, **{"dt": DT, **options})
    return imported.output(imported_run(imported, x), len(x)), imported


def network_spikes(network, x, dt, exported, source, population, steps):
    """Spikes of a population of a network by the graph's steps."""
    rows = [np.repeat(np.arange(len(x)), column) * dt for column in x.T]
    network[source].set(spike_times=rows)
    network.record(network[population], "spikes")
    found = Simulation(network, dt=dt, seed=1).run((steps + max(exported.offsets.values())) * dt).spikes(population)
    out = np.zeros((steps, network[population].size))
    at = np.rint(found.times / dt).astype(int) - exported.offsets[population]
    inside = (at >= 0) & (at < steps)
    np.add.at(out, (at[inside], found.ids[inside]), 1)
    return out


# ----------------------------------------------------------------------------------- reading: equal spikes


def convolutional():
    """Convolutions of all sorts, pools, and layers of neurons that keep their shape."""
    rng = np.random.default_rng(7)

    def w(*shape):
        return rng.normal(2.0, 4.0, shape).astype(np.float32)

    conv1 = nir.Conv2d((9, 8), w(4, 2, 3, 3), (1, 2), (1, 0), (1, 1), 1, full(4, 0.1))
    conv2 = nir.Conv2d((4, 2), w(6, 2, 2, 2), 1, "same", (2, 1), 2, full(6, 0.0))
    pool1, pool2 = nir.SumPool2d(np.array([2, 2]), np.array([2, 1]), np.array([0, 0])), nir.AvgPool2d(np.array([2, 1]), 1, np.array([1, 0]))
    flat = nir.Flatten({"input": np.array([6, 5, 2])}, 0, -1)
    return chain((2, 9, 8), 5, c1=conv1, l1=lif((4, 9, 3)), p1=pool1, c2=conv2, l2=lif((6, 4, 2)), p2=pool2, flat=flat,
                 fc=nir.Linear(weights(3, 5, 60, 20.0)), l3=lif(5))


def one_dimensional():
    rng = np.random.default_rng(8)
    conv = nir.Conv1d(11, rng.normal(3.0, 6.0, (3, 2, 3)).astype(np.float32), 2, 1, 1, 1, full(3, 0.5))
    return chain((2, 11), 18, c=conv, l=lif((3, 6)), f=nir.Flatten({"input": np.array([3, 6])}, 0, -1))


def branched():
    """Two ways to one layer, one of them past a layer, and a scale."""
    nodes = {"a": affine(1, 15, 12, 20), "la": lif(15), "b": affine(2, 15, 12, 10), "s": nir.Scale(np.linspace(0.5, 2, 15).astype("f")),
             "c": nir.Linear(weights(3, 15, 15, 20.0)), "lc": lif(15)}
    edges = [("input", "a"), ("a", "la"), ("la", "c"), ("input", "b"), ("b", "s"), ("s", "lc"), ("c", "lc"), ("lc", "output")]
    return graph(nodes, edges, 12, 15)


def delayed(loop):
    """Delays that differ from channel to channel, before and after weights; in a loop too."""
    wait = (np.arange(12) % 4 * 1e-3).astype(np.float32)
    g = recurrent(lif(20), lif(8), 5, 20.0, False)
    nodes = {**g.nodes, "d1": nir.Delay(wait)}
    if loop:
        nodes["d2"] = nir.Delay((np.arange(20) % 3 * 1e-3).astype(np.float32))
    edges = [("input", "d1"), ("d1", "fc1"), ("fc1", "rec"), ("rec", "w_rec"), ("rec", "fc2"), ("fc2", "last"), ("last", "output")]
    edges += [("w_rec", "d2"), ("d2", "rec")] if loop else [("w_rec", "rec")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def two_in_a_loop():
    """a -> b -> a, with a delay that makes room for two cells."""
    nodes = {"wa": affine(1, 15, 12, 20), "a": lif(15), "ab": affine(2, 10, 15, 25), "b": lif(10), "ba": affine(3, 15, 10, 20, -0.2),
             "wait": nir.Delay(full(15, 1e-3))}
    edges = [("input", "wa"), ("wa", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "wait"), ("wait", "a"), ("b", "output")]
    return graph(nodes, edges, 12, 10)


GRAPHS = {
    "LIF": lambda: chain(12, 8, a=affine(1, 20, 12, 20), b=lif(20), c=affine(2, 8, 20, 30), d=lif(8)),
    "LIF with biases": lambda: chain(12, 8, a=affine(1, 20, 12, 20, bias=0.3), b=lif(20), c=affine(2, 8, 20, 30, bias=0.4), d=lif(8)),
    "LIF with leak and reset": lambda: chain(12, 8, a=affine(1, 20, 12, 20), b=lif(20, 0.03, 2.0, -0.5, 0.2, -0.25), c=affine(2, 8, 20, 30),
                                             d=lif(8, 0.01, 1.0, 0.1, 0.9, 0.3)),
    "LIF without memory": lambda: chain(12, 8, a=affine(1, 20, 12, 3), b=lif(20, 0.001), c=affine(2, 8, 20, 3), d=lif(8, 0.0006)),
    "LIF, reset above threshold": lambda: chain(12, 8, a=affine(1, 8, 12, 20), b=lif(8, v_threshold=0.5, v_reset=0.6)),
    "neurons alone": lambda: chain(12, 12, b=lif(12, 0.02, 9.0)),
    "IF": lambda: chain(12, 8, a=affine(1, 20, 12, 2), b=fire(20, 500.0), c=affine(2, 8, 20, 3, bias=0.01), d=fire(8, 500.0, 1.0, -0.2)),
    "CubaLIF": lambda: chain(12, 8, a=nir.Linear(weights(1, 20, 12)), b=cuba(20), c=nir.Linear(weights(2, 8, 20, 2)), d=cuba(8, w_in=3.0)),
    "CubaLIF with biases": lambda: chain(12, 8, a=affine(1, 20, 12, bias=0.01), b=cuba(20), c=affine(2, 8, 20, 2, bias=0.02), d=cuba(8)),
    "CubaLIF, equal time constants": lambda: chain(12, 8, a=nir.Linear(weights(1, 8, 12)), b=cuba(8, 0.02, 0.02)),
    "Threshold": lambda: chain(12, 8, a=affine(1, 20, 12, 3, bias=0.1), b=nir.Threshold(full(20, 0.5)), c=affine(2, 8, 20, 20), d=lif(8)),
    "recurrent LIF": lambda: recurrent(lif(20), lif(8), 3, 20.0, True, 0.1),
    "recurrent LIF, flat": lambda: recurrent(lif(20), lif(8), 3, 20.0, False, 0.1),
    "recurrent IF": lambda: recurrent(fire(20, 500.0), fire(8, 500.0), 3, 1.0, True),
    "recurrent CubaLIF": lambda: recurrent(cuba(20), cuba(8), 3, 1.0, True, 0.01),
    "recurrent CubaLIF, flat": lambda: recurrent(cuba(20), lif(8, r=20.0), 3, 1.0, False, 0.01),
    "nested twice": lambda: chain(20, 20, outer=chain(20, 20, s=nir.Scale(full(20, 60.0)), inner=looped(lif(20), 20, 5, 20.0))),
    "Conv2d, pools": convolutional,
    "Conv1d": one_dimensional,
    "branched": branched,
    "delays": lambda: delayed(False),
    "delays in a loop": lambda: delayed(True),
    "two in a loop": two_in_a_loop,
}


def shape_in(g):
    return tuple(int(n) for n in g.nodes["input"].input_type["input"])


@pytest.mark.parametrize("cells", ["auto", "euler"])
@pytest.mark.parametrize("name", GRAPHS)
def test_spikes_are_those_of_the_graph(name, cells):
    g = GRAPHS[name]()
    x = spikes(11, STEPS, shape_in(g))
    wanted = Executed(g, 1e-3).run(x)
    got, imported = output_of(g, x, cells=cells)
    assert 20 < wanted.sum() < 0.95 * wanted.size
    assert np.array_equal(got.reshape(wanted.shape), wanted)
    kinds = {type(p.cell) for label, p in imported.populations.items() if label not in imported.inputs}
    assert kinds <= ({EulerLIF, EulerCubaLIF} if cells == "euler" else {IF_curr_delta, IF_curr_exp, IF_jump, EulerLIF, EulerCubaLIF})


@pytest.mark.parametrize("reset", ["subtract", "late subtract", "late value"])
@pytest.mark.parametrize("name", ["LIF", "IF", "CubaLIF", "recurrent LIF", "recurrent CubaLIF"])
def test_spikes_with_other_resets(name, reset):
    g = GRAPHS[name]()
    x = spikes(12, STEPS, shape_in(g))
    wanted = Executed(g, 1e-3, reset).run(x)
    assert wanted.sum() > 20
    assert np.array_equal(output_of(g, x, reset=reset)[0], wanted)
    assert not np.array_equal(Executed(g, 1e-3).run(x), wanted), "the reset makes a difference here"


def test_resets_by_node():
    g = GRAPHS["LIF"]()
    imported = from_nir(g, dt=DT, reset={"d": "late subtract"})
    assert [type(imported.populations[name].cell) for name in "bd"] == [IF_curr_delta, EulerLIF]
    with pytest.raises(ParameterError, match="reset names 'c', which is no neuron node; there are b, d"):
        from_nir(g, dt=DT, reset={"c": "subtract"})


def test_native_cells_wherever_they_can_say_it():
    def used(name):
        imported = from_nir(GRAPHS[name](), dt=DT)
        return [type(imported.populations[label].cell).__name__ for label in imported.populations][1:]

    assert used("LIF") == used("LIF with leak and reset") == ["IF_curr_delta"] * 2
    assert used("IF") == ["IF_jump"] * 2
    assert used("CubaLIF") == ["IF_curr_exp"] * 2
    assert used("recurrent CubaLIF") == ["EulerCubaLIF", "IF_curr_exp"], "a loop of one step leaves no room for IF_curr_exp"
    assert used("CubaLIF with biases") == ["EulerCubaLIF"] * 2
    assert used("LIF without memory")[1] == "EulerLIF"


def test_every_population_can_be_read_at_the_graphs_steps():
    g = GRAPHS["CubaLIF"]()
    x = spikes(13, STEPS, 12)
    imported = from_nir(g, dt=DT)
    result = imported_run(imported, x)
    assert imported.offsets == {"input": 0, "b": 2, "d": 4}
    assert np.array_equal(imported.spikes(result, "input", STEPS), x)
    first = chain(12, 20, a=g.nodes["a"], b=g.nodes["b"])
    assert np.array_equal(imported.spikes(result, "b", STEPS), Executed(first, 1e-3).run(x))


@pytest.mark.parametrize("name", ["LI", "CubaLI", "I", "weights"])
def test_outputs_that_are_no_spikes(name):
    last = {
        "LI": {"m": nir.LI(full(5, 0.03), full(5, 2.0), full(5, 0.25))},
        "CubaLI": {"m": nir.CubaLI(full(5, 0.01), full(5, 0.03), full(5, 2.0), full(5, 0.1), full(5, 3.0))},
        "I": {"m": nir.I(full(5, 30.0))},
        "weights": {},
    }[name]
    g = chain(12, 3, a=affine(1, 20, 12, 20), b=lif(20), c=affine(2, 5, 20, 30, bias=0.3), **last, d=affine(4, 3, 5, 1.0, bias=-0.5))
    x = spikes(14, STEPS, 12)
    wanted = Executed(g, 1e-3).run(x)
    for cells in ("auto", "euler"):
        assert np.allclose(output_of(g, x, cells=cells)[0], wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["LIF with biases", "IF", "CubaLIF", "Threshold", "recurrent LIF", "Conv1d", "delays"])
def test_real_numbers_as_input(name):
    g = GRAPHS[name]()
    x = np.random.default_rng(15).normal(0.3, 0.5, (60, *shape_in(g)))
    wanted = Executed(g, 1e-3).run(x)
    imported = from_nir(g, dt=DT, analog=True)
    imported_run(imported, x[::-1])  # a second input takes the place of the first
    got = imported.output(imported_run(imported, x), len(x))
    assert wanted.sum() > 10
    assert np.array_equal(got.reshape(wanted.shape), wanted)


def test_several_spikes_in_a_step_and_silence():
    g = GRAPHS["LIF"]()
    x = np.random.default_rng(16).poisson(0.5, (STEPS, 12))
    assert x.max() > 2
    assert np.array_equal(output_of(g, x)[0], Executed(g, 1e-3).run(x))
    assert output_of(g, 0 * x)[0].sum() == 0


@pytest.mark.parametrize(("dt", "kind"), [(0.1, "LIF"), (0.1, "CubaLIF"), (2.5, "LIF"), (0.5, "recurrent CubaLIF")])
def test_other_steps(dt, kind):
    g = GRAPHS[kind]()
    for node in g.nodes.values():
        if hasattr(node, "weight"):
            node.weight = node.weight / np.float32(min(dt, 1.0))
    x = spikes(17, STEPS, 12)
    wanted = Executed(g, dt * 1e-3).run(x)
    assert wanted.sum() > 20
    assert np.array_equal(output_of(g, x, dt=dt)[0], wanted)


def test_a_potential_on_the_threshold_does_not_fire():
    g = chain(2, 2, a=nir.Linear(np.diag([0.25, 0.375]).astype(np.float32)), b=fire(2, 1000.0))
    x = np.ones((24, 2), int)
    wanted = Executed(g, 1e-3).run(x)
    assert np.flatnonzero(wanted[:, 0]).tolist() == [4, 9, 14, 19], "1.0 is no spike, 1.25 is"
    assert np.array_equal(output_of(g, x)[0], wanted)
    assert np.array_equal(output_of(g, x, cells="euler")[0], wanted)


# ----------------------------------------------------------------------------------- reading: the exact solution


def test_exact_time_constants_and_step_response():
    g = chain(1, 1, w=nir.Linear(full((1, 1), 3.0)), m=nir.LI(full(1, 0.02), full(1, 2.0), full(1, 0.0)))
    imported = from_nir(g, dt=DT, dynamics="exact")
    assert imported.populations["m"].cell.tau_m == pytest.approx(20.0, rel=1e-7)
    got = imported.output(imported_run(imported, np.eye(1, 40, dtype=int).T), 40)[:, 0]
    assert np.allclose(got, 2.0 * 3.0 * 1e-3 / 0.02 * np.exp(-np.arange(40) / 20.0), rtol=1e-6)
    imported = from_nir(g, dt=DT, dynamics="exact", analog=True)
    got = imported.output(imported_run(imported, np.ones((40, 1))), 40)[:, 0]
    assert np.allclose(got, 6.0 * (1 - np.exp(-np.arange(1, 41) / 20.0)), rtol=1e-6)


def test_exact_synapse():
    g = chain(1, 1, w=nir.Linear(full((1, 1), 3.0)), m=nir.CubaLI(full(1, 0.005), full(1, 0.02), full(1, 2.0), full(1, 0.0), full(1, 4.0)))
    imported = from_nir(g, dt=DT, dynamics="exact")
    got = imported.output(imported_run(imported, np.eye(1, 60, dtype=int).T), 60)[:, 0]
    t = np.arange(60)
    wanted = 2.0 * 4.0 * 3.0 * 1e-3 / 0.005 * 5.0 / (20.0 - 5.0) * (np.exp(-t / 20.0) - np.exp(-t / 5.0))
    assert np.allclose(got, wanted, rtol=1e-5, atol=1e-7)


def test_euler_comes_close_to_exact_for_small_steps():
    g = chain(12, 8, a=affine(1, 20, 12, 20), b=lif(20), c=affine(2, 8, 20, 30), d=lif(8))

    def potential_of(dynamics, dt):
        g.nodes["b"].v_threshold = full(20, 1e6)
        imported = from_nir(g, dt=dt, dynamics=dynamics)
        imported.network.record(imported.populations["b"], "v")
        x = np.zeros((round(40 / dt), 12), int)
        x[0] = 1
        return imported_run(imported, x).traces("b", "v").values[-1] / dt

    far, near = (np.abs(potential_of("euler", dt) / potential_of("exact", dt) - 1).max() for dt in (1.0, 0.1))
    assert near < 0.15 * far


# ----------------------------------------------------------------------------------- reading: what is refused


def with_node(node):
    return chain(4, 4, a=affine(1, 4, 4), b=node)


REFUSED = {
    "node 'b' (LIF): tau must be > 0": (lambda: with_node(lif(4, tau=0.0)), {}),
    "node 'b' (LIF): r must be > 0": (lambda: with_node(lif(4, r=-1.0)), {}),
    "v_threshold must be finite": (lambda: with_node(lif(4, v_threshold=np.nan)), {}),
    "tau has shape (3,)": (lambda: chain(4, 4, a=affine(1, 4, 4), b=nir.LIF(full(3, 1), full(3, 1), full(3, 0), full(3, 1))), {}),
    "snntorch runs it as a Leaky(beta=0.9)": (lambda: with_node(fire(4)), {"dynamics": "snntorch", "dt": None}),
    "snntorch refuses v_leak != 0": (lambda: with_node(lif(4, v_leak=0.1)), {"dynamics": "snntorch", "dt": None}),
    "norse lets the synaptic current": (lambda: with_node(cuba(4, v_leak=0.1)), {"dynamics": "norse"}),
    "a bias or an analog input goes through the synapse": (
        lambda: chain(4, 4, a=affine(1, 4, 4, bias=1.0), b=cuba(4)), {"dynamics": "exact"}),
    "dynamics='exact' needs v_reset < v_threshold": (lambda: with_node(lif(4, v_reset=2.0)), {"dynamics": "exact"}),
    "a loop through several neurons": (
        lambda: graph({"w": affine(1, 4, 4), "a": lif(4), "ab": affine(2, 4, 4), "b": lif(4), "ba": affine(3, 4, 4)},
                      [("input", "w"), ("w", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "a"), ("b", "output")], 4, 4), {}),
    "a loop without a neuron": (
        lambda: graph({"w": affine(1, 4, 4), "v": affine(2, 4, 4), "a": lif(4)},
                      [("input", "w"), ("w", "v"), ("v", "w"), ("v", "a"), ("a", "output")], 4, 4), {}),
    "no input leads into the loop": (
        lambda: graph({"a": lif(4), "w": affine(1, 4, 4), "b": lif(4)},
                      [("input", "b"), ("w", "a"), ("a", "w"), ("b", "output")], 4, 4), {}),
    "sends its potential at every step": (
        lambda: chain(4, 4, a=nir.LI(full(4, 0.1), full(4, 1), full(4, 0)), b=affine(1, 4, 4), c=lif(4)), {}),
    "nothing leads to it": (lambda: graph({"a": lif(4), "b": lif(4)}, [("input", "a"), ("a", "output")], 4, 4), {}),
    "there is no node 'c'": (lambda: graph({"a": lif(4)}, [("input", "a"), ("a", "output"), ("c", "a")], 4, 4), {}),
    "is for 5 values, got shape (4,)": (lambda: chain(4, 4, a=affine(1, 4, 5), b=lif(4)), {}),
    "reaches it has shapes (4,) and (5,)": (
        lambda: graph({"v": affine(1, 5, 4), "a": lif(4)}, [("input", "a"), ("input", "v"), ("v", "a"), ("a", "output")], 4, 4), {}),
    "needs 3 dimensions": (lambda: chain(4, 4, a=nir.SumPool2d(np.array([1, 1]), np.array([1, 1]), np.array([0, 0])), b=lif(4)), {}),
    "is for 2 channels": (lambda: chain((3, 4, 4), 4, a=nir.Conv2d((4, 4), full((1, 2, 2, 2), 1), 1, 0, 1, 1, full(1, 0)), b=lif(4)), {}),
    "delay must be >= 0 s": (lambda: chain(4, 4, d=nir.Delay(full(4, -1.0)), b=lif(4)), {}),
    "past all neurons": (lambda: chain(4, 4, a=affine(1, 4, 4)), {"analog": True}),
    "must have one Input and one Output": (
        lambda: chain(4, 4, s=nir.NIRGraph({"input": nir.Input(np.array([4])), "i2": nir.Input(np.array([4])), "a": lif(4),
                                            "output": nir.Output(np.array([4]))},
                                           [("input", "a"), ("i2", "a"), ("a", "output")], type_check=False)), {}),
    "norse runs a NIR graph with one Input": (
        lambda: nir.NIRGraph({"i": nir.Input(np.array([4])), "j": nir.Input(np.array([4])), "a": lif(4), "o": nir.Output(np.array([4]))},
                             [("i", "a"), ("j", "a"), ("a", "o")], type_check=False), {"dynamics": "norse"}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_graphs_that_are_refused(message):
    make, options = REFUSED[message]
    with pytest.raises(NetworkError) as caught:
        from_nir(make(), **{"dt": DT, **options})
    assert message in str(caught.value)


class Unknown(nir.LIF):
    """A node that nobody knows."""


def test_an_unknown_node_is_refused_with_a_list():
    node = Unknown(full(4, 1), full(4, 1), full(4, 0), full(4, 1), full(4, 0))
    with pytest.raises(NetworkError, match=r"NIR node 'b': Unknown is not supported; LIF, LI, CubaLIF"):
        from_nir(with_node(node), dt=DT)


@pytest.mark.parametrize(("options", "message"), [
    ({"dt": None}, "dt must be > 0 ms, got None"), ({"dt": 0}, "dt must be > 0 ms, got 0"), ({"dt": "1"}, "dt must be"),
    ({"dynamics": "heun"}, "dynamics must be one of euler"), ({"reset": "zero"}, "reset must be one of"),
    ({"cells": "none"}, "cells must be one of"), ({"dynamics": "snntorch", "dt": 1.0}, "snntorch's import knows one step"),
])
def test_arguments_of_from_nir(options, message):
    with pytest.raises(ParameterError, match=message):
        from_nir(GRAPHS["LIF"](), **{"dt": DT, **options})


def test_what_is_no_graph_and_no_network():
    with pytest.raises(ParameterError, match=r"from_nir needs a nir.NIRGraph or the path of a file, got LIF\("):
        from_nir(lif(3), dt=DT)
    with pytest.raises(ParameterError, match="to_nir needs a Network, got 3"):
        to_nir(3)


def test_wrong_inputs_and_results():
    imported = from_nir(GRAPHS["LIF"](), dt=DT)
    with pytest.raises(ParameterError, match=r"takes values of shape \(steps, \*\(12,\)\), got \(5, 11\)"):
        imported.set_input(np.zeros((5, 11)))
    with pytest.raises(ParameterError, match="whole numbers >= 0, got 0.5"):
        imported.set_input(np.full((5, 12), 0.5))
    with pytest.raises(ParameterError, match="must be finite"):
        imported.set_input(np.full((5, 12), np.nan))
    with pytest.raises(ParameterError, match="has no Input 'b'"):
        imported.set_input(np.zeros((5, 12)), "b")
    result = imported_run(imported, np.zeros((5, 12), int))
    with pytest.raises(ParameterError, match="has no Output 'b'"):
        imported.output(result, 5, "b")
    with pytest.raises(ParameterError, match="50 steps of the graph take 52 ms of the network, the result has 7 ms"):
        imported.output(result, 50)


def test_the_report_says_what_was_done():
    g = chain(4, 4, d=nir.Delay(np.array([0, 1.2e-3, 2e-3, 3e-3])), w=nir.Linear(weights(1, 4, 4)), b=lif(4, r=2.0, v_reset=-0.1))
    text = "\n".join(map(str, from_nir(g, dynamics="norse").report))
    for part in ("d: delays rounded to whole steps of 0.001 s, by up to 0.0002 s", "b: norse takes r = 1", "b: norse resets to 0 V"):
        assert part in text
    assert "loops: what was sent in the step before goes along w_rec -> rec" in str(
        from_nir(GRAPHS["recurrent LIF, flat"](), dt=DT).report)


# ----------------------------------------------------------------------------------- writing


def described(cell, x_weight, delays=(1, 2), loop=0, connector=None, **projection):
    """source -> a -> b, and a -> a."""
    network = Network(seed=5)
    source = network.population(12, SpikeSourceArray(), "source")
    a, b = network.population(20, cell, "a"), network.population(8, cell, "b")
    for pre, post, delay, seed in ((source, a, delays[0], 1), (a, b, delays[1], 2), *([(a, a, loop, 3)] if loop else [])):
        w = weights(seed, pre.size, post.size).astype(float) * x_weight
        for receptor, some in (("excitatory", w > 0), ("inhibitory", w < 0)):
            rows = np.column_stack([*np.nonzero(some), w[some]])
            network.project(pre, post, FromListConnector(rows, ("weight",)), delay=delay * DT, receptor=receptor)
    return network


CELLS = {
    "IF_curr_delta": (IF_curr_delta(tau_refrac=0.0, v_reset=-68.0), 25.0),
    "IF_curr_delta, all different": (IF_curr_delta(tau_refrac=0.0, tau_m=Uniform(5.0, 30.0), v_thresh=Uniform(-55.0, -50.0), cm=2.0), 25.0),
    "IF_curr_exp": (IF_curr_exp(tau_refrac=0.0, tau_syn_I=5.0), 6.0),
    "IF_jump": (IF_jump(v_thresh=15.0), 20.0),
    "EulerLIF": (EulerLIF(keep=0.9), 1500.0),
    "EulerCubaLIF": (EulerCubaLIF(keep=0.9, keep_syn=0.7, gain=0.1, gain_syn=0.3), 4000.0),
}


@pytest.mark.parametrize("retime", [True, False])
@pytest.mark.parametrize(("delays", "loop"), [((1, 1), 0), ((1, 2), 1), ((3, 1), 2), ((2, 5), 4)])
@pytest.mark.parametrize("name", CELLS)
def test_the_graph_spikes_as_the_network(name, delays, loop, retime, tmp_path):
    network = described(*CELLS[name], delays, loop)
    exported = to_nir(network, tmp_path / "g.nir", dt=DT, retime=retime)
    x = spikes(21, STEPS, 12)
    wanted = network_spikes(network, x, DT, exported, "source", "b", STEPS)
    got = Executed(nir.read(tmp_path / "g.nir"), exported.dt).run(x)
    assert wanted.sum() > 20
    assert np.array_equal(got, wanted)
    assert exported.dt == 1e-3
    back = from_nir(tmp_path / "g.nir", dt=DT)
    assert np.array_equal(back.output(imported_run(back, x), STEPS), wanted)


@pytest.mark.parametrize("by", ["source", "target", "both"])
def test_many_delays_in_one_projection(by):
    network = described(*CELLS["IF_curr_delta"])
    b = network["b"]
    source = network["source"]
    i, j = (index.ravel() for index in np.indices((12, 8)))
    delay = {"source": 1 + i % 4, "target": 1 + j % 3, "both": 1 + (i * 5 + j) % 4}[by]
    rows = np.column_stack([i, j, np.full(96, 1.5), delay * DT])
    network.project(source, b, FromListConnector(rows, ("weight", "delay")))
    exported = to_nir(network, dt=DT)
    kinds = [type(node).__name__ for node in exported.graph.nodes.values()]
    assert kinds.count("Linear") == (6 if by == "both" else 3)
    x = spikes(22, STEPS, 12)
    wanted = network_spikes(network, x, DT, exported, "source", "b", STEPS)
    assert wanted.sum() > 20
    assert np.array_equal(Executed(exported.graph, 1e-3).run(x), wanted)


def test_views_random_wiring_and_constant_currents():
    network = Network(seed=9)
    source = network.population(12, SpikeSourceArray(), "in put")
    a = network.population(20, IF_curr_delta(tau_refrac=0.0, i_offset=np.linspace(0, 0.5, 20)), "a-1")
    network.project(source[3:], a[5:], FixedProbabilityConnector(0.5), weight=Uniform(1.0, 8.0), delay=DT)
    network.project(source, a[[0, 4]], AllToAllConnector(), weight=1.25, delay=DT)
    network.inject(DCSource(amplitude=0.3), a[2:4])
    exported = to_nir(network, dt=DT)
    assert exported.names == {"in put": "in_put", "a-1": "a_1"}
    assert any("the node is called 'a_1'" in str(note) for note in exported.report)
    x = spikes(23, STEPS, 12)
    wanted = network_spikes(network, x, DT, exported, "in put", "a-1", STEPS)
    assert wanted.sum() > 20
    assert np.array_equal(Executed(exported.graph, 1e-3).run(x), wanted)


def test_a_cell_at_its_threshold_fires_in_the_graph_too():
    network = Network()
    source, a = network.population(2, SpikeSourceArray(), "s"), network.population(2, IF_jump(v_thresh=1.0), "a")
    network.project(source, a, OneToOneConnector(), weight=np.array([0.25, 0.125]), delay=DT)
    exported = to_nir(network, dt=DT)
    x = np.ones((24, 2), int)
    wanted = network_spikes(network, x, DT, exported, "s", "a", 24)
    assert np.flatnonzero(wanted[:, 0]).tolist() == [3, 7, 11, 15, 19, 23], "4 * 0.25 is enough"
    assert np.array_equal(Executed(exported.graph, 1e-3).run(x), wanted)
    for field in ("r", "v_threshold", "v_reset"):  # and in single precision
        setattr(exported.graph.nodes["a"], field, getattr(exported.graph.nodes["a"], field).astype(np.float32))
    assert np.array_equal(Executed(exported.graph, 1e-3).run(x), wanted)


def test_exact_dynamics_keep_the_networks_numbers():
    network = described(IF_curr_exp(tau_refrac=0.0, tau_m=20.0, tau_syn_E=5.0, tau_syn_I=5.0, cm=0.25), 2.0)
    node = to_nir(network, dt=DT, dynamics="exact").graph.nodes["a"]
    assert np.allclose([node.tau_mem[0], node.tau_syn[0], node.r[0], node.v_leak[0], node.v_reset[0], node.w_in[0]],
                       [20e-3, 5e-3, 80e6, -65e-3, -65e-3, 1.0], rtol=1e-12)
    x = spikes(24, STEPS, 12)
    exported = to_nir(network, dt=DT, dynamics="exact")
    back = from_nir(exported.graph, dt=DT, dynamics="exact")
    wanted = network_spikes(network, x, DT, exported, "source", "b", STEPS)
    assert wanted.sum() > 20
    assert np.array_equal(back.output(imported_run(back, x), STEPS), wanted)


def changed(edit, cell=None):
    """A network that can be written, and then something that cannot."""
    network = described(cell or IF_curr_delta(tau_refrac=0.0), 25.0)
    edit(network)
    return network


UNWRITABLE = {
    "NIR has no refractory time; IF_curr_delta.tau_refrac must be 0 ms, got 2 ms": lambda: described(IF_curr_delta(tau_refrac=2.0), 1.0),
    "is of IF_cond_exp, which NIR does not have; it has IF_curr_delta, IF_jump": lambda: changed(
        lambda n: n.project(n["source"], n.population(3, IF_cond_exp(), "c"), AllToAllConnector(), weight=1.0)),
    "is of IF_curr_alpha": lambda: changed(
        lambda n: n.project(n["source"], n.population(3, IF_curr_alpha(), "c"), AllToAllConnector(), weight=1.0)),
    "has synapses that change": lambda: changed(
        lambda n: n.project(n["source"], n["b"], AllToAllConnector(), weight=0.5, synapse=STDPMechanism())),
    "or act all the time": lambda: changed(
        lambda n: n.project(n["source"], n["b"], AllToAllConnector(), weight=0.5, synapse=TsodyksMarkramSynapse())),
    "Poisson input 'Poisson -> a' is not in NIR": lambda: changed(lambda n: n.poisson_input(n["a"], 5.0, 1.0)),
    "constant currents without end, not NoisyCurrentSource": lambda: changed(lambda n: n.inject(NoisyCurrentSource(), n["a"])),
    "not DCSource until 50 ms": lambda: changed(lambda n: n.inject(DCSource(stop=50.0), n["a"])),
    "EulerLIF.reset must be one number from 0 to 5": lambda: described(EulerLIF(reset=9.0), 1.0),
    "1 - keep_syn of EulerCubaLIF must be > 0, got -0.5": lambda: described(EulerCubaLIF(keep_syn=1.5), 1.0),
    "a constant current into the membrane is not in": lambda: changed(
        lambda n: n.inject(DCSource(), n["a"]), IF_curr_exp(tau_refrac=0.0, tau_syn_I=5.0)),
    "no input leads into the loop of b": lambda: changed(lambda n: n.projections.__delitem__(slice(2, 4)) or n.project(
        n["b"], n["b"], AllToAllConnector(), weight=1.0)),
    "must begin with the graph's first step": lambda: changed(lambda n: n.inject(DCSource(start=50.0), n["a"])),
    "with retime=False every cell's": lambda: changed(lambda n: n["b"].set(i_offset=0.1)),
    "NIR has no initial values; v must start at -65, got -60": lambda: changed(lambda n: n["a"].initialize(v=-60.0)),
    "a constant current into the membrane is not in NIR's CubaLIF": lambda: described(IF_curr_exp(tau_refrac=0.0, i_offset=0.1), 1.0),
    "has one synaptic current; IF_curr_exp.tau_syn_E and tau_syn_I": lambda: described(IF_curr_exp(tau_refrac=0.0, tau_syn_I=8.0), 1.0),
    "nothing projects to population 'c'": lambda: changed(lambda n: n.population(3, IF_jump(), "c")),
    "the network has no projections": Network,
}


@pytest.mark.parametrize("message", UNWRITABLE)
def test_networks_that_are_refused(message, tmp_path):
    with pytest.raises(NetworkError) as caught:
        to_nir(UNWRITABLE[message](), tmp_path / "g.nir", dt=DT)
    assert message in str(caught.value)
    assert not (tmp_path / "g.nir").exists()


@pytest.mark.parametrize(("edit", "options", "message"), [
    (lambda n: None, {"target": "snntorch", "delays": (1, 1), "loop": 3}, "snntorch does not read NIR's Delay"),
    (lambda n: n["b"].set(v_reset=-70.0), {"target": "norse"}, "norse resets to the leak potential; v_reset must be -65 mV, got -70 mV"),
    (lambda n: n.project(n.population(2, SpikeSourcePoisson(), "more"), n["a"], AllToAllConnector(), weight=1.0), {"target": "norse"},
     "norse runs graphs with one Input and one Output, here would be 2 (source, more) and 1 (b)"),
])
def test_what_a_target_does_not_take(edit, options, message):
    network = described(IF_curr_delta(tau_refrac=0.0), 25.0, options.pop("delays", (1, 2)), options.pop("loop", 0))
    edit(network)
    with pytest.raises(NetworkError) as caught:
        to_nir(network, dt=DT, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(("cell", "target", "message"), [
    (EulerLIF(reset=2.0), "snntorch", "'late subtract', is not said by NIR, whose spikes set v to v_reset, and snntorch would do so"),
    (IF_jump(), "snntorch", "snntorch does not read NIR's IF; it reads LIF, CubaLIF"),
    (IF_curr_delta(tau_refrac=0.0, v_rest=-50.0, v_reset=-70.0, v_thresh=Uniform(-60.0, -49.0)), "snntorch", "v_reset must be -50 mV"),
])
def test_cells_that_a_target_does_not_take(cell, target, message):
    with pytest.raises(NetworkError) as caught:
        to_nir(described(cell, 1.0), dt=DT, target=target)
    assert message in str(caught.value)


def test_a_reset_that_nir_cannot_say_is_reported():
    exported = to_nir(described(EulerLIF(keep=0.9, reset=1.0), 1.0), dt=DT)
    assert "a: a spike's effect, 'subtract', is not said by NIR, whose spikes set v to v_reset" in map(str, exported.report)
    with pytest.raises(NetworkError, match="is stepped by Euler's method: dynamics must be 'euler'"):
        to_nir(described(EulerLIF(), 1.0), dt=DT, dynamics="exact")


@pytest.mark.parametrize(("options", "message"), [
    ({"dt": 0.0}, "dt must be > 0 ms, got 0.0"), ({"dt": True}, "dt must be > 0 ms, got True"),
    ({"dynamics": "norse"}, "dynamics must be one of euler, exact"), ({"target": "lava"}, "target must be one of None, snntorch, norse"),
    ({"target": "norse", "dynamics": "exact"}, "norse executes by Euler's method"),
])
def test_arguments_of_to_nir(options, message):
    with pytest.raises(ParameterError, match=message):
        to_nir(described(IF_curr_delta(tau_refrac=0.0), 25.0), **options)


def test_outputs_can_be_chosen():
    network = described(*CELLS["IF_curr_delta"])
    assert "output" in to_nir(network).graph.nodes
    exported = to_nir(network, outputs="a")
    assert {"output_a", "output_b"} <= set(exported.graph.nodes)
    assert "b: an Output, since it leads nowhere" in map(str, exported.report)
    with pytest.raises(NetworkError, match="no population of neurons 'source' for an Output; there are a, b"):
        to_nir(network, outputs="source")


def test_a_file_that_reads_differently_is_noticed(tmp_path, monkeypatch):
    network = described(*CELLS["IF_curr_delta"])
    graph_of = to_nir(network).graph
    other = to_nir(network).graph
    other.nodes["a"].tau = other.nodes["a"].tau * (1 + 1e-15) + 1e-18
    assert write._difference(graph_of, graph_of) == ""
    assert write._difference(graph_of, other) == "tau of node 'a'"
    monkeypatch.setattr(nir, "read", lambda path: other)
    with pytest.raises(FileFormatError, match="read again, the graph differs: tau of node 'a'"):
        to_nir(network, tmp_path / "g.nir")


# ----------------------------------------------------------------------------------- there and back again


@st.composite
def neurons(draw, n):
    """A node that the library says natively, with parameters of its own for each neuron, in single precision."""
    def some(low, high):
        return np.array([draw(st.floats(low, high, width=32)) for _ in range(n)], dtype=np.float32)

    kind = draw(st.sampled_from(["LIF", "IF", "CubaLIF", "Threshold"]))
    if kind == "Threshold":
        return nir.Threshold(some(0.125, 2.0))
    levels = {"r": some(0.5, 50.0), "v_threshold": some(0.25, 2.0), "v_reset": some(-1.0, 0.125)}
    if kind == "IF":
        return nir.IF(**levels)
    levels["v_leak"] = some(-0.5, 0.125)
    if kind == "LIF":
        return nir.LIF(tau=some(0.0078125, 0.0625), **levels)
    return nir.CubaLIF(tau_syn=some(0.0078125, 0.03125), tau_mem=some(0.046875, 0.0625), w_in=full(n, 1.0), **levels)


@st.composite
def graphs(draw):
    """Two layers, biases or none, a loop or none, delays or none."""
    n = [draw(st.integers(1, 4)) for _ in range(3)]
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    first, second = draw(neurons(n[1])), draw(neurons(n[2]))

    def joined(post, pre, bias=True):
        w = rng.normal(1.0, 5.0, (post, pre)).astype(np.float32)
        return nir.Affine(w, rng.normal(0.0, 0.5, post).astype(np.float32)) if bias and draw(st.booleans()) else nir.Linear(w)

    nodes = {"a": first, "a_from_input": joined(n[1], n[0]), "b": second, "b_from_a": joined(n[2], n[1])}
    edges = [("input", "a_from_input"), ("a_from_input", "a"), ("b_from_a", "b"), ("b", "output")]
    if n[1] > 1 and draw(st.booleans()):  # a delay that all channels share would become a later offset
        nodes["b_from_a_delay"] = nir.Delay(np.append(rng.integers(1, 4, n[1] - 1), 0) * 1e-3)
        edges += [("a", "b_from_a_delay"), ("b_from_a_delay", "b_from_a")]
    else:
        edges += [("a", "b_from_a")]
    if draw(st.booleans()):
        nodes["a_from_a"] = joined(n[1], n[1], bias=False)
        edges += [("a", "a_from_a"), ("a_from_a", "a")]
    return graph(nodes, edges, n[0], n[2])


@pytest.mark.parametrize("name", GRAPHS)
def test_what_comes_back_spikes_alike(name, tmp_path):
    """Convolutions come back as matrices, sub-graphs laid open, but the spikes are the same."""
    g = GRAPHS[name]()
    imported = from_nir(g, dt=DT)
    last = list(imported.populations)[-1] if "two" not in name else "b"
    exported = to_nir(imported.network, tmp_path / "g.nir", dt=DT, outputs=[last])
    x = spikes(25, 100, shape_in(g))
    wanted = Executed(g, 1e-3).run(x).reshape(100, -1)
    assert wanted.sum() > 20
    assert exported.offsets == imported.offsets
    assert np.array_equal(Executed(nir.read(tmp_path / "g.nir"), 1e-3).run(x.reshape(100, -1)), wanted)


def test_several_inputs_and_outputs():
    nodes = {"i": nir.Input(np.array([12])), "j": nir.Input(np.array([5])), "a": affine(1, 20, 12, 20), "b": affine(2, 20, 5, 20),
             "l": lif(20), "m": lif(20, 0.01), "o": nir.Output(np.array([20])), "p": nir.Output(np.array([20]))}
    edges = [("i", "a"), ("j", "b"), ("a", "l"), ("b", "l"), ("b", "m"), ("l", "o"), ("m", "p")]
    imported = from_nir(nir.NIRGraph(nodes, edges), dt=DT)
    x, y = spikes(26, 100, 12), spikes(27, 100, 5)
    imported.set_input(x, "i")
    imported.set_input(y, "j")
    result = Simulation(imported.network, dt=DT, seed=1).run(imported.duration(100))
    both = nir.Linear(np.hstack([nodes["a"].weight, nodes["b"].weight]))
    for name, weight, frames, cell in (("o", both, np.hstack([x, y]), lif(20)), ("p", nodes["b"], y, lif(20, 0.01))):
        wanted = Executed(chain(frames.shape[1], 20, w=weight, l=cell), 1e-3).run(frames)
        assert wanted.sum() > 20
        assert np.array_equal(imported.output(result, 100, name), wanted)
    for call in (lambda: imported.set_input(x), lambda: imported.output(result, 100)):
        with pytest.raises(ParameterError, match="name one of"):
            call()


@given(graphs())
@settings(max_examples=60)
def test_round_trip_gives_the_same_graph(g):
    made = to_nir(from_nir(g, dt=DT).network, dt=DT, outputs=["b"])
    assert set(made.graph.nodes) == set(g.nodes)
    assert set(made.graph.edges) == set(g.edges)
    for name, node in g.nodes.items():
        other = made.graph.nodes[name]
        assert type(other) is type(node)
        for field in dataclasses.fields(node):
            if field.name not in ("input_type", "output_type", "metadata"):
                wanted, got = (np.asarray(getattr(one, field.name), dtype=float) for one in (node, other))
                assert np.allclose(got, wanted, rtol=1e-9, atol=1e-9 if field.name == "delay" else 1e-13), (name, field.name)


@given(st.integers(1, 3), st.integers(1, 2), st.tuples(st.integers(4, 7), st.integers(4, 6)),
       st.tuples(st.integers(1, 3), st.integers(1, 2)), st.integers(1, 2),
       st.one_of(st.just("valid"), st.just("same"), st.integers(0, 2)), st.integers(1, 2), st.integers(0, 2**31))
def test_convolutions_as_matrices(per_group, groups, space, kernel, stride, padding, dilation, seed):
    stride = 1 if padding == "same" else stride
    rng = np.random.default_rng(seed)
    weight, x = rng.normal(size=(2 * groups, per_group, *kernel)), rng.normal(size=(per_group * groups, *space))
    matrix, shape = maps.conv(weight, x.shape, stride, padding, dilation, groups)
    wanted = convolved(weight, x, stride, padding, dilation, groups, np.zeros(2 * groups))
    assert shape == wanted.shape
    assert np.allclose(matrix.applied(x.ravel()), wanted.ravel())
    assert np.allclose(matrix.array() @ x.ravel(), wanted.ravel())


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**31))
def test_chained_and_summed_maps(a, b, c, seed):
    rng = np.random.default_rng(seed)
    one, two, three = (rng.normal(size=shape) * (rng.random(shape) < 0.5) for shape in ((a, b), (b, c), (b, c)))
    assert np.allclose(maps.chained(maps.dense(one), maps.dense(two)).array(), one @ two)
    assert np.allclose(maps.summed(maps.dense(two), maps.dense(three)).array(), two + three)
    assert np.allclose(maps.repeated(maps.dense(one), 3).array(), np.kron(np.eye(3), one))
