"""How much the memory of `neurosim.models.ca3` holds, and what it costs to ask it.

    python -m neurosim.benchmarks.ca3_capacity [--seeds 3] [--picture docs/ca3_capacity.png] [--only stored,fragments]

Contents are random: ``K`` of ``BITS`` bits.  An answer is *exact* if it is that of a table.  Four measurements:

* *stored*: recall by cue and by single bits against the number of contents, in double precision and in the machine's fixed point,
  with and without recalls of each content after it was learnt (`consolidated`);
* *unique*: how often a single bit names one cue alone, beside what follows from the bits' being drawn;
* *fragments*: exact answers in a row of recalls by 1, 2 or 4 bits, since recalls teach;
* *noise*: recall by cue if synapses fail, or if half of the bits come late while they are learnt;
* *coarse*: some contents in large memories on the machine, whose weights are multiples of a larger step there.

Numbers go to results/ca3_capacity.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurosim import Network, SimpleStochasticSynapse, Simulation, STDPMechanism
from neurosim.extras import need
from neurosim.hardware.spinnaker.scheme import in_scheme
from neurosim.models.ca3 import W, CA3Memory
from neurosim.models.ca3_operations import consolidated, fragment, learn, perfect, recall

RESULTS = Path(__file__).parent / "results" / "ca3_capacity.json"
BITS, K = 256, 8
STORED = (16, 32, 64, 128, 256, 512)
LARGER = 16  # bits of a content, of which the machine cannot remember as much
SPARSE = (1, 2, 4, 8)
SIZES = ((256, 256), (500, 1000), (1000, 2000), (1000, 4000))  # cues and bits
ROUNDS, ASKED, FRAGMENTS = 8, 64, (1, 2, 4)
FAILING, LATE = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1), (0, 2, 3, 4, 5, 6)


def contents(number: int, bits: int, k: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Random contents of ``k`` bits each."""
    return [fragment(range(bits), k, rng) for _ in range(number)]


def memory(cues: int, backend: str | Callable[[Network], Any], k: int = K, bits: int = BITS) -> CA3Memory:
    """A memory whose inhibition is as strong as the greatest content can excite."""
    return CA3Memory(max(cues, 2), bits, backend, inhibition=W * k)


