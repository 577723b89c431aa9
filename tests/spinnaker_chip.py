"""The memory that the cores of a SpiNNaker chip share, as the monitor processor prepares it (for tests/spinnaker_core.py).

Layouts of the structures: sark.h of spinnaker_tools.
"""
import ctypes
import struct

SDRAM, SDRAM_BYTES = 0x60000000, 128 << 20
SYSRAM, SYSRAM_BYTES = 0xe5000000, 0x8000
VCPU, SV = SYSRAM + 0x7000, SYSRAM + 0x7f00
CLOCK_MHZ = 200


class MachineError(RuntimeError):
    """The program on a core stopped with a run time error; the message has the registers and what the core logged."""


class Chip:
    """The memory that the cores of one chip share: SDRAM and system RAM with the system variables.

    Parameters
    ----------
    x, y : int
        Coordinates of the chip.
    """

    def __init__(self, x=0, y=0):
        self.sdram = ctypes.create_string_buffer(SDRAM_BYTES)
        self.sysram = ctypes.create_string_buffer(SYSRAM_BYTES)
        self.flags = 0                                 # of the system controller: what SYNC0 and SYNC1 wait for
        self.locks = 0
        self.next = SDRAM + 0x1000
        self.edges = self.allocate(1 << 20)            # memory that cores share to hand input to each other
        self.write(SV + 0x00, struct.pack("<H", x << 8 | y))
        self.write(SV + 0x24, struct.pack("<HH", CLOCK_MHZ, 130))
        self.write(SV + 0x94, bytes(range(20)))        # physical to virtual core: the same
        self.write(SV + 0xa8, bytes(range(20)))
        self.write(SV + 0xbc, bytes((18,)))
        self.write(SV + 0xfc, struct.pack("<I", 0x04ffff))
        self.words(SV + 0x50, 4096)                    # bytes of a log buffer
        self.words(SV + 0xcc, VCPU)
        self.words(SV + 0xdc, self.allocate(256 * 256 * 4))
        self.words(SV + 0xe4, self.allocate(256 * 16))
        self.words(SV + 0xd0, self.heap(1 << 21))
        message = self.allocate(512)                   # the one buffer for messages between the monitor and the cores
        self.words(SV + 0x68, message)
        self.message = message

    def _at(self, address):
        if SDRAM <= address < SDRAM + SDRAM_BYTES:
            return self.sdram, address - SDRAM
        if SYSRAM <= address < SYSRAM + SYSRAM_BYTES:
            return self.sysram, address - SYSRAM
        raise MachineError(f"address 0x{address:08x} is neither SDRAM nor system RAM")

    def write(self, address, data):
        """Write bytes to shared memory."""
        memory, at = self._at(address)
        ctypes.memmove(ctypes.addressof(memory) + at, data, len(data))

    def read(self, address, length):
        """Read bytes from shared memory."""
        memory, at = self._at(address)
        return ctypes.string_at(ctypes.addressof(memory) + at, length)

    def words(self, address, *values):
        """Write 32-bit words."""
        self.write(address, struct.pack(f"<{len(values)}I", *(v & 0xffffffff for v in values)))

    def word(self, address):
        """Read a 32-bit word."""
        return struct.unpack("<I", self.read(address, 4))[0]

    def allocate(self, length):
        """The address of `length` fresh bytes of SDRAM, aligned to words."""
        address = self.next
        self.next += length + 3 & ~3
        if self.next > SDRAM + SDRAM_BYTES:
            raise MachineError(f"{length} bytes do not fit in what is left of the SDRAM of the chip")
        return address

    def heap(self, length):
        """An empty heap of SARK (heap_t) of `length` bytes in fresh SDRAM; its address."""
        base = self.allocate(length)
        first, last = base + 16, base + length - 8
        self.words(base, first, first, last, last - first - 8, last, 0)
        self.words(last, 0, 0)
        return base

    def ready(self):
        """Give the SDRAM that is left to the heap from which programs allocate (recordings); after all data are loaded."""
        self.words(SV + 0x4c, self.heap(SDRAM + SDRAM_BYTES - self.next - 64))
