"""`KernelConnector`: two-dimensional layers joined by a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN.random import RandomDistribution

from neurosim.pynn import connectors as base

from .connectors import MachineConnector
from .distributions import seeded
from .errors import ConfigurationException

__all__ = ["KernelConnector"]


class KernelConnector(MachineConnector, base.Connector):
    """Cells of one sheet to those of another that lie within a kernel, with the kernel's weights and delays.

    Shapes are (rows, columns); a cell's index is row * columns + column.

    Parameters
    ----------
    shape_pre, shape_post, shape_kernel : tuple of int
    weight_kernel, delay_kernel : array of shape ``shape_kernel``, number or RandomDistribution, optional
        nA or uS, and ms; by default those of the synapse type.
    shape_common : tuple, optional
        Passed over, as sPyNNaker only uses it for bounds that it does not look at.
    pre_sample_steps_in_post, pre_start_coords_in_post, post_sample_steps_in_pre, post_start_coords_in_pre : tuple of int, optional
        Of each sheet only every so many rows and columns, from a first one, in the coordinates of the other.
    """

    def __init__(self, shape_pre: Any, shape_post: Any, shape_kernel: Any, weight_kernel: Any = None, delay_kernel: Any = None,
                 shape_common: Any = None, pre_sample_steps_in_post: Any = None, pre_start_coords_in_post: Any = None,
                 post_sample_steps_in_pre: Any = None, post_start_coords_in_pre: Any = None, safe: bool = True, space: None = None,
                 verbose: bool = False, callback: None = None) -> None:
        super().__init__(safe=safe)
        self.shape_pre, self.shape_post, self.shape = (np.array(one, np.int64) for one in (shape_pre, shape_post, shape_kernel))
        self.pre_steps, self.post_steps = (np.array((1, 1) if one is None else one, np.int64)
                                           for one in (pre_sample_steps_in_post, post_sample_steps_in_pre))
        self.pre_start, self.post_start = (np.array((0, 0) if one is None else one, np.int64)
                                           for one in (pre_start_coords_in_post, post_start_coords_in_pre))
        self.kernels = {"weight": weight_kernel, "delay": delay_kernel}

    def _values(self, name: str, projection: Any) -> np.ndarray | None:
        value = self.kernels[name]
        if value is None:
            return None
        if isinstance(value, RandomDistribution):
            value = seeded(value, projection.next_seed(), name).next(int(self.shape.prod())).reshape(self.shape)
            self.kernels[name] = value
        value = np.asarray(value, dtype=np.float64)
        if value.ndim and value.shape != tuple(self.shape):
            raise ConfigurationException(f"KernelConnector: {name}_kernel must be of shape {tuple(self.shape)}, got {value.shape}")
        return np.broadcast_to(value, self.shape)

    def connect(self, projection: Any) -> None:
        """Connect the cells of the projection."""
        for sheet, cells in ((self.shape_pre, projection.pre), (self.shape_post, projection.post)):
            if sheet.prod() != cells.size:
                raise ConfigurationException(
                    f"{projection.label}: a sheet of {sheet[0]} x {sheet[1]} cells does not have the {cells.size} of {cells.label}")
        near = [self._near(axis) for axis in (0, 1)]
        rows, columns = (np.nonzero(one >= 0) for one in near)
        pre = (rows[0][:, None] * self.shape_pre[1] + columns[0][None]).ravel()
        post = (rows[1][:, None] * self.shape_post[1] + columns[1][None]).ravel()
        at = (np.repeat(near[0][rows], columns[0].size), np.tile(near[1][columns], rows[0].size))
        order = np.lexsort((pre, post))
        pre, post = pre[order].astype(np.int32), post[order].astype(np.int32)
        values = base.values_of(self._parameters_from_synapse_type(projection), pre, post)
        for name in self.kernels:
            kernel = self._values(name, projection)
            if kernel is not None:
                values[name] = kernel[at][order]
        projection._connect_pairs(pre, post, values)

    def _near(self, axis: int) -> np.ndarray:
        """Which row (or column) of the kernel joins each row of the sources to each of the targets; -1: none."""
        pre, post = np.arange(self.shape_pre[axis])[:, None], np.arange(self.shape_post[axis])[None]
        common = self.post_start[axis] + post * self.post_steps[axis]
        place = (common - self.pre_start[axis] - 1) // self.pre_steps[axis] + 1
        at = self.shape[axis] // 2 - (place - pre)
        sampled = (pre - self.pre_start[axis]) % self.pre_steps[axis] == 0
        return np.where(sampled & (at >= 0) & (at < self.shape[axis]), at, -1)

    def given(self, name: str) -> Any:
        """The kernel."""
        value = self.kernels.get(name)
        return None if value is None or isinstance(value, RandomDistribution) else np.broadcast_to(value, self.shape)

    def fan_in(self, projection: Any) -> tuple[int, float]:
        """The kernel's size."""
        size = int(self.shape.prod())
        return min(size, 255), int(self.shape_pre.prod()) * size
