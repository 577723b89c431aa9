"""The network with astrocytes of NEST's example ``astrocyte_brunel_bernoulli``, in NEST and in neurosim.

``python -m neurosim.benchmarks.astrocytes`` draws docs/astrocytes.png (with NEST and matplotlib); ``--scale`` and
``--time`` choose size and duration.  ``--seeds 12 --scale 0.1`` prints the table of docs/astrocytes.md instead: means
over seeds of the second half of each run.
"""

import argparse
from typing import Any

import numpy as np

from .. import Simulation, wiring
from ..extras import need
from ..models import tripartite as model

CELLS = 100  # in the rasters
METERED = 50  # neurons whose current is drawn


def ours(scale: float, time: float, seed: int) -> dict[str, Any]:
    """Spikes, calcium and currents of a run in neurosim."""
    net = model.build(scale, seed, 0.1)
    net.record(net["astro"], "sic", 1.0)
    result = Simulation(net, seed=seed).run(time)
    n_exc = net["exc"].size
    put = 1e3 * result.traces("astro", "sic").values
    sic = []
    for one in net.projections:
        if one.graded:
            weights, _ = wiring.dense(one, net.seed, 0.1)
            sic.append(put[:-1] @ weights)  # a millisecond later, the delay
    spikes = [result.spikes(label) for label in ("exc", "inh")]
    found = {"times": np.concatenate([one.times for one in spikes]),
             "ids": np.concatenate([spikes[0].ids, spikes[1].ids + n_exc]), "n": n_exc + net["inh"].size,
             "n_exc": n_exc}
    for name in ("IP3", "Ca"):
        values = result.traces("astro", name).values[1:]
        found[name] = (values.mean(axis=1), values.std(axis=1))
    currents = np.concatenate(sic, axis=1)
    found["sic"] = (currents.mean(axis=1), currents.std(axis=1))
    return found


def nests(scale: float, time: float, seed: int) -> dict[str, Any]:
    """The same of a run in NEST."""
    nest = need("nest", "peers")
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = 0.1
    nest.rng_seed = seed
    n_exc, n_inh = (round(share * model.NEURONS * scale) for share in (0.8, 0.2))
    n_astro = round(model.ASTROCYTES * scale)
    cells = {"tau_syn_ex": model.TAU_SYN[0], "tau_syn_in": model.TAU_SYN[1]}
    exc, inh = (nest.Create("aeif_cond_alpha_astro", n, params=cells) for n in (n_exc, n_inh))
    astro = nest.Create("astrocyte_lr_1994", n_astro, params={"IP3": 0.4})
    noise = nest.Create("poisson_generator", params={"rate": model.DRIVE})
    nest.Connect(noise, exc + inh, syn_spec={"weight": 1e3 * model.WEIGHTS[0]})
    chance = {"rule": "pairwise_bernoulli", "p": min(1.0, model.CONNECTED / scale)}

    def synapse(k: int, sign: float) -> dict[str, Any]:
        return {"synapse_model": "tsodyks_synapse", "weight": sign * 1e3 * model.WEIGHTS[k],
                "tau_psc": model.TAU_SYN[k], "delay": model.DELAYS[k]}

    nest.TripartiteConnect(
        exc, exc + inh, astro, chance,
        {"rule": "third_factor_bernoulli_with_pool", "p": model.P_THIRD, "pool_size": model.POOL,
         "pool_type": "random"},
        {"primary": synapse(0, 1.0), "third_in": {**synapse(0, 1.0), "weight": 1.0},
         "third_out": {"synapse_model": "sic_connection", "weight": model.SIC_WEIGHT, "delay": model.SIC_DELAY}})
    nest.Connect(inh, exc + inh, chance, synapse(1, -1.0))
    recorder = nest.Create("spike_recorder")
    nest.Connect(exc + inh, recorder)
    meters = {}
    for names, targets in ((["IP3", "Ca_astro"], astro[:METERED]), (["I_SIC"], (exc + inh)[:METERED])):
        meter = nest.Create("multimeter", params={"record_from": names, "interval": 1.0})
        nest.Connect(meter, targets)
        meters.update(dict.fromkeys(names, meter))
    nest.Simulate(time + 0.1)
    events = recorder.events
    found = {"times": events["times"], "ids": events["senders"] - exc[0].global_id, "n": n_exc + n_inh, "n_exc": n_exc}
    for name, theirs in (("IP3", "IP3"), ("Ca", "Ca_astro"), ("sic", "I_SIC")):
        got = meters[theirs].events
        order = np.lexsort((got["senders"], got["times"]))
        values = got[theirs][order].reshape(-1, METERED)
        found[name] = (values.mean(axis=1), values.std(axis=1))
    return found


