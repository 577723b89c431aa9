"""A whole network on SpiNNaker cores in software: what sPyNNaker's virtual board would load, loaded, started and run tick by tick.

`machine(script, folder)` gives a PyNN script to the real `pyNN.spiNNaker` (tests/spinnaker_board.py), puts the regions of every
application core into the memory of software chips (tests/spinnaker_core.py) as the loader does, lets the expanders of the board make the
parameters, and boots the shipped binaries; their packets go by the routing tables that sPyNNaker made. All cores tick together: first
every core does its timer tick, then the packets of the tick are delivered until none is on its way.
"""
import base64
import struct
from pathlib import Path

import numpy as np
import spinnaker_board
from spinnaker_core import VCPU, Chip, Core, MachineError

MAGIC, VERSION, REGIONS = 0xad130ad6, 0x00010000, 32
LINKS = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))
COLOURS = 4                                            # low bits of a key that say when it was sent
RECORDING_LIMIT = 1 << 22                              # bytes a channel may take: the board's share of 100 MB is not needed here

COLLECT = '''
from spinnaker_machine import collect
KEEP = (globals().get("KEEP"), collect())
'''


# ----------------------------------------------------------------------------------------------------------------- in sPyNNaker's process

def collect():
    """What the board's database does not have, of every application core: expanders, packets of spike sources, recordings; the routes.

    To be called by a script for sPyNNaker after its ``run``.
    """
    from spynnaker.pyNN.data import SpynnakerDataView as View
    cores = {}
    for at in View.iterate_placemements():
        vertex = at.vertex
        if vertex.app_vertex is None:
            continue
        one = cores[f"{at.x},{at.y},{at.p}"] = {"expand": [], "buffers": {}, "channels": {}, "atoms": int(vertex.vertex_slice.n_atoms)}
        if getattr(vertex, "gen_neurons_on_machine", bool)():
            one["expand"].append(["neuron_expander.aplx", int(vertex.neuron_generator_region)])
        if getattr(vertex, "gen_on_machine", bool)():
            one["expand"].append(["synapse_expander.aplx", int(vertex.connection_generator_region)])
        if getattr(vertex, "_send_buffer_times", None) is not None:
            one["buffers"] = {int(vertex._Regions.SEND_BUFFER): base64.b64encode(_spikes(vertex)).decode()}
        if hasattr(vertex.app_vertex, "n_delay_stages"):
            one["stages"] = int(vertex.app_vertex.n_delay_stages)
        recorder = getattr(vertex.app_vertex, "neuron_recorder", None)
        if recorder is not None and hasattr(vertex, "gen_neurons_on_machine"):
            for variable in recorder.get_recordable_variables():
                if recorder.is_recording(variable) and variable not in ("packets-per-timestep", "rewiring"):
                    kind = "bits" if variable in recorder.get_event_recordable_variables() or variable == "spikes" else "words"
                    ids = [int(i) for i in recorder.neurons_recording(variable, vertex.vertex_slice)]
                    one["channels"][variable] = [int(recorder.get_region(variable)), kind, ids]
    routes = [[int(table.x), int(table.y), int(e.key), int(e.mask), sorted(map(int, e.processor_ids)), sorted(map(int, e.link_ids))]
              for table in View.get_uncompressed().routing_tables for e in table.multicast_routing_entries]
    return {"cores": cores, "routes": routes}


def _spikes(vertex):
    """The packets that the host would put into the buffer of a core of a SpikeSourceArray (EIEIO, 32-bit keys with a time stamp)."""
    from spinnman.messages.eieio import EIEIOType
    from spinnman.messages.eieio.command_messages import EventStopRequest
    from spinnman.messages.eieio.data_messages import EIEIODataMessage
    bits, atoms = vertex.app_vertex.n_colour_bits, vertex.vertex_slice.n_atoms
    times = vertex._send_buffer_times
    several = len(times) and hasattr(times[0], "__len__")
    ticks = {}
    for atom in range(atoms):
        for tick in times[atom] if several else times:
            ticks.setdefault(int(tick), []).append(vertex._virtual_key + (atom << bits) + (int(tick) & (1 << bits) - 1))
    data = b""
    for tick, keys in sorted(ticks.items()):
        for k in range(0, len(keys), 60):
            message = EIEIODataMessage.create(EIEIOType.KEY_32_BIT, timestamp=tick)
            for key in keys[k:k + 60]:
                message.add_key(key)
            data += message.bytestring
    return data + EventStopRequest().bytestring


