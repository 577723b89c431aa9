"""Results: statistics against plain references, files, joined chunks, Neo."""

import dataclasses
import io
import itertools
import math
import os
import signal
import statistics
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from neurosim import analysis, store
from neurosim.errors import FileFormatError, ParameterError
from neurosim.result import PopulationInfo, Result, Spikes, Trace, Weights, concatenate
from neurosim.result_io import ResultWriter

SIZE, STOP = 40, 1000.0


def spikes(rng, count=3000, size=SIZE, start=0.0, stop=STOP, **more):
    """Spikes on a grid of 0.1 ms."""
    steps = np.sort(rng.integers(round(start * 10) + 1, round(stop * 10) + 1, count))
    return Spikes(steps * 0.1, rng.integers(0, size, count), size, start, stop, **more)


def example(rng, **more):
    trace = Trace(np.arange(0, 100, 0.5), [3, 7], rng.random((200, 2)), "mV")
    values = {
        "label": "example", "dt": 0.1, "t_start": 0.0, "t_stop": STOP, "seed": 7,
        "populations": {"exc": PopulationInfo(SIZE, "IF_curr_exp", rng.random((SIZE, 3)), 0, "excitatory"),
                        "in/h é": PopulationInfo(10, "IF_curr_exp", None, SIZE, "inhibitory"),
                        "silent": PopulationInfo(5, "SpikeSourceArray", None, SIZE + 10)},
        "spikes": {"exc": spikes(rng, label="exc"), "in/h é": spikes(rng, 50, 10, recorded=np.arange(10)[::-1])},
        "traces": {("exc", "v"): trace, ("exc", "g_syn_E"): dataclasses.replace(trace, unit="uS")},
        "weights": {"exc -> exc": Weights(rng.random(20), "nA", np.arange(20), np.arange(20)[::-1])},
        "provenance": {"wall_s": 1.5, "cpu_s": 3.0, "versions": {"numpy": np.__version__}, "threads": 2},
    }
    return Result(**{**values, **more})


# ------------------------------------------------------------------------------------ statistics, plainly


def plain_trains(s):
    return {n: [t for t, i in zip(s.times.tolist(), s.ids.tolist()) if i == n] for n in range(s.size)}


def plain_intervals(s):
    return {n: [b - a for a, b in itertools.pairwise(train)] for n, train in plain_trains(s).items()}


def plain_histogram(s, width):
    """On whole steps of 0.1 ms, so that no rounding is involved."""
    steps, per_bin = np.rint(s.times * 10).astype(int).tolist(), round(width * 10)
    n = (round(s.t_stop * 10) - round(s.t_start * 10)) // per_bin
    counts = [0] * n
    for step in steps:
        k = (step - round(s.t_start * 10) - 1) // per_bin
        if 0 <= k < n:
            counts[k] += 1
    return counts


def test_counts_and_rates(rng):
    s = spikes(rng)
    trains = plain_trains(s)
    assert s.count == len(s) == 3000
    assert s.counts().tolist() == [len(trains[n]) for n in range(SIZE)]
    assert s.rates() == pytest.approx([len(trains[n]) / (STOP / 1000) for n in range(SIZE)])
    assert s.rate() == pytest.approx(3000 / SIZE)
    assert {n: t.tolist() for n, t in s.trains().items()} == trains
    assert s.of(3).tolist() == trains[3]


def test_rates_are_of_the_recorded_neurons(rng):
    s = Spikes([1.0, 2.0, 3.0], [4, 9, 4], 100, 0.0, 500.0, recorded=[9, 4, 5], label="some")
    assert s.neurons.tolist() == [4, 5, 9]
    assert s.counts().tolist() == [2, 0, 1]
    assert s.rate() == pytest.approx(3 / 3 / 0.5)
    assert list(s.trains()) == [4, 5, 9]
    with pytest.raises(ParameterError, match="neuron 6 of 'some' was not recorded; 3 of 100 were"):
        s.of(6)


