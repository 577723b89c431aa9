"""sPyNNaker's plastic synapses in its own ARM code: the functions of a shipped binary, called one by one under unicorn.

Only the core's memory is there.  What the code asks of its system, memory, is given out from the top of its data memory.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tests.arm import DTCM, SDRAM, Arm

REGION, SHIFTS, ROW, FIXED, FLAG, RING = (SDRAM + k * 0x10000 for k in range(6))
# Words of data memory, the same in all these binaries: how a synapse's control word is cut into delay, type and neuron.
TYPE_INDEX_BITS, TYPE_INDEX_MASK, INDEX_BITS, INDEX_MASK = DTCM + 0x120, DTCM + 0x124, DTCM + 0x128, DTCM + 0x12C
TYPE_MASK, DELAY_MASK, SKIPPED = DTCM + 0x134, DTCM + 0x13C, DTCM + 0x160
PARAMS = DTCM + 0x2A4  # events, saturations, whether spikes travel back, where the histories are
DELAY_BITS = 5


class Binary(NamedTuple):
    """Where a binary has what.

    Entries of ``synapse_dynamics_initialise`` (whose fourth call is to ``sark_alloc``),
    ``synapse_dynamics_process_post_synaptic_event`` and ``synapse_dynamics_process_plastic_synapses``; words of a cell's history,
    bytes of a row's head, and traces in either; the function that prints, if the first comes to it.
    """

    initialise: int
    post: int
    pre: int
    history: int
    head: int
    traces: int
    log: int = 0


# Their names begin with IF_curr_exp_stdp_mad_; `tests.arm` holds the SHA-256 of each.
BINARIES = {
    "pair_additive": Binary(0x3994, 0x3A78, 0x3CAC, 25, 8, 1),
    "pair_multiplicative": Binary(0x3994, 0x3A78, 0x3CAC, 25, 8, 1),
    "nearest_pair_additive": Binary(0x3994, 0x3A70, 0x3B80, 17, 4, 0),
    "nearest_pair_multiplicative": Binary(0x3994, 0x3A70, 0x3B80, 17, 4, 0),
    "pfister_triplet_additive": Binary(0x3994, 0x3A7C, 0x3CDC, 49, 8, 2),
    "vogels_2011_additive": Binary(0x3994, 0x3A78, 0x3CAC, 25, 8, 1, 0x65B4 | 1),
}


class PlasticCore:
    """A core with ``n`` cells, a power of two, and two synapse types, after ``synapse_dynamics_initialise`` has read ``region``."""

    def __init__(self, suffix: str, region: bytes, n: int, shifts: tuple[int, int]):
        self.arm = Arm(f"IF_curr_exp_stdp_mad_{suffix}")
        self.binary, self.n = BINARIES[suffix], n
        self.arm.replace(self.arm.branches(self.binary.initialise, 4)[3], lambda one, many, *_: self.arm.allocate(one * many))
        if self.binary.log:
            self.arm.replace(self.binary.log, lambda *_: 0)
        bits = n.bit_length() - 1
        for address, value in [(TYPE_INDEX_BITS, bits + 1), (TYPE_INDEX_MASK, 2 * n - 1), (INDEX_BITS, bits), (INDEX_MASK, n - 1),
                               (TYPE_MASK, 1), (DELAY_MASK, (1 << DELAY_BITS) - 1)]:
            self.arm.write(address, np.uint32(value))
        self.arm.write(REGION, region)
        self.arm.write(SHIFTS, np.array(shifts, np.uint32))
        assert self.arm.call(self.binary.initialise, REGION, n, 2, SHIFTS) == 1
        self.histories = int(self.arm.read(PARAMS + 12, 1)[0])

    def post(self, t: int, neuron: int) -> None:
        """The neuron fires."""
        self.arm.call(self.binary.post, t, neuron)

    def count(self, function: Callable[..., None], *arguments: int) -> int:
        """Instructions of :meth:`pre` or :meth:`post`, those that a condition skips included."""
        import unicorn

        machine, counted = self.arm.machine, [0]
        machine.ctl_flush_tb()  # what was translated before would run uncounted

        def one(*_):
            counted[0] += 1

        hook = machine.hook_add(unicorn.UC_HOOK_CODE, one)
        function(*arguments)
        machine.hook_del(hook)
        return counted[0]

    def place(self, row: int) -> tuple[int, int]:
        """Where the plastic and the fixed part of a row lie."""
        return ROW + 0x100 * row, FIXED + 0x100 * row

    def write_row(self, row: int, kind: int, targets: np.ndarray, delays: np.ndarray, weights: np.ndarray) -> None:
        """A row whose source has not fired."""
        bits = self.n.bit_length() - 1
        plastic, fixed = self.place(row)
        control = (delays % (1 << DELAY_BITS)) << (bits + 1) | kind << bits | targets
        self.arm.write(plastic, bytes(self.binary.head) + weights.astype(np.uint16).tobytes())
        self.arm.write(fixed, np.array([0, len(targets)], np.uint32).tobytes() + control.astype(np.uint16).tobytes())

    def pre(self, t: int, row: int) -> None:
        """The source of a row fires."""
        assert self.arm.call(self.binary.pre, *self.place(row), RING, t, 0, FLAG) == 1

    def read_row(self, row: int, size: int) -> tuple[int, list[int], np.ndarray]:
        """Tick, traces (16-bit) and weights."""
        content = self.arm.read(self.place(row)[0], self.binary.head + 2 * size, np.uint8).tobytes()
        traces = np.frombuffer(content[4 : 4 + 2 * self.binary.traces], np.int16).tolist()
        return int.from_bytes(content[:4], "little"), traces, np.frombuffer(content[self.binary.head :], np.uint16)

    def read_history(self, neuron: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ticks of all entries; traces of all; of the triplet rule the tick kept with each trace."""
        words = self.arm.read(self.histories + 4 * self.binary.history * neuron, self.binary.history, np.uint32)
        count = int(words[0]) + 1
        body = words[17:]
        if self.binary.traces == 2:
            pairs, kept = body[::2].copy().view(np.int16).reshape(-1, 2), body[1::2]
            return words[1 : 1 + count], pairs[:count], kept[:count]
        traces = body.view(np.int16)[:, None] if self.binary.traces else np.zeros((16, 0), np.int16)
        return words[1 : 1 + count], traces[:count], words[1 : 1 + count]

    def ring(self) -> np.ndarray:
        """uint16 (slots, types, n); a copy."""
        return self.arm.read(RING, (2 << DELAY_BITS) * self.n, np.uint16).reshape(-1, 2, self.n)

    def clear(self, slot: int) -> None:
        """The neurons have taken what is in a slot of the ring."""
        self.arm.write(RING + slot * 4 * self.n, bytes(4 * self.n))

    def counts(self) -> tuple[int, int]:
        """Sums that were cut, and synapses that came too late."""
        return int(self.arm.read(PARAMS + 4, 1)[0]), int(self.arm.read(SKIPPED, 1)[0])
