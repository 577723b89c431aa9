"""Where threads meet: a counter in shared memory, waited for by spinning and then by yielding."""

import os

import numpy as np
from numba import types
from numba.extending import intrinsic

from . import jit

_SPINS = 2000


@intrinsic
def _add(typingctx, array, index, value):
    """Atomic ``array[index] += value``; returns the old value."""
    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [args[1]]), args[2], "seq_cst")
    return types.int64(array, types.int64, types.int64), codegen


@intrinsic
def _read(typingctx, array, index):
    """Atomic read of ``array[index]``."""
    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load_atomic(builder.gep(data, [args[1]]), "seq_cst", 8)
    return types.int64(array, types.int64), codegen


if os.name == "posix":
    _yield_processor = types.ExternalFunction("sched_yield", types.int32())

    @jit
    def _pause():
        _yield_processor()
else:
    @jit
    def _pause():
        pass


@jit
def meet(counter, n_threads, meeting):
    """Wait until all threads have come to meeting number ``meeting`` (1, 2, ...).

    ``counter`` is int64[1], zero before the first meeting.
    """
    _add(counter, np.int64(0), np.int64(1))
    target = np.int64(n_threads) * meeting
    spins = 0
    while _read(counter, np.int64(0)) < target:
        spins += 1
        if spins > _SPINS:
            _pause()
