"""SpiNNaker's neurons: its arithmetic against whole numbers of Python, its tables against sPyNNaker's own, and what is refused."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import neurosim as ns
from neurosim.errors import NetworkError, ParameterError
from neurosim.hardware.spinnaker import data_memory, extra, limits, memory
from neurosim.hardware.spinnaker.cells import MODELS, words
from neurosim.kernels import fixed, spinnaker_cells
from neurosim.kernels import spinnaker_layout as kernel

INT32 = st.integers(-2**31, 2**31 - 1)


def signed(x: int) -> int:
    """32 bits as a signed number."""
    return (x + 2**31) % 2**32 - 2**31


def product(a: int, b: int) -> int:
    """Of two s16.15, rounded down."""
    return signed(a * b >> 15)


def scaled(x: int, factor: int) -> int:
    """x with 32 fractional bits times a u0.32, the low part rounded (up at one less than a half)."""
    low = (x % 2**32) * factor
    return (low >> 32) + (low % 2**32 >= 2**31 - 1) + (x >> 32) * factor


def exponential(n: int) -> int:
    """exp of s16.15, with 32 fractional bits, as stdfix-exp.c has it."""
    whole, part = divmod(n, 2**15)
    table = [round(math.exp(k - 13) * 2**32) for k in range(26)]
    table[23] -= 1  # as in the binaries
    if part == 0:
        return table[13 + whole]
    part = 2**15 - part
    r = table[14 + whole]
    r -= scaled(r, round((1 - math.exp(-(part >> 11) / 16)) * 2**32))
    y = part % 2**11 << 17
    return r - scaled(r, 5294 + (y * (4293434720 - (2081624032 * y >> 32)) >> 32))


@given(INT32, INT32, st.integers(0, 2**32 - 1), st.integers(1, 2**31 - 1))
def test_products_and_quotients(a, b, factor, divisor):
    """Products round down and wrap, quotients take 64 bits without sign."""
    assert fixed.mulk(a, b) == product(a, b)
    assert fixed.decay(a, factor) == signed(a * factor >> 32)
    assert fixed.kdivk(a, divisor) == signed((a << 15) % 2**64 // divisor)
    assert fixed.wrap(a * b) == signed(a * b)
    assert fixed.ceilk(a) == -(-a // 2**15)


@given(st.integers(-340695, 363408))
def test_exponentials(n):
    """Both are the low and the middle bits of one sum; near the true exponential."""
    assert fixed.expk(n) == signed(exponential(n) >> 17)
    assert fixed.expulr(n) == exponential(n) % 2**32
    true = math.exp(n / 2**15)
    assert abs(fixed.expk(n) - true * 2**15) <= 1.05 + 2e-6 * true * 2**15


def test_exponentials_saturate():
    """Beyond the tables: the largest number and 0."""
    assert fixed.expk(363409) == fixed.expk(2**31 - 1) == 2**31 - 1
    assert fixed.expk(-340696) == fixed.expulr(-340696) == fixed.expk(-2**31) == 0


# ---------------------------------------------------------------------------------------- a plain neuron


def plain_leaky(model, w: dict[str, int], inputs: list[list[int]], shifts: list[int]) -> list[tuple[int, int, int, bool]]:
    """(v, exc, inh, spiked) after each step of one IF_curr_exp or IF_cond_exp, in Python's whole numbers."""
    h, g = w["dt"], [w["isyn_exc"], w["isyn_inh"]]
    r, lasting = (w["tau_m"] << 15) // w["cm"], signed(exponential(-((h << 15) // w["tau_m"])) >> 17)
    decays = [exponential(-((h << 15) // w[tau])) % 2**32 for tau in ("tau_syn_E", "tau_syn_I")]
    adds = [((w[tau] << 15) // h * (2**32 - 1 - d) >> 15) % 2**32 for tau, d in zip(("tau_syn_E", "tau_syn_I"), decays, strict=True)]
    pause, v, left, trace = -(-((w["tau_refrac"] << 15) // h) // 2**15), w["v"], 0, []
    for arrived in inputs:
        g = [signed(x + (signed(a << s) * add >> 32)) for x, a, s, add in zip(g, arrived, shifts, adds, strict=True)]
        exc, inh = g
        if model.acts_as == kernel.CONDUCTANCE:
            exc, inh = product(exc >> 10, signed(w["e_rev_E"] - v)), product(-(inh >> 10), signed(w["e_rev_I"] - v))
        if left > 0:
            left -= 1
        else:
            goal = signed(product(signed(exc - inh + w["i_offset"]), r) + w["v_rest"])
            v = signed(goal - product(lasting, signed(goal - v)))
        spiked = v >= w["v_thresh"]
        if spiked:
            v, left = w["v_reset"], pause
        g = [x * d >> 32 for x, d in zip(g, decays, strict=True)]
        trace.append((v, *g, spiked))
    return trace


@pytest.mark.parametrize("name", ["IF_curr_exp", "IF_cond_exp"])
@pytest.mark.parametrize("dt", [1.0, 0.1])
def test_leaky_neurons(name, dt, rng):
    """A hundred neurons and steps against the plain ones."""
    model, n, steps = MODELS[name], 100, 100
    p = {"v_rest": -65.0, "cm": rng.uniform(0.2, 1, n), "tau_m": rng.uniform(5, 30, n), "tau_refrac": rng.uniform(0, 4, n),
         "i_offset": rng.uniform(0, 1, n), "v_reset": -70.0, "v_thresh": rng.uniform(-60, -50, n), "tau_syn_E": rng.uniform(1, 9, n),
         "tau_syn_I": rng.uniform(1, 9, n), "e_rev_E": 0.0, "e_rev_I": -80.0}
    p = {key: np.broadcast_to(np.asarray(value, dtype=float), (n,)) for key, value in p.items() if key in model.parameters}
    initial = {"v": rng.uniform(-70, -55, n), "isyn_exc" if name == "IF_curr_exp" else "gsyn_exc": np.full(n, 0.01)}
    inputs = (rng.integers(0, 8000, (steps, 2, n)) * (rng.random((steps, 2, n)) < 0.3)).astype(np.uint16)
    stored, shifts = model.words(p, initial, dt), [2, 4]
    par, state = model.encode(p, initial, dt)
    found = np.zeros((steps, 4, n), np.int64)
    for t in range(steps):
        spinnaker_cells.add_input(model.code, state, par, inputs[t].copy(), np.array(shifts))
        fired = np.zeros(n, np.int32)
        count = spinnaker_cells.advance(model.code, state, par, np.zeros(n, np.int32), fired)
        found[t, :3] = state[[0, 3, 4]]
        found[t, 3, fired[:count]] = 1
    for j in range(n):
        w = {name.lstrip("~"): int(value) for name, value in zip(model.fields, stored[:, j], strict=True)}
        np.testing.assert_array_equal(found[:, :, j], plain_leaky(model, w, inputs[:, :, j].tolist(), shifts))
    assert found[:, 3].any()


def test_injected_current_is_input():
    """A current that is injected does what i_offset does."""
    model = MODELS["IF_curr_exp"]
    p = {name: np.full(2, {"v_thresh": -50.0, "i_offset": 0.0}.get(name, 10.0 if name[0] in "tc" else -65.0)) for name in model.parameters}
    p["i_offset"][0] = 0.25
    par, state = model.encode(p, {}, 1.0)
    for _ in range(10):
        spinnaker_cells.advance(model.code, state, par, np.array([0, 8192], np.int32), np.zeros(2, np.int32))
    assert state[0, 0] == state[0, 1] > -65 * 2**15


# ---------------------------------------------------------------------------------------- what the host writes


@pytest.mark.needs("spynnaker")
@given(st.floats(-65536, 65535.99996, allow_nan=False))
def test_words_are_those_of_the_host(value):
    """Rounded as sPyNNaker rounds, halves to even, from the decimal digits."""
    from spinn_front_end_common.interface.ds import DataType

    for x in (value, float(f"{value:.5f}"), math.floor(value * 8) / 8 + 0.5 / 2**15):
        if -65536 <= x <= 65535.9999:
            assert words(x) == DataType.S1615.encode_as_int(x)


@pytest.mark.needs("spynnaker")
@pytest.mark.parametrize("name", MODELS)
def test_structures_are_those_of_the_host(name):
    """Binary, scale of weights, receptors, fields and defaults of each model in sPyNNaker."""
    from spynnaker import pyNN as sim
    from spynnaker.pyNN import extra_models

    model = MODELS[name]
    theirs = getattr(sim, name, None) or getattr(extra_models, name)
    implementation = theirs()._model
    assert implementation.binary_name == f"{model.binary}.aplx"
    assert implementation.get_global_weight_scale() == model.scale
    assert tuple(implementation.get_synapse_targets()) == model.receptors
    ours = {"refract_timer": "=0", "timestep": "dt", "timestep_ms": "dt", "time_step": "dt", "next_h": "dt", "q_exc": "=0", "q_inh": "=0"}
    structures = [[ours.get(field, field) for _, field in each.fields] for each in implementation.structs[1:]]
    assert (name == "IFCurrDeltaFixedProb") == any(kind.name == "U1616" for each in implementation.structs for kind, _ in each.fields)
    if name == "IFTruncDelta":  # the structure that its program does not have, so that the step becomes the threshold
        assert structures.pop(2) == ["v_thresh"] and structures[1] == ["dt"] == list(model.structures[1])
    if "IZK" in model.binary:
        structures = [["=30"] if each == ["v_thresh"] else each for each in structures]
    assert [list(field.lstrip("~") for field in each) for each in model.structures] == [each for each in structures if each]
    if hasattr(extra, name):
        defaults = getattr(extra, name)().parameters()
        assert {key: defaults[key].default for key in defaults} == {key: theirs.default_parameters[key] for key in defaults}


@pytest.mark.needs("spynnaker")
def test_seeds_are_those_of_the_host():
    """The random generators of a core after another get the words that sPyNNaker draws."""
    from pacman.model.graphs.common import Slice
    from spinn_utilities.ranged import RangeDictionary
    from spynnaker.pyNN import extra_models

    model, n, per_core = MODELS["IFCurrDeltaFixedProb"], 7, 3
    implementation = extra_models.IFCurrDeltaFixedProb(seed=5, p_thresh=0.3)._model
    values = RangeDictionary(n)
    implementation._NeuronImplStandard__threshold_type.add_parameters(values)
    implementation._NeuronImplStandard__threshold_type.add_state_variables(values)
    structure = next(each for each in implementation.structs if ("p_thresh" in [field for _, field in each.fields]))
    cores = [structure.get_data(values, Slice(low, min(low + per_core, n) - 1)) for low in range(0, n, per_core)]
    theirs = np.concatenate(cores).reshape(n, 6).T
    p = extra.IFCurrDeltaFixedProb(p_thresh=0.3).values(n, 1, "x")
    at = model.fields.index("v_thresh")
    np.testing.assert_array_equal(model.words(p, {"seed": np.full(n, 5.0)}, 1.0, per_core=per_core)[at:at + 6], theirs)


@pytest.mark.parametrize("name", MODELS)
def test_tables_agree(name):
    """What the limits say of a model is what it is put together from; and its cell has those parameters and receptors."""
    model, known = MODELS[name], limits.CELLS[name]
    assert (known.binary, known.scale, tuple(known.receptors)) == (model.binary, model.scale, model.receptors)
    cell = getattr(extra, name, None) or getattr(ns, name)
    silent = {"v_thresh"} if model.threshold == "dt" else set()
    assert set(cell().parameters()) == set(model.parameters) | silent == set(known.parameters)
    p = cell().values(4, 1, name)
    par, state = model.encode(p, cell().initial_values(4, 1, name, {}, p), 1.0, name)
    assert (len(state), len(par)) == kernel.rows_of(model.code) and (state[0] == words(cell().initial_values(4, 1, name, {}, p)["v"])).all()
    assert model.verified and min(model.instructions) > 0
    unread = name == "IFTruncDelta"  # whose program does not read the structure of a threshold that the host writes
    assert memory._PARAMETERS[name][1] == len(model.fields) + unread and name in data_memory.STATE


def test_initial_states_are_those_of_the_network():
    """neurosim's inhibitory currents are negative, its conductances are in uS; the machine has magnitudes times 1 and 1024."""
    currents, conductances = MODELS["IF_curr_exp"], MODELS["IF_cond_exp"]
    p = ns.IF_cond_exp().values(1, 1, "x")
    one = np.ones(1)
    assert currents.encode(p, {"isyn_exc": 2 * one, "isyn_inh": -3 * one}, 1.0)[1][3:, 0].tolist() == [2 * 2**15, 3 * 2**15]
    assert conductances.encode(p, {"gsyn_exc": 0.5 * one, "gsyn_inh": 0.25 * one}, 1.0)[1][3:, 0].tolist() == [2**24, 2**23]
    assert conductances.variables["gsyn_exc"][1] == currents.variables["isyn_exc"][1] == -currents.variables["isyn_inh"][1] == 2.0**-15


def test_effective_parameters():
    """Words, whole steps, and the time constants that a step's factor amounts to."""
    p = {"v_rest": -65.00001, "cm": 0.3, "tau_m": 500.0, "tau_refrac": 0.25, "tau_syn_E": 100.0, "tau_syn_I": 4000.0, "i_offset": 0.0,
         "v_reset": -65.0, "v_thresh": -50.0, "tau_ca2": 0.01, "i_alpha": 0.1}
    found = MODELS["IFCurrExpCa2Adaptive"].effective({key: np.full(2, value) for key, value in p.items()}, 0.1)
    assert set(found) == set(p) and all(value.shape == (2,) for value in found.values())
    assert found["v_rest"][0] == -65.0 and found["cm"][0] == 9830 / 2**15 and found["tau_refrac"][0] == pytest.approx(0.3)
    factor = signed(exponential(-6) >> 17) / 2**15  # dt/tau_m is 6.55 of the last place, exp of -6 of them is rounded down
    assert found["tau_m"][0] == -0.1 / math.log(factor) == pytest.approx(468.06, abs=0.01)
    assert found["tau_syn_E"][0] == pytest.approx(102.3, abs=0.1)
    assert found["tau_syn_I"][0] == 0.0  # its factor of 1 has no bits left
    assert found["tau_ca2"][0] == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("name, change, dt, message", [
    ("IF_curr_exp", {"v_reset": -70000.0}, 1.0, r"cells: IF_curr_exp\.v_reset must be within -65536 and 65535\.99997 mV .* got -70000 at"),
    ("IF_curr_exp", {"i_offset": math.nan}, 1.0, r"IF_curr_exp\.i_offset must be within .* nA .* got nan"),
    ("IF_curr_exp", {"tau_syn_E": 1e-5}, 1.0, r"IF_curr_exp\.tau_syn_E must be at least 3\.05e-05 ms, .* got 1e-05"),
    ("IF_curr_exp", {"tau_m": 100.0, "cm": 1e-3}, 1.0, r"tau_m / cm must be below 65535\.99997 MOhm \(s16\.15\), got 99297 at"),
    ("IF_curr_exp", {"tau_m": None}, 1.0, r"cells: IF_curr_exp needs tau_m \(ms\); given are v_rest, cm"),
    ("IF_curr_alpha", {"tau_syn_I": 0.0055}, 1.0, r"IF_curr_alpha\.tau_syn_I must be at least 0\.0056 ms, .* got 0\.00549316 at index 0"),
    ("IFCurrDeltaFixedProb", {"p_thresh": 1.5}, 1.0, r"IFCurrDeltaFixedProb\.p_thresh must be within 0 and 1, got 1\.5 at index 0"),
    ("IFTruncDelta", {}, 0.5, r"IFTruncDelta\.v_thresh must be 0\.5 mV, as many as the step has ms, got 1"),
])
def test_refused(name, change, dt, message):
    """Numbers that the machine cannot hold, by object, value, range and unit."""
    p = (getattr(extra, name, None) or getattr(ns, name))().values(2, 1, "cells")
    p |= {key: np.full(2, value) for key, value in change.items() if value is not None}
    p = {key: value for key, value in p.items() if change.get(key, 0.0) is not None}
    with pytest.raises(ParameterError, match=message):
        MODELS[name].encode(p, {}, dt, "cells")


def test_state_refused():
    """A state that the machine's model does not have, unless it is 0."""
    p = ns.IF_curr_alpha().values(2, 1, "cells")
    MODELS["IF_curr_alpha"].encode(p, {"isyn_exc": np.zeros(2)}, 1.0)
    with pytest.raises(ParameterError, match="IF_curr_alpha: initial isyn_exc cannot be given on the machine, got 1; its states are v, e"):
        MODELS["IF_curr_alpha"].encode(p, {"isyn_exc": np.ones(2)}, 1.0)


@pytest.mark.parametrize("seed", [[1.0, 2.0], [0.5, 0.5], [-1.0, -1.0], [2.0**32, 2.0**32], [math.nan, math.nan]])
def test_seed_refused(seed):
    """It is one whole number of 32 bits for all cells."""
    p = extra.IFCurrDeltaFixedProb().values(2, 1, "cells")
    with pytest.raises(ParameterError, match="cells: IFCurrDeltaFixedProb: initial seed must be one whole number from 0 to 4294967295"):
        MODELS["IFCurrDeltaFixedProb"].encode(p, {"seed": np.array(seed)}, 1.0, "cells")


@pytest.mark.parametrize("name", extra.__all__)
def test_cells_of_the_machine(name):
    """A network holds them and says their equations; a simulation refuses them by name."""
    cell = getattr(extra, name)
    assert dataclasses.is_dataclass(cell) and cell.__doc__.count("\n") >= 2 or "`" in cell.__doc__
    network = ns.Network()
    network.population(3, cell(), label="cells")
    with pytest.raises(NetworkError, match=f"{name} is a cell of SpiNNaker: it runs in neurosim.hardware.spinnaker.emulation"):
        ns.Simulation(network, dt=1.0).run(2.0)
