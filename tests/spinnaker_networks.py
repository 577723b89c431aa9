"""Networks that are put onto SpiNNaker's virtual board in tests."""

import numpy as np

import neurosim as ns
from neurosim.models import ca3 as ca3_model
from neurosim.models import coba, cuba


def ca3(cues: int = 5, contents: int = 10) -> ns.Network:
    """The content-addressable memory."""
    return ca3_model.network(cues, contents)


def vogels_abbott(model: str, scale: float) -> ns.Network:
    """Conductances (coba) or currents (cuba); 4000 cells at scale 1."""
    return {"coba": coba, "cuba": cuba}[model].build(scale, 1, 1.0)


CELLS = {
    "IF_curr_exp": lambda n, rng: ns.IF_curr_exp(tau_m=rng.uniform(10.0, 30.0, n), tau_syn_E=2.0, i_offset=0.1),
    "IF_cond_exp": lambda n, rng: ns.IF_cond_exp(tau_refrac=2.0, e_rev_I=-75.0),
    "IF_curr_alpha": lambda n, rng: ns.IF_curr_alpha(tau_syn_E=3.0, tau_syn_I=4.0),
    "IF_curr_delta": lambda n, rng: ns.IF_curr_delta(tau_m=15.0),
}


def random_settings(seed: int) -> dict:
    """Settings for `random_network` of this seed."""
    rng = np.random.default_rng(1000 + seed)
    per_core = {"a": int(rng.integers(8, 110)), "b": min(180, int(rng.integers(60, 300))), "inputs": int(rng.integers(5, 60))}
    return {"dt": float(rng.choice([1.0, 1.0, 0.5, 0.1])), "neurons_per_core": per_core,
            "ring_buffer_sigma": float(rng.choice([5.0, 3.0])), "spikes_per_second": float(rng.choice([30.0, 100.0]))}


