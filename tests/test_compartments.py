"""Cells with dendrites: against a dense matrix exponential, a plain reference, NEURON, and in the order of convergence."""

import numpy as np
import pytest
from scipy.linalg import expm

from neurosim import (
    AllToAllConnector,
    CompartmentalCell,
    DCSource,
    Network,
    ParameterError,
    Section,
    Simulation,
    SpikeSourceArray,
)

SOMA = Section("soma", length=18.8, diameter=18.8, Ra=150.0, g_pas=3e-4, e_pas=-54.3, g_Na=0.12, g_K=0.036)
DEND = Section("dend", "soma", length=300.0, diameter=2.0, diameter_end=1.0, Ra=150.0, g_pas=3e-4, e_pas=-65.0)
TWIG = Section("twig", "dend", length=100.0, diameter=1.0, Ra=150.0, g_pas=3e-4, e_pas=-65.0, pieces=3)
FORK = Section("fork", "dend", length=80.0, diameter=0.8, Ra=150.0, g_pas=3e-4, e_pas=-65.0, pieces=2)


def run(cell, cells=1, dt=0.025, duration=40.0, current=0.0, at="soma", threads=1, v=-65.0, **kind):
    """Potentials (samples, neurons) and the neurons that spiked."""
    net = Network()
    p = net.population(cells * cell.compartments, cell, "p", initial_values={"v": v})
    if current:
        net.inject(DCSource(amplitude=current, start=5.0), p[cell.at(at, np.arange(cells))])
    net.record(p, ["v", "spikes"])
    result = Simulation(net, dt=dt, threads=threads, **kind).run(duration)
    return result.traces("p", "v").values, result.spikes("p")


def test_a_passive_tree_follows_the_matrix_exponential():
    passive = [Section(one.name, one.parent, one.length, one.diameter, one.diameter_end, Ra=150.0, g_pas=3e-4, e_pas=one.e_pas,
                       pieces=one.pieces) for one in (SOMA, DEND, TWIG, FORK)]
    cell = CompartmentalCell(tuple(passive), i_offset=0.01)
    tree, n = cell.tree(), cell.compartments
    a = np.zeros((n, n))
    for i in range(1, n):
        parent, g = int(tree["parent"][i]), tree["g_axial"][i]
        for x, y in ((i, parent), (parent, i)):
            a[x, x] -= g
            a[x, y] += g
    a -= np.diag(tree["g_pas"])
    a /= tree["cm"][:, None]
    drive = (tree["g_pas"] * tree["e_pas"] + 0.01) / tree["cm"]
    rest = -np.linalg.solve(a, drive)
    start = np.full(n, -65.0)

    def error(dt):
        v, _ = run(cell, dt=dt, duration=8.0)
        return np.abs(v[-1] - (rest + expm(8.0 * a) @ (start - rest))).max()

    assert error(0.025) < 1e-3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurosim.cells.compartments._LONGEST_PART", 1.0)
        errors = [error(dt) for dt in (0.8, 0.4, 0.2)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders > 1.8).all(), (orders, errors)


