"""Views of memory that is kept alive by somebody else."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def borrow(typingctx, array):
    """The same array without its reference count.

    Slicing an array, or passing it on, costs an atomic increment and decrement; of a borrowed
    array it costs nothing.  The caller keeps the original alive.
    """
    def codegen(context, builder, signature, args):
        view = context.make_array(signature.args[0])(context, builder, args[0])
        view.meminfo = view.meminfo.type(None)
        view.parent = view.parent.type(None)
        return view._getvalue()

    return array(array), codegen


@intrinsic
def prefetch(typingctx, array, index):
    """Ask for the cache line of ``array[index]``, which will be read and written soon."""
    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte = ir.IntType(8).as_pointer()
        flag = ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
        pointer = builder.bitcast(builder.gep(data, [args[1]]), byte)
        builder.call(function, [pointer, flag(1), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


@intrinsic
def pointer(typingctx, address, dtype):
    """A pointer to numbers of a type, from an integer."""
    kind = types.CPointer(dtype.instance_type)

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(kind))

    return kind(address, dtype), codegen


@intrinsic
def call_hook(typingctx, address, table, what, p, t, base_step, found, dt):
    """Call ``kernels.learning.act`` at ``address``; ``table`` is the address of its first argument."""
    signature = types.int64(types.uint64, types.uint64, *[types.int64] * 5, types.float64)

    def codegen(context, builder, sig, args):
        word, real, byte = ir.IntType(64), ir.DoubleType(), ir.IntType(8).as_pointer()
        function_type = ir.FunctionType(word, [byte] + [word] * 5 + [real])
        function = builder.inttoptr(args[0], function_type.as_pointer())
        return builder.call(function, [builder.inttoptr(args[1], byte), *args[2:]])

    return signature, codegen
