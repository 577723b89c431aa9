"""Pictures: they hold the points, numbers and words that they should, and can be written."""

import dataclasses
import itertools
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from neurosim import plot
from neurosim.errors import ParameterError
from neurosim.result import PopulationInfo, Result, Spikes, Trace, Weights


def result(rng, sizes=None, rate=10.0, stop=1000.0, label="net"):
    sizes = sizes or {"E": 80, "I": 20}
    populations, spikes, offset = {}, {}, 0
    for name, size in sizes.items():
        n = round(size * rate * stop / 1000)
        times = np.sort(rng.integers(1, round(stop * 10) + 1, n)) * 0.1
        spikes[name] = Spikes(times, rng.integers(0, size, n), size, 0.0, stop, label=name)
        populations[name] = PopulationInfo(size, "IF_curr_exp", None, offset)
        offset += size
    first = next(iter(sizes))
    times = np.arange(0, stop, 1.0)
    traces = {(first, "v"): Trace(times, np.arange(8), rng.random((times.size, 8)), "mV")}
    weights = {"E -> E": Weights(rng.random(500), "nA"), "E -> I": Weights(rng.random(300), "nA"),
               "odd": Weights(rng.random(3), "uS")}
    return Result(label=label, dt=0.1, t_start=0.0, t_stop=stop, seed=1, populations=populations, spikes=spikes,
                  traces=traces, weights=weights)


def words(figure):
    """All text of a figure, also that of the axes."""
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def png(figure, path):
    """Write it, and look whether there is ink on it."""
    figure.savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    from matplotlib.image import imread
    pixels = imread(path)
    assert pixels.shape[0] > 200 and pixels.shape[1] > 400
    assert 0.002 < (pixels[..., :3].min(axis=-1) < 0.9).mean() < 0.9


def test_raster_shows_every_spike(tmp_path, rng):
    r = result(rng)
    figure = r.plot.raster()
    dots, bars, rates = figure.axes
    lines = {line.get_label(): line for line in dots.lines}
    assert {name: line.get_xdata().size for name, line in lines.items()} == {"E": 800, "I": 200}
    assert all(line.get_rasterized() for line in lines.values())
    assert np.array_equal(lines["E"].get_xdata(), r.spikes("E").times)
    assert np.array_equal(lines["E"].get_ydata(), r.spikes("E").ids)
    assert lines["I"].get_ydata().min() > lines["E"].get_ydata().max()
    assert dots.yaxis_inverted()  # the first population on top
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([10.0, 10.0])
    assert {"net", "E\n80", "I\n20", "neuron", "mean rate (Hz)", "rate (Hz)", "time (ms)"} <= set(words(figure))
    for patch, name in zip(rates.patches, ("E", "I"), strict=True):
        counts, edges = r.spikes(name).histogram(5.0)
        assert patch.get_data().values == pytest.approx(counts / 0.005 / r.populations[name].size)
        assert patch.get_data().edges == pytest.approx(edges)
    png(figure, tmp_path / "raster.png")


def test_raster_of_a_window_and_of_some_populations(rng):
    r = result(rng)
    figure = r.plot.raster("I", t0=200.0, t1=500.0, bin_width=10.0)
    assert len(figure.axes[0].lines) == 1
    times = figure.axes[0].lines[0].get_xdata()
    assert np.array_equal(times, r.spikes("I").between(200.0, 500.0).times)
    assert figure.axes[0].get_xlim() == (200.0, 500.0)
    assert figure.axes[2].patches[0].get_data().values.size == 30


def test_raster_samples_large_populations_evenly_and_quickly(tmp_path, rng):
    r = result(rng, {"big": 50_000, "tiny": 4}, rate=20.0)
    assert r.spikes("big").count == 1_000_000
    start = time.perf_counter()
    figure = r.plot.raster(max_neurons=500)
    png(figure, tmp_path / "raster.png")
    assert time.perf_counter() - start < 15.0
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert np.unique(lines["tiny"].get_ydata()).size == 4
    assert 400 < np.unique(lines["big"].get_ydata()).size <= 500
    assert "big\n500 of 50,000" in words(figure)
    assert figure.axes[1].patches[0].get_width() == pytest.approx(20.0)  # of all neurons


@pytest.mark.parametrize("max_neurons", [1, 2, 7, 100, 1000])
def test_the_choice_of_neurons(max_neurons):
    neurons = {"a": np.arange(900), "b": np.array([3, 5, 8]), "c": np.arange(50, 150)}
    chosen = plot._chosen(neurons, max_neurons)
    for name, ids in chosen.items():
        assert 1 <= ids.size <= neurons[name].size
        assert np.isin(ids, neurons[name]).all()
        assert (np.diff(ids) > 0).all()
    assert sum(ids.size for ids in chosen.values()) <= 1.3 * max_neurons + len(neurons)


def test_a_million_spikes_in_a_vector_file_stay_small(tmp_path, rng):
    result(rng, {"E": 50_000}, rate=20.0).plot.raster(max_neurons=50_000).savefig(tmp_path / "raster.pdf")
    assert (tmp_path / "raster.pdf").stat().st_size < 2_000_000


