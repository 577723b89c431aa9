"""Kernels for graphics processors, by ``numba.cuda``; compiled when they are first called on one."""

from numba import cuda

__all__ = ["THREADS", "launched", "view"]

THREADS = 128  # in a block


def view(array):
    """What holds memory of a device (``__cuda_array_interface__``), as kernels take it, without a copy."""
    return cuda.as_cuda_array(array)


def launched(kernel, size, stream=None):
    """A kernel with a thread for each of ``size``; ``stream`` is the address of a CUDA stream, None the default one."""
    blocks = (size + THREADS - 1) // THREADS
    return kernel[blocks, THREADS] if stream is None else kernel[blocks, THREADS, cuda.external_stream(stream)]
