"""What sPyNNaker would load onto its virtual board is what was predicted: cores, SDRAM, shifts, and every stored weight and delay."""

import numpy as np
import pytest
import spinnaker_networks
from spinnaker_board import Found, exported, synapses

from neurosim.hardware.spinnaker import placement
from neurosim.hardware.spinnaker.cells import MODELS
from neurosim.hardware.spinnaker.limits import CELLS, bits
from neurosim.hardware.spinnaker.load import load
from neurosim.hardware.spinnaker.placement import place

pytestmark = pytest.mark.needs("spynnaker")

RANDOM = 20


def predicted_and_found(jobs, folder, *flags):
    found = exported(jobs, folder, *flags)
    assert len(found) == len(jobs)
    for (name, arguments, settings), there in zip(jobs, found, strict=True):
        assert not there.refused
        yield load(getattr(spinnaker_networks, name)(*arguments), **settings), there


def check(deployment, there):
    """Hold a deployment against what sPyNNaker made of it; the number of synapses."""
    assert {one.label: one.shifts for one in deployment.cells if not one.is_source} == there.shifts
    for one in deployment.cells:
        for core in there.board.of(one.label, "Population"):
            assert core.words("SynapseParams")[7:].tolist() == list(one.shifts)
            assert int(core.words("SynapseParams")[4]) == bits(one.slots)
    placed = place(deployment)
    assert placed.exact and placed.problems == []
    assert [(*one.chip, one.core, one.binary, one.first, one.last, one.memory.fixed, one.memory.per_step) for one in placed.vertices] == [
        (core.x, core.y, core.p, core.binary, core.first, core.last, *core.sdram) for core in there.board.cores]
    assert max(there.board.routes.values()) <= placed.entries
    assert placed.chips == len({(core.x, core.y) for core in there.board.cores})
    return check_synapses(deployment, there)


def check_synapses(deployment, there):
    """Every synapse that a packet reaches, and every synapse that the export reads."""
    pairs, total = {}, 0
    for one in deployment.synapses:
        if one.source.size:
            pairs.setdefault((deployment.cells[one.pre].label, deployment.cells[one.post].label), []).append(one)
    for (pre, post), ours in pairs.items():
        theirs = synapses(there.board, pre, post)
        assert len(theirs) == len(ours)
        for one, other in zip(ours, theirs, strict=True):
            n = one.source.size
            mine = Found(one.source, one.target, one.delay, np.full(n, one.receptor), one.stored, np.full(n, one.plastic))
            np.testing.assert_array_equal(mine.table(), other.table(), one.label)
            total += n
            order = np.lexsort((one.delay, one.stored, one.source, one.target))
            if isinstance(there.weights[one.label], str):
                assert "mixes up the sources" in there.weights[one.label] and one.delay.max() > 2 * deployment.cells[one.post].slots
                continue
            read, delays = there.weights[one.label], there.delays[one.label]
            assert np.array_equal(read.pre, one.source[order]) and np.array_equal(read.post, one.target[order])
            np.testing.assert_array_equal(read.values, deployment.weights(one)[order])
            np.testing.assert_allclose(delays.values, one.delay[order] * deployment.settings.dt, rtol=1e-12)
    return total


def test_the_memory_of_ca3(tmp_path):
    ((deployment, there),) = predicted_and_found([("ca3", (5, 10), {})], tmp_path)
    assert check(deployment, there) == 295
    assert len(there.board.cores) == 12


@pytest.mark.parametrize("model", ["coba", "cuba"])
def test_vogels_abbott(model, tmp_path):
    ((deployment, there),) = predicted_and_found([("vogels_abbott", (model, 0.2), {})], tmp_path)
    assert check(deployment, there) > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("model", ["coba", "cuba"])
def test_vogels_abbott_of_4000_cells(model, tmp_path):
    ((deployment, there),) = predicted_and_found([("vogels_abbott", (model, 1.0), {})], tmp_path)
    assert sum(one.size for one in deployment.cells if not one.is_source) == 4000
    assert check(deployment, there) > 300_000