def random_network(seed: int) -> ns.Network:
    """Two populations, two sources, several projections with lists, probabilities, views; some learn, some have long delays."""
    rng = np.random.default_rng(seed)
    dt = random_settings(seed)["dt"]
    net = ns.Network(seed=seed + 1, label=f"random {seed}")
    sizes = {"a": int(rng.integers(3, 320)), "b": int(rng.integers(100, 320))}
    kinds = {label: str(rng.choice(list(CELLS))) for label in "ab"}
    groups = {label: net.population(sizes[label], CELLS[kinds[label]](sizes[label], rng), label=label) for label in "ab"}
    count = int(rng.integers(4, 100))
    trains = [np.sort(rng.choice(100, size=int(rng.integers(0, 6)), replace=False)) * dt for _ in range(count)]
    groups["inputs"] = net.population(count, ns.SpikeSourceArray(trains), label="inputs")
    groups["noise"] = net.population(int(rng.integers(1, 60)), ns.SpikeSourcePoisson(rate=float(rng.uniform(1.0, 400.0))), label="noise")
    learns = kinds["a"] == "IF_curr_exp" or (kinds["a"] == "IF_cond_exp" and seed % 2 == 0)
    for number in range(int(rng.integers(3, 8))):
        post = groups[str(rng.choice(["a", "b"]))]
        pre = groups[str(rng.choice(list(groups)))]
        if rng.random() < 0.2 and pre.size > 4:
            pre = pre[np.sort(rng.choice(pre.size, 3, replace=False))]
        receptor = str(rng.choice(["excitatory", "inhibitory"]))
        conductance = kinds[post.label] == "IF_cond_exp"
        top = float(rng.choice([0.02, 0.1])) if conductance else float(rng.choice([0.5, 3.0]))
        sign = -1.0 if receptor == "inhibitory" and not conductance else 1.0
        spread = [sign * 0.2 * top, sign * top]
        weight = ns.Uniform(min(spread), max(spread)) if rng.random() < 0.7 else sign * top
        longest = float(rng.choice([1.0, 10.0, 24.0, 60.0]))
        delay = ns.Uniform(dt, longest * dt) if rng.random() < 0.6 and longest > 1.0 else longest * dt
        synapse = None
        if learns and post.label == "a" and rng.random() < 0.6:
            bound = 0.05 if conductance else 2.0
            synapse = ns.STDPMechanism(ns.SpikePairRule(tau_plus=10.0, tau_minus=12.0, A_plus=0.02, A_minus=0.03),
                                       ns.AdditiveWeightDependence(w_min=0.0, w_max=bound))
            receptor, weight, sign = "excitatory", ns.Uniform(0.1 * bound, bound), 1.0
        chance = min(0.9, 2500.0 / (pre.size * post.size)) * float(rng.uniform(0.3, 1.0))
        connector = ns.FixedProbabilityConnector(chance) if rng.random() < 0.7 else ns.FixedTotalNumberConnector(int(rng.integers(1, 400)))
        net.project(pre, post, connector, weight=weight, delay=delay, receptor=receptor, label=f"projection {number}", synapse=synapse)
    net.poisson_input(groups["b"], rate=50.0, weight=0.01, label="drive")
    net.inject(ns.DCSource(amplitude=0.2, start=5.0, stop=50.0), groups["b"][: max(1, sizes["b"] // 2)])
    if seed % 3 == 0:
        net.inject(ns.StepCurrentSource(times=[10.0, 20.0], amplitudes=[0.1, 0.0]), groups["b"])
    net.record(groups["a"], ["spikes", "v"])
    net.record(groups["b"][: max(1, sizes["b"] // 3)], "v", interval=5.0 * dt)
    net.record(groups["noise"], "spikes")
    if seed % 2:
        net.record(groups["inputs"], "spikes")
    return net


def several_stages(pre: int, post: int, longest: float) -> ns.Network:
    """Delays up to ``longest`` ms, all of them whole steps of 1 ms."""
    net = ns.Network(seed=3, label="several stages")
    a, b = net.population(pre, ns.IF_curr_exp(), label="a"), net.population(post, ns.IF_curr_exp(), label="b")
    net.project(a, b, ns.FixedProbabilityConnector(0.5), weight=ns.Uniform(0.1, 1.0), delay=ns.Uniform(1.0, longest), label="late")
    return net


def crowded(seed: int) -> ns.Network:
    """Dozens of populations of dozens of cores, joined here and there."""
    rng = np.random.default_rng(seed)
    net = ns.Network(seed=seed + 1, label="crowded")
    groups = [net.population(int(rng.integers(1, 700)), ns.IF_curr_exp(tau_m=10.0), label=f"group {k}") for k in range(12 + 8 * seed)]
    for k in range(len(groups)):
        net.project(groups[k], groups[int(rng.integers(len(groups)))], ns.FixedTotalNumberConnector(50), weight=0.5, delay=1.0)
    return net


RULES = {
    "pair additive": (ns.SpikePairRule(tau_plus=17.0, tau_minus=23.0, A_plus=0.02, A_minus=0.03), ns.AdditiveWeightDependence(w_max=2.0)),
    "pair multiplicative": (ns.SpikePairRule(tau_plus=7.0, tau_minus=9.0), ns.MultiplicativeWeightDependence(w_max=2.0)),
    "nearest additive": (ns.SpikePairRule(pairing="nearest"), ns.AdditiveWeightDependence(w_max=2.0)),
    "nearest multiplicative": (ns.SpikePairRule(pairing="nearest"), ns.MultiplicativeWeightDependence(w_max=2.0)),
    "triplet": (ns.SpikeTripletRule(A2_plus=0.001), ns.AdditiveWeightDependence(w_max=2.0)),
    "vogels": (ns.Vogels2011Rule(eta=0.01), ns.AdditiveWeightDependence(w_max=2.0)),
}


def zoo() -> ns.Network:
    """A population of every cell that there is, each with all that takes memory; and one of each rule."""
    from neurosim.hardware.spinnaker import extra

    net = ns.Network(seed=5, label="zoo")
    trains = [[1.0, 5.0]] * 50 + [[5.0]] * 40
    source = net.population(90, ns.SpikeSourceArray(trains), label="source")
    source.record("spikes")
    cells = [ns.IF_curr_exp(), ns.IF_cond_exp(), ns.IF_curr_alpha(tau_syn_E=4.0, tau_syn_I=4.0), ns.IF_curr_delta(),
             *(getattr(extra, name)(**{"tau_syn_E": 4.0, "tau_syn_I": 4.0} if name == "IF_curr_alpha" else {}) for name in extra.__all__)]
    for number, cell in enumerate(cells):
        group = net.population(30 + 7 * number, cell, label=f"{type(cell).__name__} {number}")
        net.project(source, group, ns.FixedProbabilityConnector(0.2), weight=0.02, delay=ns.Uniform(1.0, 6.0), label=f"to {number}")
        net.project(group, group, ns.FixedTotalNumberConnector(40), weight=0.01, delay=2.0, label=f"within {number}")
        group[3:20].record(["spikes", "v"])
        if number % 2:
            group.inject(ns.DCSource(amplitude=0.1))
            group[:4].inject(ns.ACSource(amplitude=0.1, frequency=10.0))
    for name, (timing, weight) in RULES.items():
        group = net.population(40, ns.IF_curr_exp(), label=name)
        rule = ns.STDPMechanism(timing, weight)
        for part in range(3):
            net.project(source[part * 30:part * 30 + 29 + part % 2], group, ns.FixedProbabilityConnector(0.3), weight=ns.Uniform(0.5, 1.5),
                        delay=1.0, synapse=rule, label=f"{name} {part}")
    return net


def large(cells: int) -> ns.Network:
    """One population, to be spread over more than one board."""
    net = ns.Network(seed=1, label="large")
    group = net.population(cells, ns.IF_curr_exp(), label="group")
    net.project(group, group, ns.OneToOneConnector(), weight=0.1, delay=1.0)
    return net