def test_windows_are_open_on_the_left(rng):
    s = Spikes(np.arange(0, 101) * 0.1, np.zeros(101, int), 1, 0.0, 10.0)
    assert s.between(0.3, 0.6).times == pytest.approx([0.4, 0.5, 0.6])
    assert s.between(0.0, 0.2).times == pytest.approx([0.0, 0.1, 0.2])  # the very start belongs to the first window
    pieces = [s.between(a, a + 0.5) for a in np.arange(20) * 0.5]
    assert sum(piece.count for piece in pieces) == s.count
    assert s.rate((0.3, 0.6)) == pytest.approx(10_000.0)
    assert s.between(5.0, 5.0).count == 0
    assert math.isnan(s.rate((5.0, 5.0)))
    assert s.between(-10.0, 99.0).window == (0.0, 10.0)
    assert s.between(20.0, 30.0).count == 0
    with pytest.raises(ParameterError, match="window"):
        s.between(2.0, 1.0)


@pytest.mark.parametrize("width", [0.1, 0.3, 3.0, 7.0, 1000.0, 1001.0])
def test_histogram(rng, width):
    s = spikes(rng)
    counts, edges = s.histogram(width)
    assert counts.tolist() == plain_histogram(s, width)
    assert edges.size == counts.size + 1
    assert np.diff(edges) == pytest.approx(width)


def test_intervals_cv_and_synchrony(rng):
    s = spikes(rng, 900)
    gaps = plain_intervals(s)
    assert sorted(s.intervals()) == pytest.approx(sorted(itertools.chain(*gaps.values())))
    wanted = [statistics.pstdev(g) / statistics.fmean(g) for g in gaps.values() if len(g) >= 9]
    assert 0 < len(wanted)
    assert s.cv() == pytest.approx(statistics.fmean(wanted))
    few = [statistics.pstdev(g) / statistics.fmean(g) for g in gaps.values() if len(g) >= 19]
    assert 0 < len(few) < len(wanted)
    assert s.cv(min_spikes=20) == pytest.approx(statistics.fmean(few))
    counts = plain_histogram(s, 3.0)
    assert s.synchrony() == pytest.approx(statistics.pvariance(counts) / statistics.fmean(counts))


def test_known_values():
    clock = Spikes(np.arange(1, 101) * 10.0, np.zeros(100, int), 1, 0.0, 1000.0)
    assert clock.cv() == pytest.approx(0.0, abs=1e-9)
    assert clock.rate() == pytest.approx(100.0)
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.exponential(10.0, (50, 1000)), axis=1)
    order = np.argsort(times.ravel())
    poisson = Spikes(times.ravel()[order], np.repeat(np.arange(50), 1000)[order], 50, 0.0, 20_000.0).between(0, 9000)
    assert poisson.cv() == pytest.approx(1.0, abs=0.02)
    assert poisson.synchrony() == pytest.approx(1.0, abs=0.1)
    assert poisson.correlation() == pytest.approx(0.0, abs=0.01)
    together = Spikes(np.repeat(clock.times, 20), np.tile(np.arange(20), 100), 20, 0.0, 1000.0)
    assert together.correlation(width=4.0) == pytest.approx(1.0)
    assert together.synchrony() > 10.0


def test_correlation_against_a_plain_reference(rng):
    s = spikes(rng, 2000, size=12)
    rows = [np.array(plain_histogram(s_of, 5.0)) for s_of in (
        Spikes(s.of(n), np.zeros(s.of(n).size, int), 1, s.t_start, s.t_stop) for n in range(12))]
    pairs = [np.corrcoef(a, b)[0, 1] for a, b in itertools.combinations(rows, 2)]
    assert s.correlation(5.0) == pytest.approx(np.mean(pairs))
    assert -1 <= s.correlation(5.0, n_neurons=3) <= 1


def test_nothing_recorded_has_no_statistics():
    empty = Spikes([], np.empty(0, int), 5, 0.0, 100.0)
    assert empty.rate() == 0.0
    assert empty.rates().tolist() == [0.0] * 5
    assert empty.intervals().size == 0
    assert all(map(math.isnan, (empty.cv(), empty.synchrony(), empty.correlation())))
    assert empty.histogram(10.0)[0].tolist() == [0] * 10
    assert all(train.size == 0 for train in empty.trains().values())
    for bad in (0.0, -1.0, math.nan):
        with pytest.raises(ParameterError, match="bin must be > 0 ms"):
            empty.histogram(bad)
    with pytest.raises(ParameterError, match="min_spikes must be >= 3"):
        empty.cv(2)


