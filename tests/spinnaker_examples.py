"""Scripts in sPyNNaker's words, as its users write them: run by the real `pyNN.spiNNaker` and by the emulation.

``KEEP`` holds what both must agree on.
"""

SYNFIRE = '''
import pyNN.spiNNaker as sim
sim.setup(timestep=1.0, min_delay=1.0)
n = 60
sim.set_number_of_neurons_per_core(sim.IF_curr_exp, 25)
cell = {"cm": 0.25, "i_offset": 0.0, "tau_m": 20.0, "tau_refrac": 2.0, "tau_syn_E": 5.0, "tau_syn_I": 5.0, "v_reset": -70.0,
        "v_rest": -65.0, "v_thresh": -50.0}
chain = sim.Population(n, sim.IF_curr_exp, cell, label="chain")
start = sim.Population(1, sim.SpikeSourceArray(spike_times=[[0]]), label="start")
loop = sim.Projection(chain, chain, sim.FromListConnector([(i, (i + 1) % n, 2.0, 17) for i in range(n)]), sim.StaticSynapse())
first = sim.Projection(start, chain, sim.FromListConnector([(0, 0, 2.0, 1)]), sim.StaticSynapse())
chain.record(["spikes", "v", "gsyn_exc"])
sim.run(300)
KEEP = {"loop": [list(map(float, row)) for row in loop.get(["weight", "delay"], "list")],
        "first": [list(map(float, row)) for row in first.get(["weight", "delay"], "list")]}
sim.end()
'''

CONDUCTANCES = '''
import numpy as np
import pyNN.spiNNaker as sim
sim.setup(1.0)
rng = np.random.RandomState(7)
stimulus = sim.Population(20, sim.SpikeSourceArray([sorted(rng.randint(0, 250, 30).tolist()) for _ in range(20)]), label="stimulus")
left = sim.Population(45, sim.IF_cond_exp(tau_m=15.0, tau_refrac=3.0, e_rev_I=-80.0), label="left", neurons_per_core=20)
right = sim.Population(30, sim.IF_cond_exp(tau_syn_E=3.0, cm=0.5, v_rest=[-66.0 + 0.1 * i for i in range(30)]), label="right")
left.initialize(v=[-60.0 - 0.2 * i for i in range(45)])
def rows(a, b, n, scale):
    pairs = sorted({(int(rng.randint(a)), int(rng.randint(b))) for _ in range(n)})
    return [(i, j, float(scale * rng.rand()), float(rng.randint(1, 80))) for i, j in pairs]
kept = [sim.Projection(stimulus, left, sim.FromListConnector(rows(20, 45, 400, 0.02))),
        sim.Projection(left, right, sim.FromListConnector(rows(45, 30, 300, 0.03)), receptor_type="excitatory"),
        sim.Projection(right, left, sim.FromListConnector(rows(30, 45, 300, 0.1)), receptor_type="inhibitory"),
        sim.Projection(left, right, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.013337, delay=3.4)),
        sim.Projection(stimulus, right, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.002, delay=2.0))]
for cells in (left, right):
    cells.record(["spikes", "v", "gsyn_exc", "gsyn_inh"])
sim.run(250)
KEEP = [[list(map(float, row)) for row in one.get(["weight", "delay"], "list")] for one in kept]
sim.end()
'''

CONNECTORS = '''
import numpy as np
import pyNN.spiNNaker as sim
sim.setup(1.0)
times = [list(range(3 * i, 120, 17)) for i in range(12)]
source = sim.Population(12, sim.SpikeSourceArray(times), label="source")
cells = sim.Population(12, sim.IF_curr_exp(), label="cells")
sheet = sim.Population(20, sim.IF_curr_exp(tau_m=10.0), label="sheet")
extra = sim.extra_models
made = {
    "array": sim.Projection(source, cells, sim.ArrayConnector(np.eye(12, k=2, dtype=int)), sim.StaticSynapse(weight=1.7, delay=2)),
    "others": sim.Projection(cells, cells, extra.AllButMeConnector(n_neurons_per_group=4), sim.StaticSynapse(weight=0.3, delay=3),
                             receptor_type="inhibitory"),
    "next": sim.Projection(source, cells, extra.OneToOneOffsetConnector(3, True), sim.StaticSynapse(weight=2.0)),
    "forward": sim.Projection(source, cells, extra.OneToOneOffsetConnector(2, False), sim.StaticSynapse(weight=0.9)),
    "kernel": sim.Projection(cells, sheet, sim.KernelConnector((3, 4), (4, 5), (3, 3), weight_kernel=np.arange(9).reshape(3, 3) / 3.0,
                                                               delay_kernel=np.arange(1, 10).reshape(3, 3))),
    "index": sim.Projection(source, sheet, sim.IndexBasedProbabilityConnector("(i + j) % 3 == 0"), sim.StaticSynapse(weight=1.1, delay=4)),
    "all": sim.Projection(cells, cells, sim.AllToAllConnector(allow_self_connections=False), sim.StaticSynapse(weight=-0.2, delay=1),
                          receptor_type="inhibitory"),
}
cells.record(["spikes", "v"])
sheet.record(["spikes", "v"])
sim.run(120)
KEEP = {name: [list(map(float, row)) for row in one.get(["weight", "delay"], "list")] for name, one in made.items()}
KEEP["matrix"] = np.nan_to_num(made["kernel"].get("weight", "array"), nan=-1.0).tolist()
sim.end()
'''