def test_a_spiking_tree_converges_in_second_order(monkeypatch):
    monkeypatch.setattr("neurosim.cells.compartments._LONGEST_PART", 1.0)
    cell = CompartmentalCell((SOMA, DEND))
    start = np.linspace(-62.0, -58.0, cell.compartments)
    fine, _ = run(cell, dt=0.0015625, duration=4.0, v=start)
    errors = [np.abs(run(cell, dt=dt, duration=4.0, v=start)[0][-1] - fine[-1]).max() for dt in (0.05, 0.025, 0.0125)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert ((orders > 1.8) & (orders < 2.3)).all(), orders


def test_cells_are_independent_and_threads_do_not_matter():
    cell = CompartmentalCell((SOMA, DEND, TWIG))
    alone, spikes = run(cell, current=0.3)
    assert len(spikes.times) >= 3 and set(spikes.ids) == {int(cell.at("soma")[0])}
    many, all_spikes = run(cell, cells=7, current=0.3)
    for k in range(7):
        assert np.array_equal(many[:, k * cell.compartments:(k + 1) * cell.compartments], alone)
    assert set(all_spikes.ids) == set(cell.at("soma", np.arange(7)))
    two, spikes_two = run(cell, cells=7, current=0.3, threads=2)
    assert np.array_equal(two, many) and np.array_equal(spikes_two.ids, all_spikes.ids)


def test_a_synapse_on_a_twig_is_felt_later_and_less_at_the_soma():
    net = Network()
    cell = CompartmentalCell((SOMA, DEND, TWIG))
    p = net.population(cell.compartments, cell, "p")
    source = net.population(1, SpikeSourceArray([1.0]), "s")
    net.project(source, p[cell.at("twig", x=1.0)], AllToAllConnector(), weight=0.001)
    net.record(p, "v")
    v = Simulation(net, dt=0.025).run(30.0).traces("p", "v").values
    quiet, _ = run(cell, duration=30.0)
    rise = v - quiet
    there, soma = rise[:, cell.at("twig", x=1.0)[0]], rise[:, cell.at("soma")[0]]
    assert there.max() > 3.0 * soma.max() > 0.0 and there.argmax() < soma.argmax()


@pytest.mark.needs("neuron")
@pytest.mark.parametrize("current", [0.3, 0.36])
def test_spikes_are_those_of_neuron(current):
    """The same tree in NEURON, in second order: the same spikes to a few steps after ten of them."""
    from neuron import h
    h.load_file("stdrun.hoc")
    sections = {}
    for one in (SOMA, DEND, TWIG):
        section = h.Section(name=one.name)
        section.L, section.Ra, section.cm, section.nseg = one.length, one.Ra, one.cm, one.compartments
        for segment in section:
            segment.diam = one.diameter + ((one.diameter_end or one.diameter) - one.diameter) * segment.x
        section.insert("pas")
        section.g_pas, section.e_pas = one.g_pas, one.e_pas
        if one.g_Na:
            section.insert("hh")
            section.gnabar_hh, section.gkbar_hh, section.gl_hh = one.g_Na, one.g_K, 0.0
            section.ena, section.ek = 50.0, -77.0
        if one.parent:
            section.connect(sections[one.parent](1))
        sections[one.name] = section
    h.secondorder, h.celsius, h.dt, h.steps_per_ms = 2, 6.3, 0.0125, 80
    clamp = h.IClamp(sections["soma"](0.5))
    clamp.delay, clamp.dur, clamp.amp = 5.0, 1e9, current
    times = h.Vector()
    counter = h.NetCon(sections["soma"](0.5)._ref_v, None, sec=sections["soma"])
    counter.threshold = 10.0
    counter.record(times)
    h.finitialize(-65.0)
    h.continuerun(150.0)
    cell = CompartmentalCell((SOMA, DEND, TWIG))
    _, spikes = run(cell, dt=0.0125, duration=150.0, current=current)
    theirs = np.array(times)
    assert theirs.size >= 8 and spikes.times.size == theirs.size
    np.testing.assert_allclose(spikes.times, theirs, atol=0.25, rtol=1e-3)


def test_the_rule_for_the_number_of_compartments():
    dend = Section("dend", length=500.0, diameter=2.0, Ra=500.0)  # length constant at 100 Hz: 178.4 um
    assert dend.compartments == 29 and Section(length=18.8, diameter=18.8, Ra=500.0).compartments == 1
    area, resistance = Section("cone", length=100.0, diameter=4.0, diameter_end=2.0, Ra=100.0, pieces=5).halves()
    assert area.sum() == pytest.approx(np.pi * 3e-4 * np.hypot(100e-4, 1e-4))  # a frustum's mantle
    assert resistance.sum() == pytest.approx(1e-6 * 100.0 * 100e-4 / (np.pi * 2e-4 * 1e-4))


@pytest.mark.parametrize("sections, words", [
    ((), "row of Section"),
    ((SOMA, SOMA), "two sections are called 'soma'"),
    ((SOMA, Section("a", "b")), "'a' must have a parent that stands before it"),
    ((Section("a", "soma"),), "the first has none"),
])
def test_sections_must_make_a_tree(sections, words):
    with pytest.raises(ParameterError, match=words):
        CompartmentalCell(sections)


def test_what_does_not_fit_is_refused():
    cell = CompartmentalCell((SOMA, DEND))
    with pytest.raises(ParameterError, match="has no section 'axon'; it has soma, dend"):
        cell.at("axon")
    with pytest.raises(ParameterError, match="x must be"):
        cell.at("dend", x=2.0)
    net = Network()
    net.population(cell.compartments + 1, cell, "p")
    with pytest.raises(ParameterError, match="do not make whole cells"):
        Simulation(net)
    with pytest.raises(ParameterError, match="length must be > 0 um"):
        Section(length=0.0)