def rates(run: dict[str, Any], begin: float, end: float) -> tuple[float, float]:
    """Hz, of excitatory and inhibitory neurons."""
    inside = (run["times"] > begin) & (run["times"] <= end)
    exc = run["ids"] < run["n_exc"]
    seconds = (end - begin) / 1000.0
    return ((inside & exc).sum() / run["n_exc"] / seconds, (inside & ~exc).sum() / (run["n"] - run["n_exc"]) / seconds)


def second_half(run: dict[str, Any], time: float) -> list[float]:
    """Rate of the excitatory neurons, Hz, and means of IP3, calcium (µM) and current into a neuron (pA)."""
    late = slice(int(0.5 * time), int(time))
    return [rates(run, 0.5 * time, time)[0], *(float(run[what][0][late].mean()) for what in ("IP3", "Ca", "sic"))]


def table(scale: float, time: float, seeds: int) -> None:
    """Print means and standard deviations over seeds."""
    for name, make in (("NEST", nests), ("neurosim", ours)):
        found = np.array([second_half(make(scale, time, seed), time) for seed in range(1, seeds + 1)])
        spread = found.std(axis=0, ddof=1)
        print(f"| {name} |", " | ".join(f"{m:.4g} ± {s:.2g}" for m, s in zip(found.mean(axis=0), spread)), "|")


def draw(runs: dict[str, dict[str, Any]], time: float, path: str) -> None:
    """One column for each simulator: spikes, IP3 and calcium, current into neurons."""
    figure = need("matplotlib.figure", "plot").Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots(4, len(runs), sharex=True, sharey="row", height_ratios=(1.4, 1, 1, 1))
    for column, (name, run) in zip(axes.T, runs.items(), strict=True):
        shown = run["ids"] < CELLS
        column[0].plot(run["times"][shown], run["ids"][shown], ".", color="0.2", markersize=1.5)
        exc, inh = rates(run, 0.5 * time, time)
        column[0].set_title(f"{name}: {exc:.1f} Hz excitatory, {inh:.1f} Hz inhibitory (second half)", fontsize=9)
        for axis, (what, label, colour) in zip(column[1:], (
                ("IP3", "IP3 (µM)", "tab:blue"), ("Ca", "calcium (µM)", "tab:green"),
                ("sic", "slow current into\na neuron (pA)", "tab:purple"))):
            mean, sd = run[what]
            t = np.arange(1, mean.size + 1)
            axis.fill_between(t, mean - sd, mean + sd, color=colour, alpha=0.25, linewidth=0)
            axis.plot(t, mean, color=colour)
            axis.set_ylabel(label)
        column[-1].set_xlabel("time (ms)")
    axes[0, 0].set_ylabel("neuron")
    for axis in axes.flat:
        axis.label_outer()
    figure.savefig(path, dpi=110)
    print(f"wrote {path}")


def main() -> None:
    """Run both, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=0.2)
    parser.add_argument("--time", type=float, default=1000.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", default="docs/astrocytes.png")
    given = parser.parse_args()
    if given.seeds > 1:
        table(given.scale, given.time, given.seeds)
        return
    runs = {"NEST": nests(given.scale, given.time, given.seed), "neurosim": ours(given.scale, given.time, given.seed)}
    for name, run in runs.items():
        rate, ip3, calcium, current = second_half(run, given.time)
        print(f"{name:9}: {rate:.2f} Hz, IP3 {ip3:.4f} uM, calcium {calcium:.4f} uM, current {current:.2f} pA")
    draw(runs, given.time, given.out)


if __name__ == "__main__":
    main()