def test_traces(tmp_path, rng):
    r = result(rng)
    figure = r.plot.traces("E", "v", [2, 5])
    assert len(figure.axes) == 2
    for axes, neuron in zip(figure.axes, (2, 5), strict=True):
        curve, ticks = axes.lines
        assert np.array_equal(curve.get_ydata(), r.traces("E", "v").of(neuron))
        assert np.array_equal(ticks.get_xdata(), r.spikes("E").of(neuron))
    assert {"v (mV) of E", "neuron 2", "neuron 5", "time (ms)"} <= set(words(figure))
    png(figure, tmp_path / "traces.png")
    assert len(r.plot.traces("E", "v").axes) == 6
    with pytest.raises(ParameterError, match="neuron 77 was not recorded"):
        r.plot.traces("E", "v", [77])


def test_traces_of_a_silent_neuron_keep_their_height(rng):
    r = result(rng)
    spikes = r.spikes("E")
    loud = spikes.ids != 2
    silent = dataclasses.replace(spikes, times=spikes.times[loud], ids=spikes.ids[loud])
    r._spikes["E"] = silent
    figure = r.plot.traces("E", "v", [1, 2, 3, 5])
    figure.canvas.draw()
    heights = [axes.get_position().height for axes in figure.axes]
    assert min(heights) > 0.1


def test_rates_count_every_neuron(tmp_path, rng):
    r = result(rng)
    figure = r.plot.rates()
    for axes, name in zip(figure.axes, ("E", "I"), strict=True):
        shares, edges, _ = axes.patches[0].get_data()
        wanted = np.histogram(r.spikes(name).rates(), edges)[0]
        assert shares == pytest.approx(100.0 * wanted / r.populations[name].size)
        assert 99.0 < shares.sum() <= 100.0 + 1e-9
    assert {"rate of a neuron (Hz)", "share of neurons (%)"} <= set(words(figure))
    assert any(word.startswith("mean 10 Hz") for word in words(figure))
    png(figure, tmp_path / "rates.png")


def test_isi(tmp_path, rng):
    r = result(rng)
    figure = r.plot.isi()
    assert sum(figure.axes[0].patches[0].get_data().values) == pytest.approx(100.0)
    assert {"interval between spikes (ms)", "share of intervals (%)", f"CV {r.spikes('E').cv():.2f}"} <= set(words(figure))
    png(figure, tmp_path / "isi.png")


def test_weights(tmp_path, rng):
    r = result(rng)
    figure = r.plot.weights(["E -> E", "E -> I"])
    assert [axes.patches[0].get_data().values.sum() for axes in figure.axes] == [500, 300]
    assert {"weight (nA)", "synapses"} <= set(words(figure))
    assert any(word.startswith("500 synapses\nmean ") for word in words(figure))
    png(figure, tmp_path / "weights.png")
    assert r.plot.weights({"w": np.full(10, 0.3)}).axes[0].patches[0].get_data().values.sum() == 10
    with pytest.raises(ParameterError, match="one unit, got nA, uS"):
        r.plot.weights(["E -> E", "odd"])
    with pytest.raises(ParameterError, match="were not kept"):
        r.plot.weights("x")


def test_weights_in_time(tmp_path, rng):
    times = np.arange(0.0, 1001.0, 10.0)
    walks = np.clip(np.cumsum(rng.normal(0.0, 0.03, (times.size, 200)), axis=0) + 0.5, 0.0, 1.0)
    r = result(rng)
    r._weights["learnt"] = many = Weights(walks, "nA", times=times)
    figure = r.plot.weights("learnt")
    axes, bar = figure.axes
    (mesh,) = axes.collections
    shares = np.asarray(mesh.get_array()).reshape(50, times.size)
    assert shares.sum(axis=0) == pytest.approx(np.full(times.size, 100.0))
    assert shares[:, -1] == pytest.approx(np.histogram(walks[-1], 50, (walks.min(), walks.max()))[0] / 2.0)
    assert len(axes.lines) == 5
    lasts = [line.get_ydata()[-1] for line in axes.lines]
    assert lasts == sorted(lasts) and (lasts[0], lasts[-1]) == (many.last.min(), many.last.max())
    assert axes.get_xlim() == (0.0, 1000.0)
    assert {"learnt: 200 synapses", "weight (nA)", "time (ms)", "% of synapses"} <= set(words(figure))
    png(figure, tmp_path / "weights.png")
    few = r.plot.weights({"few": Weights(walks[:, :3], "nA", times=times), "flat": Weights(walks[:1] * np.ones((2, 1)),
                                                                                           "nA", times=times[:2])})
    assert [len(a.lines) for a in few.axes[:2]] == [3, 5] and not few.axes[0].collections
    assert not r.plot.weights({"last": Weights(many.last, "nA"), "both": many}).axes[0].lines, "not all over time"


