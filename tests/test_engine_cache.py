"""A new topology, size or parameter compiles nothing: the loop is one function of one signature, found in the cache."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SCRIPT = """
    import json, sys
    sys.path[:0] = [{root!r}, {tests!r}]
    import engine_networks as nets
    import numpy as np
    from neurosim import AllToAllConnector, IF_cond_exp, IF_curr_delta, IF_curr_exp, Network, Simulation, SpikeSourcePoisson
    from neurosim.kernels import engine

    spikes = 0

    def run(network, **more):
        global spikes
        result = Simulation(network, seed=1, **more).run(10.0)
        spikes += sum(result.spikes(label).count for label, what in result.recorded.items() if "spikes" in what)

    def small(n, cell, weights, tau):
        network = Network()
        source = network.population(3, SpikeSourcePoisson(rate=500.0), "s")
        cells = network.population(n, cell, "c")
        network.project(source, cells, AllToAllConnector(), weights, tau)
        network.record(None, "spikes")
        return network

    run(nets.build("exp"), threads=1)
    run(small(7, IF_curr_exp(), 3.0, 0.1), threads=1)
    run(small(300, IF_cond_exp(), np.full((3, 300), 0.1), 5.0), threads=2)
    run(small(80, IF_curr_delta(tau_m=np.linspace(5.0, 9.0, 80)), 4.0, 33.0), threads=3, update="event")
    run(nets.build("mixed"), threads=2)
    loop = [engine.advance]
    print(json.dumps({{"signatures": [len(f.signatures) for f in loop],
                      "misses": [sum(f.stats.cache_misses.values()) for f in loop],
                      "hits": [sum(f.stats.cache_hits.values()) for f in loop], "spikes": spikes}}))
"""


def counted():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(SCRIPT.format(root=str(ROOT), tests=str(ROOT / "tests")))],
                          capture_output=True, check=False, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_nothing_is_compiled_anew():
    first = counted()  # compiles, if nobody has before
    assert first["signatures"] == [1] and first["spikes"] > 100
    again = counted()
    assert again["signatures"] == [1]
    assert again["misses"] == [0] and again["hits"] == [1]
    assert again["spikes"] == first["spikes"]
