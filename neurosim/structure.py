"""Synapses that come and go: rewiring by slots, and growth towards a rate.

A process looks at the synapses of one projection at multiples of its ``interval``, and says which of them stay and
which are new (:meth:`Structure.step`).  That is a pure function of the synapses, of the spikes of the interval that has
ended, and of what the process remembers in named arrays.  Every draw is a function of (key, step, item), as everywhere
in neurosim: nothing depends on threads, on portions of a run, or on what was asked for before.

Cells are counted within the two populations or views of the projection.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from .connectors import Context
from .errors import NetworkError, ParameterError
from .parameters import Distribution, Parameter, Settings, Uniform, parameter, stream_key
from .wiring import MAX_DELAY_STEPS, whole_steps

__all__ = [
    "Activity", "Change", "Edges", "GaussianGrowth", "GrowthCurve", "HomeostaticGrowth", "LinearGrowth", "Rewiring",
    "Structure",
]

_DELAY = Parameter(1.0, "ms", "delay of a new synapse", low=0.0, open_low=True)

State = dict[str, np.ndarray]

_MOST_ATTEMPTS, _MOST_GROWN = 1e8, 1e4  # in one interval; of elements, for each cell


class Edges(NamedTuple):
    """Synapses: ``pre``, ``post`` int32, ``weight`` float64, ``delay`` in whole steps uint16; shape (n_synapses,)."""

    pre: np.ndarray
    post: np.ndarray
    weight: np.ndarray
    delay: np.ndarray


class Activity(NamedTuple):
    """Spikes of each source and of each target in the interval that has ended; shapes (n_pre,) and (n_post,)."""

    pre: np.ndarray
    post: np.ndarray


class Change(NamedTuple):
    """``keep``: whether each of the synapses stays, bool; ``new``: those that are formed, in that order."""

    keep: np.ndarray
    new: Edges

    def ordered(self, edges: Edges) -> tuple[np.ndarray, Edges]:
        """(order, the synapses afterwards): of those that stay and, after them, the new ones.

        They come by target, then source; those of one pair in the order of their age.
        """
        joined = [np.concatenate([old[self.keep], new]) for old, new in zip(edges, self.new, strict=True)]
        order = np.argsort((joined[1].astype(np.int64) << 32) + joined[0], kind="stable")
        return order, Edges(*(column[order] for column in joined))

    def applied(self, edges: Edges) -> Edges:
        """The synapses afterwards, as `ordered` has them."""
        return self.ordered(edges)[1]


class Structure(Settings):
    """Base of the processes that form and remove synapses.

    Every subclass has ``interval`` (ms), ``initial_weight`` and ``initial_delay`` (ms, or a Distribution)
    of the synapses that it forms, ``allow_self_connections`` and ``allow_multiple``.
    """

    interval: Any
    initial_weight: Any
    initial_delay: Any
    allow_self_connections: bool
    allow_multiple: bool

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name in ("allow_self_connections", "allow_multiple"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise ParameterError(f"{owner}.{name} must be True or False, got {getattr(self, name)!r}")
        delay = _DELAY.check(owner, "initial_delay", self.initial_delay)
        if isinstance(delay, np.ndarray):
            raise ParameterError(f"{owner}.initial_delay must be one number or a Distribution, got {delay!r:.200}")
        object.__setattr__(self, "initial_delay", delay)
        super().__post_init__()

    def validate(self, context: Context, dt: float | None = None) -> None:
        """Raise what :meth:`step` would raise: positions that are missing, delays that do not fit the time step."""
        if dt is not None:
            self.delay_range(dt)

    def initial_state(self, edges: Edges, context: Context) -> State:
        """What the process remembers, at the start: named arrays."""
        return {}

    def step(self, key: int, number: int, edges: Edges, activity: Activity, state: State, context: Context, dt: float,
             ) -> tuple[Change, State]:
        """What becomes of the synapses at the end of interval ``number``; nothing that is given is changed.

        Parameters
        ----------
        key : int
            Names the stream of draws: a function of the seed and the projection.
        number : int
            1 at ``t = interval``, 2 at twice that, and so on.
        context : Context
            Sizes, positions, and which source is which target, as for connectors; its own key is not used.
        dt : float
            Step, ms.
        """
        raise NotImplementedError

    # -- what both kinds share --------------------------------------------------------------------

    def delay_range(self, dt: float) -> tuple[int, int]:
        """The least and the greatest delay of new synapses, in steps; :class:`NetworkError` if one does not fit."""
        low, high = (self.initial_delay.support() if isinstance(self.initial_delay, Distribution)
                     else (self.initial_delay, self.initial_delay))
        for value in (low, high):
            if not (1.0 - 1e-9) * dt <= value <= (MAX_DELAY_STEPS + 0.5) * dt:
                raise NetworkError(
                    f"{type(self).__name__}.initial_delay must be >= dt ({dt:g} ms) and <= {MAX_DELAY_STEPS} steps"
                    f" ({MAX_DELAY_STEPS * dt:g} ms), got {value:g} ms"
                )
        return tuple(int(s) for s in whole_steps([low, high], dt))  # type: ignore[return-value]

    def _new(self, key: int, number: int, pre: Any, post: Any, items: Any, dt: float) -> Edges:
        """New synapses of the given ends; ``items`` address the draws of their delays."""
        pre, post = np.asarray(pre, dtype=np.int32), np.asarray(post, dtype=np.int32)
        delay = np.full(pre.size, self.initial_delay if isinstance(self.initial_delay, float) else 0.0)
        if isinstance(self.initial_delay, Distribution):
            drawn = self.initial_delay.draw(stream_key(key, number, "delay"), 0, int(np.max(items, initial=-1)) + 1)
            delay = drawn[items]
        return Edges(pre, post, np.full(pre.size, float(self.initial_weight)), whole_steps(delay, dt).astype(np.uint16))


def _uniform(key: int, number: int, name: str, n: int) -> np.ndarray:
    """``n`` draws from U(0, 1) that belong to interval ``number``."""
    return Uniform(0.0, 1.0).draw(stream_key(key, number, name), 0, n)


def own_sources(context: Context) -> np.ndarray:
    """For each target the source that is the same cell, -1 for none; shape (n_post,)."""
    if context.own is not None:
        return np.asarray(context.own)
    return np.arange(context.n_post) if context.same else np.full(context.n_post, -1)


# ------------------------------------------------------------------------------------------ rewiring


@dataclasses.dataclass(frozen=True)
class Rewiring(Structure):
    """Synapses sit in ``s_max`` slots of each target; empty slots may be filled and filled ones emptied.

    Bamford, Murray & Willshaw (2010, section 2), in the form of sPyNNaker's ``StructuralMechanismSTDP``.
    ``f_rew`` times a second a target is drawn from all targets, and one of its slots.

    *Empty*: a source is picked; it forms a synapse with probability p_form exp(-d**2 / (2 sigma_form**2)), d its
    distance from the target (``p_form`` alone where ``sigma_form`` is None).  ``selection="random"`` picks any source;
    ``"last"`` one that has just spiked, each spike of the interval being as likely (in sPyNNaker: of the last step);
    without a spike nothing is formed.

    *Filled*: the synapse is removed with probability ``p_elim_dep`` if its weight is below ``threshold`` in magnitude,
    else with ``p_elim_pot``.

    Departures: attempts are made in a row at the end of each ``interval``, on the weights of that time; distances are
    those of the network's space, not of a fixed torus; several synapses of a pair only if ``allow_multiple``.
    Defaults are sPyNNaker's of feed-forward projections; lateral ones there have ``p_form=1, sigma_form=1``.

    A target may start with more than ``s_max`` synapses; then it only loses some until it fits.
    """

    f_rew: Any = parameter(10000.0, "Hz", "attempts per second, over all targets", low=0.0)
    s_max: Any = parameter(32.0, "", "slots of a target", low=1.0, high=1e9)
    interval: Any = parameter(100.0, "ms", "time between two rounds of attempts", low=0.0, open_low=True)
    selection: str = "random"
    p_form: Any = parameter(0.16, "", "probability of forming a synapse at distance 0", low=0.0, high=1.0)
    sigma_form: Any = None
    threshold: Any = parameter(0.5, "nA, uS or mV", "magnitude below which a synapse counts as depressed", low=0.0)
    p_elim_dep: Any = parameter(0.0245, "", "probability of removing a depressed synapse", low=0.0, high=1.0)
    p_elim_pot: Any = parameter(1.36e-4, "", "probability of removing any other synapse", low=0.0, high=1.0)
    initial_weight: Any = parameter(0.0, "nA, uS or mV", "weight of a new synapse")
    initial_delay: Any = 1.0
    allow_self_connections: bool = False
    allow_multiple: bool = False

    def check(self) -> None:
        if self.selection not in ("random", "last"):
            raise ParameterError(f"Rewiring.selection must be 'random' or 'last', got {self.selection!r}")
        if self.s_max % 1:
            raise ParameterError(f"Rewiring.s_max must be a whole number, got {self.s_max:g}")
        attempts = self.f_rew * self.interval / 1000.0
        if attempts > _MOST_ATTEMPTS:
            raise ParameterError(f"Rewiring: f_rew times interval must be <= {_MOST_ATTEMPTS:g} attempts, got {attempts:g}")
        if self.sigma_form is not None:
            sigma = self.sigma_form
            if isinstance(sigma, bool) or not isinstance(sigma, (int, float, np.number)) or not 0 < sigma < math.inf:
                raise ParameterError(f"Rewiring.sigma_form must be None or > 0 (unit of positions), got {sigma!r}")
            object.__setattr__(self, "sigma_form", float(sigma))

    def validate(self, context: Context, dt: float | None = None) -> None:
        super().validate(context, dt)
        if self.sigma_form is not None and (context.pre_positions is None or context.post_positions is None):
            raise NetworkError(f"{context.label}: Rewiring.sigma_form needs positions of both populations")

    def attempts(self, number: int) -> int:
        """How many attempts interval ``number`` has; f_rew * interval on average."""
        each = self.f_rew * self.interval / 1000.0
        return math.floor(number * each) - math.floor((number - 1) * each)

    def probability(self, context: Context, pre: np.ndarray, post: np.ndarray) -> np.ndarray:
        """The probability that an attempt between these cells forms a synapse."""
        if self.sigma_form is None:
            return np.full(len(pre), self.p_form)
        assert context.pre_positions is not None and context.post_positions is not None
        d = context.space.distances(context.pre_positions[pre], context.post_positions[post])
        return self.p_form * np.exp(-0.5 * (d / self.sigma_form) ** 2)

    def step(self, key: int, number: int, edges: Edges, activity: Activity, state: State, context: Context, dt: float,
             ) -> tuple[Change, State]:
        """As :meth:`Structure.step`; an attempt sees what those before it did at its target."""
        n = self.attempts(number)
        post = _below(_uniform(key, number, "target", n), context.n_post)
        slot = _below(_uniform(key, number, "slot", n), int(self.s_max))
        chance = _uniform(key, number, "chance", n)
        pre, forms = self._partners(key, number, n, activity, context)
        forms &= chance < self.probability(context, pre, post)
        if not self.allow_self_connections:
            forms &= pre != own_sources(context)[post]
        keep, formed = self._in_turn(edges, context, post, slot, pre, forms, chance)
        return Change(keep, self._new(key, number, pre[formed], post[formed], formed, dt)), {}

    def _partners(self, key: int, number: int, n: int, activity: Activity, context: Context,
                  ) -> tuple[np.ndarray, np.ndarray]:
        """A source for each attempt, and whether one was found."""
        u = _uniform(key, number, "source", n)
        if self.selection == "random":
            return _below(u, context.n_pre), np.ones(n, dtype=bool)
        ends = np.cumsum(np.asarray(activity.pre, dtype=np.int64))
        spikes = int(ends[-1]) if ends.size else 0
        if spikes == 0:
            return np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
        return np.searchsorted(ends, _below(u, spikes), side="right"), np.ones(n, dtype=bool)

    def _in_turn(self, edges: Edges, context: Context, post: np.ndarray, slot: np.ndarray, pre: np.ndarray,
                 forms: np.ndarray, chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which synapses stay, and which attempts formed one that is still there.

        Targets do not know of each other: those at which nothing would happen to the synapses of the beginning are
        left alone, and at the others attempts are made one after the other.
        """
        order = np.argsort(edges.post, kind="stable")
        starts = np.searchsorted(edges.post[order], np.arange(context.n_post + 1))
        goes = np.where(np.abs(edges.weight) < self.threshold, self.p_elim_dep, self.p_elim_pot)
        happens = forms & (slot >= np.diff(starts)[post])
        if not self.allow_multiple:
            pairs = np.sort(edges.post.astype(np.int64) * context.n_pre + edges.pre, kind="stable")
            happens &= ~_among(post.astype(np.int64) * context.n_pre + pre, pairs)
        taken = np.flatnonzero(slot < np.diff(starts)[post])
        happens[taken] = chance[taken] < goes[order[starts[post[taken]] + slot[taken]]]
        busy = np.zeros(context.n_post, dtype=bool)
        busy[post[happens]] = True
        attempts = np.flatnonzero(busy[post])
        keep = np.ones(edges.pre.size, dtype=bool)
        new_goes = self.p_elim_dep if abs(self.initial_weight) < self.threshold else self.p_elim_pot
        slots: dict[int, tuple[list, list, list]] = {}  # target -> sources, synapses (~attempt if new), chances to go
        formed: dict[int, None] = {}
        told = (column[attempts].tolist() for column in (post, slot, pre, forms, chance))
        for a, j, s, source, may_form, u in zip(attempts.tolist(), *told, strict=True):
            if j not in slots:
                mine = order[starts[j]:starts[j + 1]]
                slots[j] = edges.pre[mine].tolist(), mine.tolist(), goes[mine].tolist()
            sources, synapses, chances = slots[j]
            if s < len(sources):
                if u < chances[s]:
                    del sources[s], chances[s]
                    synapse = synapses.pop(s)
                    if synapse < 0:
                        del formed[~synapse]
                    else:
                        keep[synapse] = False
            elif may_form and (self.allow_multiple or source not in sources):
                sources.append(source)
                synapses.append(~a)
                chances.append(new_goes)
                formed[a] = None
        return keep, np.array(list(formed), dtype=np.int64)


