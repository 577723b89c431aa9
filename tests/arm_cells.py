"""A population on SpiNNaker's own machine code: the functions of a program that concern neurons, called in the machine's order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tests.arm import DTCM, Arm

KEY = 0x12340000
COLOURS = 4  # bits of a key that hold the step


class Entries(NamedTuple):
    """Where the functions of a program begin."""

    initialise: int
    transfer: int
    update: int
    record: int


ENTRIES = {
    "IF_curr_exp": Entries(0x1b54, 0x2928, 0x220c, 0x4558),
    "IF_cond_exp": Entries(0x1b94, 0x2a08, 0x2280, 0x4638),
    "IF_curr_alpha": Entries(0x1b4c, 0x29ac, 0x2228, 0x46bc),
    "IF_curr_delta": Entries(0x1a64, 0x2840, 0x2148, 0x4430),
    "IZK_curr_exp": Entries(0x1aec, 0x29ac, 0x21b0, 0x45dc),
    "IZK_cond_exp": Entries(0x1b24, 0x2a74, 0x2220, 0x46a4),
    "IZK_cond_exp_dual": Entries(0x1bb0, 0x2b44, 0x22b0, 0x47a0),
    "IF_curr_exp_dual": Entries(0x1be0, 0x29d8, 0x229c, 0x4634),
    "IF_curr_exp_sEMD": Entries(0x1bfc, 0x2aa0, 0x22cc, 0x46fc),
    "IF_curr_exp_ca2_adaptive": Entries(0x1bec, 0x2a74, 0x2314, 0x46a4),
    "IF_curr_delta_ca2_adaptive": Entries(0x1af0, 0x2998, 0x2248, 0x4588),
    "IF_curr_delta_fixed_prob": Entries(0x1ab0, 0x2918, 0x21d4, 0x4508),
    "IF_cond_exp_stoc": Entries(0x1c30, 0x2b40, 0x231c, 0x4770),
    "IF_trunc_delta": Entries(0x19dc, 0x276c, 0x2090, 0x435c),
}


class ArmCells:
    """Neurons of one core.

    Parameters
    ----------
    binary : str
    structures : list of ndarray, int64 (fields, n)
        What the host writes: for each structure its fields.
    shifts : sequence of int
        Of the ring buffers.
    arrays : int
        Structures that the core keeps of a neuron.

    ``recorded`` holds what the core recorded of the last step: variable -> words; ``spiked`` its neurons that spiked.
    """

    def __init__(self, binary: str, structures: list[np.ndarray], shifts: Sequence[int], arrays: int) -> None:
        self.arm = Arm(binary)
        self.entries, self.structures, self.arrays = ENTRIES[binary], structures, arrays
        self.n, self.types = structures[0].shape[1], len(shifts)
        self.peak = 1 << (self.n - 1).bit_length()
        alloc, copy, *others = self.arm.branches(self.entries.initialise, 5)
        self._allocated: list[tuple[int, int]] = []
        self.arm.replace(alloc, self._allocate)
        self.arm.replace(next(each for each in others if each not in (alloc, copy)), lambda *_: 0)  # printing
        self.arm.replace(self.entries.record, self._record)
        self.recorded: dict[int, np.ndarray] = {}
        core = np.array([1, self.n, self.peak, COLOURS, self.types, *shifts, *(KEY + (np.arange(self.n) << COLOURS))], dtype=np.uint32)
        self.parameters = self.arm.put(self._parameters())
        regions = self.arm.allocate(4)
        ok = self.arm.call(self.entries.initialise, self.arm.put(core), self.parameters, self.arm.put(np.zeros(1, np.uint32)),
                           self.arm.put(self._recording()), self.arm.put(self._parameters()), regions)
        assert ok == 1, "neuron_initialise said no"
        self.ring = self.arm.put(np.zeros((self.types, self.peak), np.uint16), DTCM)

    def _allocate(self, size: int, *_: int) -> int:
        self._allocated.append((self.arm.allocate(size), size))
        return self._allocated[-1][0]

    def _parameters(self) -> np.ndarray:
        """Steps per time step, then each structure of all neurons."""
        words = [np.ones(1, np.uint32)] + [part.T.astype(np.uint32).ravel() for part in self.structures]
        return np.concatenate(words)

    def _recording(self) -> bytes:
        """Three variables of words and one of bits, of all neurons in every step."""
        index = np.arange(self.n + self.n % 2, dtype=np.uint16).tobytes()
        words = np.array([1, self.n, 4], np.uint32).tobytes() + index
        return np.array([3, 1], np.uint32).tobytes() + 3 * words + np.array([1, self.n], np.uint32).tobytes() + index

    def _record(self, channel: int, address: int, size: int, _: int) -> int:
        self.recorded[channel] = self.arm.read(address + 4, size // 4 - 1)
        return 1

    def step(self, ring: np.ndarray, t: int, count: bool = False) -> tuple[int, int]:
        """One step with this content of the ring buffers, uint16 (types, n); instructions of its two parts if counted."""
        arm = self.arm
        rows = np.zeros((self.types, self.peak), np.uint16)
        rows[:, :self.n] = ring
        arm.write(self.ring, rows)
        arm.written.clear()
        self.recorded.clear()
        arm.counted = 0
        arm.call(self.entries.transfer, self.ring, count=count)
        first = arm.counted
        arm.call(self.entries.update, t, 0, count=count)
        return first, arm.counted

    @property
    def spiked(self) -> np.ndarray:
        """Neurons that sent a packet in the last step."""
        keys = np.array([value for offset, value in self.arm.written if offset == 8], dtype=np.int64)
        return (keys - KEY) >> COLOURS

    def memory(self) -> np.ndarray:
        """All that the core keeps of its neurons, int32 (words, n): membrane, input, adaptation, threshold, synapses."""
        kept = self._allocated[2:2 + self.arrays]  # the first two: shifts and keys
        return np.concatenate([self.arm.read(at, size // 4).reshape(self.n, -1).T for at, size in kept])


def random_inputs(rng: np.random.Generator, shape: tuple[int, ...], rate: float, largest: int) -> np.ndarray:
    """Content of ring buffers: mostly 0."""
    return (rng.integers(1, largest, shape) * (rng.random(shape) < rate)).astype(np.uint16)
