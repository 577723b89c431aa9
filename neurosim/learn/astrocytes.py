"""Units whose astrocyte remembers: neurons that share an astrocyte's calcium, and attention whose trace is calcium."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..cells.astrocyte import IF_curr_delta_astro
from ..cells.attention import IF_curr_delta_attention
from ..errors import NetworkError, ParameterError
from ..maps import Map, Shape, dense
from ..stack import Cells, Connection
from . import astro_loops
from .deployment import array, describe
from .sequence import Layer
from .surrogate import Surrogate, surrogate as surrogate_of

__all__ = ["AstroAttention", "AstroLIF"]

# Name of a quantity -> (from its value to what is trained, back, lowest, highest value; open where it is trained).
_Form = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], float, float]
_LOG: _Form = (torch.log, torch.exp, 0.0, math.inf)
_FORMS: dict[str, _Form] = {
    "tau_m": _LOG, "tau_c": _LOG, "delta_c": _LOG, "g_astro": _LOG,
    "kappa": (torch.atanh, torch.tanh, -1.0, 1.0),
    "write": (torch.logit, torch.sigmoid, 0.0, 1.0),
    "gain": (torch.clone, torch.clone, -math.inf, math.inf),
    "bonus": (torch.clone, torch.clone, -math.inf, math.inf),
    "direct": (torch.clone, torch.clone, -math.inf, math.inf),
}


class _Unit(Layer):
    """Quantities of units that may be trained: each within its range at every value of what is trained."""

    def _declare(self, train: Sequence[str], given: dict[str, tuple[Any, int]]) -> None:
        """``given``: name -> (value or one for each, how many there are)."""
        unknown = [name for name in train if name not in given]
        if isinstance(train, str) or unknown:
            raise ParameterError(f"{type(self).__name__}: train takes some of {', '.join(given)}, got {train!r}")
        self.train_names = tuple(train)
        for name, (value, count) in given.items():
            inward, _, low, high = _FORMS[name]
            array = torch.as_tensor(np.asarray(value, dtype=np.float64))
            if array.shape not in ((), (count,)) or not torch.isfinite(array).all():
                raise ParameterError(f"{type(self).__name__}.{name} must be a finite number or {count} of them, got {value!r:.200}")
            closed = name in ("g_astro", "delta_c", "kappa", "write") and name not in train
            if not ((array >= low) & (array <= high) if closed else (array > low) & (array < high)).all():
                raise ParameterError(
                    f"{type(self).__name__}.{name} must be {'>=' if closed else '>'} {low:g} and {'<=' if closed else '<'} {high:g}"
                    f"{'' if closed else ' to be trained' if name in train else ' steps'}, got {value!r:.200}")
            full = array.expand(count).clone()
            if name in train:
                self.register_parameter(f"{name}_", nn.Parameter(inward(full).to(torch.get_default_dtype())))
            else:
                self.register_buffer(f"{name}_", full.to(torch.get_default_dtype()))

    def value(self, name: str) -> Tensor:
        """A quantity now, one for each unit or group; gradients reach what is trained."""
        found: Tensor = getattr(self, f"{name}_")
        return _FORMS[name][1](found) if name in self.train_names else found


def _whole(kind: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ParameterError(f"{kind}.{name} must be a whole number >= 1, got {value!r}")
    return int(value)


class AstroLIF(_Unit):
    """Leaky neurons, ``group_size`` of which share the calcium c of an astrocyte; the steps of `IF_curr_delta_astro`::

        c <- exp(-1/tau_c) c
        v <- exp(-1/tau_m) v + (1 + g_astro c) x
        spike where v >= 1 - kappa tanh c,      v <- 0
        c <- c + delta_c/group_size for every spike of the group

    With calcium a group's cells are easier to excite (harder for kappa < 0, an adaptation), without spikes in between.
    The unit is ours, made after the idea of astrocyte-modulated units; it reproduces no published model.

    Parameters
    ----------
    n : int
        Neurons; neighbours are a group.
    tau_m : float or (n,)
        Membrane time constant, steps.
    tau_c : float or (groups,)
        Decay time of calcium, steps.
    kappa : float or (groups,)
        By which part full calcium lowers the threshold, -1 to 1.
    g_astro : float or (groups,)
        Gain of the input by calcium, >= 0.
    delta_c : float or (groups,)
        Calcium that one spike of every neuron of the group makes.
    group_size : int
    recurrent : bool or Tensor of shape (n, n)
        Whether spikes come back with the next step, and by which weights ([to, from], trained as ``weight``); True: an
        orthogonal matrix times 0.5, drawn from ``generator``.
    train : sequence of str
        Which of ``"tau_m"``, ``"tau_c"``, ``"kappa"``, ``"g_astro"``, ``"delta_c"`` are trained.  Time constants, gains and amounts
        are trained as logarithms, kappa as its artanh, so that they stay in range.
    surrogate : str or Surrogate
    detach_reset : bool
        Whether gradients take a reset's spike as a constant.
    generator : torch.Generator, optional
        By default one of seed 1.

    Raises
    ------
    ParameterError
        For quantities out of range, and a group size that does not divide n.

    Notes
    -----
    ``y, state = layer(x)`` with x and y of shape (T, B, n); the state is a dict: v, c and s, the last spikes.  On the CPU the
    time loop is one kernel forward and one backward (with recurrence a product of matrices between steps).  It becomes
    `IF_curr_delta_astro`; with g_astro > 0 biases come as spikes, since calcium scales what synapses bring and not a
    constant current.
    """

    def __init__(self, n: int, tau_m: Any = 20.0, tau_c: Any = 2000.0, kappa: Any = 0.3, g_astro: Any = 0.0, delta_c: Any = 0.1,
                 group_size: int = 1, *, recurrent: bool | Tensor = False, train: Sequence[str] = (),
                 surrogate: str | Surrogate = "atan", detach_reset: bool = True, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.n, self.group_size = _whole("AstroLIF", "n", n), _whole("AstroLIF", "group_size", group_size)
        if self.n % self.group_size:
            raise ParameterError(f"AstroLIF: {self.n} neurons do not make whole groups of group_size = {self.group_size}")
        groups = self.n // self.group_size
        self._declare(train, {"tau_m": (tau_m, self.n), "tau_c": (tau_c, groups), "kappa": (kappa, groups),
                              "g_astro": (g_astro, groups), "delta_c": (delta_c, groups)})
        self.surrogate, self.detach_reset = surrogate_of(surrogate), bool(detach_reset)
        self.weight: nn.Parameter | None = None
        if isinstance(recurrent, Tensor):
            if recurrent.shape != (self.n, self.n):
                raise ParameterError(f"AstroLIF.recurrent must be of shape ({self.n}, {self.n}), got {tuple(recurrent.shape)}")
            self.weight = nn.Parameter(recurrent.detach().clone())
        elif recurrent:
            self.weight = nn.Parameter(torch.empty(self.n, self.n))
            nn.init.orthogonal_(self.weight, 0.5, generator=generator or torch.Generator().manual_seed(1))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """``x`` of shape (T, B, n) gives spikes of that shape, and the state."""
        if x.ndim != 3 or x.shape[-1] != self.n or not len(x):
            raise ParameterError(f"AstroLIF takes a sequence of shape (T, B, {self.n}), got {tuple(x.shape)}")
        size = self.group_size
        state = state or {"v": x.new_zeros(x.shape[1:]), "c": x.new_zeros(x.shape[1], self.n // size), "s": x.new_zeros(x.shape[1:])}
        kappa, gain = (self.value(name).repeat_interleave(size) for name in ("kappa", "g_astro"))
        keep, keep_c = (torch.exp(-1.0 / self.value(name)) for name in ("tau_m", "tau_c"))
        y, v, c = astro_loops.lif(x, self.weight, keep, keep_c, self.value("delta_c") / size, kappa, gain, state["v"], state["c"],
                                  state["s"], size, self.surrogate, self.detach_reset)
        return y, {"v": v, "c": c, "s": y[-1]}

    def extra_repr(self) -> str:
        """For ``print``."""
        return f"{self.n}, group_size={self.group_size}, recurrent={self.weight is not None}, train={self.train_names}"


class AstroAttention(_Unit):
    """Linear attention by spikes, whose memory is calcium: one neuron and one astrocyte for each element of it::

        c <- exp(-1/tau_c) c
        v <- exp(-1/tau_m) v + query (gain c + bonus) + direct value
        c <- c + write key (value - c)
        spike where v >= 1,      v <- 0

    Keys, values and queries are spikes.  A key writes the value that comes with it (none: 0) over calcium, by the part
    ``write``; a query reads what calcium was before.  Between them calcium decays slowly, and nothing else of the past is kept: a step
    costs the same memory at any length of the sequence.  ``direct`` and ``bonus`` pass on what is there now.
    The unit is ours, of the kind of RWKV's and the delta rule's linear attention; it reproduces no published model.

    Parameters
    ----------
    n : int
        Channels of keys, and of values and queries.
    heads : int, optional
        None: channel i of key, value and query meet in unit i (n units).  Else each head has d = n/heads channels, and d x d
        units, where key i meets value j and query i: the memory of full linear attention (n d units; unit (i, j) of head
        h is number (h d + i) d + j).
    tau_m, tau_c : float or one for each unit
        Steps.
    write : float or one for each unit
        0 to 1.
    gain, bonus, direct : float or one for each unit
        In units of the threshold.
    train : sequence of str
        Which of ``"tau_m"``, ``"tau_c"``, ``"write"``, ``"gain"``, ``"bonus"``, ``"direct"`` are trained; time constants as
        logarithms, ``write`` as its logit.
    surrogate, detach_reset
        As for :class:`AstroLIF`.

    Raises
    ------
    ParameterError
        For quantities out of range.

    Notes
    -----
    ``y, state = layer(x)`` with x of shape (T, B, 3 n), spikes of the layer before: keys first, then values, then queries; y of
    shape (T, B, units); the state is a dict: v and c.  It becomes `neurosim.cells.attention.IF_curr_delta_attention`.
    """

    sources: Tensor

    def __init__(self, n: int, heads: int | None = None, tau_m: Any = 2.0, tau_c: Any = 200.0, write: Any = 0.5, gain: Any = 2.0,
                 bonus: Any = 0.0, direct: Any = 0.5, *, train: Sequence[str] = ("tau_c", "write", "gain", "bonus", "direct"),
                 surrogate: str | Surrogate = "atan", detach_reset: bool = True) -> None:
        super().__init__()
        self.n, self.heads = _whole("AstroAttention", "n", n), heads
        if heads is not None and self.n % _whole("AstroAttention", "heads", heads):
            raise ParameterError(f"AstroAttention: {self.n} channels do not make {heads} heads of one size")
        first = np.arange(self.n) if heads is None else np.repeat(np.arange(self.n), self.n // heads)
        second = first if heads is None else np.tile(np.arange(self.n).reshape(heads, -1), self.n // heads).ravel()
        self.units = len(first)
        # Which of the 3 n inputs each unit's key, value and query are.
        self.register_buffer("sources", torch.as_tensor(np.stack([first, self.n + second, 2 * self.n + first])), persistent=False)
        given = {"tau_m": tau_m, "tau_c": tau_c, "write": write, "gain": gain, "bonus": bonus, "direct": direct}
        self._declare(train, {name: (value, self.units) for name, value in given.items()})
        self.surrogate, self.detach_reset = surrogate_of(surrogate), bool(detach_reset)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """``x`` of shape (T, B, 3 n) gives spikes of shape (T, B, units), and the state."""
        if x.ndim != 3 or x.shape[-1] != 3 * self.n or not len(x):
            raise ParameterError(f"AstroAttention takes keys, values and queries of shape (T, B, 3 * {self.n}), got {tuple(x.shape)}")
        if self.heads is None:
            spikes = x.unflatten(-1, (3, self.n))
        else:
            spikes = x[..., self.sources.flatten()].unflatten(-1, (3, self.units))
        state = state or {name: x.new_zeros(x.shape[1], self.units) for name in "vc"}
        keep, keep_c = (torch.exp(-1.0 / self.value(name)) for name in ("tau_m", "tau_c"))
        write, gain, bonus, direct = (self.value(name) for name in ("write", "gain", "bonus", "direct"))
        y, v, c = astro_loops.attention(spikes, keep, keep_c, write, gain, bonus, direct, state["v"], state["c"], self.surrogate,
                                        self.detach_reset)
        return y, {"v": v, "c": c}

    def extra_repr(self) -> str:
        """For ``print``."""
        return f"{self.n}, heads={self.heads}, units={self.units}, train={self.train_names}"


# ---------------------------------------------------------------------------------- as cells of a network


def _fits(module: Any, shape: Shape, wanted: int) -> None:
    if shape != (wanted,):
        raise NetworkError(f"{type(module).__name__} is for {wanted} values, what reaches it has shape {shape}")


@describe.register(AstroLIF)
def _(module: Any, shape: Shape, dt: float) -> Cells:
    _fits(module, shape, module.n)
    values = {name: np.repeat(array(module.value(name)), 1 if name == "tau_m" else module.group_size)
              for name in ("tau_m", "tau_c", "kappa", "g_astro", "delta_c")}
    cell = IF_curr_delta_astro(
        v_rest=0.0, v_reset=0.0, v_thresh=1.0, tau_refrac=0.0, tau_m=values.pop("tau_m") * dt, tau_c=values.pop("tau_c") * dt,
        group_size=float(module.group_size), **values)
    loops = () if module.weight is None else (Connection(dense(array(module.weight)), shape),)
    scaled = bool(values["g_astro"].any())
    tau_m = array(module.value("tau_m")) * dt
    return Cells(cell, shape, loops=loops, per_current=0.0 if scaled else 1.0 / (-tau_m * np.expm1(-dt / tau_m)))


@describe.register(AstroAttention)
def _(module: Any, shape: Shape, dt: float) -> list:
    _fits(module, shape, 3 * module.n)
    values = {name: array(module.value(name)) for name in ("tau_m", "tau_c", "write", "gain", "bonus", "direct")}
    cell = IF_curr_delta_attention(tau_m=values.pop("tau_m") * dt, tau_c=values.pop("tau_c") * dt, **values)
    sources = module.sources.flatten().numpy()
    wiring = Map(np.arange(sources.size), sources, np.ones(sources.size), (sources.size, 3 * module.n))
    return [Connection(wiring, (sources.size,)), Cells(cell, (module.units,), receptor=IF_curr_delta_attention.receptors)]