def test_random_networks(tmp_path):
    jobs = [("random_network", (seed,), spinnaker_networks.random_settings(seed)) for seed in range(RANDOM)]
    made = list(predicted_and_found(jobs, tmp_path))
    assert sum(check(deployment, there) for deployment, there in made) > 20_000
    deployments = [deployment for deployment, _ in made]
    assert sum(bool(place(one).stages) for one in deployments) >= 3
    assert sum(any(cells.plastic for cells in one.cells) for one in deployments) >= 3
    assert {cells.model for one in deployments for cells in one.cells} >= {
        "IF_curr_exp", "IF_cond_exp", "IF_curr_alpha", "IF_curr_delta", "SpikeSourceArray", "SpikeSourcePoisson"}
    assert {one.settings.dt for one in deployments} == {0.1, 0.5, 1.0}


def test_every_cell_and_every_rule(tmp_path):
    ((deployment, there),) = predicted_and_found([("zoo", (), {"neurons_per_core": {"source": 40, "triplet": 17}})], tmp_path)
    assert check(deployment, there) > 5000
    kinds = {one.model for one in deployment.cells}
    assert kinds >= {name for name, one in CELLS.items() if name in MODELS and one.binary}
    assert len({(one.plastic.timing, one.plastic.weight) for one in deployment.cells if one.plastic}) == 6


def test_delays_of_several_stages_where_cores_are_of_one_size_and_lost_where_not(tmp_path):
    """The check of `place` against the fault of sPyNNaker that it is there for."""
    jobs = [("several_stages", (60, 60, 100.0), {"neurons_per_core": {"a": 30, "b": 30}}),
            ("several_stages", (60, 60, 900.0), {"neurons_per_core": {"a": 30, "b": 30}}),
            ("several_stages", (70, 60, 900.0), {"neurons_per_core": {"a": 30, "b": 30}})]
    one, several, refused = exported(jobs, tmp_path)
    assert "sPyNNaker loses synapses unless each core of a holds 30 cells" in refused.refused
    for there, job, stages in ((one, jobs[0], 0), (several, jobs[1], 3)):
        deployment = load(spinnaker_networks.several_stages(*job[1]), **job[2])
        assert place(deployment).stages == ({"a": stages} if stages else {})
        assert check(deployment, there) > 1000
        assert isinstance(there.weights["late"], str) == bool(stages)
    ((deployment, there),) = predicted_and_found(jobs[2:], tmp_path / "again", "unchecked")
    with pytest.raises(AssertionError):
        check_synapses(deployment, there)


def test_a_board_is_filled_as_sPyNNaker_fills_it(tmp_path):
    """Many cores: chips with 16 and 17 cores, neighbourhoods, populations that start in the middle."""
    jobs = [("crowded", (seed,), {"neurons_per_core": {f"group {k}": 16 + seed for k in range(12 + 8 * seed)}}) for seed in range(2)]
    for deployment, there in predicted_and_found(jobs, tmp_path):
        check(deployment, there)
        assert place(deployment).chips > 12


def test_chips_are_those_of_the_board():
    from spinn_machine.version.version_5 import CHIPS_PER_BOARD

    assert sorted(CHIPS_PER_BOARD) == list(placement.CHIPS)
    assert {chip for chip, cores in CHIPS_PER_BOARD.items() if cores == 17} == placement.SMALL


@pytest.mark.slow
def test_more_than_one_board(tmp_path):
    """A virtual machine is made of triads of boards; chips and boards that are asked for are estimated as sPyNNaker estimates them."""
    ((deployment, there),) = predicted_and_found([("large", (800,), {"neurons_per_core": {"group": 1}})], tmp_path)
    placed = place(deployment)
    assert (placed.cores, placed.chips, placed.boards, placed.exact) == (800, there.chips, 2, False)
    assert there.boards >= placed.boards and len(there.board.cores) == placed.cores
    assert all(one.chip is None and one.memory == placed.vertices[0].memory for one in placed.vertices)
    assert there.board.cores[0].sdram == list(placed.vertices[0].memory)
