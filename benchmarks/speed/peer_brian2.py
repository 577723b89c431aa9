"""The benchmark models in Brian2: C++ standalone (mode "cpp") and Cython at run time (mode "cython").

In C++ standalone the built program measures itself: code put before and after the time loop writes its own CPU and wall
seconds and its own high-water mark of memory, so neither Python nor the writing of results is counted.

Three details make the grid that of NEST. A neuron is frozen for ``tau_refrac`` after the *end* of the step in which it
spiked; Brian2 counts from the beginning, so one step is added. Input that moves v itself (M3, M4) is delivered before
the threshold is tested, in the step in which it arrives; a spike is then queued one step later, and the delay is one
step less. Elsewhere the order has no effect and delays stand as in the model. Input that arrives in the refractory
time is dropped by Brian2 itself, as ``(unless refractory)`` also guards v against synapses.
"""

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import brian2 as b2
import numpy as np

from . import measure, models

MODES = ("cpp", "cython")
DRAW = "int(rand()*N_pre) for _ in range(indegree)"
"""Sources of each target, with replacement: without it (``sample``) the input varies less and M3 fires less."""
NOTES = {"M2": "exponential Euler", "M4": "traces of the rule are kept for each synapse, as in Brian2's examples"}
_UNITS = {"v": b2.mV, "e_rev": b2.mV, "tau": b2.ms, "cm": b2.nF, "i_offset": b2.nA}  # by how the name begins

_CURRENT = """
dv/dt = (v_rest - v)/tau_m + (i_E + i_I{offset})/c_m : volt (unless refractory)
di_E/dt = -i_E/tau_syn_E : amp
di_I/dt = -i_I/tau_syn_I : amp
"""
_CONDUCTANCE = """
dv/dt = (v_rest - v)/tau_m + (g_E*(e_rev_E - v) + g_I*(e_rev_I - v) + i_offset)/c_m : volt (unless refractory)
dg_E/dt = -g_E/tau_syn_E : siemens
dg_I/dt = -g_I/tau_syn_I : siemens
"""
_DELTA = "dv/dt = (v_rest - v)/tau_m : volt (unless refractory)"
_MICROCIRCUIT = """
dv/dt = (v_rest - v)/tau_m + (i_syn + i_offset)/c_m : volt (unless refractory)
di_syn/dt = -i_syn/tau_syn_E : amp
i_offset : amp (constant)
"""
_PLASTIC = """
w : volt
dx/dt = -x/tau_plus : 1 (event-driven)
dy/dt = -y/tau_minus : 1 (event-driven)
"""
_ARRIVAL = """
w -= learning_rate*alpha*w*y
v_post += w
x += 1
"""
_TARGET_FIRES = """
w += learning_rate*(w_max - w)*x
y += 1
"""

_HEADERS = ["<sys/resource.h>", "<time.h>", "<fstream>", "<string>"]
_CLOCKS = """
auto _wall = []() {{ timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9*t.tv_nsec; }};
auto _cpu = []() {{ rusage u; getrusage(RUSAGE_SELF, &u); return u.ru_utime.tv_sec + u.ru_stime.tv_sec
    + 1e-6*(u.ru_utime.tv_usec + u.ru_stime.tv_usec); }};
const double _wall_start = _wall();
"""
_BEFORE = "const double _wall_0 = _wall(), _cpu_0 = _cpu();"
_AFTER = """
{{ const double _wall_1 = _wall(), _cpu_1 = _cpu();
   long _peak_kb = 0; std::string _line; std::ifstream _status("/proc/self/status");
   while (std::getline(_status, _line)) if (_line.rfind("VmHWM:", 0) == 0) _peak_kb = std::stol(_line.substr(6));
   std::ofstream _out("{path}"); _out.precision(9);
   _out << "{{\\"wall_s\\": " << _wall_1 - _wall_0 << ", \\"cpu_s\\": " << _cpu_1 - _cpu_0
        << ", \\"build_s\\": " << _wall_0 - _wall_start << ", \\"peak_mb\\": " << _peak_kb*1024/1e6 << "}}"; }}
"""


def _with_units(cell) -> dict:
    """The numbers of a cell as Brian2 quantities, by field; ``c_m`` for ``cm``, which Brian2 reads as centimetre."""
    quantities = {}
    for name, value in asdict(cell).items():
        quantities[name] = value * next(unit for prefix, unit in _UNITS.items() if name.startswith(prefix))
    if "cm" in quantities:
        quantities["c_m"] = quantities.pop("cm")
    return quantities


def _group(n: int, equations: str, cell: dict, method: str) -> b2.NeuronGroup:
    cell["t_frozen"] = cell["tau_refrac"] + models.DT * b2.ms
    return b2.NeuronGroup(
        n,
        equations,
        threshold="v >= v_thresh",
        reset="v = v_reset",
        refractory="t_frozen",
        method=method,
        namespace=cell,
    )


