"""A SpiNNaker core in software: the ARM968, its memories and peripherals, running a shipped application binary unchanged.

A second opinion on what the machine computes, independent of every line of the package: the instructions of an ``.aplx`` file of
sPyNNaker are executed one by one (unicorn), from reset, through the start-up code of SARK, its event loop and its interrupt handlers.
Only the hardware is written here: the vectored interrupt controller, the timers, the communications controller, the DMA controller and
the flags of the system controller (SpiNNaker datasheet 2.02, sections 5 to 14), besides the memory of tests/spinnaker_chip.py.

What is idealised: a DMA transfer takes no time, a packet is never lost, and interrupts are seen where a program can be interrupted
without its noticing: when it sleeps and when it unmasks them.
"""
import ctypes
import struct
from collections import deque

from spinnaker_chip import SDRAM, SDRAM_BYTES, SV, SYSRAM, SYSRAM_BYTES, VCPU, Chip, MachineError

__all__ = ["Chip", "Core", "MachineError", "SDRAM", "VCPU"]

ITCM_BYTES, DTCM, DTCM_BYTES = 0x8000, 0x400000, 0x10000
STUBS, STUB_DATA = 0x0f000000, 0x0f001000
SLEEP = bytes.fromhex("900f07ee")                      # mcr p15, 0, r0, c7, c0, 4: wait for interrupt
TIMER1, CPU, DMA_DONE, MULTICAST = 1 << 4, 1 << 18, 1 << 12, 1 << 24
STATES = ("dead", "power down", "run time error", "watchdog", "init", "wait", "sark", "run", "sync0", "sync1", "pause", "exit")
IRQ, FIQ = 0x80, 0x40
IDLE_POLLS = 300                                       # of timer 2, until the step of a core that polls it is over
BURST = 100                                            # spikes that arrive at once


