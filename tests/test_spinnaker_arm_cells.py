"""The emulated neurons of SpiNNaker against the machine code that sPyNNaker ships, in every bit."""

import numpy as np
import pytest

from neurosim.hardware.spinnaker.cells import MODELS, MachineModel
from neurosim.kernels import fixed, spinnaker_cells
from neurosim.kernels import spinnaker_layout as kernel
from tests.arm import Arm, folder, placeless, read, segments
from tests.arm_cells import ENTRIES, ArmCells, random_inputs

pytestmark = pytest.mark.needs("spynnaker", "unicorn")

# Parameters are drawn evenly from these.
RANGES = {
    "v_rest": (-70, -60), "cm": (0.3, 2), "tau_m": (5, 40), "tau_refrac": (0, 5), "i_offset": (-0.2, 1.2), "v_reset": (-75, -60),
    "v_thresh": (-58, -48), "tau_syn_E": (0.5, 20), "tau_syn_E2": (0.5, 20), "tau_syn_I": (0.5, 20), "e_rev_E": (-10, 10),
    "e_rev_I": (-90, -70), "tau_ca2": (10, 100), "i_alpha": (0, 0.5), "scaling_factor": (0.5, 2), "a": (0.01, 0.1), "b": (0.15, 0.3),
    "p_thresh": (0.1, 1.0), "du_th": (0.2, 3.0), "tau_th": (5.0, 40.0),
    "c": (-70, -50), "d": (0.5, 8),
}
# As wide as to make sums and products wrap around.
WILD = {
    "v_rest": (-3000, 3000), "cm": (0.01, 3), "tau_m": (0.05, 500), "tau_refrac": (0, 40), "i_offset": (-2000, 2000),
    "v_reset": (-5000, 0), "v_thresh": (0, 5000), "tau_syn_E": (0.05, 900), "tau_syn_E2": (0.05, 900), "tau_syn_I": (0.05, 900),
    "e_rev_E": (-900, 900), "e_rev_I": (-900, 900), "tau_ca2": (0.05, 3000), "i_alpha": (-500, 500), "scaling_factor": (-100, 100),
    "a": (-2, 2), "b": (-3, 3), "c": (-500, 20), "d": (-300, 300), "p_thresh": (0.0, 1.0),
    "du_th": (0.01, 300.0), "tau_th": (0.01, 900.0),
}
# What a core keeps of a neuron, in its order: s and p are rows of `state` and `par` (see kernels/spinnaker_layout.py).
MEMBRANES = {
    kernel.LEAKY: "s0 p4 p5 p6 p0 s1 p2 p3", kernel.IZHIKEVICH: "p4 p5 p2 p3 s0 s1 p0 s2 p6", kernel.TRUNCATED: "s0 p5 p0 s1 p2 p3",
}
INPUTS = {kernel.CURRENT: "", kernel.CONDUCTANCE: "p7 p8", kernel.JUMP: "p7"}
SYNAPSES = {
    kernel.EXPONENTIAL: "p11 p12 s3 p13 p14 s4", kernel.ALPHA: "s3 s4 p12 p11 s5 s6 s7 p14 p13 s8", kernel.DELTA: "s3 s4",
    kernel.DUAL: "p11 p12 s3 p13 p14 s4 p15 p16 s5", kernel.SEMD: "p11 p12 s3 p13 p14 s4 p15 p16 s5 s6 s7 p17",
}
SHIFTS = {1.0: 3, 1024.0: 5}


def kept(model: MachineModel) -> list[str]:
    """What the core keeps, by structure."""
    parts = [MEMBRANES[model.membrane], INPUTS[model.acts_as], "p9 s2 p10" if model.adapts else "",
             {"v_thresh p": "p1 p9 s5 s6 s7 s8", "du_th tau_": "p9 p10 p1 p15"}.get(model.threshold[:10], "p1"), SYNAPSES[model.synapses]]
    return [part for part in parts if part]