def _neurons(net: models.RandomNetwork, size: int) -> tuple[b2.NeuronGroup, tuple[str, str], b2.Unit]:
    """The group, the variables that excitatory and inhibitory spikes move, and the unit of weights."""
    cell = _with_units(net.cell)
    if isinstance(net.cell, models.CurrentCell):
        pacemakers = net.pacemakers(size)
        equations = _CURRENT.format(offset=" + i_offset" if pacemakers else "")
        group = _group(size, equations + ("i_offset : amp (constant)" if pacemakers else ""), cell, "exact")
        if pacemakers:
            group.i_offset[:pacemakers] = net.pacemaker_current * b2.nA
        return group, ("i_E", "i_I"), b2.nA
    if isinstance(net.cell, models.ConductanceCell):
        return _group(size, _CONDUCTANCE, cell, "exponential_euler"), ("g_E", "g_I"), b2.uS
    return _group(size, _DELTA, cell, "exact"), ("v", "v"), b2.mV


def _connect(source, target, indegree: int, delay: float, **rule) -> b2.Synapses:
    """Synapses from ``indegree`` sources to each target, drawn with replacement."""
    synapses = b2.Synapses(source, target, delay=delay * b2.ms, **rule)
    synapses.connect(i=DRAW, namespace={"indegree": indegree})
    return synapses


def _plastic(net: models.RandomNetwork, exc: b2.NeuronGroup, delay: float) -> b2.Synapses:
    rule = net.stdp
    numbers = {
        "learning_rate": rule.learning_rate, "alpha": rule.alpha, "w_max": rule.w_max * b2.mV,
        "tau_plus": rule.tau_plus * b2.ms, "tau_minus": rule.tau_minus * b2.ms,
    }  # fmt: skip
    synapses = b2.Synapses(
        exc, exc, _PLASTIC, on_pre=_ARRIVAL, on_post=_TARGET_FIRES, delay={"pre": delay * b2.ms}, namespace=numbers
    )
    synapses.connect(i=DRAW, namespace={"indegree": net.indegree_E})
    synapses.w = net.weight_E * b2.mV
    return synapses


def _random_network(net: models.RandomNetwork, size: int) -> list:
    """The objects of M1 to M4 and M6."""
    group, (moved_E, moved_I), unit = _neurons(net, size)
    group.namespace.update(low=net.v_init[0] * b2.mV, high=net.v_init[1] * b2.mV)
    group.v = "low + (high - low)*rand()"
    exc, inh = group[: net.excitatory(size)], group[net.excitatory(size) :]
    weights = {"weight_E": net.weight_E * unit, "weight_I": net.weight_I * unit}
    on_E, on_I = f"{moved_E}_post += weight_E", f"{moved_I}_post += weight_I"
    delay = net.delay - models.DT if moved_E == "v" else net.delay
    if net.stdp:
        objects = [_plastic(net, exc, delay), _connect(exc, inh, net.indegree_E, delay, on_pre=on_E, namespace=weights)]
    else:
        objects = [_connect(exc, group, net.indegree_E, delay, on_pre=on_E, namespace=weights)]
    objects.append(_connect(inh, group, net.indegree_I, delay, on_pre=on_I, namespace=weights))
    if net.poisson_rate:
        rate = net.poisson_rate / net.poisson_inputs * b2.Hz
        objects.append(b2.PoissonInput(group, moved_E, net.poisson_inputs, rate, net.weight_E * unit))
    return [group, *objects]


def _redrawn(rng: np.random.Generator, mean: float, sd: float, n: int, low: float, high: float) -> np.ndarray:
    """Normal numbers, drawn again where they lie outside ``low`` to ``high``."""
    values = rng.normal(mean, sd, n)
    while (bad := (values < low) | (values > high)).any():
        values[bad] = rng.normal(mean, sd, bad.sum())
    return values


def _microcircuit_synapses(m: models.Microcircuit, seed: int) -> tuple[np.ndarray, ...]:
    """Sources, targets, weights (nA) and delays (ms) of every synapse."""
    rng = np.random.default_rng(seed)
    first = np.concatenate(([0], np.cumsum(m.sizes)))
    parts = []
    for i, j in zip(*np.nonzero(m.synapses), strict=True):
        n = m.synapses[i, j]
        low, high = (0.0, np.inf) if m.weight[i, j] > 0 else (-np.inf, 0.0)
        weight = _redrawn(rng, m.weight[i, j], m.weight_sd[i, j], n, low, high)
        delay = _redrawn(rng, m.delay[i, j], m.delay_sd[i, j], n, models.DT, np.inf)
        delay = np.round(delay / models.DT) * models.DT
        source, target = rng.integers(first[j], first[j + 1], n), rng.integers(first[i], first[i + 1], n)
        parts.append((source, target, weight, delay))
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _microcircuit(scale: float, seed: int) -> list:
    """The objects of M5: one group, all synapses in one object, one Poisson input for each population."""
    m = models.microcircuit(scale)
    group = _group(int(m.sizes.sum()), _MICROCIRCUIT, _with_units(m.cell), "exact")
    rng = np.random.default_rng([seed, 1])
    group.v = rng.normal(np.repeat(m.v_init, m.sizes), np.repeat(m.v_init_sd, m.sizes)) * b2.mV
    group.i_offset = np.repeat(m.i_offset, m.sizes) * b2.nA
    synapses = b2.Synapses(group, group, "w : amp", on_pre="i_syn_post += w")
    source, target, weight, delay = _microcircuit_synapses(m, seed)
    synapses.connect(i=source, j=target)
    synapses.w = weight * b2.nA
    synapses.delay = delay * b2.ms
    first = np.concatenate(([0], np.cumsum(m.sizes)))
    noise = [
        b2.PoissonInput(group[first[k] : first[k + 1]], "i_syn", int(m.poisson_inputs[k]), m.poisson_rate * b2.Hz,
                        m.poisson_weight * b2.nA)
        for k in range(len(m.sizes))
    ]  # fmt: skip
    return [group, synapses, *noise]