def _among(values: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """Whether each value is one of these."""
    at = np.searchsorted(ascending, values)
    at[at == ascending.size] = 0
    return ascending[at] == values if ascending.size else np.zeros(values.size, dtype=bool)


def _below(u: np.ndarray, n: int) -> np.ndarray:
    """Whole numbers 0 .. n - 1 from draws of U(0, 1)."""
    return np.minimum((u * n).astype(np.int64), n - 1)


# ------------------------------------------------------------------------------------------ growth


class GrowthCurve(Settings):
    """Base of the curves by which the number z of a cell's synaptic elements follows its calcium."""

    def rate(self, calcium: np.ndarray) -> np.ndarray:
        """dz/dt at this calcium, elements per ms."""
        raise NotImplementedError

    def grown(self, start: np.ndarray, limit: np.ndarray, duration: float, tau: float) -> np.ndarray:
        """The change of z while calcium goes from ``start`` towards ``limit`` with ``tau`` for ``duration`` ms.

        Gauss-Legendre quadrature, five points in each quarter of tau; after 40 tau calcium is at its limit.
        """
        points, weights = np.polynomial.legendre.leggauss(5)
        changing = min(duration, 40.0 * tau)
        panels = max(1, math.ceil(4.0 * changing / tau))
        total = np.zeros(len(start))
        for panel in range(panels):
            for point, weight in zip(points, weights, strict=True):
                t = changing * (panel + 0.5 * (point + 1.0)) / panels
                total += weight * self.rate(limit + (start - limit) * math.exp(-t / tau))
        grown = total * changing / (2.0 * panels)
        return grown if changing == duration else grown + (duration - changing) * self.rate(limit)


@dataclasses.dataclass(frozen=True)
class LinearGrowth(GrowthCurve):
    """dz/dt = nu (1 - Ca / eps): grows below the calcium ``eps`` and shrinks above it (NEST's ``linear``)."""

    nu: Any = parameter(1e-3, "1/ms", "elements grown per ms without calcium", low=-1e3, high=1e3)
    eps: Any = parameter(0.7, "", "calcium at which elements neither grow nor shrink", low=0.0, open_low=True)

    def rate(self, calcium: np.ndarray) -> np.ndarray:
        return self.nu * (1.0 - calcium / self.eps)


@dataclasses.dataclass(frozen=True)
class GaussianGrowth(GrowthCurve):
    """dz/dt = nu (2 exp(-((Ca - xi) / zeta)**2) - 1), xi = (eta + eps) / 2, zeta = (eps - eta) / (2 sqrt(ln 2)).

    Grows between the calcium ``eta`` and ``eps``, at most by ``nu``, and shrinks outside them; ``eps`` is the stable
    point (Butz & van Ooyen 2013; NEST's ``gaussian``).
    """

    nu: Any = parameter(1e-3, "1/ms", "elements grown per ms at most", low=-1e3, high=1e3)
    eta: Any = parameter(0.1, "", "calcium below which elements shrink")
    eps: Any = parameter(0.7, "", "calcium above which elements shrink", low=0.0, open_low=True)

    def check(self) -> None:
        if self.eta >= self.eps:
            raise ParameterError(f"GaussianGrowth.eta must be < eps ({self.eps:g}), got {self.eta:g}")

    def rate(self, calcium: np.ndarray) -> np.ndarray:
        xi, zeta = 0.5 * (self.eta + self.eps), (self.eps - self.eta) / (2.0 * math.sqrt(math.log(2.0)))
        return self.nu * (2.0 * np.exp(-(((calcium - xi) / zeta) ** 2)) - 1.0)


@dataclasses.dataclass(frozen=True)
class HomeostaticGrowth(Structure):
    """Cells grow and withdraw synaptic elements until their calcium, a trace of their spikes, is where they want it.

    The model of structural plasticity of Butz & van Ooyen (2013), as NEST has it.  Calcium decays,
    dCa/dt = -Ca / tau_Ca, and gains ``beta_Ca`` with each spike; a rate r (Hz) keeps it at beta_Ca tau_Ca r / 1000.
    Each source has z_pre elements that follow the curve ``pre``, each target z_post that follow ``post``, never fewer
    than 0.  At the end of an interval, with floor(z) elements:

    1. a source, and after that a target, with more synapses than elements loses the difference, drawn at random;
       the elements on the other side become free;
    2. free elements of sources and targets are paired at random, as many as the smaller side has; a pair that may
       not be joined stays free;
    3. of what is free then, a share ``tau_vacant`` is withdrawn.

    Departures: calcium and elements are advanced once in an interval, with its spikes spread evenly over it (NEST: at
    every spike); the elements belong to this projection alone; at the start they are as many as a cell's synapses,
    and ``vacant`` more.
    """

    pre: Any = GaussianGrowth()
    post: Any = GaussianGrowth()
    tau_Ca: Any = parameter(10000.0, "ms", "time constant of calcium", low=0.0, open_low=True)
    beta_Ca: Any = parameter(1e-3, "", "calcium gained with a spike", low=0.0)
    initial_Ca: Any = parameter(0.0, "", "calcium at the start", low=0.0)
    tau_vacant: Any = parameter(0.1, "", "share of the free elements that is lost in an interval", low=0.0, high=1.0)
    vacant: Any = parameter(0.5, "", "free elements at the start; a fraction is not yet an element", low=0.0, high=1e6)
    interval: Any = parameter(1000.0, "ms", "time between two changes of synapses", low=0.0, open_low=True)
    initial_weight: Any = parameter(1.0, "nA, uS or mV", "weight of a new synapse")
    initial_delay: Any = 1.0
    allow_self_connections: bool = False
    allow_multiple: bool = True

    def check(self) -> None:
        for name in ("pre", "post"):
            if not isinstance(getattr(self, name), GrowthCurve):
                raise ParameterError(
                    f"HomeostaticGrowth.{name} must be a growth curve such as GaussianGrowth(),"
                    f" got {getattr(self, name)!r:.200}"
                )
            most = abs(getattr(getattr(self, name), "nu", 0.0)) * self.interval
            if most > _MOST_GROWN:
                raise ParameterError(
                    f"HomeostaticGrowth.{name}: nu times interval must be <= {_MOST_GROWN:g} elements of a cell, got {most:g}"
                )

    def initial_state(self, edges: Edges, context: Context) -> State:
        """``Ca_pre``, ``z_pre`` of shape (n_pre,), ``Ca_post``, ``z_post`` of shape (n_post,)."""
        state = {}
        for side, ends, n in (("pre", edges.pre, context.n_pre), ("post", edges.post, context.n_post)):
            state[f"Ca_{side}"] = np.full(n, self.initial_Ca)
            state[f"z_{side}"] = np.bincount(ends, minlength=n) + self.vacant
        return state

    def step(self, key: int, number: int, edges: Edges, activity: Activity, state: State, context: Context, dt: float,
             ) -> tuple[Change, State]:
        """As :meth:`Structure.step`."""
        after: State = {}
        for side, curve, counts in (("pre", self.pre, activity.pre), ("post", self.post, activity.post)):
            calcium, limit = state[f"Ca_{side}"], self.beta_Ca * np.asarray(counts) * (self.tau_Ca / self.interval)
            after[f"Ca_{side}"] = limit + (calcium - limit) * math.exp(-self.interval / self.tau_Ca)
            grown = curve.grown(calcium, limit, self.interval, self.tau_Ca)
            after[f"z_{side}"] = np.maximum(state[f"z_{side}"] + grown, 0.0)
        elements = [np.floor(after["z_pre"]).astype(np.int64), np.floor(after["z_post"]).astype(np.int64)]
        keep = np.ones(edges.pre.size, dtype=bool)
        for ends, most, name in ((edges.pre, elements[0], "lose pre"), (edges.post, elements[1], "lose post")):
            there = np.flatnonzero(keep)
            chance = _uniform(key, number, name, edges.pre.size)[there]
            keep[there] = _fitting(ends[there], chance, most)
        free = [np.maximum(most - np.bincount(ends[keep], minlength=most.size), 0)
                for ends, most in zip((edges.pre, edges.post), elements, strict=True)]
        pre, post = _paired(key, number, *free)
        good = self._allowed(pre, post, edges, keep, context)
        for side, ends, left in (("pre", pre[good], free[0]), ("post", post[good], free[1])):
            after[f"z_{side}"] -= self.tau_vacant * (left - np.bincount(ends, minlength=left.size))
        return Change(keep, self._new(key, number, pre[good], post[good], np.flatnonzero(good), dt)), after

    def _allowed(self, pre: np.ndarray, post: np.ndarray, edges: Edges, keep: np.ndarray,
                 context: Context) -> np.ndarray:
        """Which of these pairs may be joined."""
        good = np.ones(pre.size, dtype=bool)
        if not self.allow_self_connections:
            good = pre != own_sources(context)[post]
        if not self.allow_multiple:
            pairs = post.astype(np.int64) * context.n_pre + pre
            good &= ~_among(pairs, np.sort(edges.post[keep].astype(np.int64) * context.n_pre + edges.pre[keep], kind="stable"))
            first = np.zeros(pre.size, dtype=bool)
            first[np.unique(pairs, return_index=True)[1]] = True
            good &= first
        return good


def _fitting(ends: np.ndarray, chance: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Which synapses stay so that no cell has more than ``most``; the rest are those of the highest draws."""
    order = np.lexsort((chance, ends))
    counts = np.bincount(ends, minlength=most.size)
    rank = np.arange(ends.size) - np.repeat(np.cumsum(counts) - counts, counts)
    keep = np.empty(ends.size, dtype=bool)
    keep[order] = rank < most[ends[order]]
    return keep


def _paired(key: int, number: int, free_pre: np.ndarray, free_post: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A random matching of free elements, as many pairs as the smaller side has: sources and targets, int64."""
    pre, post = (np.repeat(np.arange(free.size), free) for free in (free_pre, free_post))
    pairs = min(pre.size, post.size)
    larger = np.argsort(_uniform(key, number, "pair", max(pre.size, post.size)), kind="stable")[:pairs]
    return (pre[larger], post) if pre.size > post.size else (pre, post[larger])
