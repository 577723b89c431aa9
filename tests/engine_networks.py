"""Small networks that between them use everything the engine has, for tests that compare runs of one network."""

import numpy as np

from neurosim import (
    ACSource,
    DCSource,
    EIF_cond_exp_isfa_ista,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    GIF_cond_exp,
    IF_cond_alpha,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Izhikevich,
    Network,
    NoisyCurrentSource,
    SpikeSourceArray,
    SpikeSourceInhGamma,
    SpikeSourcePoisson,
    SpikeSourcePoissonRefractory,
    StepCurrentSource,
    Uniform,
)

UNIT = {"nA": 0.4, "mV": 2.0, "uS": 0.01}  # a weight that matters, of each kind
N = 200  # enough for three parts of 64 neurons


def sources(network):
    """One population of each source, with spikes at time 0 and more than one in a step."""
    times = [[0.0, 0.0, 1.0 + i, 20.0, 20.0, 33.3] for i in range(5)]
    return [network.population(70, SpikeSourcePoisson(rate=Uniform(20.0, 80.0)), "poisson"),
            network.population(5, SpikeSourcePoisson(rate=20000.0, start=5.0, duration=10.0), "fast"),
            network.population(9, SpikeSourcePoissonRefractory(rate=100.0, tau_refrac=4.0), "refractory"),
            network.population(9, SpikeSourceInhGamma(a=(3.0, 0.5), b=(0.003, 0.02), tbins=(0.0, 25.0)), "gamma"),
            network.population(5, SpikeSourceArray(spike_times=times), "array")]


def drive(network, population):
    """Sources, Poisson input with equal and with different rates, and every current."""
    unit = UNIT[population.cell.weight_unit]
    inhibitory = 1.0 if population.cell.weight_unit == "uS" else -1.0
    for source in [p for p in network.populations if p.cell.is_source]:
        weight = 0.02 * unit if source.label == "fast" else unit
        network.project(source, population, FixedProbabilityConnector(0.1), weight=weight, delay=Uniform(0.1, 3.0))
    n = population.size
    network.poisson_input(population, 800.0, 0.3 * unit)
    network.poisson_input(population[: n // 2], np.linspace(0.0, 900.0, n // 2), 0.2 * unit, start=3.0, stop=40.0)
    network.poisson_input(population[::3], 300.0, 0.1 * unit * inhibitory, receptor="inhibitory")
    population.inject(DCSource(amplitude=0.1, start=4.0, stop=30.0))
    population[n // 4:].inject(StepCurrentSource(times=(5.0, 17.0, 31.0), amplitudes=(0.2, -0.2, 0.1)))
    population[::2].inject(ACSource(amplitude=0.2, offset=0.05, frequency=40.0, phase=30.0, start=2.0))
    population[5:9].inject(NoisyCurrentSource(mean=0.05, stdev=0.3, dt=0.5))


def recurrent(network, populations):
    """Excitation and inhibition within and between: one weight, drawn weights, double weights; delays from dt on."""
    for pre in populations:
        for post in populations:
            unit = UNIT[post.cell.weight_unit] / len(populations)
            sign = 1.0 if post.cell.weight_unit == "uS" else -1.0
            network.project(pre, post, FixedNumberPreConnector(6), weight=unit, delay=0.1)
            network.project(pre[:30], post, FixedProbabilityConnector(0.05), weight=Uniform(0.2 * unit, 0.5 * unit),
                            delay=Uniform(0.1, 6.0))
            shape = (pre.size, post.size)
            weights = np.random.default_rng(pre.size).uniform(0.2, 0.8, shape) * sign * unit
            network.project(pre, post, FixedProbabilityConnector(0.04), weight=weights, delay=1.5, receptor="inhibitory")


def _lif(model, **more):
    return model(cm=0.25, tau_m=10.0, v_thresh=-55.0, **more)


LINEAR = {
    "exp": lambda: [_lif(IF_curr_exp, tau_syn_E=2.0, tau_syn_I=12.0, tau_refrac=2.0)],
    "alpha": lambda: [_lif(IF_curr_alpha, tau_syn_E=0.5, tau_syn_I=3.0, tau_refrac=0.0)],
    "delta": lambda: [_lif(IF_curr_delta, tau_refrac=1.0)],
    "equal time constants": lambda: [IF_curr_exp(cm=1.0, tau_m=10.0, v_thresh=-50.0, tau_syn_E=10.0, tau_refrac=3.0)],
    "different refractory times and thresholds": lambda: [IF_curr_exp(
        cm=Uniform(0.2, 0.3), tau_syn_E=2.0, tau_refrac=np.tile([0.0, 0.1, 1.0, 3.7], N // 4), v_thresh=Uniform(-56.0, -52.0),
        i_offset=Uniform(0.0, 0.1))],
    "different time constants": lambda: [IF_curr_exp(cm=0.4, tau_m=Uniform(5.0, 20.0), v_thresh=-52.0, tau_refrac=3.0)],
    "mixed": lambda: [_lif(IF_curr_exp, tau_syn_E=2.0, tau_refrac=2.0),
                      _lif(IF_curr_exp, tau_syn_E=2.0, tau_refrac=3.0, i_offset=0.1),
                      _lif(IF_curr_alpha, tau_refrac=1.0), _lif(IF_curr_delta, tau_refrac=2.0),
                      IF_curr_delta(tau_m=Uniform(8.0, 12.0), tau_refrac=2.0, cm=0.25, v_thresh=-55.0)],
    # Some neurons spike at every step (thresholds that no sum of weights meets): the lists of spikes fill up and are laid out anew.
    "busy": lambda: [_lif(IF_curr_alpha, tau_refrac=0.0, i_offset=Uniform(0.0, 20.0)),
                     IF_curr_delta(cm=0.25, v_thresh=-55.0123, tau_refrac=0.0),
                     IF_curr_delta(tau_m=Uniform(8.0, 12.0), tau_refrac=0.0, cm=0.25, v_thresh=-55.0123, i_offset=30.0)],
}
OTHERS = {
    "cond exp": lambda: [IF_cond_exp(cm=0.25, v_thresh=-55.0, tau_refrac=2.0)],
    "cond alpha": lambda: [IF_cond_alpha(cm=0.5, v_thresh=-52.0, tau_syn_E=1.0, tau_refrac=2.0)],
    "adaptive, linear, stochastic, jumping": lambda: [
        EIF_cond_exp_isfa_ista(tau_refrac=3.0), _lif(IF_curr_exp, tau_refrac=2.0), GIF_cond_exp(), Izhikevich()],
}
ALL = {**LINEAR, **OTHERS}


def build(name, record=True):
    """The network of that name; at least 64 neurons for each of three threads."""
    cells = ALL[name]()
    network = Network(seed=11, label=name)
    made = sources(network)
    populations = [network.population(N, cell, f"cells{k}", initial_values={"v": Uniform(-70.0, -56.0)})
                   for k, cell in enumerate(cells)]
    for population in populations:
        drive(network, population)
    recurrent(network, populations)
    if record:
        network.record(made, "spikes")
        for population in populations:
            population.record("spikes")
            population[3:190:7].record(list(population.cell.states), interval=0.5)
    return network


def spikes(result):
    """{label: (steps, ids)} of all populations that were recorded."""
    return {label: (np.rint(result.spikes(label).times / result.dt).astype(int), result.spikes(label).ids)
            for label, what in result.recorded.items() if "spikes" in what}
