"""What a core spends: instructions and cycles of the machine code, from whole ticks under different load.

`python tests/spinnaker_cycles.py` (from the root of the repository) prints the table. Loads that differ in one thing each (neurons,
packets, synapses, spikes) run on as many cores; what one more of it costs is fitted by least squares. Cycles follow the ARM9E-S's table
of instruction timings (technical reference manual, chapter 8) with memory that answers at once, as the tightly coupled memories do; what
waits for SDRAM is not in them (the DMA does that beside the program).
"""
import re
import sys
import tempfile

import numpy as np


class Counter:
    """Counts what a core executes from now on: ``instructions`` and ``cycles``.

    Parameters
    ----------
    core : spinnaker_core.Core
    """

    def __init__(self, core):
        import capstone
        import unicorn
        self.core, self.instructions, self.cycles, self.blocks, self.after = core, 0, 0, {}, None
        self.readers = [capstone.Cs(capstone.CS_ARCH_ARM, mode) for mode in (capstone.CS_MODE_ARM, capstone.CS_MODE_THUMB)]
        core.uc.hook_add(unicorn.UC_HOOK_BLOCK, self._block)

    def _block(self, uc, address, size, _):
        if address not in self.blocks:
            thumb = bool(uc.reg_read(self.core.arm.UC_ARM_REG_CPSR) & 0x20)
            self.blocks[address] = cost(self.readers[thumb].disasm(bytes(uc.mem_read(address, size)), address))
        instructions, cycles = self.blocks[address]
        self.instructions += instructions
        self.cycles += cycles + (2 if self.after not in (None, address) else 0)        # a branch that is taken refills the pipeline
        self.after = address + size


def cost(block):
    """Instructions and cycles of a straight piece of code; branches as not taken."""
    count = cycles = 0
    waiting, delay = None, 0
    for one in block:
        count += 1
        name = one.mnemonic
        if waiting and re.search(rf"\b{waiting}\b", one.op_str.partition(",")[2] if not name.startswith("str") else one.op_str):
            cycles += delay
        waiting = None
        if name.startswith(("ldm", "stm", "push", "pop")):
            cycles += max(2, one.op_str.count(",") + 1 - (0 if name in ("push", "pop") else 1))
        elif name.startswith(("smull", "umull", "smlal", "umlal")):
            cycles += 3
        elif name.startswith(("mul", "mla", "mrs", "ldrd", "strd", "swp")):
            cycles += 2
        elif name.startswith("msr"):
            cycles += 3
        else:
            cycles += 2 if re.search(r"(lsl|lsr|asr|ror) r\d", one.op_str) else 1
        if name.startswith("ldr"):
            waiting, delay = one.op_str.partition(",")[0], 2 if name.startswith(("ldrb", "ldrh", "ldrs")) else 1
        elif name.startswith(("mul", "mla", "smul", "smla", "umul", "umla")):
            waiting, delay = one.op_str.split(",")[1 if "ll" in name or "lal" in name else 0].strip(), 1
    return count, cycles


CELLS = {"IF_curr_exp": ("sim.IF_curr_exp(v_thresh=1000.0)", 0.001), "IF_cond_exp": ("sim.IF_cond_exp(v_thresh=1000.0)", 0.000001),
         "IF_curr_alpha": ("sim.IF_curr_alpha(v_thresh=1000.0, tau_syn_E=5.0)", 0.001),
         "IF_curr_delta": ("sim.IF_curr_delta(v_thresh=1000.0)", 0.001),
         "Izhikevich": ("sim.Izhikevich()", 0.001)}
PLASTIC = "sim.STDPMechanism(sim.{0}, sim.{1}(w_min=0.0, w_max=1.0), weight=0.001, delay=1.0)"
PAIR, NEAREST = "SpikePairRule(20.0, 20.0, 0.0, 0.0)", "extra_models.SpikeNearestPairRule(20.0, 20.0, 0.0, 0.0)"
ADDITIVE, MULTIPLICATIVE = "AdditiveWeightDependence", "MultiplicativeWeightDependence"
RULES = {
    "pair, additive": PLASTIC.format(PAIR, ADDITIVE),
    "pair, multiplicative": PLASTIC.format(PAIR, MULTIPLICATIVE),
    "nearest pair, additive": PLASTIC.format(NEAREST, ADDITIVE),
    "nearest pair, multiplicative": PLASTIC.format(NEAREST, MULTIPLICATIVE),
    "triplet, additive": "sim.STDPMechanism(sim.extra_models.PfisterSpikeTriplet(16.8, 33.7, 101.0, 114.0, 0.0, 0.0), "
                         "sim.extra_models.WeightDependenceAdditiveTriplet(w_min=0.0, w_max=1.0), weight=0.001, delay=1.0)",
    "Vogels, additive": PLASTIC.format("extra_models.Vogels2011Rule(0.0, 20.0, 0.0, 0.0)", ADDITIVE),
}
TICKS = 60