# What only the board's own expander makes as the script says; sPyNNaker's host fails here, or forgets the weights.
ON_BOARD = '''
import numpy as np
import pyNN.spiNNaker as sim
sim.setup(1.0)
source = sim.Population(9, sim.SpikeSourceArray([[1 + 2 * i, 40 - i] for i in range(9)]), label="source")
cells = sim.Population(9, sim.IF_curr_exp(tau_refrac=2.0), label="cells")
sim.Projection(source, cells, sim.extra_models.AllButMeConnector(n_neurons_per_group=3, weights=np.arange(1, 7) / 2.0))
sim.Projection(source[0:4], cells[4:8], sim.OneToOneConnector(), sim.StaticSynapse(weight=2.5, delay=3))
sim.Projection(source, cells[2:5], sim.OneToOneConnector(), sim.StaticSynapse(weight=1.5, delay=2))
sim.Projection(source[2:5], cells[6:9], sim.AllToAllConnector(), sim.StaticSynapse(weight=0.5, delay=2), receptor_type="inhibitory")
cells.record(["spikes", "v"])
sim.run(60)
KEEP = None
sim.end()
'''

PAIRS = '''
import pyNN.spiNNaker as sim
sim.setup(timestep=1.0)
before = sim.Population(9, sim.SpikeSourceArray([[100.0 + 90.0 * k for k in range(4)]] * 9), label="before")
shifts = (-20, -10, -5, -1, 0, 1, 5, 10, 20)
teacher = sim.Population(9, sim.SpikeSourceArray([[100.0 + 90.0 * k + shift for k in range(3)] for shift in shifts]), label="teacher")
after = sim.Population(9, sim.IF_curr_exp(tau_refrac=2.0), label="after")
sim.Projection(teacher, after, sim.OneToOneConnector(), sim.StaticSynapse(weight=30.0, delay=1.0))
rule = sim.STDPMechanism(timing_dependence=sim.SpikePairRule(tau_plus=20.0, tau_minus=20.0, A_plus=0.2, A_minus=0.3),
                         weight_dependence=sim.AdditiveWeightDependence(w_min=0.0, w_max=5.0), weight=2.0, delay=1.0)
learnt = sim.Projection(before, after, sim.OneToOneConnector(), rule)
after.record(["spikes", "v"])
sim.run(450)
KEEP = {"delay": [float(one) for one in learnt.get("delay", "list", with_address=False)]}
sim.end()
'''

TRIPLETS = '''
import numpy as np
import pyNN.spiNNaker as sim
sim.setup(1.0)
rng = np.random.RandomState(3)
before = sim.Population(8, sim.SpikeSourceArray([sorted(set(rng.randint(0, 300, 25).tolist())) for _ in range(8)]), label="before")
after = sim.Population(5, sim.IF_curr_exp(), label="after")
extra = sim.extra_models
rule = sim.STDPMechanism(extra.PfisterSpikeTriplet(16.8, 33.7, 101.0, 125.0, 0.05, 0.07),
                         extra.WeightDependenceAdditiveTriplet(0.0, 4.0, 0.03, 0.002), weight=2.0, delay=3.0)
learnt = sim.Projection(before, after, sim.AllToAllConnector(), rule)
after.record(["spikes", "v"])
sim.run(300)
KEEP = len(learnt.get("weight", "list", with_address=False))
sim.end()
'''