def plain_victor_purpura(a, b, cost):
    if not a or not b:
        return float(len(a) + len(b))
    return min(plain_victor_purpura(a[:-1], b, cost) + 1, plain_victor_purpura(a, b[:-1], cost) + 1,
               plain_victor_purpura(a[:-1], b[:-1], cost) + cost * abs(a[-1] - b[-1]))


TRAINS = st.lists(st.floats(0, 50), max_size=5).map(sorted)


@given(a=TRAINS, b=TRAINS, cost=st.sampled_from([0.0, 0.05, 0.3, 100.0]))
def test_victor_purpura_against_its_definition(a, b, cost):
    assert analysis.victor_purpura(a, b, cost) == pytest.approx(plain_victor_purpura(a, b, cost))


@given(a=TRAINS, b=TRAINS, tau=st.sampled_from([1.0, 7.0, 100.0]))
def test_van_rossum_against_the_sum_over_pairs(a, b, tau):
    """The integral in closed form: half of the sum over all pairs of exp(-distance / tau)."""
    def overlap(x, y):
        return sum(math.exp(-abs(s - t) / tau) for s in x for t in y)
    wanted = 0.5 * (overlap(a, a) + overlap(b, b) - 2 * overlap(a, b))
    assert analysis.van_rossum(a, b, tau) == pytest.approx(wanted, abs=1e-9)


@given(a=TRAINS, b=TRAINS, within=st.sampled_from([0.0, 1.0, 10.0]))
def test_partners_are_as_many_as_there_can_be(a, b, within):
    """Against the largest matching of the graph of spikes that are near enough."""
    of_a, of_b = analysis.partnered(np.array(a), np.array(b), within)
    near = np.abs(np.subtract.outer(a, b)) <= within + analysis.TOLERANCE if a and b else np.zeros((len(a), len(b)))
    most = (maximum_bipartite_matching(csr_matrix(near)) >= 0).sum() if a and b else 0
    assert of_a.sum() == of_b.sum() == most
    assert all(min(abs(t - s) for s in b) <= within + analysis.TOLERANCE for t in np.array(a)[of_a])


@pytest.mark.parametrize(("change", "message"), [
    ({"times": [2.0, 1.0]}, "ascend"), ({"times": [1.0, np.nan]}, "ascend"), ({"times": [1.0]}, "equally long"),
    ({"times": [1.0, 200.0]}, "between 0 and 100 ms"), ({"times": [-1.0, 2.0]}, "between 0 and 100 ms"),
    ({"ids": [0, 5]}, "integers from 0 to 4, got 0 to 5"), ({"ids": [-1, 0]}, "got -1 to 0"),
    ({"ids": [0.5, 1.0]}, "float64"), ({"ids": [0, 2**40]}, "1099511627776"), ({"t_stop": -5.0}, "t_stop must be"),
])
def test_spikes_that_make_no_sense_are_refused(change, message):
    good = {"times": [1.0, 2.0], "ids": [0, 1], "size": 5, "t_start": 0.0, "t_stop": 100.0, "label": "exc"}
    assert Spikes(**good).count == 2
    with pytest.raises(ParameterError, match=message):
        Spikes(**{**good, **change})


# --------------------------------------------------------------------------------------------- access