class Core:
    """One core of a chip with a program, reset and run until it sleeps.

    Parameters
    ----------
    chip : Chip
    cpu : int
        Number of the core on its chip, 1 to 17.
    program : bytes
        Contents of an ``.aplx`` file.
    app_id : int
        As given to the loader.
    """

    def __init__(self, chip, cpu, program, app_id=30):
        import unicorn
        from unicorn import arm_const as arm
        self.chip, self.cpu, self.arm = chip, cpu, arm
        self.vcpu = VCPU + 128 * cpu
        self.uc = uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM)
        uc.ctl_set_cpu_model(arm.UC_CPU_ARM_946)       # the same instruction set, ARMv5TE
        uc.mem_map(0, ITCM_BYTES)
        uc.mem_map(DTCM, DTCM_BYTES)
        for base in (SDRAM, SDRAM + 0x10000000):
            uc.mem_map_ptr(base, SDRAM_BYTES, unicorn.UC_PROT_ALL, ctypes.addressof(chip.sdram))
        for base in (SYSRAM, SYSRAM + 0x10000000):
            uc.mem_map_ptr(base, SYSRAM_BYTES, unicorn.UC_PROT_ALL, ctypes.addressof(chip.sysram))
        for bases, size, read, write in (
                ((0x10000000, 0x20000000), 0x1000, self._read_packets, self._write_packets),
                ((0x11000000, 0x21000000), 0x1000, self._read_timer, self._write_timer),
                ((0x1f000000, 0x2f000000, 0xfffff000), 0x1000, self._read_vic, self._write_vic),
                ((0x30000000, 0x40000000), 0x1000, self._read_dma, self._write_dma),
                ((0xf1000000, 0xe1000000), 0x20000, lambda *_: 0, lambda *_: None),        # router: no diagnostics
                ((0xf2000000, 0xe2000000), 0x1000, self._read_system, self._write_system)):
            for base in bases:
                uc.mmio_map(base, size, read, None, write, None)
        uc.mem_map(STUBS, 0x2000)
        # entry to an exception: msr cpsr_c, #mode; ldr lr, psr; msr spsr_cxsf, lr; ldr lr, return; ldr pc, vector
        for k, mode in enumerate((0xd1, 0x92, 0xd2)):
            words = 0xe321f000 | mode, 0xe59feff4 - 32 * k, 0xe16ff00e, 0xe59feff0 - 32 * k, 0xe59ffff0 - 32 * k
            uc.mem_write(STUBS + 32 * k, struct.pack("<5I", *words))
        self.vic = {"enable": 0, "select": 0, "soft": 0, "default": 0}
        self.vectors, self.controls, self.service = [0] * 16, [0] * 16, [16]
        self.timer = [0] * 16
        self.tick_due = False
        self.dma, self.dma_finished, self.dma_bytes = {}, 0, 0
        self.packets, self.sent, self.payload, self.tcr = deque(), [], None, 0
        self.held, self.polls = [], 0                  # packets for a program that polls timer 2 for the end of its step
        self.interrupted = False                       # by the monitor
        self.asleep, self.resume_at = False, 0
        self.instructions = None                       # counted by `count`
        self.load(program, app_id)

    def load(self, program, app_id):
        """What the loader of SCAMP does with the table at the start of an ``.aplx`` file, then reset."""
        at = 0
        while True:
            command, *rest = struct.unpack_from("<4I", program, at)
            if command in (1, 2):                      # copy; absolute, relative
                target, source, length = rest
                source += at if command == 2 else 0
                self.uc.mem_write(target, program[source:source + length])
            elif command == 3:
                target, length, value = rest
                self.uc.mem_write(target, struct.pack("<I", value) * (length // 4))
            elif command == 4:
                start = rest[0]
                break
            else:
                raise MachineError(f"command {command} in the header of the program")
            at += 16
        code = bytes(self.uc.mem_read(0, ITCM_BYTES))
        import unicorn
        for address in range(0, ITCM_BYTES, 4):
            word = struct.unpack_from("<I", code, address)[0]
            if code[address:address + 4] == SLEEP:
                self.uc.hook_add(unicorn.UC_HOOK_CODE, self._sleep, begin=address, end=address)
            elif word & 0xfff0fff0 == 0xe120f000 or word & 0xfff0f000 == 0xe320f000:       # msr cpsr: interrupts may be unmasked after it
                self.uc.hook_add(unicorn.UC_HOOK_CODE, self._unmasked, begin=address + 4, end=address + 4)
        self.uc.reg_write(self.arm.UC_ARM_REG_R0, app_id)
        self.chip.flags |= 1 << self.cpu
        self.resume_at = start

    # ------------------------------------------------------------------------------------------------------------- running

    @property
    def state(self):
        """What the core says that it does: a name of `STATES`."""
        return STATES[self.chip.read(self.vcpu + 46, 1)[0]]

    def run(self):
        """Run until the core sleeps and nothing wakes it."""
        while True:
            if self.asleep:
                if not self._raised() & self.vic["enable"]:
                    break
                self.asleep = False
            pc = self._exception() or self.resume_at
            if pc == self.resume_at and self.uc.reg_read(self.arm.UC_ARM_REG_CPSR) & 0x20:
                pc |= 1
            try:
                self.uc.emu_start(pc, 0xfffffffe)
            except Exception as error:
                raise MachineError(f"{error} at 0x{self.uc.reg_read(self.arm.UC_ARM_REG_PC):08x}; log:\n{self.log()}") from error
        if self.state == "run time error":
            dump = struct.unpack("<11I", self.chip.read(self.vcpu, 44))
            code = self.chip.read(self.vcpu + 44, 1)[0]
            raise MachineError(f"run time error {code}, registers {' '.join(f'{r:08x}' for r in dump)}; log:\n{self.log()}")

    def _sleep(self, uc, address, size, _):
        self.asleep, self.resume_at = True, address + 4
        uc.emu_stop()

    def _unmasked(self, uc, address, size, _):
        if self.held and self.timer[10] & 0x80:        # timer 2 runs: the step has begun
            self.packets.extend(self.held)
            self.held = []
        if self._pending():
            self.resume_at = address
            uc.emu_stop()

    def _raised(self):
        return (self.vic["soft"] | (TIMER1 if self.tick_due else 0) | (CPU if self.interrupted else 0)
                | (DMA_DONE if self.dma_finished and self.dma.get(0x18, 0) & 0xc00 else 0) | (MULTICAST if self.packets else 0))

    def _slot(self):
        """The slot of the vectored interrupt controller to be served now, 16 if none is."""
        active = self._raised() & self.vic["enable"] & ~self.vic["select"]
        for slot in range(self.service[-1]):
            if self.controls[slot] & 0x20 and active >> (self.controls[slot] & 31) & 1:
                return slot
        return 16

    def _pending(self):
        """FIQ or IRQ if one is to be taken now, else 0."""
        mask = self.uc.reg_read(self.arm.UC_ARM_REG_CPSR)
        if not mask & FIQ and self._raised() & self.vic["enable"] & self.vic["select"]:
            return FIQ
        return IRQ if not mask & IRQ and self._slot() < 16 else 0

    def _exception(self):
        """Where to run for a pending interrupt, None if there is none."""
        kind = self._pending()
        if not kind:
            return None
        status = self.uc.reg_read(self.arm.UC_ARM_REG_CPSR)
        self.uc.mem_write(STUB_DATA, struct.pack("<3I", status, self.resume_at + 4, 0x1c if kind == FIQ else 0x18))
        return STUBS + (0 if kind == FIQ else 64 if status & FIQ else 32)

    # ------------------------------------------------------------------------------------------------------------- peripherals

    def _read_vic(self, uc, offset, size, _):
        if offset == 0x30:
            slot = self._slot()
            if slot == 16:
                return self.vic["default"]
            self.service.append(slot)
            return self.vectors[slot]
        if offset in (0x00, 0x04, 0x08):
            raised = self._raised()
            return raised if offset == 0x08 else raised & self.vic["enable"] & (self.vic["select"] if offset else ~self.vic["select"])
        if offset == 0x0c:
            return self.vic["select"]
        if offset == 0x10:
            return self.vic["enable"]
        if 0x100 <= offset < 0x140:
            return self.vectors[(offset - 0x100) // 4]
        return self.controls[(offset - 0x200) // 4] if 0x200 <= offset < 0x240 else 0

    def _write_vic(self, uc, offset, size, value, _):
        if offset == 0x30:
            if len(self.service) > 1:
                self.service.pop()
        elif offset == 0x0c:
            self.vic["select"] = value
        elif offset == 0x10:
            self.vic["enable"] |= value
        elif offset == 0x14:
            self.vic["enable"] &= ~value
        elif offset == 0x18:
            self.vic["soft"] |= value
        elif offset == 0x1c:
            self.vic["soft"] &= ~value
        elif offset == 0x34:
            self.vic["default"] = value
        elif 0x100 <= offset < 0x140:
            self.vectors[(offset - 0x100) // 4] = value
        elif 0x200 <= offset < 0x240:
            self.controls[(offset - 0x200) // 4] = value

    def _read_timer(self, uc, offset, size, _):
        if offset in (0x04, 0x24):                     # time passes while it is looked at
            self.timer[offset // 4] = max(self.timer[offset // 4] - 40, 0)
        elif offset in (0x30, 0x34):                   # the step ends when nothing has happened for long
            self.polls += 1
            return int(self.polls > IDLE_POLLS)
        elif offset in (0x10, 0x14):
            return int(self.tick_due)
        return self.timer[offset // 4] if offset < 0x40 else 0

    def _write_timer(self, uc, offset, size, value, _):
        if offset == 0x0c:
            self.tick_due = False
        elif offset < 0x40:
            self.polls = 0
            self.timer[offset // 4] = value
            if offset in (0x00, 0x20):
                self.timer[offset // 4 + 1] = value

    def _read_packets(self, uc, offset, size, _):
        if offset == 0x00:
            return 0x90000000 | self.tcr               # empty, not full
        if offset == 0x0c:
            return 0x80000000 | (0x00020000 if self.packets and self.packets[0][1] is not None else 0) if self.packets else 0
        if offset == 0x10:
            return self.packets[0][1] or 0 if self.packets else 0
        if offset == 0x14:
            self.polls = 0
            return self.packets.popleft()[0] if self.packets else 0
        return 0

    def _write_packets(self, uc, offset, size, value, _):
        if offset == 0x00:
            self.tcr = value & 0x00ff0000
        elif offset == 0x04:
            self.payload = value
        elif offset == 0x08:
            self.sent.append((value, self.payload))
            self.payload = None

    def _read_dma(self, uc, offset, size, _):
        if offset == 0x14:
            return self.cpu << 24 | (0x400 if self.dma_finished else 0) | (0x800 if self.dma_finished > 1 else 0)
        return 0 if offset == 0x10 else self.dma.get(offset, 0)

    def _write_dma(self, uc, offset, size, value, _):
        if offset == 0x10:
            if value & 0x03:
                self.dma_finished = 0
            elif value & 0x08 and self.dma_finished:
                self.dma_finished -= 1
            return
        self.dma[offset] = value
        self.polls = 0
        if offset == 0x0c:
            far, near, length = self.dma[0x04], self.dma[0x08], value & 0x1ffff
            if far & 0xf0000000 == 0x70000000:
                far -= 0x10000000
            if value >> 19 & 1:
                self.chip.write(far, bytes(self.uc.mem_read(near, length)))
            else:
                self.uc.mem_write(near, self.chip.read(far, length))
            self.dma_finished += 1
            self.dma_bytes += length

    def _read_system(self, uc, offset, size, _):
        if offset in (0x58, 0x5c):
            return self.chip.flags
        if 0x100 <= offset < 0x180:                    # test and set: always free, as cores take turns
            return 0
        return 0x59111012 if offset == 0 else 0

    def _write_system(self, uc, offset, size, value, _):
        if offset == 0x0c:
            self.interrupted = False
        elif offset == 0x08:                           # to the monitor: a message is waiting; it takes it at once
            self.chip.write(self.vcpu + 57, b"\0")
            self.chip.words(SV + 0x68, self.chip.message)
            self.chip.words(SV + 0xec, 0)
        elif offset == 0x58:
            self.chip.flags |= value
        elif offset == 0x5c:
            self.chip.flags &= ~value

    # ------------------------------------------------------------------------------------------------------------- the monitor's part

    def command(self, code, *arguments, data=b"", port=3):
        """Deliver an SDP message with a command to a port of the program, as the monitor does."""
        arguments = (*arguments, 0, 0, 0)[:3]
        body = struct.pack("<HH3I", code, 0, *arguments) + data
        head = struct.pack("<BBBBHH", 0x87, 0xff, port << 5 | self.cpu, 0xff, 0, 0)
        self.chip.write(self.chip.message, struct.pack("<IHH", 0, 8 + len(body), 0) + head + body)
        self.chip.words(SV + 0x68, 0)
        self.chip.words(self.vcpu + 48, self.chip.message)
        self.chip.write(self.vcpu + 56, b"\1")
        self.interrupted = True
        self.run()

    def simulate(self, ticks, start=0):
        """Tell the simulation for how many ticks to run, then that everybody is ready."""
        self.command(7, ticks, 0, start, data=struct.pack("<I", 0))
        if self.state not in ("sync0", "sync1"):
            raise MachineError(f"the core is in state {self.state} when told to run; log:\n{self.log()}")
        bit = 1 << self.cpu
        self.chip.flags = self.chip.flags | bit if self.state == "sync1" else self.chip.flags & ~bit
        self.interrupted = True
        self.run()

    def tick(self):
        """One tick of timer 1; the packets sent since the last call of this or of `receive`."""
        self.timer[1] = self.timer[0] or self.timer[6]
        self.tick_due = bool(self.timer[2] & 0x80)
        self.run()
        return self._taken()

    def step(self, packets):
        """A tick of a program that waits for packets during its tick (a synapse core): they arrive when it is ready for them."""
        self.held = list(packets)
        return self.tick()

    def receive(self, packets):
        """Multicast packets (key, payload or None) arrive; the packets that the core sends because of them.

        They come in bursts of about a hundred spikes, which the core has room for, with time between them to deal with those.
        """
        spikes = 0
        for key, payload in packets:
            self.packets.append((key, payload))
            spikes += payload or 1
            if spikes >= BURST:
                self.run()
                spikes = 0
        self.run()
        return self._taken()

    def _taken(self):
        sent, self.sent = self.sent, []
        return sent

    def count(self):
        """Count the instructions executed from now on in `instructions` (slow)."""
        import unicorn
        self.instructions = 0

        def add(uc, address, size, _):
            self.instructions += size // (2 if uc.reg_read(self.arm.UC_ARM_REG_CPSR) & 0x20 else 4)
        self.uc.hook_add(unicorn.UC_HOOK_BLOCK, add)

    def log(self):
        """What the program has logged; its messages are numbers, which sPyNNaker has the words for."""
        from spinn_utilities.make_tools.replacer import Replacer
        at, text = self.chip.word(self.vcpu + 88), ""
        while at:
            following, _, _, length = struct.unpack("<4I", self.chip.read(at, 16))
            text += self.chip.read(at + 16, length).decode("latin1")
            at = following
        with Replacer() as words:
            return "\n".join(words.replace(line) for line in text.split("\n"))
