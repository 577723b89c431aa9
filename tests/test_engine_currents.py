"""Injected currents: closed forms, sampling, noise, views, refractoriness, and currents set in a running simulation."""

import numpy as np
import pytest

from neurosim import (
    ACSource,
    DCSource,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Network,
    NoisyCurrentSource,
    ParameterError,
    Simulation,
    StepCurrentSource,
)

TAU, CM, REST, DT = 10.0, 0.5, -65.0, 0.1
R = TAU / CM
HIGH = 1e6
MODELS = {
    "exp": IF_curr_exp(tau_m=TAU, cm=CM, v_thresh=HIGH), "alpha": IF_curr_alpha(tau_m=TAU, cm=CM, v_thresh=HIGH),
    "delta": IF_curr_delta(tau_m=TAU, cm=CM, v_thresh=HIGH),
    "stepped": IF_curr_exp(tau_m=TAU, tau_syn_E=TAU, cm=CM, v_thresh=HIGH),
}
UPDATES = ["clock", "event"]


def voltages(cell, inject, duration, update="clock", n=1):
    """v at every step, (steps + 1, n), of cells that ``inject`` was called with."""
    network = Network()
    cells = network.population(n, cell, "c")
    inject(cells)
    cells.record("v")
    return Simulation(network, dt=DT, threads=1, update=update).run(duration).traces("c", "v").values


def charging(t, on, off, amplitude):
    up, down = np.maximum(0.0, t - on), np.maximum(0.0, t - off)
    return R * amplitude * (np.exp(-down / TAU) - np.exp(-up / TAU))


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", MODELS)
def test_constant_and_stepped(name, update):
    assert len(MODELS) == 4
    t = np.arange(5001) * DT

    def inject(cells):
        cells.inject(DCSource(amplitude=0.7, start=20.0, stop=123.4))
        cells.inject(StepCurrentSource(times=(0.0, 50.0, 50.1, 300.0), amplitudes=(0.1, -2.0, 0.4, 0.0)))

    v = voltages(MODELS[name], inject, 500.0, update)[:, 0]
    expected = REST + charging(t, 20.0, 123.4, 0.7) + charging(t, 0.0, 50.0, 0.1) + charging(t, 50.0, 50.1, -2.0) \
        + charging(t, 50.1, 300.0, 0.4)
    np.testing.assert_allclose(v, expected, rtol=0, atol=1e-10)


def driven(amplitudes):
    """v after steps with the given currents, each held for a step."""
    v = [0.0]
    for amplitude in amplitudes:
        v.append(v[-1] * np.exp(-DT / TAU) + R * amplitude * -np.expm1(-DT / TAU))
    return REST + np.array(v)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", MODELS)
def test_sine(name, update):
    source = ACSource(amplitude=0.8, offset=0.2, frequency=25.0, phase=40.0, start=10.0, stop=90.0)
    v = voltages(MODELS[name], lambda cells: cells.inject(source), 150.0, update)[:, 0]
    t = np.arange(1500) * DT
    on = (t > 10.0 - 1e-9) & (t < 90.0 - 1e-9)
    current = np.where(on, 0.2 + 0.8 * np.sin(2.0 * np.pi * 25.0 * (t - 10.0) / 1000.0 + np.radians(40.0)), 0.0)
    np.testing.assert_allclose(v, driven(current), rtol=0, atol=1e-10)


def currents(v):
    """The current, nA, that was held over each step."""
    u = v - REST
    return (u[1:] - u[:-1] * np.exp(-DT / TAU)) / (R * -np.expm1(-DT / TAU))


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("hold", [0.1, 0.5, 2.0])
def test_noise(name, hold, update):
    source = NoisyCurrentSource(mean=0.3, stdev=0.6, dt=hold, start=10.0, stop=110.0)
    n = 60
    found = currents(voltages(MODELS[name], lambda cells: cells.inject(source), 130.0, update, n))
    assert np.abs(found[:100]).max() < 1e-9 and np.abs(found[1100:]).max() < 1e-9
    each = round(hold / DT)
    held = found[100:1100].reshape(-1, each, n)
    assert np.abs(held - held[:, :1]).max() < 1e-8
    values = held[:, 0]
    assert abs(values.mean() - 0.3) < 4.0 * 0.6 / np.sqrt(values.size)
    assert abs(values.std() / 0.6 - 1.0) < 4.0 / np.sqrt(2.0 * values.size)
    z = (values - 0.3) / 0.6
    assert abs((z[1:] * z[:-1]).mean()) < 4.5 / np.sqrt(z.size)
    assert abs((z[:, 1:] * z[:, :-1]).mean()) < 4.5 / np.sqrt(z.size)