def test_access_and_what_errors_name(rng):
    r = example(rng)
    assert r["exc"].spikes is r.spikes("exc")
    assert r["exc"].trace("v") is r.traces("exc", "v")
    assert r.recorded == {"exc": ["spikes", "v", "g_syn_E"], "in/h é": ["spikes"], "silent": []}
    assert r.duration == STOP
    assert "3050 spikes" in repr(r)
    assert r.traces("exc", "v").of(7).tolist() == r.traces("exc", "v").values[:, 1].tolist()
    for get, message in [
        (lambda: r.spikes("silent"), "population 'silent' recorded no spikes; recorded: 'exc', 'in/h é'"),
        (lambda: r.spikes("x"), "there is no population 'x'; there are: 'exc', 'in/h é', 'silent'"),
        (lambda: r["x"], "there is no population 'x'"),
        (lambda: r.traces("exc", "w"), "population 'exc' recorded no 'w'; recorded: 'v' of 'exc', 'g_syn_E' of 'exc'"),
        (lambda: r.traces("exc", "v").of(4), "neuron 4 was not recorded; recorded: 3, 7"),
        (lambda: r.weights("x"), "the weights of 'x' were not kept; kept: 'exc -> exc'"),
        (lambda: example(rng, traces={("x", "v"): r.traces("exc", "v")}), "there is no population 'x'"),
        (lambda: Trace([1.0], [1, 2], [[1.0]]), r"shape \(1, 2\), got \(1, 1\)"),
    ]:
        with pytest.raises(ParameterError, match=message):
            get()


def test_results_are_equal_when_their_recordings_are(rng):
    r = example(rng)
    same = Result(**{**as_arguments(r), "provenance": {}})
    assert r == same
    assert r != example(rng)
    for change in ({"seed": 8}, {"dt": 0.2}, {"label": "x"}, {"weights": {}}, {"traces": {}}, {"spikes": {}}):
        assert r != Result(**{**as_arguments(r), **change})
    assert r.spikes("exc") != dataclasses.replace(r.spikes("exc"), t_stop=1001.0)


def as_arguments(r):
    return {"label": r.label, "dt": r.dt, "t_start": r.t_start, "t_stop": r.t_stop, "seed": r.seed,
            "populations": r.populations, "spikes": r._spikes, "traces": r._traces, "weights": r._weights,
            "provenance": r.provenance}


# ---------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["a.npz", "a.nsim"])
def test_what_is_saved_comes_back(tmp_path, rng, name):
    r = example(rng)
    r.save(tmp_path / name)
    r.save(str(tmp_path / name))  # replaces its own kind
    back = Result.load(tmp_path / name)
    assert back == r
    assert back.provenance == r.provenance
    assert back.complete
    for label, info in r.populations.items():
        other = back.populations[label]
        assert (info.size, info.model, info.offset, info.role) == (other.size, other.model, other.offset, other.role)
        assert (info.positions is None) == (other.positions is None)
    assert np.array_equal(back.populations["exc"].positions, r.populations["exc"].positions)
    assert sorted(os.listdir(tmp_path)) == [name]


def test_npz_can_be_read_by_numpy_alone(tmp_path, rng):
    r = example(rng)
    r.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["exc/spikes/times"], r.spikes("exc").times)
        assert np.array_equal(arrays["exc/traces/v/values"], r.traces("exc", "v").values)
        assert "in%2Fh %C3%A9/spikes/ids" in arrays.files


def test_an_empty_result_can_be_saved(tmp_path):
    r = Result(dt=0.1, t_start=5.0, t_stop=5.0, seed=0, populations={})
    for name in ("a.npz", "a.nsim"):
        r.save(tmp_path / name)
        assert Result.load(tmp_path / name) == r


def test_saving_says_what_is_wrong(tmp_path, rng):
    r = example(rng)
    with pytest.raises(ParameterError, match=r"must end in .nsim or .npz, got 'x.h5'"):
        r.save("x.h5")
    (tmp_path / "notes.npz").write_text("precious")
    (tmp_path / "notes.nsim").write_text("precious")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    for name in ("notes.npz", "notes.nsim", "other.npz", "missing/a.npz", "missing/a.nsim"):
        with pytest.raises(FileFormatError, match=f"cannot write {tmp_path / name}"):
            r.save(tmp_path / name)
    assert (tmp_path / "notes.npz").read_text() == (tmp_path / "notes.nsim").read_text() == "precious"


