"""The cost meter: against plain loops, against the package neurobench, and a torch module against its network."""

import math

import numpy as np
import pytest

from neurosim import AllToAllConnector, FromListConnector, IF_curr_delta, Network, Simulation, SpikeSourceArray, encoding
from neurosim.cost import ENERGIES, Cost, Energies, Group, Joint, averaged, run_cost
from neurosim.errors import ParameterError

torch = pytest.importorskip("torch")
learn = pytest.importorskip("neurosim.learn")
nn = torch.nn

from neurosim.learn import delays  # noqa: E402
from neurosim.learn.cost import cost  # noqa: E402


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def spikes(seed, *shape, p=0.3):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < p).float()


def linear(seed, n_in, n_out, zeros=0.0, scale=1.0):
    made = nn.Linear(n_in, n_out, bias=True)
    with torch.no_grad():
        made.weight.copy_(scale * drawn(seed, n_out, n_in))
        made.weight[spikes(seed + 1, n_out, n_in, p=zeros) > 0] = 0.0
        made.bias.zero_()
    return made


def perceptron():
    return nn.Sequential(linear(1, 12, 9, zeros=0.25), nn.ReLU(), linear(3, 9, 5, zeros=0.1), nn.Sigmoid())


def benchmarked(needs, model, x, run_metrics):
    """What neurobench 2.3.0 says of a model for one loader of two batches."""
    needs("neurobench")
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, torch.zeros(len(x))), batch_size=len(x) // 2)
    metrics = [[Footprint, ParameterCount, ConnectionSparsity], run_metrics]
    with torch.no_grad():
        return Benchmark(model, loader, [], [], metrics).run(quiet=True)


def assert_same(ours: Cost, theirs):
    """Every figure that neurobench gives."""
    mine = ours.neurobench()
    assert set(theirs) <= set(mine) and len(theirs) >= 5
    for name, value in theirs.items():
        assert mine[name] == pytest.approx(value, rel=1e-6), name


# -------------------------------------------------------------------------------------------- without time


def test_a_perceptron_by_plain_loops():
    net, x = perceptron(), drawn(7, 6, 12)
    x[:, 3] = 0.0
    found = cost(net, [x[:4], x[4:]], timed=True)
    macs = dense = on = units = 0
    signal = x
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                for row in signal:
                    for j in range(layer.out_features):
                        for i in range(layer.in_features):
                            dense += 1
                            macs += bool(row[i] != 0) and bool(layer.weight[j, i] != 0)
            signal = layer(signal)
            if not isinstance(layer, nn.Linear):
                on, units = on + int((signal != 0).sum()), units + signal.numel()
    assert found.samples == 6 and found.steps == 1 and found.seconds > 0
    assert (found.macs, found.acs, found.dense) == (macs / 6, 0.0, dense / 6)
    assert found.activation_sparsity == pytest.approx(1 - on / units) and 0 < found.activation_sparsity < 1
    zeros = sum(int((one.weight == 0).sum()) for one in (net[0], net[2]))
    assert found.connection_sparsity == pytest.approx(zeros / (12 * 9 + 9 * 5)) and found.updates == 0
    assert found.parameters == 12 * 9 + 9 + 9 * 5 + 5 and found.footprint == 4 * found.parameters
    assert [one.name for one in found.joints] == ["0", "2"] and [one.name for one in found.groups] == ["1", "3"]


@pytest.mark.parametrize("settings", [
    {"kernel_size": 3, "padding": 1, "stride": 2}, {"kernel_size": (2, 3), "groups": 2, "dilation": (1, 2)},
    {"kernel_size": 5, "padding": 2},
])
def test_convolutions_by_plain_products(settings):
    net = nn.Sequential(nn.Conv2d(4, 6, bias=True, **settings))
    with torch.no_grad():
        net[0].weight.copy_(drawn(1, *net[0].weight.shape))
        net[0].weight[spikes(2, *net[0].weight.shape, p=0.4) > 0] = 0.0
    x = spikes(3, 5, 4, 9, 8)
    found = cost(net, [x], timed=False)
    plain = nn.Conv2d(4, 6, bias=False, **settings)
    with torch.no_grad():
        plain.weight.copy_((net[0].weight != 0).float())
        effective = float(plain(x).sum())
        plain.weight.fill_(1.0)
        dense = float(plain(torch.ones_like(x)).sum())
    assert (found.acs, found.macs) == (pytest.approx(effective / 5), 0.0) and found.dense == pytest.approx(dense / 5)
    assert math.isnan(found.seconds)


