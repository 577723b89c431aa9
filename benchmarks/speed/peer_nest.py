"""The benchmark models in NEST."""

import nest
import numpy as np

from . import measure, models

MODES = ("grid",)
PA = 1000.0  # nA -> pA, nF -> pF, uS -> nS
NOTES = {
    "M2": "NEST integrates conductances with an adaptive Runge-Kutta-Fehlberg scheme (iaf_cond_exp)",
    "M4": "the delay is the dendrite's: the rule sees spikes of the target later, of the source at once",
}


def _create_current(net: models.RandomNetwork, size: int):
    c = net.cell
    neurons = nest.Create("iaf_psc_exp", size, {
        "E_L": c.v_rest, "V_th": c.v_thresh, "V_reset": c.v_reset, "tau_m": c.tau_m, "t_ref": c.tau_refrac,
        "C_m": c.cm * PA, "tau_syn_ex": c.tau_syn_E, "tau_syn_in": c.tau_syn_I,
    })  # fmt: skip
    if pacemakers := net.pacemakers(size):
        neurons[:pacemakers].I_e = net.pacemaker_current * PA
    return neurons, PA


def _create_conductance(net: models.RandomNetwork, size: int):
    c = net.cell
    neurons = nest.Create("iaf_cond_exp", size, {
        "E_L": c.v_rest, "V_th": c.v_thresh, "V_reset": c.v_reset, "g_L": c.g_leak * PA, "t_ref": c.tau_refrac,
        "C_m": c.cm * PA, "tau_syn_ex": c.tau_syn_E, "tau_syn_in": c.tau_syn_I, "E_ex": c.e_rev_E, "E_in": c.e_rev_I,
        "I_e": c.i_offset * PA,
    })  # fmt: skip
    return neurons, PA


def _create_delta(net: models.RandomNetwork, size: int):
    c = net.cell
    params = {"E_L": c.v_rest, "V_th": c.v_thresh, "V_reset": c.v_reset, "tau_m": c.tau_m, "t_ref": c.tau_refrac}
    if net.stdp:
        params["tau_minus"] = net.stdp.tau_minus
    return nest.Create("iaf_psc_delta", size, params), 1.0


_CREATE = {
    models.CurrentCell: _create_current,
    models.ConductanceCell: _create_conductance,
    models.DeltaCell: _create_delta,
}


def _plastic(net: models.RandomNetwork) -> str:
    """Name of a synapse model with the plasticity of this network."""
    rule = net.stdp
    nest.CopyModel("stdp_synapse", "plastic", {
        "lambda": rule.learning_rate, "alpha": rule.alpha, "mu_plus": 1.0, "mu_minus": 1.0, "tau_plus": rule.tau_plus,
        "Wmax": rule.w_max,
    })  # fmt: skip
    return "plastic"


def _random_network(net: models.RandomNetwork, size: int) -> None:
    """Create and connect M1 to M4 and M6."""
    neurons, unit = _CREATE[type(net.cell)](net, size)
    neurons.V_m = nest.random.uniform(*net.v_init)
    exc, inh = neurons[: net.excitatory(size)], neurons[net.excitatory(size) :]
    weight_E, weight_I = net.weight_E * unit, -abs(net.weight_I) * unit

    def connect(source, target, indegree, weight, synapse="static_synapse"):
        spec = {"synapse_model": synapse, "weight": weight, "delay": net.delay}
        nest.Connect(source, target, {"rule": "fixed_indegree", "indegree": indegree}, spec)

    if net.stdp:
        connect(exc, exc, net.indegree_E, weight_E, _plastic(net))
        connect(exc, inh, net.indegree_E, weight_E)
    else:
        connect(exc, neurons, net.indegree_E, weight_E)
    connect(inh, neurons, net.indegree_I, weight_I)
    if net.poisson_rate:
        noise = nest.Create("poisson_generator", params={"rate": net.poisson_rate})
        nest.Connect(noise, neurons, syn_spec={"weight": weight_E, "delay": net.delay})


def _normal(mean: float, sd: float, low: float, high: float):
    return nest.math.redraw(nest.random.normal(mean, sd), low, high)


def _microcircuit(scale: float) -> None:
    """Create and connect M5."""
    m = models.microcircuit(scale)
    c = m.cell
    populations = []
    for k, size in enumerate(m.sizes):
        populations.append(nest.Create("iaf_psc_exp", int(size), {
            "E_L": c.v_rest, "V_th": c.v_thresh, "V_reset": c.v_reset, "tau_m": c.tau_m, "t_ref": c.tau_refrac,
            "C_m": c.cm * PA, "tau_syn_ex": c.tau_syn_E, "tau_syn_in": c.tau_syn_I, "I_e": m.i_offset[k] * PA,
        }))  # fmt: skip
        populations[k].V_m = nest.random.normal(m.v_init[k], m.v_init_sd[k])
        noise = nest.Create("poisson_generator", params={"rate": m.poisson_rate * m.poisson_inputs[k]})
        nest.Connect(noise, populations[k], syn_spec={"weight": m.poisson_weight * PA, "delay": 1.5})
    # A kernel keeps at most 2**27 synapses of one model for each thread: one copy for each source population.
    for j in range(len(m.sizes)):
        nest.CopyModel("static_synapse", f"static_from_{j}")
    for i, j in zip(*np.nonzero(m.synapses), strict=True):
        low, high = (0.0, np.inf) if m.weight[i, j] > 0 else (-np.inf, 0.0)
        spec = {
            "synapse_model": f"static_from_{j}",
            "weight": _normal(m.weight[i, j] * PA, m.weight_sd[i, j] * PA, low, high),
            "delay": _normal(m.delay[i, j], m.delay_sd[i, j], models.DT, np.inf),
        }
        rule = {"rule": "fixed_total_number", "N": int(m.synapses[i, j])}
        nest.Connect(populations[j], populations[i], rule, spec)


def run(model_key: str, size: float, duration: float, threads: int = 1, seed: int = 1, mode: str = "grid") -> dict:
    """Build and simulate one model in NEST; the seconds of ``Prepare`` count as building."""
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.ResetKernel()
    nest.set(resolution=models.DT, local_num_threads=threads, rng_seed=seed)
    net = models.model(model_key)
    with measure.Stopwatch() as build:
        if isinstance(net, models.MicrocircuitModel):
            _microcircuit(size)
        else:
            _random_network(net, size)
        nest.Prepare()
    with measure.Stopwatch() as sim:
        nest.Run(duration)
    spikes = nest.local_spike_counter
    nest.Cleanup()
    return measure.row(
        model_key, size, duration, peer="nest", version=nest.__version__, threads=threads, seed=seed, spikes=spikes,
        cache="none", import_s=0.0, compile_s=0.0, build_s=build.wall, wall_s=sim.wall, cpu_s=sim.cpu,
        peak=measure.peak_mb(), note=NOTES.get(net.key.partition(":")[0], ""),
    )  # fmt: skip


if __name__ == "__main__":
    measure.main(run, MODES)