EXTRA = '''
import pyNN.spiNNaker as sim
sim.setup(1.0)
times = [sorted({(7 * i + 13 * k) % 199 for k in range(30)}) for i in range(6)]
source = sim.Population(6, sim.SpikeSourceArray(times), label="source")
kinds = [sim.Izhikevich(i_offset=4.0), sim.IF_curr_alpha(tau_syn_E=3.0, tau_syn_I=4.0), sim.IF_curr_delta(),
         sim.extra_models.IFCurrExpCa2Adaptive(i_offset=1.0), sim.extra_models.IF_curr_dual_exp(),
         sim.extra_models.Izhikevich_cond(i_offset=5.0), sim.extra_models.IFCurrDeltaFixedProb(p_thresh=0.7, tau_m=5.0, cm=5.0, seed=7),
         sim.extra_models.IFCondExpStoc(i_offset=0.6)]
weights = [3.0, 9.0, 9.0, 1.5, 2.0, 0.05, 9.0, 0.05]
groups = []
for k, (kind, weight) in enumerate(zip(kinds, weights)):
    group = sim.Population(6, kind, label="group %d" % k)
    sim.Projection(source, group, sim.OneToOneConnector(), sim.StaticSynapse(weight=weight, delay=1 + k))
    sim.Projection(source, group, sim.AllToAllConnector(), sim.StaticSynapse(weight=weight / 20, delay=2), receptor_type="inhibitory")
    group.record(["spikes", "v", "gsyn_exc", "gsyn_inh"])
    groups.append(group)
sim.run(200)
KEEP = [group.label for group in groups]
sim.end()
'''

RANDOM = '''
import pyNN.spiNNaker as sim
sim.setup(1.0)
noise = sim.Population(100, sim.SpikeSourcePoisson(rate=60.0), label="noise", seed=5)
exc = sim.Population(240, sim.IF_curr_exp(), label="exc", seed=1)
inh = sim.Population(60, sim.IF_cond_exp(), label="inh", seed=2)
uniform, normal = sim.RandomDistribution("uniform", low=0.1, high=0.9), sim.RandomDistribution("normal", mu=0.02, sigma=0.004)
clipped = sim.RandomDistribution("normal_clipped", mu=1.0, sigma=0.5, low=0.2, high=1.4)
delays = sim.RandomDistribution("uniform", low=1.0, high=14.0)
static, few = sim.StaticSynapse, sim.FixedProbabilityConnector(0.1, allow_self_connections=False)
made = [sim.Projection(noise, exc, sim.FixedProbabilityConnector(0.3), static(weight=0.371, delay=2.0)),
        sim.Projection(exc, inh, sim.FixedNumberPreConnector(20), static(weight=normal, delay=delays)),
        sim.Projection(inh, exc, sim.FixedTotalNumberConnector(1500), static(weight=clipped, delay=3.0), receptor_type="inhibitory"),
        sim.Projection(noise, inh, sim.FixedProbabilityConnector(0.5), static(weight=0.0123, delay=1.0), receptor_type="inhibitory"),
        sim.Projection(exc, exc, few, static(weight=uniform, delay=delays))]
exc.record("spikes")
sim.run(100)
KEEP = [[list(map(float, row)) for row in one.get(["weight", "delay"], "list", with_address=False)] for one in made]
sim.end()
'''

NOISE = '''
import pyNN.spiNNaker as sim
sim.setup(1.0)
noise = sim.Population(30, sim.SpikeSourcePoisson(rate=[5.0 + 4.0 * i for i in range(30)], start=10, duration=150), label="noise", seed=5)
fast = sim.Population(10, sim.SpikeSourcePoisson(rate=300.0), label="fast", additional_parameters={"seed": 11})
cells = sim.Population(30, sim.IF_cond_exp(), label="cells")
kept = [sim.Projection(noise, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.05, delay=1.0)),
        sim.Projection(fast, cells, sim.FromListConnector([(i % 10, i, 0.01, 3.0) for i in range(10)] + [(9, 20, 0.01, 3.0)]))]
noise.record("spikes")
fast.record("spikes")
cells.record(["spikes", "v"])
sim.run(200)
KEEP = [[list(map(float, row)) for row in one.get(["weight", "delay"], "list")] for one in kept]
sim.end()
'''

TENTHS = '''
import pyNN.spiNNaker as sim
sim.setup(timestep=0.1, time_scale_factor=10)
start = sim.Population(1, sim.SpikeSourceArray(spike_times=[[0.0, 0.25, 7.77]]), label="start")
chain = sim.Population(20, sim.IF_cond_exp(tau_syn_E=2.0, tau_refrac=0.25), label="chain")
made = [sim.Projection(chain, chain, sim.FromListConnector([(i, (i + 1) % 20, 0.2, 1.73) for i in range(20)])),
        sim.Projection(start, chain, sim.FromListConnector([(0, 0, 0.2, 0.3)]))]
chain.record(["spikes", "v", "gsyn_exc"])
sim.run(40)
KEEP = [[list(map(float, row)) for row in one.get(["weight", "delay"], "list")] for one in made]
sim.end()
'''