@pytest.mark.needs("neurobench", "snntorch")
def test_networks_without_time_as_neurobench(needs):
    needs("neurobench")
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import TorchModel

    conv = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), linear(5, 4 * 36, 7, zeros=0.5), nn.ReLU())
    for net, x in ((perceptron(), drawn(7, 8, 12)), (conv, drawn(8, 8, 2, 6, 6)), (conv, spikes(8, 8, 2, 6, 6))):
        theirs = benchmarked(needs, TorchModel(net), x, [ActivationSparsity, SynapticOperations])
        assert_same(cost(net, [x[:4], x[4:]], timed=False), theirs)


# ------------------------------------------------------------------------------------------------ with time


def stepped(snn, recurrent=False):
    leaky = dict(beta=0.9, init_hidden=True)
    if recurrent:
        return nn.Sequential(linear(1, 12, 9, zeros=0.2), snn.RLeaky(linear_features=9, **leaky), linear(3, 9, 5),
                             snn.Leaky(output=True, **leaky))
    return nn.Sequential(linear(1, 12, 9, zeros=0.2), snn.Leaky(reset_mechanism="zero", **leaky), linear(3, 9, 5, scale=0.6),
                         snn.Leaky(output=True, **leaky))


def all_steps(utils):
    def run(net, x):
        utils.reset(net)
        return torch.stack([net(frame)[0] for frame in x])
    return run


@pytest.mark.needs("neurobench", "snntorch")
@pytest.mark.parametrize("recurrent", [False, True])
def test_a_stepped_snn_as_neurobench(needs, recurrent):
    needs("neurobench")
    snn, utils = needs("snntorch"), needs("snntorch.utils")
    from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations
    from neurobench.models import SNNTorchModel

    x = spikes(9, 8, 20, 12)
    torch.manual_seed(1)
    theirs = benchmarked(needs, SNNTorchModel(stepped(snn, recurrent)), x, [ActivationSparsity, MembraneUpdates, SynapticOperations])
    torch.manual_seed(1)  # snntorch keeps the states of a batch as buffers, which count: a fresh net has none
    net, frames = stepped(snn, recurrent), x.transpose(0, 1)
    ours = cost(net, [frames[:, :4], frames[:, 4:]], run=all_steps(utils), timed=False)
    assert_same(ours, theirs)
    assert ours.steps == 20 and ours.acs > 0 and ours.macs == 0 and 0.3 < ours.activation_sparsity < 1.0 and not ours.notes


def ours_of_time():
    return learn.Sequential(linear(1, 12, 9, zeros=0.2), learn.LIF(9, tau_m=8.0), linear(3, 9, 5, scale=0.6),
                            learn.LIF(5, reset="subtract"))


def delayed(n_in, n_out):
    made = delays.DelayedLinear(n_in, n_out, max_delay=6)
    made.round_()
    return made


def test_our_layers_by_plain_loops():
    net, x = ours_of_time(), spikes(9, 20, 3, 12)
    found = cost(net, [x[:, :2], x[:, 2:]])
    with torch.no_grad():
        sent = net.activity(x)
    acs = sum(float((x_in.sum((0, 1)) * (net[k].weight != 0).sum(0)).sum()) for k, x_in in ((0, x), (2, sent["1"])))
    assert found.acs == pytest.approx(acs / 3) and found.macs == 0 and found.dense == 20 * (12 * 9 + 9 * 5)
    on = float(sent["1"].sum() + sent["3"].sum())
    assert found.activation_sparsity == pytest.approx(1 - on / (3 * 20 * 14)) and on > 30
    updates = 0
    for weight, incoming, outgoing, keep, subtract in ((net[0].weight, x, sent["1"], math.exp(-1 / 8.0), False),
                                                       (net[2].weight, sent["1"], sent["3"], math.exp(-1 / 20.0), True)):
        v = torch.zeros(3, weight.shape[0])
        for t in range(20):
            before, v = v, keep * v + incoming[t] @ weight.detach().T
            v = v - outgoing[t] if subtract else v * (1 - outgoing[t])
            updates += v.numel() if t == 0 else int((v != before).sum())
    assert found.updates == pytest.approx(updates / 3) and updates < 3 * 20 * 14
    assert found.seconds > 0 and found.rate == pytest.approx(20 / found.seconds)
    assert net.training, "left as it was"


