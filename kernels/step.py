"""How a stepping kernel is called: one C signature for every model, built in or a user's own.

A kernel file of a model defines ``step``, a C callback compiled by :func:`stepper`::

    int64 step(lo, hi, n, n_par, S, P, J, out, t, dt, key)

``lo, hi``  range of neurons to advance from step t-1 to step t
``n``       neurons in the group: row j of the state matrix is ``S[j * n : (j + 1) * n]``
``n_par``   columns of the parameter matrix: n, or 1 if all neurons are alike
``S, P``    pointers to float64: states (n_states, n), parameters (n_parameters, n_par)
``J``       pointer to float64 (n,): injected current, nA, over the interval (t-1, t]
``out``     pointer to int32: ids of the neurons that spiked, ascending
``t``       the step reached; ``dt`` its length in ms; ``key`` the random stream of the group

It returns the number of spikes.  The main loop calls it through its address, so a network compiles
and loads only the models that it uses.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import compiled_callback, jit

SIGNATURE = types.int64(
    types.int64, types.int64, types.int64, types.int64,
    types.CPointer(types.float64), types.CPointer(types.float64), types.CPointer(types.float64),
    types.CPointer(types.int32), types.int64, types.float64, types.uint64,
)

stepper = compiled_callback(SIGNATURE)


@intrinsic
def _call(typingctx, address, lo, hi, n, n_par, s, p, j, out, t, dt, key):
    """Call the C function at ``address``; pointers are given as integers (``array.ctypes.data``)."""
    signature = types.int64(types.uint64, *[types.int64] * 4, *[types.uint64] * 4,
                            types.int64, types.float64, types.uint64)

    def codegen(context, builder, sig, args):
        word, real, byte = ir.IntType(64), ir.DoubleType(), ir.IntType(8).as_pointer()
        function_type = ir.FunctionType(word, [word] * 4 + [byte] * 4 + [word, real, word])
        function = builder.inttoptr(args[0], function_type.as_pointer())
        pointers = [builder.inttoptr(a, byte) for a in args[5:9]]
        return builder.call(function, [*args[1:5], *pointers, *args[9:]])

    return signature, codegen


@jit
def call(address, lo, hi, n, n_par, s, p, j, out, t, dt, key):
    """Typed wrapper of the intrinsic; arguments as in the module's docstring, pointers as uint64."""
    return _call(address, lo, hi, n, n_par, s, p, j, out, t, dt, key)
