"""A `Network` on SpiNNaker, before there is a board: what fits, what is rounded, and which spikes it will send.

    from neurosim.hardware.spinnaker import check, compare, emulate

    print(check(network))                   # cores, memory, weights and delays as stored, what to change
    result = emulate(network, 1000.0)       # the machine's spikes, bit for bit
    print(compare(network, 1000.0))         # against the exact engine
"""

from .check import Report, check
from .compare import Comparison, compare
from .deployment import Settings
from .emulation import Emulation, emulate
from .export import Export, export, write_script

__all__ = ["Comparison", "Emulation", "Export", "Report", "Settings", "check", "compare", "emulate", "export", "write_script"]
