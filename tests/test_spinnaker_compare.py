"""The exact network, the machine's scheme and its fixed point side by side: the same input, and what differs."""

import json
import math

import numpy as np
import pytest

from neurosim import (AllToAllConnector, FixedProbabilityConnector, IF_cond_exp, IF_curr_exp, Network, OneToOneConnector, Simulation,
                      SpikeSourceArray, SpikeSourcePoisson, Uniform, plot)
from neurosim.benchmarks import spinnaker_compare as command
from neurosim.errors import NetworkError, ParameterError
from neurosim.hardware.spinnaker import tables
from neurosim.hardware.spinnaker.compare import PAIRS, Divergence, compare, differences, with_explicit_sources, with_given_input
from neurosim.hardware.spinnaker.emulation import emulate
from neurosim.hardware.spinnaker.scheme import in_scheme
from neurosim.result import Spikes


def small(weight=1.5, seed=1):
    """Poisson input onto cells, and a Poisson input without sources of its own."""
    net = Network(seed=seed, label="small")
    source = net.population(20, SpikeSourcePoisson(rate=60.0), "source")
    cells = net.population(30, IF_curr_exp(tau_refrac=2.0), "cells")
    other = net.population(10, IF_cond_exp(tau_refrac=2.0), "other")
    net.project(source, cells, FixedProbabilityConnector(0.5), weight=weight, delay=2.0)
    net.project(cells, other, FixedProbabilityConnector(0.3), weight=0.02, delay=3.0)
    net.poisson_input(other, 200.0, 0.01, label="background")
    return net


def test_all_three_get_what_the_emulator_sources_send():
    comparison = compare(small(), 400.0)
    sent = comparison.input
    assert set(sent.recorded) == {"source", "background"} and sent.spikes("background").size == 10
    assert sent.spikes("source").count > 300 and sent.spikes("background").count > 500
    explicit = with_explicit_sources(small())
    alone = emulate(explicit, 400.0, seed=1)
    assert sent.spikes("source") == alone.spikes("source")
    given = with_given_input(explicit, {label: sent.spikes(label) for label in sent.recorded})
    played = Simulation(given, dt=1.0).run(400.0)
    np.testing.assert_allclose(np.sort(played.spikes("source").times), np.sort(sent.spikes("source").times))
    assert comparison.exact.spikes("cells") == Simulation(given, dt=0.1).run(400.0).spikes("cells")


def test_the_machine_time_is_that_at_the_end_of_its_step():
    """A cell that is driven over its threshold within the tick of arrival, 5: the machine says 5 ms, the engine 6 ms (or 5 and a bit)."""
    net = Network(label="one")
    source = net.population(1, SpikeSourceArray(spike_times=[3.0]), "source")
    cell = net.population(1, IF_curr_exp(tau_m=5.0, cm=0.1, tau_syn_E=2.0, tau_refrac=20.0), "cell").record("spikes")
    net.project(source, cell, OneToOneConnector(), weight=4.0, delay=2.0)
    assert emulate(net, 30.0).spikes("cell").times.tolist() == [5.0]
    comparison = compare(net, 30.0)
    assert comparison.fixed.spikes("cell").times.tolist() == comparison.scheme.spikes("cell").times.tolist() == [6.0]
    (exact,) = comparison.exact.spikes("cell").times
    assert 5.0 < exact <= 6.0
    assert all(one["cell"].shared == 1.0 and one["cell"].first is None for one in comparison.pairs.values())
    assert comparison.first() is None and "first divergence, exact - fixed: none" in str(comparison)


def test_rates_and_differences_are_those_of_the_results():
    comparison = compare(small(), 500.0)
    for label in ("cells", "other"):
        for way in ("exact", "scheme", "fixed"):
            spikes = getattr(comparison, way).spikes(label)
            assert comparison.rates[label][way] == pytest.approx(spikes.count / spikes.size / 0.5)
        for a, b in PAIRS:
            one, other = (getattr(comparison, name).spikes(label) for name in (a, b))
            assert comparison.pairs[a, b][label] == differences(one, other, 2.0)
    told = json.loads(json.dumps(comparison.as_dict()))
    assert told["rates"]["cells"] == comparison.rates["cells"] and set(told["differences"]) == {f"{a} - {b}" for a, b in PAIRS}
    assert all(f"{rate:.2f}" in str(comparison) for rates in comparison.rates.values() for rate in rates.values())


def test_fixed_point_stays_near_the_scheme_without_recurrence():
    """Driven cells do not amplify differences: nearly all spikes of scheme and fixed point are shared."""
    comparison = compare(small(), 1000.0)
    assert comparison.pairs["scheme", "fixed"]["cells"].shared > 0.97
    assert comparison.pairs["scheme", "fixed"]["cells"].distance < 0.1
    assert comparison.pairs["exact", "fixed"]["cells"].distance < 0.1
    assert compare(small(), 1000.0, within=1.0).pairs["exact", "fixed"]["cells"].shared < comparison.pairs["exact", "fixed"]["cells"].shared


def spikes(times, ids, size=3):
    order = np.argsort(times, kind="stable")
    return Spikes(np.array(times, float)[order], np.array(ids, int)[order], size, 0.0, 100.0, label="p")


