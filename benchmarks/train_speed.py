"""What a training step costs: forward, backward and optimiser, on the CPU, beside spikingjelly, snntorch and norse.

``python -m neurosim.benchmarks.train_speed`` writes results/train_speed.json and .md; ``--quick`` only tries all of it.

The same network for all: nn.Linear, leaky integrate-and-fire neurons (v <- 0.9 v + x, spike at 1, reset to 0, surrogate
slope 1 / (1 + 2 |v - 1|)^2), ..., nn.Linear, leaky integrators; weights from one seed; Bernoulli input; cross entropy of the largest
potentials over time; Adam, fused.  Peers take turns; a turn is one step that is not timed and some that are.  CPU seconds of the process
count: other load on the machine makes them larger, but for all alike.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

RESULTS = Path(__file__).resolve().parent / "results"
NETS = ((700, 128, 20), (700, 256, 256, 20))
BATCH, STEPS, P_INPUT, SEED = 64, 250, 0.015, 1
TAU, ALPHA, GAIN = 10.0, 2.0, 4.0  # steps; steepness; weights times nn.Linear's own
PEERS = ("neurosim", "spikingjelly", "snntorch", "snntorch by layers", "norse")
WANTED = {"spikingjelly": 3.0, "snntorch": 8.0, "norse": 8.0}


def linears(sizes: tuple[int, ...]) -> list[nn.Linear]:
    """The products of all layers, from one seed."""
    generator = torch.Generator().manual_seed(SEED)
    made = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        one = nn.Linear(n_in, n_out)
        with torch.no_grad():
            for parameter in one.parameters():
                parameter.copy_((2.0 * torch.rand(parameter.shape, generator=generator) - 1.0) * GAIN / n_in**0.5)
        made.append(one)
    return made


def batch() -> tuple[Tensor, Tensor]:
    """Input (T, B, n) and classes."""
    generator = torch.Generator().manual_seed(SEED)
    x = (torch.rand(STEPS, BATCH, NETS[0][0], generator=generator) < P_INPUT).float()
    return x, torch.randint(0, NETS[0][-1], (BATCH,), generator=generator)


# ----------------------------------------------------------------------------------- the peers: x -> (potentials, hidden spikes)


def in_neurosim(layers: list[nn.Linear]) -> tuple[nn.Module, Callable]:
    """`Sequential`, which leaves the products to the neurons."""
    from neurosim.learn import LI, LIF, Sequential, Surrogate
    slope = Surrogate("fast_sigmoid", ALPHA)
    parts: list[nn.Module] = []
    for one in layers[:-1]:
        parts += [one, LIF(one.out_features, tau_m=TAU, decay="euler", surrogate=slope)]
    net = Sequential(*parts, layers[-1], LI(layers[-1].out_features, tau_m=TAU, decay="euler"))

    def run(x: Tensor, look: bool = False) -> tuple[Tensor, list[Tensor]]:
        if look:
            sent = list(net.activity(x).values())
            return sent[-1], sent[1:-1:2]
        return net(x)[0], []

    return net, run


def in_spikingjelly(layers: list[nn.Linear]) -> tuple[nn.Module, Callable]:
    """Multi-step modules, whose time loop the library chooses by the device."""
    from spikingjelly.activation_based import functional, layer, neuron, surrogate
    net = nn.ModuleList()
    for one in layers[:-1]:
        net.append(layer.SeqToANNContainer(one))
        net.append(neuron.LIFNode(tau=TAU, decay_input=False, v_threshold=1.0, v_reset=0.0, detach_reset=True,
                                  surrogate_function=surrogate.SoftSign(alpha=ALPHA), step_mode="m"))
    net.append(layer.SeqToANNContainer(layers[-1]))
    keep = 1.0 - 1.0 / TAU

    def run(x: Tensor, look: bool = False) -> tuple[Tensor, list[Tensor]]:
        functional.reset_net(net)
        sent = []
        for one in net:
            x = one(x)
            sent.append(x)
        v, out = torch.zeros_like(x[0]), []
        for now in x:  # NonSpikingLIFNode decays its input and does not say its potential at each step
            v = keep * v + now
            out.append(v)
        return torch.stack(out), sent[1::2]

    return net, run


def snntorch_cells(layers: list[nn.Linear]) -> tuple[nn.Module, nn.ModuleList, nn.Module]:
    """(all, hidden cells, readout); Leaky's default resets with the next step, which gives the same spikes for less work."""
    import snntorch
    from snntorch import surrogate
    cells = nn.ModuleList([snntorch.Leaky(beta=1.0 - 1.0 / TAU, threshold=1.0, reset_mechanism="zero",
                                          spike_grad=surrogate.fast_sigmoid(slope=ALPHA)) for _ in layers[:-1]])
    out = snntorch.Leaky(beta=1.0 - 1.0 / TAU, reset_mechanism="none")
    return nn.ModuleList([*layers, *cells, out]), cells, out