# ----------------------------------------------------------------------------------------------------------------- the machine

class Machine:
    """The application cores of a board, loaded and started.

    Parameters
    ----------
    board : spinnaker_board.Board
        With ``kept`` the result of `collect`.
    """

    def __init__(self, board, extra):
        self.board, self.extra = board, extra
        self.routes, self.cache = {}, {}
        for x, y, key, mask, cores, links in extra["routes"]:
            self.routes.setdefault((x, y), []).append((key, mask, cores, links))
        self.chips, self.cores, self.pointers, self.of = {}, {}, {}, {}
        programs = {}
        for one in board.application:
            at = one.x, one.y, one.p
            if ",".join(map(str, at)) in extra["cores"]:
                self.of[at] = one
                self.pointers[at] = self._load(self.chips.setdefault(at[:2], Chip(*at[:2])), one, extra["cores"][",".join(map(str, at))])
        for chip in self.chips.values():
            chip.ready()
        for at, one in self.of.items():
            for binary, region in extra["cores"][",".join(map(str, at))]["expand"]:
                self.chips[at[:2]].words(VCPU + 128 * at[2] + 116, region)
                expander = Core(self.chips[at[:2]], at[2], self._program(programs, binary))
                expander.run()
                if expander.state != "exit":
                    raise MachineError(f"{binary} for core {at} is in state {expander.state}; log:\n{expander.log()}")
        for at, one in self.of.items():
            self.cores[at] = Core(self.chips[at[:2]], at[2], self._program(programs, one.binary))
            self.cores[at].run()
        self.t, self.sent = 0, []

    def _program(self, programs, name):
        if name not in programs:
            folder = Path(self.board.binaries)
            common = folder.parents[2] / "spinn_front_end_common" / "common_model_binaries"
            programs[name] = next(at / name for at in (folder, common) if (at / name).exists()).read_bytes()
        return programs[name]

    @staticmethod
    def _load(chip, one, extra):
        """Regions into SDRAM with the table of pointers and checksums, its address into the core's first user word; the pointers."""
        base, pointers = chip.allocate(8 + 12 * REGIONS), {}
        table = np.zeros((REGIONS, 3), np.uint32)
        for number in sorted(one.sizes):
            content = one.regions.get(number)
            if number in map(int, extra["buffers"]):
                content = base64.b64decode(extra["buffers"][str(number)])
                pointers[number] = chip.allocate(len(content))
            else:
                pointers[number] = chip.allocate(max(one.sizes[number], 4))
            table[number, 0] = pointers[number]
            if content is None:
                continue
            content += b"\0" * (-len(content) % 4)
            words = np.frombuffer(content, "<u4").copy()
            if "record" in one.names[number].lower() and one.names[number].lower() in ("recording", "spike history"):
                space = words[1:1 + 3 * int(words[0])].reshape(-1, 3)
                space[:, 0] = np.minimum(space[:, 0], RECORDING_LIMIT)
            if one.names[number].lower() in ("sdram params", "sdram edge params", "sdram_params") and len(words) > 1 and words[1]:
                words[0] += chip.edges                 # what cores hand each other: placed from 0 on a virtual board
            chip.write(pointers[number], words.tobytes())
            if number not in map(int, extra["buffers"]):
                table[number, 1:] = int(words.sum(dtype=np.uint64)) & 0xffffffff, len(words)
        chip.write(base, struct.pack("<II", MAGIC, VERSION) + table.tobytes())
        chip.words(VCPU + 128 * one.p + 112, base, 0, 0, 0)
        return pointers

    def targets(self, at, key):
        """The cores to which a packet that a core sends is routed."""
        if (at[:2], key) not in self.cache:
            found, seen, front = set(), set(), [(at[:2], None)]
            while front:
                chip, came = front.pop()
                if chip in seen:
                    continue
                seen.add(chip)
                entry = next((e for e in self.routes.get(chip, ()) if key & e[1] == e[0]), None)
                if entry is None:
                    links = [came] if came is not None else []
                else:
                    found.update((*chip, p) for p in entry[2])
                    links = entry[3]
                front += [((chip[0] + LINKS[link][0], chip[1] + LINKS[link][1]), link) for link in links]
            self.cache[at[:2], key] = sorted(found & self.cores.keys())
        return self.cache[at[:2], key]

    def run(self, ticks):
        """Run for a number of ticks of the simulation, and the one more in which the cores notice the end and close their recordings.

        Returns
        -------
        list of (int, tuple, int)
            Tick, core (x, y, p) and key of every spike sent (a payload counts how many a packet stands for).
        """
        start = self.t
        for core in self.cores.values():
            core.simulate(start + ticks, start)
        for t in range(start, start + ticks + 1):
            held = {at: [] for at, one in self.of.items() if one.binary.startswith("synapses")}
            waiting = {at: core.tick() for at, core in self.cores.items() if at not in held}
            while any(waiting.values()):
                arriving = {}
                for at, packets in waiting.items():
                    for key, payload in packets:
                        self.sent += [(t, at, key)] * (1 if payload is None else payload)
                        for target in self.targets(at, key):
                            arriving.setdefault(target, []).append((key, payload))
                for at in held.keys() & arriving.keys():
                    held[at] += arriving.pop(at)
                waiting = {at: self.cores[at].receive(packets) for at, packets in arriving.items()}
            for at, packets in held.items():
                own = [label_keys for one in self.board.of(self.of[at].label) for label_keys in one.keys]
                packets.sort(key=lambda packet: all(packet[0] & mask != base for base, mask in own))
                self.cores[at].step(packets)
        self.t += ticks
        return self.sent

    def spikes(self, label, kind=""):
        """(tick, cell) of the packets that the cores of a population sent, without colour bits, sorted."""
        found = []
        for one in self.board.of(label, kind):
            at = one.x, one.y, one.p
            if one.keys:
                base, mask = one.keys[0]
                found += [(t, one.first + ((key - base) >> COLOURS)) for t, where, key in self.sent if where == at and key & mask == base]
        return sorted(found)

    def synapses(self, label):
        """What the rows in the memory of a population's cores hold now.

        Tuples (source label, source cell, target cell, type, delay, weight, whether it learns). The delay is in steps, with
        what a delay extension adds; the weight is the stored 16-bit number. Sorted.
        """
        found = []
        for one in self.board.of(label):
            if "SynBlocks" not in one.names.values():
                continue
            at = one.x, one.y, one.p
            parameters = one.words("SynapseParams")
            index_bits, type_bits, delay_bits = (int(k) for k in parameters[2:5])
            chip, place = self.chips[at[:2]], {name: self.pointers[at][k] for k, name in one.names.items()}
            entries, addresses = struct.unpack("<2I", chip.read(place["PopTable"], 8))
            listed = np.frombuffer(chip.read(place["PopTable"] + 8 + 20 * entries, 4 * addresses), "<u4")
            for k in range(entries):
                key, mask, span, core, size = struct.unpack("<5I", chip.read(place["PopTable"] + 8 + 20 * k, 20))
                first, colours, count = span & 0x1fff, span >> 13 & 7, span >> 16
                for word in listed[first:first + count]:
                    length, address = (int(word) & 0xff) + 1, int(word) >> 8
                    if address == 0xffffff:
                        continue
                    for source, slot, stage, neuron in self._senders(key, mask, colours, core & 0xffff, core >> 16, size & 0xffff):
                        row = np.frombuffer(chip.read(place["SynBlocks"] + 16 * address + 4 * slot * (length + 3), 4 * (length + 3)), "<u4")
                        for target, kind, delay, weight, plastic in _row(row, index_bits, type_bits, delay_bits):
                            found.append((source, neuron, one.first + target, kind, delay + (stage << delay_bits), weight, plastic))
        return sorted(found)

    def _senders(self, key, mask, colours, core_mask, core_shift, per_core):
        """Of the keys of an entry of a population table: label, row, delay stage and cell."""
        for one in self.board.application:
            for base, own in one.keys:
                if base & mask == key and own & mask == mask:
                    atoms, delayed = one.last - one.first + 1, one.kind.startswith("DelayExtension")
                    label = one.label.removesuffix("_delayed") if delayed else one.label
                    for index in range((~own & 0xffffffff) >> COLOURS if delayed else atoms):
                        packet = base + (index << COLOURS)
                        core = packet >> core_shift & core_mask
                        slot = core * per_core + ((packet & ~mask & 0xffffffff & ~(core_mask << core_shift)) >> colours)
                        if delayed and index // atoms >= self.extra["cores"][f"{one.x},{one.y},{one.p}"]["stages"]:
                            break
                        yield label, slot, (1 + index // atoms if delayed else 0), one.first + index % atoms

    def recorded(self, label, variable):
        """What the cores of a population recorded: of spikes (tick, cell), sorted; else ticks, cells and the raw words (ticks, cells)."""
        spikes, ticks, ids, columns = [], None, [], []
        for one in self.board.of(label):
            at = one.x, one.y, one.p
            channels = self.extra["cores"][",".join(map(str, at))]["channels"]
            if variable not in channels:
                continue
            channel, kind, cells = channels[variable]
            chip, base = self.chips[at[:2]], self.pointers[at][next(k for k, name in one.names.items() if name == "Recording")]
            space, size, data = struct.unpack("<3I", chip.read(base + 4 + 12 * channel, 12))
            if size >> 31:
                raise MachineError(f"the recording of {variable} of {label} did not fit")
            words = np.frombuffer(chip.read(data, size), "<u4") if size else np.zeros(0, "<u4")
            if kind == "bits":
                rows = words.reshape(-1, 1 + (len(cells) + 31) // 32)
                for row in rows:
                    bits = np.unpackbits(row[1:].view(np.uint8), bitorder="little")
                    spikes += [(int(row[0]), cells[k]) for k in np.flatnonzero(bits[:len(cells)])]
            else:
                rows = words.reshape(-1, 1 + len(cells))
                ticks = rows[:, 0].astype(int)
                ids += cells
                columns.append(rows[:, 1:].view("<i4"))
        return sorted(spikes) if ticks is None else (ticks, ids, np.concatenate(columns, axis=1))


def _row(row, index_bits, type_bits, delay_bits):
    """The synapses of a row: target, type, delay in steps, stored weight, whether plastic."""
    plastic_words = int(row[0])
    fixed, plastic = int(row[1 + plastic_words]), int(row[2 + plastic_words])
    at = 3 + plastic_words
    longest = 1 << delay_bits

    def split(word):
        delay = word >> index_bits + type_bits & longest - 1
        return word & (1 << index_bits) - 1, word >> index_bits & (1 << type_bits) - 1, delay or longest
    for word in row[at:at + fixed]:
        yield (*split(int(word)), int(word) >> 16, False)
    controls = row[at + fixed:].view("<u2")[:plastic]
    weights = row[1 + plastic_words - (plastic + 1) // 2:1 + plastic_words].view("<u2")[:plastic]
    for control, weight in zip(controls, weights, strict=True):
        yield (*split(int(control)), int(weight), True)


def machine(script, folder):
    """The cores of a PyNN script for sPyNNaker (text; it calls ``run`` once), started; what the script left in ``KEEP``."""
    board = spinnaker_board.run_script(script + COLLECT, folder)
    kept, extra = board.kept
    return Machine(board, extra), kept
