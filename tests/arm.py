"""Functions of SpiNNaker's own machine code, called one at a time: what the emulation is held against.

sPyNNaker ships the program of each core as an ``.aplx`` file: copies of code (ITCM, at 0) and data (DTCM, at 0x400000), and a
stretch of zeros.  Here such a file is laid into the memory of an ARM that `unicorn` plays, and functions of it are called with
arguments in registers and memory.  Nothing of an operating system runs: `Arm.replace` puts a Python function in place of
what would need one (memory, printing).
"""

import hashlib
import importlib.metadata
import importlib.util
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

VERSION = "1!7.4.1"  # of sPyNNaker: the files below are those of its wheel
ITCM, DTCM, SDRAM = 0x0, 0x400000, 0x60000000
COMMS, TIMER = 0x20000000, 0x21000000
_RETURN = 0x7F000000  # where a called function returns to
_STACK = DTCM + 0x10000
_NEEDS_NOTHING = 0x10000000  # the communications controller can take a packet

# SHA-256 of the files.
DIGESTS = {
    "IF_curr_exp": "acd257c9da6fa23c8995a080aeadd591182716cc0f8b6f2b26a1fbbdc15bc556",
    "IF_cond_exp": "0d2196c626843c76aa1fb1ef1773d3f752feeb651915bc2151fa989feeec081e",
    "IF_curr_alpha": "515e22c7d03a189bc2e57d5b566dc1b57ba1746df933ae49ad8665518fd893cc",
    "IF_curr_delta": "9e991ac64c9eebc2f34a53e93ff667bad9b3ef112a16d4d91ac1605fd660dbcd",
    "IZK_curr_exp": "77f066d659588286b5df0e95c94e5383780bde757bdcde6e07753b4968465169",
    "IZK_cond_exp": "329d2f5b1fcce1031e04ff764e88b42b25924dbcc1b4cfbe104d230d1f10c52d",
    "IZK_cond_exp_dual": "52cd1033d4606b688aa9ca3213b4616df3ea305e82a33b006e749abda3ae23cb",
    "IF_curr_exp_dual": "1f307c32c02bbf9bd0c47df7b4fe04f8e1413686013b35743e7c5539a6c8dfbc",
    "IF_curr_exp_sEMD": "6f52ec4370bc2fb7e9f854d0f32aaab726cb10fadc3102284acb7de70b582e48",
    "IF_curr_exp_ca2_adaptive": "4086db8b802d91dd1117ef7111f659ded69602fe064631c98c115627058b9d27",
    "IF_curr_delta_ca2_adaptive": "3e8e5bccf76fbabbd78618687233c7b6a2c0acbbf312f3a03c3fa07a3c69b03f",
    "IF_trunc_delta": "830c4a289479f5b99a44f67e7b3b4f4b393a1b7e180b1aff80fe05c0b396f97e",
    "IF_curr_delta_fixed_prob": "660a1bf9416f255f8840536a9aeefce32ff614d1e8198fda0ff247182fc1f499",
    "stoc_exp": "f1800a727f9c1a63baca089dc6c844d787c46d3b196e4a4b0285cf681a2a891e",
    "stoc_exp_stable": "8c0275fcd4354a31ff6f8d1c837b7fa919d89c1f08cf1b56dc482185e84a88a6",
    "stoc_sigma": "bdf5c42cdad9a741dbbeaf2dc4b859c720b61b9b2544284e244d2c94ace02f01",
    "IF_cond_exp_stoc": "aadcc40ccf2ad63204b475434ad41397dcf0d866483559b7b63b7d042f099286",
    "IF_curr_exp_stdp_mad_nearest_pair_additive": "3fc947dee941d62289f12b5c1dad8ae0aebdb5f24b00bb99665f13718e0f51a9",
    "IF_curr_exp_stdp_mad_nearest_pair_multiplicative": "9ab93b5deb04d71f7ec16a20b55e3b53e6006a3e1779521873b2f857cf3dd4fb",
    "IF_curr_exp_stdp_mad_pair_additive": "36834f0a6c8e94852cb4148b5bd18769abea4021caa77d3d77ccd4a0aef6a1e2",
    "IF_curr_exp_stdp_mad_pair_multiplicative": "690685bc329718cb21e26c37a882b15ff728e8c351e35df7bc96a1f77252d4c7",
    "IF_curr_exp_stdp_mad_pfister_triplet_additive": "24ac1493dc3c506626b79cd193ecc3fe04896172bb2ba7c01b7757b825d66e8b",
    "IF_curr_exp_stdp_mad_vogels_2011_additive": "fa86f6f6ff5693db45980aa8a0f3d577c2e98f40014d4cad882ee9525835ff23",
}