def in_snntorch(layers: list[nn.Linear]) -> tuple[nn.Module, Callable]:
    """Step by step through all layers, as its documentation and tutorials train."""
    net, cells, out = snntorch_cells(layers)

    def run(x: Tensor, look: bool = False) -> tuple[Tensor, list[Tensor]]:
        memories, last = [cell.reset_mem() for cell in cells], out.reset_mem()
        sent: list[list[Tensor]] = [[] for _ in cells]
        potentials = []
        for now in x:
            for place, (one, cell) in enumerate(zip(layers, cells)):
                now, memories[place] = cell(one(now), memories[place])
                sent[place].append(now)
            _, last = out(layers[-1](now), last)
            potentials.append(last)
        return torch.stack(potentials), [torch.stack(one) for one in sent] if look else []

    return net, run


def in_snntorch_by_layers(layers: list[nn.Linear]) -> tuple[nn.Module, Callable]:
    """Layer by layer: the products of all steps at once, then Leaky step by step."""
    net, cells, out = snntorch_cells(layers)

    def run(x: Tensor, look: bool = False) -> tuple[Tensor, list[Tensor]]:
        hidden = []
        for one, cell in zip(layers, cells):
            mem, sent = cell.reset_mem(), []
            for now in one(x):
                spikes, mem = cell(now, mem)
                sent.append(spikes)
            x = torch.stack(sent)
            hidden.append(x)
        mem, potentials = out.reset_mem(), []
        for now in layers[-1](x):
            _, mem = out(now, mem)
            potentials.append(mem)
        return torch.stack(potentials), hidden

    return net, run


def in_norse(layers: list[nn.Linear]) -> tuple[nn.Module, Callable]:
    """The cells without a synaptic current, lifted over time; products of all steps at once."""
    import norse.torch as norse
    from norse.torch.functional.leaky_integrator_box import LIBoxParameters
    from norse.torch.functional.lif_box import LIFBoxParameters
    inverse = torch.as_tensor(1000.0 / TAU)
    p = LIFBoxParameters(tau_mem_inv=inverse, method="super", alpha=torch.as_tensor(ALPHA))
    cells = nn.ModuleList([norse.Lift(norse.LIFBoxCell(p=p, dt=0.001)) for _ in layers[:-1]])
    out = norse.Lift(norse.LIBoxCell(p=LIBoxParameters(tau_mem_inv=inverse), dt=0.001))
    net = nn.ModuleList([*layers, *cells, out])

    def run(x: Tensor, look: bool = False) -> tuple[Tensor, list[Tensor]]:
        hidden = []
        for one, cell in zip(layers, cells):
            x, _ = cell(TAU * one(x))  # its input is multiplied by dt / tau
            hidden.append(x)
        v, _ = out(TAU * layers[-1](x))
        return v, hidden

    return net, run


MAKE = {"neurosim": in_neurosim, "spikingjelly": in_spikingjelly, "snntorch": in_snntorch, "snntorch by layers": in_snntorch_by_layers,
        "norse": in_norse}


class Trainer:
    """One peer's network, and its step of training."""

    def __init__(self, peer: str, sizes: tuple[int, ...]) -> None:
        layers = linears(sizes)
        self.net, self.run = MAKE[peer](layers)
        self.first = layers[0].weight
        self.optimiser = torch.optim.Adam([p for one in layers for p in one.parameters()], lr=1e-3, fused=True)
        self.x, self.target = batch()

    def step(self) -> float:
        """Forward, backward, update; the loss."""
        self.optimiser.zero_grad()
        y, _ = self.run(self.x)
        loss = nn.functional.cross_entropy(y.amax(0), self.target)
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    def rates(self) -> list[float]:
        """Spikes for each cell and step of the hidden layers."""
        with torch.no_grad():
            return [float(one.mean()) for one in self.run(self.x, look=True)[1]]