def test_loading_refuses_foreign_files(tmp_path, rng):
    store.write_all(tmp_path / "state.nsim", {"content": "state"}, [])
    store.write_all(tmp_path / "hollow.nsim", {"content": "result"}, [])
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "objects.npz", meta=np.array([{}], dtype=object))
    np.savez(tmp_path / "deep.npz", meta=np.frombuffer(b"[" * 10_000, np.uint8))
    (tmp_path / "zip").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "empty").write_bytes(b"")
    names = ("state.nsim", "hollow.nsim", "other.npz", "objects.npz", "deep.npz", "zip", "empty", "missing", ".")
    for name in names:
        with pytest.raises(FileFormatError, match=str(tmp_path / name)):
            Result.load(tmp_path / name)


def test_an_npz_that_announces_more_than_it_holds_is_refused(tmp_path, rng):
    example(rng).save(tmp_path / "a.npz")
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(tmp_path / "a.npz") as whole, zipfile.ZipFile(tmp_path / "b.npz", "w") as forged:
        for name in whole.namelist():
            forged.writestr(name, huge.getvalue() if name == "exc/spikes/times.npy" else whole.read(name))
    with pytest.raises(FileFormatError, match="announces 8000000000000 bytes and has 0"):
        Result.load(tmp_path / "b.npz")


@pytest.mark.parametrize("name", ["a.npz", "a.nsim"])
def test_damaged_files_never_crash(tmp_path, rng, name):
    small = Result(dt=0.1, t_start=0, t_stop=10, seed=1, populations={"e": PopulationInfo(3)},
                   spikes={"e": Spikes([1.0, 2.0], [0, 1], 3, 0, 10)})
    small.save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    refused = 0
    for n in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[n] ^= rng.integers(1, 256)
        for content in (damaged, data[:n]):
            (tmp_path / "damaged").write_bytes(content)
            try:
                Result.load(tmp_path / "damaged")
            except FileFormatError:
                refused += 1
    assert refused > len(data) // 3


# -------------------------------------------------------------------------------------------- streams


def stream(path, rng, chunks=3):
    """A stream of that many chunks of 100 ms, and the result that it should give."""
    populations = {"exc": PopulationInfo(SIZE, "IF_curr_exp", rng.random((SIZE, 2))), "inh": PopulationInfo(10)}
    writer = ResultWriter(path, label="net", dt=0.1, t_start=0.0, seed=3, populations=populations)
    writer.recording("exc", "spikes")
    writer.recording("inh", "spikes", ids=[2, 3])
    parts = []
    for k in range(chunks):
        s = spikes(rng, 200, start=100.0 * k, stop=100.0 * (k + 1))
        t = Trace(np.arange(100 * k + 1, 100 * k + 101), [4], rng.random((100, 1)), "mV")
        writer.spikes("exc", s.times, s.ids)
        writer.trace("exc", "v", "mV", t.times, t.ids, t.values)
        writer.progress(100.0 * (k + 1))
        silent = Spikes([], np.empty(0, int), 10, s.t_start, s.t_stop, recorded=[2, 3])
        parts.append(Result(label="net", dt=0.1, t_start=s.t_start, t_stop=s.t_stop, seed=3, populations=populations,
                            spikes={"exc": s, "inh": silent}, traces={("exc", "v"): t}))
    return writer, concatenate(parts)


def test_a_stream_opens_as_a_result(tmp_path, rng):
    writer, wanted = stream(tmp_path / "a.nsim", rng)
    writer.close({"wall_s": 2.0})
    back = Result.load(tmp_path / "a.nsim")
    assert back == wanted
    assert back.complete
    assert back.provenance == {"wall_s": 2.0}
    assert back.spikes("inh").neurons.tolist() == [2, 3]


def test_a_stream_without_its_end_gives_what_all_populations_reached(tmp_path, rng):
    writer, wanted = stream(tmp_path / "a.nsim", rng)
    # The run dies while it writes the next chunk: the spikes of one population are there, no others.
    writer.spikes("exc", np.array([300.1, 350.0]), np.array([0, 1]))
    writer.abandon()
    back = Result.load(tmp_path / "a.nsim")
    assert not back.complete
    assert back.t_stop == 300.0
    assert back == wanted
    data = (tmp_path / "a.nsim").read_bytes()
    (tmp_path / "b.nsim").write_bytes(data[:-20])
    assert Result.load(tmp_path / "b.nsim") == wanted