def stored(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Exact recall against the number of contents, and once for larger ones."""
    rows = []
    for k, number in ((LARGER, STORED[0]), *((K, number) for number in STORED)):
        table = contents(number, BITS, k, rng)
        asked = [recall(cue=cue) for cue in rng.permutation(number)] + [recall(content={bit}) for bit in rng.permutation(BITS)]
        learnt = [learn(cue, bits) for cue, bits in enumerate(table)]
        for backend in ("engine", "emulator"):
            for kept in (False, True):
                operations = (consolidated(learnt) if kept else learnt) + asked
                answers = memory(number, backend, k).run(operations)[-len(asked):]
                wanted = perfect(operations)[-len(asked):]
                right = np.array([a.said == b.said for a, b in zip(answers, wanted, strict=True)])
                rows.append({"k": k, "contents": number, "backend": backend, "consolidated": kept, "by_cue": float(right[:number].mean()),
                             "by_bit": float(right[number:].mean())})
    return rows


def unique(rng: np.random.Generator) -> list[dict[str, Any]]:
    """How often a bit of a content names its cue and no other."""
    rows = []
    for k in SPARSE:
        for number in STORED:
            table = contents(number, BITS, k, rng)
            asked = [recall(content=fragment(bits, 1, rng)) for bits in table]
            answers = memory(number, "engine", k).run([learn(cue, bits) for cue, bits in enumerate(table)] + asked)[number:]
            rows.append({"k": k, "contents": number, "unique": float(np.mean([a.cues == (cue,) for cue, a in enumerate(answers)])),
                         "expected": (1.0 - k / BITS)**(number - 1)})
    return rows


def fragments(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Exact answers in successive rounds of recalls by fragments."""
    rows = []
    for size in FRAGMENTS:
        table = contents(ASKED, BITS, K, rng)
        operations = [learn(cue, bits) for cue, bits in enumerate(table)]
        for _ in range(ROUNDS):
            operations += [recall(content=fragment(table[cue], size, rng)) for cue in rng.permutation(ASKED)]
        answers, wanted = memory(ASKED, "engine").run(operations), perfect(operations)
        right = [a.said == b.said for a, b in zip(answers, wanted, strict=True)][ASKED:]
        rows += [{"bits": size, "round": n + 1, "exact": float(np.mean(right[n * ASKED:(n + 1) * ASKED]))} for n in range(ROUNDS)]
    return rows


def failing(loss: float) -> Callable[[Network], Simulation]:
    """The engine, with synapses that each fail with a probability."""
    def backend(network: Network) -> Simulation:
        fails = SimpleStochasticSynapse(p=1.0 - loss)
        for one in list(network.projections):
            learns = isinstance(one.synapse, STDPMechanism)
            network.replace(one, synapse=dataclasses.replace(one.synapse, short_term=fails) if learns else fails)
        return Simulation(in_scheme(network), dt=1.0, threads=1)
    return backend


def late(by: int, learnt: int, rng: np.random.Generator) -> Callable[[Network], Simulation]:
    """The engine, with half of the bits of each content ``by`` ms late while it is learnt (until ``learnt`` ms)."""
    def backend(network: Network) -> Simulation:
        rows = []
        for times in network["content_in"].cell.spike_times:  # type: ignore[attr-defined]
            shifts = np.repeat(rng.random(-(-times.size // 3)) < 0.5, 3)[:times.size]  # three spikes are one input
            rows.append(times + by * (shifts & (times < learnt)))
        network["content_in"].set(spike_times=rows)
        return Simulation(in_scheme(network), dt=1.0, threads=1)
    return backend


def noise(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Recall by cue if synapses fail or inputs come late."""
    rows = []
    for kind, values in (("synapses fail", FAILING), ("ms late", LATE)):
        for value in values:
            table = contents(ASKED, BITS, K, rng)
            operations = [learn(cue, bits) for cue, bits in enumerate(table)] + [recall(cue=cue) for cue in range(ASKED)]
            backend = failing(value) if kind == "synapses fail" else late(int(value), 14 * ASKED, rng)
            found = [set(a.content) for a in memory(ASKED, backend).run(operations)[ASKED:]]
            pairs = [(bits, set(own)) for bits, own in zip(found, table, strict=True)]
            rows.append({"kind": kind, "value": value, "exact": float(np.mean([bits == own for bits, own in pairs])),
                         "bits": float(np.mean([len(bits & own) / K for bits, own in pairs])),
                         "wrong_bits": float(np.mean([len(bits - own) for bits, own in pairs]))})
    return rows


def coarse(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Exact answers of large memories on the machine, with the step of the weights from contents to cues (nA)."""
    rows = []
    for cues, bits in SIZES:
        table = {int(cue): fragment(range(bits), K, rng) for cue in rng.choice(cues, ASKED, replace=False)}
        asked = [recall(cue=cue) for cue in table] + [recall(content=fragment(own, 1, rng)) for own in table.values()]
        operations = consolidated([learn(cue, own) for cue, own in table.items()]) + asked
        made = memory(cues, "emulator", bits=bits)
        answers = made.run(operations)
        right = [a.said == b.said for a, b in zip(answers, perfect(operations), strict=True)]
        rows.append({"cues": cues, "bits": bits, "contents": ASKED, "step_nA": 2.0**(made.simulation.deployment["cue_2"].shifts[0] - 15),
                     "exact": float(np.mean(right))})
    return rows


MEASURED = {"stored": stored, "unique": unique, "fragments": fragments, "noise": noise, "coarse": coarse}


def averaged(runs: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of several seeds as one: what was measured is averaged, with how many it was."""
    rows = []
    for same in zip(*runs, strict=True):
        shared = {key: same[0][key] for key in same[0] if all(row[key] == same[0][key] for row in same)}
        means = {key: float(np.mean([row[key] for row in same])) for key in same[0] if key not in shared}
        rows.append({**shared, **means, "seeds": len(same)})
    return rows


def picture(found: dict[str, list[dict[str, Any]]]) -> Any:
    """The four measurements side by side: a matplotlib Figure."""
    plt = need("matplotlib.figure", "plot")
    figure = plt.Figure(figsize=(10.0, 7.2), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    colours = ("#3b6fb6", "#c8553d", "#4f8f4f", "#8a5fa8")

    def lines(ax: Any, rows: list[dict[str, Any]], x: str, y: str, label: str, colour: str, style: str = "o-") -> None:
        ax.plot([row[x] for row in rows], [100.0 * row[y] for row in rows], style, color=colour, label=label, ms=4, lw=1.5)

    ax = axes[0]
    for (backend, kept), colour in zip((("engine", False), ("emulator", False), ("emulator", True)), colours):
        rows = [r for r in found["stored"] if (r["backend"], r["consolidated"], r["k"]) == (backend, kept, K)]
        name = {"engine": "exact engine", "emulator": "machine"}[backend] + (", consolidated" if kept else "")
        lines(ax, rows, "contents", "by_cue", f"by cue, {name}", colour)
        lines(ax, rows, "contents", "by_bit", f"by one bit, {name}", colour, "s--")
    ax.set(xscale="log", xlabel=f"contents stored ({K} of {BITS} bits each)", ylabel="exact answers, %", title="How many fit")
    ax = axes[1]
    for k, colour in zip(SPARSE, colours):
        rows = [r for r in found["unique"] if r["k"] == k]
        lines(ax, rows, "contents", "unique", f"{k} of {BITS} bits each", colour, "o")
        x = np.geomspace(STORED[0], STORED[-1], 100)
        ax.plot(x, 100.0 * (1.0 - k / BITS)**(x - 1), "-", color=colour, lw=1)
    ax.set(xscale="log", xlabel="contents stored", ylabel="one bit names its cue alone, %",
           title="How sharp a question is: (1 - k/256)^(n - 1)")
    ax = axes[2]
    for size, colour in zip(FRAGMENTS, colours):
        lines(ax, [r for r in found["fragments"] if r["bits"] == size], "round", "exact", f"by {size} bit{'s' * (size > 1)}", colour)
    ax.set(xlabel=f"round of {ASKED} recalls", ylabel="exact answers, %", title="What asking does: recalls teach")
    ax = axes[3]
    rows = [r for r in found["noise"] if r["kind"] == "synapses fail" and r["value"] > 0]
    lines(ax, rows, "value", "exact", "exact contents", colours[0])
    lines(ax, rows, "value", "bits", "bits found", colours[0], "s--")
    ax.set(xscale="log", xlabel="probability that a synapse fails", ylabel="recall by cue, %", title="Noise")
    for ax in axes[:2]:
        ax.set_xticks(STORED, [str(number) for number in STORED])
        ax.set_xticks([], minor=True)
    for ax in axes:
        ax.set_ylim(-3, 104)
        ax.legend(frameon=False, fontsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="of which the mean is taken (3)")
    parser.add_argument("--only", default=",".join(MEASURED), metavar="NAMES", help="which to measure anew")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    found = json.loads(arguments.results.read_text(encoding="utf-8")) if arguments.results.is_file() else {}
    for name in filter(None, arguments.only.split(",")):
        found[name] = averaged([MEASURED[name](np.random.default_rng(seed)) for seed in range(1, arguments.seeds + 1)])
        arguments.results.parent.mkdir(parents=True, exist_ok=True)
        arguments.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        for row in found[name]:
            print(name, " ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in row.items()))
    if arguments.picture:
        picture(found).savefig(arguments.picture, dpi=110)


if __name__ == "__main__":
    main()
