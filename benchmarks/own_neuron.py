"""What a neuron of one's own costs beside the built-in ones with the same equations.

python -m neurosim.benchmarks.own_neuron [--neurons 10000] [--steps 2000]

Prints a Markdown table: nanoseconds for one step of one neuron (one thread, the least of three runs, no input and no
spikes), and the seconds that making the simulation takes the first and the second time in this process. The built-in
kernels are compiled before; what remains of the first time is the compilation of the user's function.
"""

import argparse
import time

import numpy as np

from neurosim import IF_curr_delta, Izhikevich, Network, Simulation, neuron

REPEATS = 3
DT = 0.1  # ms


@neuron(parameters={"tau_m": 20.0, "v_thresh": 15.0}, states={"v": 0.0}, weight_unit="mV")
def OwnLeaky(s, p, x):
    """The equations of ``IF_curr_delta`` with v_rest = v_reset = 0 and no refractory time."""
    s.v = s.v * np.exp(-x.dt / p.tau_m) + x.excitatory + x.inhibitory
    if s.v >= p.v_thresh:
        s.v = 0.0
        return True
    return False


@neuron(parameters={"a": 0.02, "b": 0.2, "c": -65.0, "d": 2.0}, states={"v": -70.0, "u": -14.0}, weight_unit="mV")
def OwnIzhikevich(s, p, x):
    """The equations of ``Izhikevich`` by forward Euler steps; the built-in cell takes Runge-Kutta steps."""
    dv = 0.04 * s.v * s.v + 5.0 * s.v + 140.0 - s.u + 1000.0 * x.current
    s.u += x.dt * p.a * (p.b * s.v - s.u)
    s.v += x.dt * dv + x.excitatory + x.inhibitory
    if s.v >= 30.0:
        s.v = p.c
        s.u += p.d
        return True
    return False


def cells(n: int) -> dict:
    """The models to compare, by the name in the table; ``n`` neurons."""
    leaky = IF_curr_delta(v_rest=0.0, v_reset=0.0, v_thresh=15.0, tau_refrac=0.0)
    return {
        "`IF_curr_delta`, all alike (nothing is stepped)": leaky,
        "`IF_curr_delta`, each its own `tau_m`": leaky.replaced(tau_m=np.linspace(10.0, 30.0, n)),
        "the same equations, one's own": OwnLeaky(),
        "`Izhikevich` (Runge-Kutta, order 4)": Izhikevich(),
        "Izhikevich's equations, one's own (Euler)": OwnIzhikevich(),
    }


def _simulation(cell, n: int) -> tuple[Simulation, float]:
    """A simulation of n cells, and the seconds that it took to make."""
    network = Network()
    network.population(n, cell, "cells")
    began = time.perf_counter()
    simulation = Simulation(network, dt=DT, threads=1, update="clock")
    return simulation, time.perf_counter() - began


def measure(cell, n: int, steps: int) -> tuple[float, float, float]:
    """(ns for one step of one neuron, s to make the first simulation, s to make the second)."""
    simulation, first = _simulation(cell, n)
    second = _simulation(cell, n)[1]
    simulation.run(100 * DT)
    least = min(simulation.run(steps * DT).provenance["wall_s"] for _ in range(REPEATS))
    return 1e9 * least / (n * steps), first, second


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=10000)
    parser.add_argument("--steps", type=int, default=2000)
    a = parser.parse_args()
    models = cells(a.neurons)
    for cell in (models["`IF_curr_delta`, each its own `tau_m`"], Izhikevich()):  # load or compile what is built in
        _simulation(cell, a.neurons)[0].run(10 * DT)
    print("| model | ns a neuron and step | first simulation, s | second, s |\n|---|---|---|---|")
    for name, cell in models.items():
        cost, first, second = measure(cell, a.neurons, a.steps)
        print(f"| {name} | {cost:.2f} | {first:.2f} | {second:.3f} |", flush=True)


if __name__ == "__main__":
    main()