RUN_KILLED = """
import sys, numpy as np
from neurosim.result import PopulationInfo
from neurosim.result_io import ResultWriter
writer = ResultWriter(sys.argv[1], label="killed", dt=0.1, t_start=0.0, seed=1, populations={"e": PopulationInfo(10)})
writer.recording("e", "spikes")
for k in range(10**9):
    writer.spikes("e", k + 0.1 * np.arange(1, 11), np.arange(10))
    writer.progress(k + 1.0)
    if k == 20:
        print("ready", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_the_stream_of_a_killed_run_opens(tmp_path):
    with subprocess.Popen([sys.executable, "-c", RUN_KILLED, str(tmp_path / "a.nsim")], stdout=subprocess.PIPE,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
    r = Result.load(tmp_path / "a.nsim")
    assert not r.complete
    assert r.t_stop >= 21.0
    assert r.spikes("e").count == 10 * r.t_stop
    assert r.spikes("e").rate() == pytest.approx(1000.0)


# --------------------------------------------------------------------------------------- joined chunks


def test_chunks_are_joined(rng):
    whole = example(rng)
    s, t = whole.spikes("exc"), whole.traces("exc", "v")

    def chunk(a, b, **more):
        inside = (t.times >= a) & (t.times <= b)  # the sample at a is in both chunks
        return Result(label="x", dt=0.1, t_start=a, t_stop=b, seed=1, populations=whole.populations,
                      spikes={"exc": s.between(a, b)},
                      traces={("exc", "v"): dataclasses.replace(t, times=t.times[inside], values=t.values[inside])},
                      provenance={"wall_s": 1.0, "t": b}, **more)

    joined = concatenate([chunk(0.0, 30.0), chunk(30.0, 31.5), chunk(31.5, STOP)])
    assert joined.spikes("exc") == s
    assert joined.traces("exc", "v") == t
    assert joined.provenance == {"wall_s": 3.0, "t": STOP}
    assert chunk(0.0, 30.0).append(chunk(30.0, STOP)) == joined
    for other, message in [(chunk(31.0, STOP), "one ends and the next begins, got an end at 30 ms"),
                           (chunk(0.0, 30.0), "one ends"), (whole, "different runs cannot be joined: seed 1 and 7")]:
        with pytest.raises(ParameterError, match=message):
            chunk(0.0, 30.0).append(other)
    with pytest.raises(ParameterError, match="at least one"):
        concatenate([])


# ----------------------------------------------------------------------------------------------- Neo


@pytest.mark.needs("neo")
def test_neo_has_the_values_and_the_units(rng):
    r = example(rng)
    block = r.to_neo()
    assert block.name == "example"
    segment, = block.segments
    assert len(segment.spiketrains) == SIZE + 10
    train = segment.spiketrains[3]
    assert np.array_equal(train.rescale("ms").magnitude, r.spikes("exc").of(3))
    assert (float(train.t_start), float(train.t_stop), train.units.dimensionality.string) == (0.0, STOP, "ms")
    inh = segment.spiketrains[SIZE + 4]
    assert inh.annotations == {"source_population": "in/h é", "source_index": 4, "source_id": SIZE + 4}
    signals = {signal.annotations["variable"]: signal for signal in segment.analogsignals}
    assert {name: signal.units.dimensionality.string for name, signal in signals.items()} == {"v": "mV", "g_syn_E": "uS"}
    signal = signals["v"]
    assert np.array_equal(signal.magnitude, r.traces("exc", "v").values)
    assert signal.times.rescale("ms").magnitude == pytest.approx(r.traces("exc", "v").times)
    assert signal.array_annotations["channel_index"].tolist() == [3, 7]


@pytest.mark.needs("neo")
def test_neo_takes_uneven_samples(rng):
    uneven = Trace([1.0, 2.0, 5.0], [0], rng.random((3, 1)), "")
    signal, = example(rng, traces={("exc", "w"): uneven}).to_neo().segments[0].irregularlysampledsignals
    assert signal.times.rescale("ms").magnitude.tolist() == [1.0, 2.0, 5.0]
    assert signal.units.dimensionality.string == "dimensionless"
    assert np.array_equal(signal.magnitude, uneven.values)