@pytest.mark.parametrize("update", UPDATES)
def test_views(update):
    def inject(cells):
        cells[[7, 2]].inject(DCSource(amplitude=0.1))
        cells[5:].inject(DCSource(amplitude=0.2))

    v = voltages(MODELS["exp"], inject, 100.0, update, n=9)[-1] - REST
    expected = np.array([0, 0, 1, 0, 0, 2, 2, 3, 2]) * 0.1 * R * -np.expm1(-10.0)
    np.testing.assert_allclose(v, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("tau_refrac", [0.0, 0.1, 5.0])
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", MODELS)
def test_current_while_refractory(name, update, tau_refrac):
    """A current holds v at reset while it is refractory, whatever it does then; afterwards v starts from reset."""
    cell = MODELS[name].replaced(v_thresh=-55.0, v_reset=-70.0, tau_refrac=tau_refrac)
    amplitude = np.full(3000, 1.0)
    amplitude[100:] = 3.0
    amplitude[200:] = 0.8

    def inject(cells):
        cells.inject(StepCurrentSource(times=(0.0, 10.0, 20.0), amplitudes=(1.0, 3.0, 0.8)))

    v = voltages(cell, inject, 300.0, update)[:, 0]
    u, hold, expected = REST, 0, [REST]
    for current in amplitude:
        if hold:
            hold -= 1
        else:
            u = REST + (u - REST) * np.exp(-DT / TAU) + R * current * -np.expm1(-DT / TAU)
        if u >= -55.0:
            u, hold = -70.0, round(tau_refrac / DT)
        expected.append(u)
    assert (np.array(expected) == -70.0).sum() > 5
    np.testing.assert_allclose(v, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_switching_wakes_neurons_in_event_mode(name):
    """Neurons that nothing had touched fire when a current comes, at the same steps as with clock updates."""
    runs = []
    for update in UPDATES:
        network = Network()
        cells = network.population(100, MODELS[name].replaced(v_thresh=-55.0), "c")
        cells[10:40].inject(DCSource(amplitude=1.0, start=55.5, stop=100.0))
        cells[50:60].inject(StepCurrentSource(times=(70.0, 90.0), amplitudes=(-1.0, 2.0)))
        cells.record("spikes")
        runs.append(Simulation(network, dt=DT, threads=1, update=update).run(120.0))
    assert runs[0] == runs[1]
    spikes = runs[0].spikes("c")
    assert set(spikes.ids.tolist()) == set(range(10, 40)) | set(range(50, 60))
    assert spikes.times.min() > 55.5


# ------------------------------------------------------------------------------------- set(current=, v=)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", MODELS)
def test_setting_a_current(name, update, tmp_path):
    """Held until changed, on top of what is injected; saved, branched and reset with the rest."""
    network = Network()
    cells = network.population(4, MODELS[name], "c")
    cells.inject(DCSource(amplitude=0.2, start=5.0))
    cells.record("v")
    simulation = Simulation(network, dt=DT, threads=1, update=update)
    simulation.run(33.3)
    simulation.set(cells[1:3], current=[0.5, 1.0])
    simulation.run(20.0)
    simulation.save(tmp_path / "s.nsim")
    twin, loaded = simulation.branch(), Simulation.load(tmp_path / "s.nsim", network)
    simulation.set(cells, current=0.1)
    simulation.run(20.0)
    expected = np.zeros((733, 4))
    expected[50:] += 0.2
    expected[333:533, 1:3] += [0.5, 1.0]
    expected[533:] += 0.1
    v = simulation.result.traces("c", "v").values
    for i in range(4):
        np.testing.assert_allclose(v[:, i], driven(expected[:, i]), rtol=0, atol=1e-10)
    for other in (twin, loaded):
        other.set(cells, current=0.1)
        assert np.array_equal(other.run(20.0).traces("c", "v").values, v[-200:])
    simulation.reset()
    np.testing.assert_allclose(simulation.run(33.3).traces("c", "v").values[:, 1], driven(expected[:333, 0]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", MODELS)
def test_setting_v(name, update):
    network = Network()
    cells = network.population(3, MODELS[name].replaced(v_thresh=-50.0, tau_refrac=2.0), "c")
    cells.record(["v", "spikes"])
    simulation = Simulation(network, dt=DT, threads=1, update=update)
    simulation.run(12.3)
    simulation.set(cells, v=[-60.0, -70.0, -40.0])
    assert simulation.get(cells, "v").tolist() == pytest.approx([-60.0, -70.0, -40.0])
    result = simulation.run(1.0)
    assert result.spikes("c").ids.tolist() == [2] and result.spikes("c").times.tolist() == pytest.approx([12.4])
    simulation.set(cells, v=-45.0)  # cell 2 is refractory and stays at reset
    assert simulation.get(cells, "v").tolist() == pytest.approx([-45.0, -45.0, -65.0])
    assert simulation.run(0.1).spikes("c").ids.tolist() == [0, 1]


def test_what_cannot_be_set():
    network = Network()
    cells = network.population(3, IF_curr_exp(), "c")
    simulation = Simulation(network)
    for values in ({"rate": 3.0}, {"tau_m": 3.0}, {"current": [1.0, 2.0]}, {"v": float("nan")}):
        with pytest.raises(ParameterError):
            simulation.set(cells, **values)