def on_arm(model: MachineModel, p: dict[str, np.ndarray], initial: dict[str, np.ndarray], dt: float, shift: int) -> ArmCells:
    """Neurons on the machine code."""
    words, edges = model.words(p, initial, dt), np.cumsum([len(part) for part in model.structures])
    return ArmCells(model.binary, np.split(words, edges[:-1]), [shift] * len(model.receptors), arrays=len(kept(model)))


@pytest.mark.parametrize("name, address, most", [("expk", 0x4dd8, 380_000), ("expulr", 0x4e1c, 0)])
def test_exponentials(name, address, most, rng):
    """Both exponentials on ten thousand arguments, those that saturate included (u0.32 ones are below 0)."""
    arm, function = Arm("IF_curr_exp"), getattr(fixed, name)
    arguments = np.concatenate([rng.integers(-380_000, most, 6000), rng.integers(-100_000, 0, 3000), np.arange(-600, 0),
                                np.arange(-12, most // fixed.ONE + 1) * fixed.ONE])
    for x in arguments.tolist():
        assert arm.call(address, x) == function(x) & 0xFFFFFFFF, x


def test_division(rng):
    """kdivk is the machine's division of 64 bits, of negative words too."""
    arm = Arm("IF_curr_exp")
    for a, b in zip(rng.integers(-2**31, 2**31, 2000).tolist(), rng.integers(1, 2**31, 2000).tolist(), strict=True):
        wide = (a << 15) & (2**64 - 1)
        assert arm.call(0x650, wide & 0xFFFFFFFF, wide >> 32, b, 0) == fixed.kdivk(a, b) & 0xFFFFFFFF, (a, b)


def test_all_have_an_oracle():
    """Each model that says so is held against its machine code here."""
    assert {model.binary for model in MODELS.values() if model.verified} == set(ENTRIES)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dt", [0.1, 1.0, 10.0])
def test_time_constants(name, dt, rng):
    """What a core makes of its parameters when it starts, for time constants of all sizes."""
    model, n = MODELS[name], 64
    p = {each: rng.uniform(*RANGES[each], n) for each in model.parameters}
    least = 0.006 if model.synapses == kernel.ALPHA else 1e-4
    p |= {each: np.geomspace(least, 60000.0, n)[rng.permutation(n)] for each in p if each.startswith("tau")}
    p |= {"cm": np.clip(p["tau_m"] * rng.uniform(0.02, 2, n), 1e-3, 65000.0)} if "cm" in p else {}
    par, state = model.encode(p, {}, dt)
    here = np.stack([(state if row[0] == "s" else par)[int(row[1:])] for row in " ".join(kept(model)).split()])
    np.testing.assert_array_equal(here.astype(np.uint32), on_arm(model, p, {}, dt, 0).memory().astype(np.uint32))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dt, steps, wild", [(1.0, 2000, False), (0.1, 400, False), (1.0, 500, True)])
def test_neurons(name, dt, steps, wild, rng):
    """64 neurons with parameters and input of their own: all that the core keeps, records and sends, in every step."""
    model, n = MODELS[name], 64
    p = {each: rng.uniform(*(WILD if wild else RANGES)[each], n) for each in model.parameters}
    if model.membrane == kernel.IZHIKEVICH and not wild:
        p["i_offset"] *= 12.0
    initial = {each: rng.uniform(-3000, 3000, n) for each in model.states if each != "seed"} if wild else {"v": rng.uniform(-70, -50, n)}
    par, state = model.encode(p, initial, dt)
    shift, largest = (12, 65535) if wild else (SHIFTS[model.scale], 6000)
    arm = on_arm(model, p, initial, dt, shift)
    shifts = np.full(len(model.receptors), shift)
    rows = " ".join(kept(model)).split()
    ring = np.zeros((len(shifts), n), np.uint16)
    bias, fired, out, ids = (np.zeros(n, np.int32) for _ in range(4))
    ids[:] = np.arange(n)
    inputs, spikes = 0, 0
    for t in range(1, steps + 1):
        given = random_inputs(rng, ring.shape, 0.3, largest)
        arm.step(given, t)
        ring[:] = given
        spinnaker_cells.add_input(model.code, state, par, ring, shifts)
        assert not ring.any()
        for variable in range(3):
            spinnaker_cells.sample(model.code, variable, state, par, ids, out)
            np.testing.assert_array_equal(out, arm.recorded[variable], f"recorded {variable}, step {t}")
        count = spinnaker_cells.advance(model.code, state, par, bias, fired)
        np.testing.assert_array_equal(fired[:count], arm.spiked, f"spikes, step {t}")
        here = np.stack([(state if row[0] == "s" else par)[int(row[1:])] for row in rows]).astype(np.uint32)
        np.testing.assert_array_equal(here, arm.memory().astype(np.uint32), f"step {t}: rows are {rows}")
        inputs, spikes = inputs + np.count_nonzero(given), spikes + count
    assert inputs > 10 * steps and spikes > steps / 10


def test_generator_of_a_core(rng):
    """Where chance decides all the time, the neurons of IFCondExpStoc draw from one generator in turn."""
    model, n = MODELS["IFCondExpStoc"], 64
    p = {each: rng.uniform(*RANGES[each], n) for each in model.parameters}
    p |= {"du_th": np.full(n, 0.2), "v_rest": np.full(n, -40.0), "v_reset": np.full(n, -45.0), "tau_refrac": np.ones(n)}
    par, state = model.encode(p, {}, 1.0)
    other = state.copy()
    other[-4, 0] += 1  # another seed
    arm, none, fired, equal, spikes = on_arm(model, p, {}, 1.0, 5), np.zeros((2, n), np.uint16), np.zeros(n, np.int32), 0, 0
    for t in range(1, 201):
        arm.step(none, t)
        count = spinnaker_cells.advance(model.code, state, par, np.zeros(n, np.int32), fired)
        np.testing.assert_array_equal(fired[:count], arm.spiked, f"step {t}")
        spikes += count
        count = spinnaker_cells.advance(model.code, other, par, np.zeros(n, np.int32), fired)
        equal += fired[:count].tolist() == arm.spiked.tolist()
    assert equal < 3 and 0.7 < spikes / (200 * n) < 0.9


@pytest.mark.parametrize("binary", ENTRIES)
def test_same_code_elsewhere(binary):
    """The programs of cores that only have neurons, and those with STDP, update them by the same instructions."""
    entries = ENTRIES[binary]
    code = placeless(dict(segments(read(binary)))[0])
    update = code[entries.update // 4:entries.transfer // 4 - 20]  # less the function's last error path and its literals
    assert len(update) > 300
    others = [one for one in folder().glob(f"{binary}_*.aplx")
              if one.stem == f"{binary}_neuron" or one.stem.startswith(f"{binary}_stdp_mad_") and "structural" not in one.stem]
    assert others or binary in ("IF_trunc_delta", "IF_curr_delta_fixed_prob")
    for one in others:
        theirs = placeless(dict(segments(one.read_bytes()))[0])
        assert any(theirs[k:k + len(update)] == update for k in range(len(theirs)) if theirs[k] == update[0]), one.name


@pytest.mark.parametrize("name", MODELS)
def test_instructions(name):
    """What `MachineModel.instructions` says is what the machine code takes: 64 neurons less 32."""
    model, taken = MODELS[name], []
    for n in (32, 64):
        p = {each: np.full(n, 0.0 if each in ("i_offset", "tau_refrac") else np.mean(RANGES[each])) for each in model.parameters}
        high = -53.0 if "du_th" in model.parameters else 40.0
        for v, given in ((-60.0, 0), (-60.0, 1), (high, 0)):
            p |= {each: np.full(n, value) for each, value in (("p_thresh", 1.0), ("du_th", 0.5)) if each in p}  # chance made certain
            arm = on_arm(model, p, {"v": np.full(n, v)}, 1.0, 0)
            taken.append(sum(arm.step(np.full((len(model.receptors), n), given, np.uint16), 1, count=True)))
            assert arm.spiked.size == (n if v == high else 0)
    quiet, with_input, spiking = (np.array(taken[3:]) - taken[:3]) / 32
    measured = quiet, (with_input - quiet) / len(model.receptors), spiking - quiet
    np.testing.assert_allclose(model.instructions, measured, atol=0.51)