def folder() -> Path:
    """Where the installed sPyNNaker keeps its programs."""
    specification = importlib.util.find_spec("spynnaker")
    assert specification is not None and specification.origin is not None
    return Path(specification.origin).parent / "pyNN" / "model_binaries"


def read(name: str) -> bytes:
    """The file of a program, which must be the one that the tests know."""
    version = importlib.metadata.version("sPyNNaker")
    assert version == VERSION, f"the addresses in these tests are those of sPyNNaker {VERSION}, installed is {version}"
    data = (folder() / f"{name}.aplx").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert digest == DIGESTS[name], f"{name}.aplx is not the file that sPyNNaker {VERSION} ships: {digest}"
    return data


def segments(data: bytes) -> list[tuple[int, bytes]]:
    """(address, bytes) that an ``.aplx`` lays into memory: its header is a list of commands of four words."""
    found = []
    for at in range(0, len(data), 16):
        command, first, second, third = struct.unpack_from("<4I", data, at)
        if command == 4:  # run
            return found
        if command == 2:  # copy: to, from where in the file (relative to this command), bytes
            found.append((first, data[at + second:at + second + third]))
        elif command == 3:  # fill: to, bytes, value
            found.append((first, struct.pack("<I", third) * (second // 4)))
    raise ValueError("not an .aplx file: no command to run it")


def placeless(code: bytes) -> list[tuple[int, int]]:
    """Instructions without what depends on where they lie: targets of branches, offsets and addresses of literals."""
    words, found = struct.unpack(f"<{len(code) // 4}I", code), []
    for k, word in enumerate(words):
        if word >> 25 & 7 == 5:  # branch
            found.append((word >> 24, 0))
        elif word & 0x0F7F0000 == 0x051F0000:  # load of a literal
            at = k + 2 + (word & 0xFFF) // 4 * (1 if word >> 23 & 1 else -1)
            value = words[at] if 0 <= at < len(words) else 0
            in_memory = DTCM <= value < DTCM + 0x10000 or 0x4000 <= value < 0x8000
            found.append((word & 0xFFFFF000, 0 if in_memory else value))
        else:
            found.append((word, 0))
    return found


class Arm:
    """An ARM968 with one program in its memory.

    ``written`` collects (address, value) of what is written to the communications controller, ``counted`` the instructions of
    the last :meth:`call` if it was told to count.
    """

    def __init__(self, name: str) -> None:
        import unicorn
        from unicorn import arm_const

        self.name, self._const = name, arm_const
        self.machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM | unicorn.UC_MODE_ARM946)
        for base, size in ((ITCM, 0x8000), (DTCM, 0x10000), (SDRAM, 0x200000), (_RETURN, 0x1000), (TIMER, 0x1000)):
            self.machine.mem_map(base, size)
        self.written: list[tuple[int, int]] = []
        self.machine.mmio_map(COMMS, 0x1000, lambda *_: 3 << 28, None,
                              lambda _machine, offset, _size, value, _data: self.written.append((offset, value)), None)
        self.code = b""
        for address, content in segments(read(name)):
            self.machine.mem_write(address, content)
            self.code = content if address == ITCM else self.code
            end = address + len(content)
        self._free = {DTCM: end + 15 & ~15, SDRAM: SDRAM}
        self.counted = 0
        self._unicorn = unicorn

    def allocate(self, size: int, where: int = DTCM) -> int:
        """Address of so many bytes that nobody else has."""
        address = self._free[where]
        self._free[where] = address + size + 7 & ~7
        assert self._free[DTCM] < _STACK - 0x1000, "out of DTCM"
        return address

    def write(self, address: int, values: np.ndarray | bytes) -> None:
        """Bytes, or an array as it lies in memory."""
        self.machine.mem_write(address, values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes())

    def put(self, values: np.ndarray | bytes, where: int = SDRAM) -> int:
        """Address of a new place that holds these."""
        content = values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes()
        address = self.allocate(len(content), where)
        self.write(address, content)
        return address

    def read(self, address: int, count: int, dtype: type = np.int32) -> np.ndarray:
        """An array from memory."""
        return np.frombuffer(bytes(self.machine.mem_read(address, count * np.dtype(dtype).itemsize)), dtype).copy()

    def branches(self, address: int, count: int) -> list[int]:
        """Targets of the first ``count`` calls in the code from ``address`` on; odd ones are Thumb code."""
        found: list[int] = []
        while len(found) < count:
            word = struct.unpack_from("<I", self.code, address)[0]
            offset = ((word & 0xFFFFFF) ^ 0x800000) - 0x800000
            if word >> 25 == 0b1111101:  # blx
                found.append(address + 8 + 4 * offset + (word >> 23 & 2) | 1)
            elif word >> 24 == 0b11101011:  # bl
                found.append(address + 8 + 4 * offset)
            address += 4
        return found

    def replace(self, address: int, function: Callable[..., int]) -> None:
        """Call ``function(r0, r1, r2, r3)`` in place of the machine code at ``address`` (odd: Thumb); it returns r0."""
        thumb, place = address & 1, address & ~1
        registers = [getattr(self._const, f"UC_ARM_REG_R{k}") for k in range(4)]

        def hook(machine, *_):
            machine.reg_write(registers[0], function(*(machine.reg_read(r) for r in registers)) & 0xFFFFFFFF)

        self.machine.mem_write(place, b"\x70\x47" if thumb else b"\x1e\xff\x2f\xe1")  # bx lr
        self.machine.hook_add(self._unicorn.UC_HOOK_CODE, hook, begin=place, end=place)

    def call(self, address: int, *arguments: int, count: bool = False) -> int:
        """Call the function at ``address`` with words as C does; returns r0.

        With ``count`` its instructions are counted in ``counted``, those that a condition skips included.
        """
        const = self._const
        stacked = arguments[4:]
        top = _STACK - 64 - 8 * ((len(stacked) + 1) // 2)
        for k, value in enumerate(arguments[:4]):
            self.machine.reg_write(getattr(const, f"UC_ARM_REG_R{k}"), value & 0xFFFFFFFF)
        for k, value in enumerate(stacked):
            self.machine.mem_write(top + 4 * k, struct.pack("<I", value & 0xFFFFFFFF))
        self.machine.reg_write(const.UC_ARM_REG_SP, top)
        self.machine.reg_write(const.UC_ARM_REG_LR, _RETURN)
        if count:
            self.counted = 0
            hook = self.machine.hook_add(self._unicorn.UC_HOOK_CODE, self._count)
        try:
            self.machine.emu_start(address, _RETURN)
        finally:
            if count:
                self.machine.hook_del(hook)
        assert self.machine.reg_read(const.UC_ARM_REG_PC) == _RETURN, f"{self.name}: stopped within {address:#x}"
        return self.machine.reg_read(const.UC_ARM_REG_R0)

    def _count(self, *_):
        self.counted += 1
