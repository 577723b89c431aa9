"""PyNN's own system scenarios, fetched with its source distribution, pass on neurosim."""

import pytest
from neurosim.benchmarks import pynn_scenarios, pynn_source

from neurosim.errors import FileFormatError

pytestmark = pytest.mark.needs("pyNN")

KEPT = pynn_scenarios.read()


@pytest.fixture(scope="module")
def scenarios(needs, tmp_path_factory):
    """All scenario functions, by name; skips where the source distribution cannot be had."""
    needs("pyNN", "neo", "scipy")
    try:
        source = pynn_source.unpack(tmp_path_factory.mktemp("pynn"))
    except FileFormatError as error:
        pytest.skip(f"needs PyNN's source distribution: {error}")
    return pynn_scenarios.scenarios(source)


def test_the_page_has_every_scenario(scenarios):
    assert len(scenarios) == 67
    assert {name: list(one.offered) for name, one in scenarios.items()} == KEPT["scenarios"]


@pytest.mark.parametrize("name", sorted(KEPT["scenarios"]))
def test_a_scenario_of_pynn(name, scenarios, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scenarios[name].function(pynn_scenarios.pynn_peers.load("neurosim"))


def test_neurosim_passes_what_any_other_back_end_passes():
    columns = {name: column["outcomes"] for name, column in KEPT["back_ends"].items()}
    passed = {name: {one for one, got in outcomes.items() if got["outcome"] == "passed"}
              for name, outcomes in columns.items()}  # fmt: skip
    assert set(passed) == set(pynn_scenarios.pynn_peers.BACK_ENDS)
    others = set().union(*(passed[name] for name in pynn_scenarios.OTHERS))
    assert len(others) > 60
    assert others - passed["neurosim"] == set()