@pytest.mark.parametrize(("a", "b", "shared", "distance", "first"), [
    (([10, 20], [0, 1]), ([10, 20], [0, 1]), 1.0, 0.0, None),
    (([10, 20], [0, 1]), ([11, 20], [0, 1]), 1.0, None, None),
    (([10, 20], [0, 1]), ([12, 20], [0, 1]), 0.5, None, Divergence(10.0, "p", 0)),
    (([10, 20], [0, 1]), ([10, 20], [0, 2]), 0.5, 0.5, Divergence(20.0, "p", 1)),
    (([], []), ([30], [2]), 0.0, 1.0, Divergence(30.0, "p", 2)),
    (([], []), ([], []), math.nan, math.nan, None),
])
def test_differences_of_given_spikes(a, b, shared, distance, first):
    found = differences(spikes(*a), spikes(*b), 1.0)
    assert found.shared == pytest.approx(shared, nan_ok=True) and found.first == first
    if distance is not None:
        assert found.distance == pytest.approx(distance, nan_ok=True)


def test_saturated_ring_buffers_are_told():
    net = Network(label="full")
    source = net.population(60, SpikeSourceArray(spike_times=[10.0, 20.0]), "source")
    cells = net.population(4, IF_curr_exp(), "cells").record("spikes")
    net.project(source, cells, AllToAllConnector(), weight=Uniform(0.1, 0.2), delay=Uniform(1.0, 1.4))
    comparison = compare(net, 40.0, max_expected_summed_weight={"cells": (1.0, 1.0)})
    assert comparison.saturations["cells", "excitatory"] > 0
    assert "inputs were cut off by full ring buffers: cells/excitatory" in str(comparison)
    assert not compare(net, 40.0, max_expected_summed_weight={"cells": (40.0, 1.0)}).saturations


def test_only_what_stands_for_something_is_compared():
    exact = small()
    stands = small()
    stands.population(5, IF_curr_exp(i_offset=1.2), "helpers")
    comparison = compare(stands, 100.0, against=exact)
    assert set(comparison.rates) == {"cells", "other"} and "helpers" not in comparison.fixed.populations
    with pytest.raises(NetworkError, match="no spikes are given for the source elsewhere"):
        exact.population(1, SpikeSourcePoisson(), "elsewhere")
        compare(stands, 100.0, against=exact)


def test_a_network_is_left_as_it_was():
    net = small()
    before = (len(net.populations), len(net.projections), len(net.inputs), list(net.records))
    compare(net, 50.0)
    assert (len(net.populations), len(net.projections), len(net.inputs), list(net.records)) == before
    assert isinstance(net["source"].cell, SpikeSourcePoisson)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"duration": 1.0}, ParameterError, r"duration must be at least two steps of the machine \(2 ms\), got 1 ms"),
    ({"duration": 50.0, "exact_dt": 0.3}, ParameterError, "dt must be a multiple of exact_dt, got 1 and 0.3 ms"),
    ({"duration": 50.0, "exact_dt": 2.0}, ParameterError, "dt must be a multiple of exact_dt, got 1 and 2 ms"),
    ({"duration": 50.0, "dt": -1.0}, ParameterError, "dt"),
    ({"duration": 50.0, "against": "net"}, ParameterError, "compare needs a Network, got 'net'"),
])
def test_what_does_not_fit_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        compare(small(), **arguments)


def test_a_network_that_cannot_be_deployed_is_not_compared():
    net = small(weight=1e-9)
    with pytest.raises(NetworkError, match="cannot be deployed on SpiNNaker"):
        compare(net, 50.0)


def test_the_picture_shows_all_three(tmp_path):
    pytest.importorskip("matplotlib")
    figure = compare(small(), 200.0).plot(neurons=10)
    raster, shared, bars = figure.axes
    assert [text.get_text() for text in raster.get_legend().get_texts()] == ["exact", "scheme", "fixed"]
    assert len(shared.patches) == 2 and len(bars.patches) == 6
    figure.savefig(tmp_path / "p.png")
    one = emulate(small(), 20.0)
    for count in (1, 7):
        with pytest.raises(ParameterError, match=f"a comparison is one of 2 to 6 results, got {count}"):
            plot.comparison({str(k): one for k in range(count)}, within=1.0)


def test_the_scheme_of_a_network_without_machine_cells_is_refused():
    with pytest.raises(NetworkError):
        from neurosim import EIF_cond_exp_isfa_ista
        net = Network()
        net.population(1, EIF_cond_exp_isfa_ista(), "adex")
        in_scheme(net)


def test_the_command_writes_tables_numbers_and_pictures(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(command.CASES, "cuba", command.Case("cuba", 0.05, 1.0, "small"))
    assert command.main(["--models", "cuba", "--duration", "60", "--pictures", str(tmp_path), "--results", str(tmp_path / "r.json")]) == 0
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["cuba"]["cpu_s_per_s"] > 0 and set(told["cuba"]["rates"]) == {"exc", "inh"}
    assert "first divergence" in (tmp_path / "r.md").read_text() and (tmp_path / "spinnaker_cuba.png").stat().st_size > 1000
    with pytest.raises(SystemExit):
        command.main(["--models", "nothing"])
    assert "unknown model 'nothing'" in capsys.readouterr().err


def test_the_page_of_the_machine_is_as_the_data(request):
    assert (request.config.rootpath / "docs" / "spinnaker_machine.md").read_text(encoding="utf-8") == tables.page()