@pytest.mark.needs("snntorch")
def test_our_layers_cost_what_the_same_cells_of_snntorch_cost(needs):
    snn, utils = needs("snntorch"), needs("snntorch.utils")
    theirs = nn.Sequential(linear(1, 12, 9, zeros=0.2), snn.Leaky(beta=0.9, reset_mechanism="zero", reset_delay=False, init_hidden=True),
                           linear(3, 9, 5), snn.Leaky(beta=0.9, reset_mechanism="zero", reset_delay=False, init_hidden=True, output=True))
    tau = -1.0 / math.log(0.9)
    ours = learn.Sequential(theirs[0], learn.LIF(9, tau_m=tau), theirs[2], learn.LIF(5, tau_m=tau))
    x = spikes(9, 25, 4, 12)
    assert (cost(ours, [x], timed=False).neurobench()["SynapticOperations"]
            == cost(theirs, [x], run=all_steps(utils), timed=False).neurobench()["SynapticOperations"])
    assert cost(ours, [x]).activation_sparsity == cost(theirs, [x], run=all_steps(utils)).activation_sparsity
    wrapped = learn.Sequential(theirs[0], snn.Leaky(beta=0.9, reset_mechanism="zero", reset_delay=False), theirs[2],
                               learn.Foreign(snn.Leaky(beta=0.9, reset_mechanism="zero", reset_delay=False)))
    within = cost(wrapped, [x], timed=False)
    assert within.synops == cost(ours, [x], timed=False).synops and not within.notes
    assert within.updates == cost(theirs, [x], run=all_steps(utils), timed=False).updates


@pytest.mark.needs("norse")
def test_cells_of_norse_are_counted(needs):
    norse = needs("norse.torch")
    x = spikes(4, 15, 3, 12)
    for cell in (norse.LIFBoxCell(), norse.LIFCell(), norse.LIF()):
        net = learn.Sequential(linear(1, 12, 6, scale=12.0), cell)
        found = cost(net, [x], timed=False)
        with torch.no_grad():
            out = net(x)[0]
        assert found.groups[0].sent == float(out.sum()) / 3 > 0 and found.groups[0].signals == 15 * 6
        assert 0 < found.updates <= 15 * 6 and found.groups[0].counted and not found.notes


def test_loops_and_delays_are_counted_by_what_is_sent():
    net = learn.Sequential(linear(1, 12, 9), learn.Recurrent(learn.LIF(9)), delayed(9, 5), learn.LI(5))
    x = spikes(9, 20, 3, 12)
    found = cost(net, [x], timed=False)
    with torch.no_grad():
        hidden = net.eval().activity(x)["1"]
    assert hidden.sum() > 20
    by_name = {one.name: one for one in found.joints}
    assert list(by_name) == ["0", "1", "2"]
    assert by_name["1"].effective == pytest.approx(float(hidden.sum()) * 9 / 3) and by_name["1"].dense == 20 * 81
    assert by_name["2"].effective == pytest.approx(float(hidden.sum()) * 5 / 3) and by_name["2"].spiking
    assert {one.name: one.signals for one in found.groups} == {"1": 20 * 9, "3": 0.0} and found.groups[1].updates > 0


def test_torch_recurrent_layers_cost_all_their_weights():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(7, 11, num_layers=2)
            self.out = nn.Linear(11, 3)

        def forward(self, x):
            return self.out(self.gru(x)[0])

    x = drawn(1, 10, 4, 7)
    x[5:] = 0.0
    found = cost(Net(), [x], run=lambda net, x: net(x), timed=False)
    assert found.dense == 10 * (3 * 11 * (7 + 11) + 3 * 11 * (11 + 11) + 33)
    assert found.dense - found.macs == 5 * 3 * 11 * 7 and found.acs == 0 and found.samples == 4


def test_what_is_not_counted_is_said():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return self.scale * x

    class Strange(learn.Layer):
        def forward(self, x, state=None):
            return x, None

    found = cost(nn.Sequential(Odd()), [drawn(1, 2, 3)], timed=False)
    assert "Odd" in found.notes[0] and found.notes[0] in str(found) and found.synops == 0
    found = cost(learn.Sequential(Strange()), [drawn(1, 2, 2, 3)], timed=False)
    assert "operations are not counted" in found.notes[0]
    with pytest.raises(ParameterError, match="no batch"):
        cost(perceptron(), [])