def measured(script, loads, folder):
    """Run a script's cores and fit what each load costs; ``loads``: label of a population -> dict of quantities a run.

    Returns
    -------
    dict
        Quantity -> (instructions, cycles), and ``"misfit"`` the greatest relative deviation of a core.
    """
    from spinnaker_machine import machine
    board, _ = machine(script, folder)
    counters = {at: Counter(core) for at, core in board.cores.items() if board.of[at].label in loads}
    board.run(TICKS)
    names = sorted({name for load in loads.values() for name in load})
    rows = np.array([[loads[board.of[at].label].get(name, 0) for name in names] for at in counters], float)
    seen = np.array([[one.instructions, one.cycles] for one in counters.values()], float)
    found = np.linalg.lstsq(rows, seen, rcond=None)[0]
    return {**{name: tuple(found[k]) for k, name in enumerate(names)}, "misfit": float(np.abs(rows @ found / seen - 1).max())}


def head(every):
    """The start of a script: sources of 2, 4 and 8 cells that fire every so many ticks, and a silent one; and how often they fire."""
    times = [float(t) for t in range(1, TICKS - 10, every)]
    return ["import pyNN.spiNNaker as sim", "sim.setup(1.0)", "sources = {0: sim.Population(1, sim.SpikeSourceArray([]))}",
            f"sources.update({{k: sim.Population(k, sim.SpikeSourceArray([{times}] * k)) for k in (2, 4, 8)}})"], len(times)


def pairs(sources, targets):
    """All of so many sources to all of so many targets."""
    return [(k, j) for k in range(max(sources, 1)) for j in range(max(targets, 1))]


LOADS = ((0, 0), (2, 5), (8, 5), (2, 20), (4, 20), (8, 20))


def of_cell(name, folder):
    """What a tick, a neuron and step, its input, a burst of packets, a packet with its row and a static synapse cost."""
    model, weight = CELLS[name]
    lines, bursts = head(2)
    loads = {}
    for neurons in (20, 60, 120):
        for packets, targets in LOADS:
            label = f"{neurons} {packets} {targets}"
            lines += [f"cells = sim.Population({neurons}, {model}, label={label!r})",
                      f"sim.Projection(sources[{packets}], cells, sim.FromListConnector({pairs(packets, targets)}), "
                      f"sim.StaticSynapse({weight}, 1.0))"]
            loads[label] = {"tick": TICKS, "neuron": neurons * TICKS, "its input": targets * bursts, "first packet": bool(packets) * bursts,
                            "packet": packets * bursts, "synapse": packets * targets * bursts}
    return measured("\n".join([*lines, f"sim.run({TICKS})", ""]), loads, folder)


def of_rule(rule, folder):
    """What a packet with its row and a synapse that learns cost, and what a spike of the target adds to both."""
    lines, bursts = head(4)
    lines.append(f"kick = sim.Population(1, sim.SpikeSourceArray([[float(t) for t in range(2, {TICKS - 10}, 4)]]))")
    loads = {}
    for neurons in (20, 60):
        for fire in (0, 5, 20):
            for packets, targets in LOADS:
                label = f"{neurons} {packets} {targets} {fire}"
                lines += [f"cells = sim.Population({neurons}, sim.IF_curr_exp(tau_syn_E=0.2, tau_refrac=1.0), label={label!r})",
                          f"sim.Projection(sources[{packets}], cells, sim.FromListConnector({pairs(packets, targets)}), {RULES[rule]})"]
                if fire:
                    lines.append(f"sim.Projection(kick, cells, sim.FromListConnector({pairs(1, fire)}), sim.StaticSynapse(400.0, 1.0))")
                loads[label] = {"tick": TICKS, "neuron": neurons * TICKS, "first packet": bool(packets) * bursts,
                                "packet": packets * bursts, "synapse": packets * targets * bursts,
                                "and a spike of its target": packets * min(targets, fire) * (bursts - 1),
                                "kick": bool(fire) * bursts, "kick and spike": fire * bursts}
    return measured("\n".join([*lines, f"sim.run({TICKS})", ""]), loads, folder)


def main():
    """Print the table."""
    print(f"{'':34}{'':24}instructions    cycles")
    for what, names, measure in (("static", CELLS, of_cell), ("learning", RULES, of_rule)):
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(name, folder)
            misfit = found.pop("misfit")
            for quantity, (instructions, cycles) in found.items():
                print(f"{name:34}{quantity:24}{instructions:12.1f}{cycles:10.1f}")
            print(f"{name:34}{'greatest misfit':24}{100 * misfit:11.1f}%")


if __name__ == "__main__":
    sys.path[:0] = [".", "tests"]
    main()