@pytest.mark.parametrize("matrix", [[[200, 50], [0, 12_800]], [[1, 10**9], [10**4, 3]], [[0, 0], [0, 0]]])
def test_connectivity_writes_every_number(tmp_path, matrix):
    figure = plot.connectivity((["exc", "inh"], matrix))
    shown = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in figure.axes[0].texts}
    assert shown == {(i, j): plot._short(matrix[i][j]) for i in range(2) for j in range(2) if matrix[i][j]}
    assert {"from population", "to population", "synapses", "exc", "inh"} <= set(words(figure))
    png(figure, tmp_path / "connectivity.png")


def test_connectivity_of_a_network():
    from neurosim.cells.lif import IF_curr_exp
    from neurosim.connectors import AllToAllConnector, OneToOneConnector
    from neurosim.network import Network
    net = Network(label="net")
    a, b = net.population(10, IF_curr_exp(), "a"), net.population(30, IF_curr_exp(), "b")
    net.project(a, b, AllToAllConnector(), weight=0.1)
    net.project(a, b, AllToAllConnector(), weight=0.1)
    net.project(b, b, OneToOneConnector(), weight=-0.1, receptor="inhibitory")
    labels, matrix = plot.synapse_matrix(net)
    assert labels == ["a", "b"]
    assert matrix.tolist() == [[0.0, 0.0], [600.0, 30.0]]
    assert {"600", "30"} <= set(words(plot.connectivity(net)))


def test_numbers_are_short():
    assert [plot._short(n) for n in (0, 7, 999, 1000, 12_345, 999_600, 3.45e7, 2e9)] == [
        "0", "7", "999", "1 k", "12.3 k", "1 M", "34.5 M", "2 G"]


def test_colours_tell_excitation_from_inhibition(rng):
    infos = {"a": PopulationInfo(1, role="excitatory"), "b": PopulationInfo(1, role="inhibitory"),
             "c": PopulationInfo(1, role="excitatory"), "source": PopulationInfo(1)}
    chosen = plot.colours(infos)
    assert chosen["a"] in plot._COLD and chosen["c"] in plot._COLD and chosen["b"] in plot._WARM
    assert len(set(chosen.values())) == 4
    guessed = plot.colours(dict.fromkeys(("exc", "inh", "L4E", "L4I"), PopulationInfo(1)))
    assert guessed["exc"] in plot._COLD and guessed["L4I"] in plot._WARM
    plain = plot.colours({f"p{k}": PopulationInfo(1) for k in range(5)})
    assert len(set(plain.values())) == 5


# Machado, Oliveira & Fernandes 2009: what a dichromat sees, in linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "deuteranope": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "protanope": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
}


def lab(colour, sight):
    """CIELAB coordinates of a colour as someone sees it."""
    from matplotlib.colors import to_rgb
    linear = np.clip(sight @ np.array(to_rgb(colour)) ** 2.2, 0, 1)
    xyz = np.array([[0.412, 0.358, 0.181], [0.213, 0.715, 0.072], [0.019, 0.119, 0.950]]) @ linear
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.0089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_differ_for_colour_blind_readers(sight):
    """2 is just noticeable, 100 is black against white."""
    def distance(pair):
        return np.linalg.norm(lab(pair[0], SIGHT[sight]) - lab(pair[1], SIGHT[sight]))
    assert min(map(distance, itertools.product(plot._COLD, plot._WARM))) > 40
    for family in (plot._COLD, plot._WARM, plot._NEUTRAL):
        assert min(map(distance, itertools.combinations(family, 2))) > 14


def test_empty_results_can_be_drawn(tmp_path, rng):
    silent = result(rng, {"E": 10}, rate=0.0)
    for name in ("raster", "rates", "isi"):
        getattr(silent.plot, name)().savefig(tmp_path / f"{name}.png")
    with pytest.raises(ParameterError, match="no population of 'x' recorded spikes"):
        Result(label="x", dt=0.1, t_start=0, t_stop=1, seed=1, populations={}).plot.raster()
    for window in ((5.0, 5.0), (9.0, 2.0)):
        with pytest.raises(ParameterError, match="t1 > t0"):
            silent.plot.raster(t0=window[0], t1=window[1])


def test_one_neuron_and_many_populations_can_be_drawn(tmp_path, rng):
    sizes = {f"L{k}{role}": 30 for k in range(5) for role in "EI"}
    many = result(rng, sizes)
    for name in ("raster", "rates", "isi"):
        png(getattr(many.plot, name)(), tmp_path / f"{name}.png")
    png(result(rng, {"one": 1}, rate=30.0).plot.raster(), tmp_path / "one.png")


def test_figures_touch_no_global_state(rng):
    import matplotlib
    from matplotlib import pyplot
    before = dict(matplotlib.rcParams)
    result(rng).plot.raster()
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_matplotlib_is_loaded_only_to_draw():
    code = "import sys, neurosim.result, neurosim.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=plot.__file__.rpartition("/neurosim/")[0],
                          check=False).returncode == 0