# ----------------------------------------------------------------------------------- measuring


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """(CPU seconds, wall seconds)."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


def measure(sizes: tuple[int, ...], peers: list[str], rounds: int, steps: int, threads: int) -> list[dict[str, Any]]:
    """A row for each peer; peers take turns."""
    torch.set_num_threads(threads)
    trainers = {peer: Trainer(peer, sizes) for peer in peers}
    rows: dict[str, dict[str, Any]] = {}
    for peer, trainer in trainers.items():
        rows[peer] = {"peer": peer, "net": "-".join(map(str, sizes)), "threads": threads, "rates": trainer.rates(),
                      "loss": [trainer.step()], "cpu": [], "wall": []}
    for _ in range(rounds):
        for peer, trainer in trainers.items():
            rows[peer]["loss"].append(trainer.step())
            for _ in range(steps):
                cpu, wall = timed(trainer.step)
                rows[peer]["cpu"].append(cpu)
                rows[peer]["wall"].append(wall)
    own = statistics.median(rows["neurosim"]["cpu"])
    for row in rows.values():
        row["median_cpu"], row["least_cpu"] = statistics.median(row["cpu"]), min(row["cpu"])
        row["median_wall"], row["least_wall"] = statistics.median(row["wall"]), min(row["wall"])
        row["times_neurosim"] = row["median_cpu"] / own
    return list(rows.values())


def first_step(peer: str) -> None:
    """In a new process: what its first step takes."""
    torch.set_num_threads(1)
    trainer = Trainer(peer, NETS[0])
    print(json.dumps(timed(trainer.step)))


def first_steps(peers: list[str]) -> list[dict[str, Any]]:
    """Of each peer, and of ours also with nothing compiled before."""
    rows = []
    with tempfile.TemporaryDirectory() as empty:
        jobs = [("neurosim", "nothing compiled before", {"NUMBA_CACHE_DIR": empty}), *((peer, "", {}) for peer in peers)]
        for peer, note, settings in jobs:
            done = subprocess.run([sys.executable, "-m", "neurosim.benchmarks.train_speed", "--first", peer], check=True,
                                  capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **settings})
            cpu, wall = json.loads(done.stdout.splitlines()[-1])
            rows.append({"peer": peer, "note": note, "cpu": cpu, "wall": wall})
    return rows


def table(found: dict[str, Any]) -> str:
    """As Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = ["# A step of training", "", f"`python -m neurosim.benchmarks.train_speed`, {found['date']}, {found['machine']}; {versions}.",
             f"Batch {BATCH}, {STEPS} steps, input spikes with p = {P_INPUT}; forward, backward, Adam.  Medians of {found['repeats']} "
             "steps (of fewer with two threads, where CPU time also is that of threads that wait: see the wall), "
             f"peers in turns, load average {found['load'][0]:.1f} to {found['load'][1]:.1f}.", "",
             "| network | threads | library | CPU ms | least | wall ms | least | CPU, times neurosim | spikes per cell and step |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in found["rows"]:
        cells = [row["net"], row["threads"], row["peer"], f"{1e3 * row['median_cpu']:.0f}", f"{1e3 * row['least_cpu']:.0f}",
                 f"{1e3 * row['median_wall']:.0f}", f"{1e3 * row['least_wall']:.0f}", f"{row['times_neurosim']:.1f}",
                 ", ".join(f"{rate:.3f}" for rate in row["rates"])]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "The first step in a new process, 700-128-20:", "", "| library | | CPU s | wall s |", "|---|---|---|---|"]
    lines += [f"| {row['peer']} | {row['note']} | {row['cpu']:.2f} | {row['wall']:.2f} |" for row in found["first"]]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write, and say whether ours is as fast as wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, nothing written")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--first", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.first:
        first_step(args.first)
        return
    peers = [peer for peer in PEERS if peer == "neurosim" or importlib.util.find_spec(peer.split()[0]) is not None]
    for peer in set(PEERS) - set(peers):
        print(f"{peer} is not installed: left out")
    rounds, steps = (1, 1) if args.quick else (args.rounds, 3)
    load = [os.getloadavg()[0]]
    rows = []
    for threads in (1,) if args.quick else (1, 2):
        for sizes in NETS:
            rows += measure(sizes, peers, rounds if threads == 1 else max(1, rounds // 2), steps, threads)
            for row in rows[-len(peers):]:
                print(f"{row['net']}, {threads} threads, {row['peer']:18s} {1e3 * row['median_cpu']:7.1f} CPU ms "
                      f"(least {1e3 * row['least_cpu']:.1f}), "
                      f"{row['times_neurosim']:.1f}, rates {[round(rate, 4) for rate in row['rates']]}, first loss {row['loss'][0]:.4f}")
    versions = {name: importlib.metadata.version(name) for name in ("torch", "numba", *peers[1:]) if " " not in name}
    found = {"date": time.strftime("%Y-%m-%d"), "machine": f"{platform.machine()}, {os.cpu_count()} cores", "versions": versions,
             "repeats": rounds * steps, "load": [load[0], os.getloadavg()[0]], "rows": rows,
             "first": [] if args.quick else first_steps(peers)}
    if not args.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "train_speed.json").write_text(json.dumps(found, indent=1) + "\n")
        (RESULTS / "train_speed.md").write_text(table(found))
        print(table(found))
    for row in rows:
        if row["peer"] in WANTED and row["threads"] == 1:
            good = "yes" if row["times_neurosim"] >= WANTED[row["peer"]] else "NO"
            print(f"{row['net']}, one thread: {WANTED[row['peer']]:g} times faster than {row['peer']}? {good}, "
                  f"{row['times_neurosim']:.1f}")


if __name__ == "__main__":
    main()