# ------------------------------------------------------------------------------------------ the engine, and twins


@pytest.mark.parametrize("net", [
    ours_of_time(),
    learn.Sequential(linear(1, 12, 9, zeros=0.2), learn.Recurrent(learn.LIF(9, tau_m=8.0)), linear(3, 9, 5), learn.LI(5)),
    learn.Sequential(linear(1, 12, 9), learn.LIF(9, tau_m=8.0, tau_syn=3.0), delayed(9, 5), learn.LIF(5)),
], ids=["feed-forward", "recurrent", "delayed, with synapses"])
def test_a_network_costs_what_the_module_costs_that_it_was_made_of(net):
    x = spikes(9, 30, 2, 12)
    deployed = learn.to_network(net, 1.0)
    for name, population in deployed.populations.items():
        if name != "input":
            deployed.network.record(population, "v")
    runs = []
    for k in range(2):
        deployed.set_input(x[:, k].numpy())
        result = Simulation(deployed.network, dt=deployed.dt).run(deployed.duration(30))
        runs.append(run_cost(deployed.network, result, steps=30, offsets=deployed.offsets))
    engine, module = averaged(runs), cost(net, [x], timed=False)
    assert engine.samples == module.samples == 2 and engine.steps == module.steps == 30
    for name in ("dense", "macs", "acs", "synops", "updates", "activation_sparsity", "connection_sparsity"):
        assert getattr(engine, name) == pytest.approx(getattr(module, name)), name
    assert module.acs > 100 and engine.energy() == pytest.approx(module.energy())
    assert all(one.counted for one in engine.groups)


def test_a_run_by_plain_loops(rng):
    times = encoding.spike_times(rng.random((20, 4)) < 0.4, 1.0)
    net = Network()
    source = net.population(4, SpikeSourceArray(times), "source")
    cells = net.population(6, IF_curr_delta(), "cells")
    synapses = [(0, 1, 20.0, 1.0), (0, 2, 0.0, 1.0), (3, 5, 5.0, 2.0), (3, 1, 1.0, 1.0), (3, 4, 3.0, 1.0)]
    net.project(source, cells, FromListConnector(synapses))
    net.project(cells[1:3], cells[[4]], AllToAllConnector(), weight=1.0, delay=1.0)
    net.record(source, "spikes")
    with pytest.raises(ParameterError, match="'cells' recorded no spikes"):
        run_cost(net, Simulation(net, dt=1.0).run(20.0))
    net.record(cells, "spikes")
    result = Simulation(net, dt=1.0).run(20.0)
    found = run_cost(net, result, seconds=0.5)
    counts = np.bincount(result.spikes("cells").ids, minlength=6)
    inputs = [len(one) for one in times]
    assert found.joints == (Joint("source -> cells", 24, 4, 24 * 20.0, float(inputs[0] + 3 * inputs[3]), True),
                            Joint("cells -> cells", 36, 2, 36 * 20.0, float(counts[1] + counts[2]), True))
    assert counts[1] > 0 and found.connection_sparsity == 1 - 6 / 60 and found.parameters == 6 and found.footprint == 48
    assert found.groups == (Group("cells", 6, float(counts.sum()), 120.0, 120.0, counted=False),) and found.rate == 40.0


def test_energy_is_the_sum_of_its_parts():
    joints = Joint("a", 1, 1, 9.0, 2.0, False), Joint("b", 1, 1, 9.0, 3.0, True)
    made = Cost(0, 0, 1, 1, float("nan"), joints, (Group("c", 1, 0, 0, 5.0),))
    assert made.energy() == pytest.approx(2 * 4.6e-12 + 3 * 0.9e-12 + 5 * 4.6e-12)
    assert made.energy(Energies("mine", 1.0, 10.0, 100.0, "made up")) == 532.0
    assert math.isnan(made.energy("loihi")), "it has no multiply-accumulate"
    spiking = Cost(0, 0, 1, 1, 1.0, made.joints[1:], made.groups)
    assert spiking.energy("loihi") == pytest.approx(3 * 23.6e-12 + 5 * 81e-12)
    assert {"float32", "int8", "loihi"} <= set(ENERGIES) and all(one.source and one.ac > 0 for one in ENERGIES.values())
    with pytest.raises(ParameterError, match="no table of energies 'abacus'"):
        made.energy("abacus")
    with pytest.raises(ParameterError, match="nothing to average"):
        averaged([])