def _describe(model_key: str, size: float, seed: int) -> tuple[b2.Network, b2.SpikeMonitor]:
    b2.defaultclock.dt = models.DT * b2.ms
    b2.seed(seed)
    net = models.model(model_key)
    objects = _microcircuit(size, seed) if isinstance(net, models.MicrocircuitModel) else _random_network(net, size)
    counter = b2.SpikeMonitor(objects[0], record=False)
    network = b2.Network(objects, counter)
    if isinstance(getattr(net, "cell", None), models.DeltaCell):
        network.schedule = ["start", "groups", "synapses", "thresholds", "resets", "end"]
    return network, counter


def _run_cpp(model_key: str, size: float, duration: float, threads: int, seed: int, folder: Path) -> dict:
    project = folder / f"{model_key}-{size}-{duration:g}-{threads}-{seed}".replace(":", "-").replace("=", "-")
    figures = (project / "measured.json").resolve()
    b2.prefs.codegen.cpp.headers += _HEADERS
    b2.prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
    b2.set_device("cpp_standalone", build_on_run=False)
    for slot, code in (("before_start", _CLOCKS), ("before_network_run", _BEFORE), ("after_network_run", _AFTER)):
        b2.device.insert_code(slot, code.format(path=figures))
    warm = (project / "main").exists()
    with measure.Stopwatch() as describe:
        network, counter = _describe(model_key, size, seed)
        network.run(duration * b2.ms)
    with measure.Stopwatch() as compiling:
        b2.device.build(directory=str(project), run=False, with_output=False)
    b2.device.run(with_output=False)
    measured, spikes = json.loads(figures.read_text()), int(counter.num_spikes)
    for results in ("results", "static_arrays"):
        shutil.rmtree(project / results)
    return {
        "compile_s": compiling.wall, "build_s": describe.wall + measured["build_s"], "wall_s": measured["wall_s"],
        "cpu_s": measured["cpu_s"], "peak": measured["peak_mb"], "spikes": spikes,
        "cache": "warm" if warm else "cold",
    }  # fmt: skip


def _run_cython(model_key: str, size: float, duration: float, threads: int, seed: int, folder: Path) -> dict:
    if threads > 1:
        raise ValueError(f"Brian2 with Cython runs on one thread, got threads={threads}")
    b2.prefs.codegen.target = "cython"
    b2.prefs.codegen.runtime.cython.cache_dir = str(folder)
    warm = any(folder.iterdir())
    with measure.Stopwatch() as build:
        network, counter = _describe(model_key, size, seed)
    marks = []

    def mark(elapsed, completed, start, total) -> None:
        """Brian2 calls this right before and right after the loop over time."""
        marks.append((time.perf_counter(), measure.cpu_seconds()))

    with measure.Stopwatch() as whole:
        network.run(duration * b2.ms, report=mark, report_period=1e9 * b2.second)
    (wall_0, cpu_0), (wall_1, cpu_1) = marks
    return {
        "compile_s": whole.wall - (wall_1 - wall_0), "build_s": build.wall, "wall_s": wall_1 - wall_0,
        "cpu_s": cpu_1 - cpu_0, "peak": measure.peak_mb(), "spikes": int(counter.num_spikes),
        "cache": "warm" if warm else "cold",
    }  # fmt: skip


def run(model_key: str, size: float, duration: float, threads: int = 1, seed: int = 1, mode: str = "cpp") -> dict:
    """Build and simulate one model in Brian2.

    In mode "cython" the synapses are made by compiled code too, so compiling them counts in ``build_s``; everything
    that ``Network.run`` does before its loop counts in ``compile_s``. In mode "cpp", ``compile_s`` is the generation
    and compilation of the program, ``build_s`` the description in Python and what the program does before its loop.
    """
    folder = measure.cache_directory()
    measured = (_run_cpp if mode == "cpp" else _run_cython)(model_key, size, duration, threads, seed, folder)
    return measure.row(
        model_key, size, duration, peer=f"brian2-{mode}", version=b2.__version__, threads=threads, seed=seed,
        import_s=0.0, note=NOTES.get(model_key.partition(":")[0], ""), **measured,
    )  # fmt: skip


if __name__ == "__main__":
    measure.main(run, MODES)
