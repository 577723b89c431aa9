"""Synapses that change, in a simulation: their arrays, reading and writing weights, freezing, rewards."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import wiring
from .errors import FileFormatError, NetworkError, ParameterError, SimulationError
from .groups import LONGEST_SLICE, Group
from .network import GainModulation, Network, Projection
from .parameters import numbers, stream_key
from .plasticity import (
    AdditivePotentiationMultiplicativeDepression,
    AdditiveWeightDependence,
    ClopathRule,
    GutigWeightDependence,
    MultiplicativeWeightDependence,
    OjaRule,
    SimpleStochasticSynapse,
    SpikePairRule,
    SpikeTripletRule,
    STDPMechanism,
    Transmission,
    TsodyksMarkramSynapse,
    Vogels2011Rule,
)
from .recording import interval_steps
from .result import Weights
from .synapses import CHANGING, Store, SynapseBlock, places

if TYPE_CHECKING:
    from .engine import Simulation

__all__ = [
    "STATE", "Process", "Samples", "Tables", "bounds", "canonical_order", "cut", "freeze", "is_frozen", "learner", "parts_of", "places_of",
    "read", "reinforce", "restore", "saved", "settle", "start", "write",
]

_DEPENDENCE = {AdditiveWeightDependence: 0, MultiplicativeWeightDependence: 1,
               AdditivePotentiationMultiplicativeDepression: 2, GutigWeightDependence: 3}
_PAIRING = {"all": 0, "nearest": 1, "restricted": 2}
_ORDER = {"nest": 0, "spinnaker": 1, "brian2": 2}
_LONGEST_TABLE = 65536
_RING = 64  # target spikes that are remembered; many more, and memory grows; fewer, and rows are brought up to date more often
_VOLTAGE_RING = 256
_POOL = 1024  # events of dopamine that are remembered
STATE = ("changing", "eligibility", "row_state", "history", "heads", "swept", "voltages", "pools", "rules", "table")
"""Arrays that a branch needs for itself."""


def _family(k: Any, mechanism: STDPMechanism) -> int:
    if mechanism.neuromodulation is not None:
        return k.DOPAMINE
    return {SpikePairRule: k.PAIR, SpikeTripletRule: k.TRIPLET, Vogels2011Rule: k.VOGELS, OjaRule: k.OJA,
            ClopathRule: k.CLOPATH}[type(mechanism.timing_dependence)]


def _kind(k: Any, short: Transmission) -> int:
    if isinstance(short, TsodyksMarkramSynapse):
        return k.THREE_STATES if short.tau_psc > 0 else k.TWO_STATES
    return k.CHANCE if isinstance(short, SimpleStochasticSynapse) else k.QUANTA


class _Apart(NamedTuple):
    """Where the synapses of a block that transmit each in its own way keep their states, their places in the projection,
    the stream of their draws, and {which: (where, how far apart)} of their parameters."""

    states: int
    numbers: int
    key: int
    values: dict[int, tuple[int, int]]


def _third(k: Any, kind: int, ring: int) -> int:
    """Numbers for each cell behind the rings of steps and traces: the latest spikes once more, or a ring of second values."""
    return 8 if kind == k.PAIR else ring


def _lags(block: SynapseBlock, dt: float) -> np.ndarray:
    """Steps in the dendrite, twice, for each delay of a block."""
    mechanism = block.mechanism
    if mechanism is None:
        return np.zeros(block.delays.size, np.int64)
    dendrite = np.floor(mechanism.dendritic_delay_fraction * block.delays + 0.5).astype(np.int64)
    labels = ", ".join(one.label for one in block.projections)
    if mechanism.order == "spinnaker" and (dendrite == 0).any():
        raise NetworkError(
            f"{labels}: order='spinnaker' needs at least one step of delay in the dendrite:"
            f" delay {block.delays[dendrite == 0][0] * dt:g} ms,"
            f" dendritic_delay_fraction {mechanism.dendritic_delay_fraction:g}"
        )
    if getattr(mechanism.timing_dependence, "pairing", "") == "restricted" and mechanism.order == "nest" and (dendrite == 0).any():
        raise NetworkError(
            f"{labels}: pairing='restricted' in the order 'nest' needs at least one step of delay in the dendrite,"
            f" got dendritic_delay_fraction {mechanism.dendritic_delay_fraction:g}"
        )
    return 2 * dendrite


class Tables:
    """The tables and arrays of synapses that change, made while a network is assembled."""

    def __init__(self, network: Network, groups: list[Group], place: Mapping[str, tuple[Group, int]], store: Store, dt: float,
                 flat: Any, seed: int) -> None:
        from .kernels import plasticity
        self.k, self.network, self.groups, self.place, self.store, self.dt = plasticity, network, groups, place, store, dt
        self.seed = seed
        self.par, self.decays, self.lags = flat(np.float64), flat(np.float64), flat(np.int64)
        self.rules: list[list[int]] = []
        self.sites: list[list[int]] = []
        self.modulators: list[list[int]] = []
        self.block_of: list[SynapseBlock] = []
        self.members = flat(np.uint8)
        self.rows = self.pools = 0
        self._known_tables: dict[float, tuple[int, int]] = {}
        self._site_of: dict[tuple, int] = {}
        self._first_site: dict[int, tuple[int, int]] = {}
        self._lag_of = {id(block): _lags(block, dt) for block in store.blocks if block.ruled}
        self._lags_at = {key: self.lags.add(values) for key, values in self._lag_of.items()}
        self._par_of: dict[int, int] = {}
        self._astrocytes_at: dict[int, int] = {}
        self._apart: dict[int, _Apart] = {}
        self._released_at: dict[int, tuple[int, int]] = {}
        self._make_sites()

    def table(self, tau: float) -> tuple[int, int]:
        """Where exp(-k dt / tau), k = 0, 1, ..., stands, and how long it is."""
        if tau not in self._known_tables:
            size = int(min(_LONGEST_TABLE, math.ceil(40.0 * tau / self.dt)))
            values = [math.exp(-(k * (self.dt / tau))) for k in range(size)]
            if size < _LONGEST_TABLE:  # nothing is left after 40 time constants
                values.append(0.0)
            self._known_tables[tau] = self.decays.add(values), len(values)
        return self._known_tables[tau]

    # -- memories of target spikes ------------------------------------------------------------------

    def _make_sites(self) -> None:
        self._history = self._heads = self._voltages = self._swept = 0
        for group in self.groups:
            first = len(self.sites)
            for block in self.store.blocks:
                if block.target is group and block.mechanism is not None:
                    self._site(block)
            self._calcium(group)
            self._first_site[id(group)] = (first, len(self.sites) - first)
        if not self.sites:  # something to point at for synapses that do not look at target spikes
            self.sites.append([0] * self.k.S_SIZE)

    def _site_key(self, block: SynapseBlock) -> tuple:
        mechanism, k = block.mechanism, self.k
        assert mechanism is not None
        rule: Any = mechanism.timing_dependence
        nearest = getattr(rule, "pairing", "all") != "all"
        if isinstance(rule, ClopathRule):
            return (id(block.target), k.CLOPATH, rule.tau_minus, rule.tau_plus, rule.theta_minus, rule.theta_plus, rule.u_spike,
                    rule.t_spike)
        if isinstance(rule, SpikeTripletRule):
            return (id(block.target), k.TRIPLET, nearest, rule.tau_minus, rule.tau_y)
        if isinstance(rule, OjaRule):
            return (id(block.target), k.OJA, False, rule.tau_minus, 1.0)
        return (id(block.target), k.PAIR, nearest, rule.tau if isinstance(rule, Vogels2011Rule) else rule.tau_minus, 1.0)

    def _site(self, block: SynapseBlock) -> None:
        k, key, group = self.k, self._site_key(block), block.target
        if key in self._site_of:
            return
        lag = max(int(self._lag_of[id(one)].max()) for one in self.store.blocks
                  if one.target is group and one.mechanism is not None and self._site_key(one) == key)
        row = [0] * k.S_SIZE
        voltage = key[1] == k.CLOPATH
        spaced = 1 if voltage else int(group.columns["refractory"].min()) + 1 if "refractory" in group.columns else 1
        ring = _VOLTAGE_RING if voltage else _RING
        while ring < 2 * (lag // spaced + 2):
            ring *= 2
        row[k.S_KIND], row[k.S_RING], row[k.S_N], row[k.S_LAG] = key[1], ring, group.n, lag
        row[k.S_HISTORY], row[k.S_HEADS], row[k.S_SWEPT] = self._history, self._heads, self._swept
        row[k.S_VOLTAGE], row[k.S_DEPTH] = self._voltages, lag + 2
        if voltage:
            rule: Any = block.mechanism.timing_dependence  # type: ignore[union-attr]
            par = [0.0] * k.SITE_PAR_SIZE
            par[k.V_MINUS], par[k.V_PLUS] = math.exp(-self.dt / rule.tau_minus), math.exp(-self.dt / rule.tau_plus)
            par[k.V_LOW], par[k.V_HIGH] = rule.theta_minus, rule.theta_plus
            par[k.V_SPIKE], par[k.V_HELD] = rule.u_spike, math.floor(rule.t_spike / self.dt + 0.5)
            row[k.S_PAR], row[k.S_MINUS] = self.par.add(par), group.states_row("v")
            self._voltages += (lag + 4) * group.n
        else:
            row[k.S_PAIRING] = int(key[2])
            row[k.S_PAR] = self.par.add([self.dt / key[3], self.dt / key[4]])
            row[k.S_MINUS], row[k.S_MINUS_SIZE] = self.table(key[3])
        self._history += (2 * ring + _third(k, key[1], ring)) * group.n
        self._heads += group.n
        self._swept += group.n_parts
        self._site_of[key] = len(self.sites)
        self.sites.append(row)

    def _calcium(self, group: Group) -> None:
        """Where astrocytes keep their calcium of some steps, if others look back at it; a slice lies between writing and reading."""
        delays = [modulation_steps(one, self.dt) for one in self.network.gains if self._source(one)[0] is group]
        if delays:
            k, row = self.k, [0] * self.k.S_SIZE
            row[k.S_KIND], row[k.S_N], row[k.S_SWEPT], row[k.S_MINUS] = k.CALCIUM, group.n, self._swept, group.states_row("Ca")
            row[k.S_VOLTAGE], row[k.S_DEPTH] = self._voltages, max(delays) + LONGEST_SLICE + 2
            self._voltages += row[k.S_DEPTH] * group.n
            self._swept += group.n_parts
            self._site_of[(id(group), k.CALCIUM)] = len(self.sites)
            self.sites.append(row)

    def _source(self, one: GainModulation) -> tuple[Group, int]:
        return self.place[one.astrocytes.pre.population.label]

    def _astrocytes(self, one: GainModulation, target: Group) -> np.ndarray:
        """Where the astrocytes of each cell of a group begin, and one number more, then their ids, each once."""
        pairs, first = np.empty(0, np.int64), self._source(one)[1]
        at, n = self.place[one.astrocytes.post.population.label][1], self._source(one)[0].n
        for part in wiring.synapses(one.astrocytes, self.network.seed, self.dt, weighted=False):
            pre, post = first + one.astrocytes.pre.indices[part.pre], at + one.astrocytes.post.indices[part.post]
            pairs = np.union1d(pairs, post * n + pre)
        begin = target.n + 1 + np.concatenate([[0], np.cumsum(np.bincount(pairs // n, minlength=target.n))])
        return np.concatenate([begin, pairs % n])

    def sites_of(self, group: Group) -> tuple[int, int]:
        """(first, number) of a group's sites."""
        return self._first_site[id(group)]

    # -- rules ----------------------------------------------------------------------------------

    def add_rule(self, block: SynapseBlock, p: int) -> int:
        """The rule of one part of a block; returns its row, -1 for synapses that never change."""
        if not block.ruled:
            return -1
        k, mechanism = self.k, block.mechanism
        if block.wide:
            raise NetworkError(f"{block.target.label}: more than 65536 cells that must stay together cannot have synapses that change")
        row = [0] * k.R_SIZE
        row[k.R_SIGN], row[k.R_CUT], row[k.R_COMING] = block.sign, int(k.NEVER), int(block.structure is not None)
        short = block.transmission
        if id(block) not in self._par_of:
            gain = [] if block.gain is None else [block.gain.gain, block.gain.threshold]
            self._par_of[id(block)] = self.par.add([*self._parameters(mechanism, short), *gain])
        row[k.R_PAR], row[k.R_LAGS] = self._par_of[id(block)], self._lags_at[id(block)]
        n_rows = block.source.n * block.delays.size
        if short is not None:
            if short.by_synapse:
                self._transmits(row, block, p, short)
            else:
                row[k.R_SHORT] = _kind(k, short)
            row[k.R_SHORT_ROWS] = self.rows
            self.rows += n_rows * k.SHORT_ROW_SIZE
        if mechanism is not None:
            rule = mechanism.timing_dependence
            row[k.R_FAMILY], row[k.R_ORDER] = _family(k, mechanism), _ORDER[mechanism.order]
            row[k.R_DEPENDENCE] = _DEPENDENCE[type(mechanism.weight_dependence)]
            row[k.R_PAIRING] = _PAIRING[getattr(rule, "pairing", "all")]
            row[k.R_SITE] = self._site_of[self._site_key(block)]
            row[k.R_ROWS] = self.rows
            self.rows += n_rows * k.ROW_SIZE
            plus, minus = _time_constants(rule)
            row[k.R_PLUS], row[k.R_PLUS_SIZE] = self.table(plus)
            row[k.R_MINUS], row[k.R_MINUS_SIZE] = self.table(minus)
            row[k.R_C] = block.eligibility_at + int(block.bases[p])
            if mechanism.neuromodulation is not None:
                row[k.R_POOL], row[k.R_POOL_ROOM] = self.pools, _POOL
                self.pools += k.POOL_EVENTS + 2 * _POOL
        if block.gain is not None:
            if id(block) not in self._astrocytes_at:
                self._astrocytes_at[id(block)] = self.lags.add(self._astrocytes(block.gain, block.target))
            row[k.R_GAIN], row[k.R_ASTROCYTES] = 1, self._astrocytes_at[id(block)]
            row[k.R_CALCIUM] = self._site_of[(id(self._source(block.gain)[0]), k.CALCIUM)]
            row[k.R_CALCIUM_DELAY] = modulation_steps(block.gain, self.dt)
        self.rules.append(row)
        return len(self.rules) - 1

    def _transmits(self, row: list[int], block: SynapseBlock, p: int, short: Transmission) -> None:
        """Where a part of a block finds what its synapses have each for themselves."""
        k, kind = self.k, _kind(self.k, short)
        if id(block) not in self._apart:
            self._apart[id(block)] = self._made_apart(block, short, k.STATES[kind])
        apart, base = self._apart[id(block)], int(block.bases[p])
        row[k.R_RELEASE], row[k.R_KEY] = kind, apart.key
        row[k.R_STATES], row[k.R_NUMBERS] = apart.states + base * k.STATES[kind], apart.numbers + base
        for which, (at, each) in apart.values.items():
            row[k.R_VALUES + 2 * which], row[k.R_VALUES + 2 * which + 1] = at + each * base, each

    def _made_apart(self, block: SynapseBlock, short: Transmission, width: int) -> _Apart:
        k, (one,) = self.k, block.projections
        at = places(block, one, self.network, self.place, self.dt)  # type: ignore[arg-type]

        def value(name: str, of: Any = lambda values: values) -> tuple[int, int]:
            given = getattr(short, name)
            if isinstance(given, float):
                return self.par.add([of(given)]), 0
            each = np.empty(block.size)
            each[at] = of(wiring.synapse_values(one, name, self.network.seed))
            return self.par.add(each), 1

        def rate(tau: Any) -> Any:
            return np.divide(self.dt, tau, out=np.zeros(np.shape(tau)), where=np.asarray(tau) > 0)

        values = {which: value(name, rate if name.startswith("tau") else lambda given: given)
                  for which, names in ((k.PART, ("U", "p")), (k.REC, ("tau_rec",)), (k.FACIL, ("tau_facil",)), (k.SITES, ("n",)))
                  for name in names if hasattr(short, name)}
        values.setdefault(k.SITES, (self.par.add([1.0]), 0))
        numbers_at = 0
        if short.draws:
            place = np.empty(block.size, np.int64)
            place[at] = np.arange(block.size)
            numbers_at = self.lags.add(place)
        states = self.rows
        self.rows += block.size * width
        key = stream_key(self.seed, "projection", one.label, "release")
        return _Apart(states, numbers_at, int(np.uint64(key).astype(np.int64)), values)

    def _parameters(self, mechanism: STDPMechanism | None, short: Transmission | None) -> list[float]:
        k = self.k
        par = [0.0] * (k.PAR_SIZE + k.SHORT_SIZE)
        if mechanism is not None:
            rule, bounds, reward = mechanism.timing_dependence, mechanism.weight_dependence, mechanism.neuromodulation
            par[k.W_MIN], par[k.W_MAX] = bounds.w_min, bounds.w_max
            if isinstance(bounds, GutigWeightDependence):
                par[k.MU_PLUS], par[k.MU_MINUS] = bounds.mu_plus, bounds.mu_minus
            plus, minus = _time_constants(rule)
            par[k.RATE_PLUS], par[k.RATE_MINUS] = self.dt / plus, self.dt / minus
            if isinstance(rule, SpikePairRule):
                par[k.A_PLUS], par[k.A_MINUS] = rule.A_plus, rule.A_minus
            elif isinstance(rule, SpikeTripletRule):
                par[k.A_PLUS], par[k.A_MINUS], par[k.EXTRA], par[k.EXTRA2] = rule.A2_plus, rule.A2_minus, rule.A3_plus, rule.A3_minus
                par[k.RATE_X] = self.dt / rule.tau_x
            elif isinstance(rule, Vogels2011Rule):
                par[k.A_PLUS] = par[k.A_MINUS] = rule.eta
                par[k.EXTRA] = 2.0 * rule.rho * rule.tau / 1000.0
            elif isinstance(rule, OjaRule):
                par[k.A_PLUS], par[k.EXTRA] = rule.eta, rule.alpha
            else:
                assert isinstance(rule, ClopathRule)
                par[k.A_PLUS], par[k.A_MINUS], par[k.EXTRA] = rule.A_LTP / rule.tau_x, rule.A_LTD, rule.theta_minus
            if reward is not None:
                par[k.TAU_C], par[k.TAU_D], par[k.BASELINE] = reward.tau_c, reward.tau_d, reward.baseline
        if isinstance(short, TsodyksMarkramSynapse):
            at = k.PAR_SIZE
            if not short.by_synapse:
                par[at + k.U], par[at + k.RATE_REC], par[at + k.TAU_REC] = short.U, self.dt / short.tau_rec, short.tau_rec
                if short.tau_facil > 0:
                    par[at + k.RATE_FACIL] = self.dt / short.tau_facil
            if short.tau_psc > 0:
                par[at + k.TAU_PSC], par[at + k.RATE_PSC] = short.tau_psc, self.dt / short.tau_psc
        return par

    def add_modulators(self, block: SynapseBlock, rule: int, columns: Any) -> None:
        """Who releases dopamine for a rule; ``columns`` is `kernels.engine`."""
        for one in self.network.modulations:
            if one.projection not in block.projections:
                continue
            source, first = self.place[one.source.population.label]
            if id(one) not in self._released_at:
                members = np.zeros(source.n, np.uint8)
                members[first + one.source.indices] = 1
                self._released_at[id(one)] = self.members.add(members), self.par.add([one.amount])
            row = [0] * columns.M_COLS
            row[columns.M_RULE], row[columns.M_SOURCE] = rule, self.groups.index(source)
            row[columns.M_MEMBERS], row[columns.M_AMOUNT] = self._released_at[id(one)]
            row[columns.M_DELAY] = modulation_steps(one, self.dt)
            self.modulators.append(row)

    def arrays(self, columns: Any) -> dict[str, np.ndarray]:
        """The fields of ``Net``, at step 0 but for `start`."""
        k = self.k

        def table(rows: list[list[int]], width: int) -> np.ndarray:
            return np.array(rows, dtype=np.int64).reshape(-1, width)

        return {
            "changing": self.store.changing, "eligibility": self.store.eligibility, "rules": table(self.rules, k.R_SIZE),
            "rule_par": self.par.done(), "row_state": np.zeros(self.rows + 1), "lags": self.lags.done(),
            "sites": table(self.sites, k.S_SIZE), "history": _aligned(self._history),
            "heads": np.zeros(self._heads + 1, np.int64), "swept": np.zeros(self._swept + 1),
            "voltages": np.zeros(self._voltages + 1), "decays": self.decays.done(), "pools": np.zeros(self.pools + 1),
            "modulators": table(self.modulators, columns.M_COLS), "members": self.members.done(),
            "hook": np.array([_act().address if self.rules or self._site_of else 0], np.uint64),
            "table": np.zeros((len(columns.Net._fields), 3), np.int64),
        }


def _aligned(n: int) -> np.ndarray:
    """Zeros that begin with a line of cache."""
    space = np.zeros(n + 8)
    first = -space.ctypes.data % 64 // 8
    return space[first:first + n + 1]


def modulation_steps(one: Any, dt: float) -> int:
    """Delay of a modulation in steps; one step if none was given."""
    return 1 if one.delay is None else int(wiring.delay_steps(f"modulation of {one.projection.label}", one.delay, dt))


def _time_constants(rule: Any) -> tuple[float, float]:
    """(of the source's trace, of the target's)."""
    if isinstance(rule, Vogels2011Rule):
        return rule.tau, rule.tau
    if isinstance(rule, ClopathRule):
        return rule.tau_x, rule.tau_x
    return rule.tau_plus, rule.tau_minus


# ------------------------------------------------------------------------------------ in a simulation


def start(sim: Simulation) -> None:
    """No spike was ever seen; weights are left as they are."""
    net, k = sim._net, _kernel()
    sim._settled = -1
    net.row_state[:] = 0.0
    net.eligibility[:] = 0.0
    net.heads[:] = 1  # entry 0 lies before all times
    net.swept[:] = k.NEVER
    net.pools[:] = 0.0
    net.rules[:, k.R_FROZEN], net.rules[:, k.R_CUT] = 0, int(k.NEVER)
    for b, rule in _changing_parts(sim):
        rows = int(net.blocks[b, sim._k.B_ROWS] * net.blocks[b, sim._k.B_DELAYS])
        if rule[k.R_FAMILY] != k.NONE:
            state = net.row_state[rule[k.R_ROWS]:rule[k.R_ROWS] + rows * k.ROW_SIZE].reshape(rows, k.ROW_SIZE)
            state[:, k.LAST] = state[:, k.SEEN] = k.NEVER
        if rule[k.R_SHORT] or rule[k.R_RELEASE]:
            net.row_state[rule[k.R_SHORT_ROWS]:][:rows * k.SHORT_ROW_SIZE:k.SHORT_ROW_SIZE] = k.NEVER
    for group in sim._groups:
        first, number = sim._tables.sites_of(group)
        for row in net.sites[first:first + number]:
            if row[k.S_KIND] == k.CALCIUM:
                kept = net.voltages[row[k.S_VOLTAGE]:row[k.S_VOLTAGE] + row[k.S_DEPTH] * row[k.S_N]].reshape(-1, row[k.S_N])
                kept[:] = np.concatenate([sim.get(p, "Ca") for p in group.members])
                continue
            many = row[k.S_RING] * row[k.S_N]
            third = _third(k, row[k.S_KIND], row[k.S_RING])
            at = row[k.S_HISTORY]
            net.history[at:at + many] = k.NEVER
            net.history[at + many:at + 2 * many + third * row[k.S_N]] = 0.0
            if row[k.S_KIND] == k.PAIR:
                net.history[at + 2 * many:at + 2 * many + third * row[k.S_N]].view(np.int64).reshape(-1, 8)[:, :4] = int(k.NEVER)
            if row[k.S_KIND] == k.CLOPATH:
                v = np.concatenate([sim.get(p, "v") for p in group.members])
                n, depth = row[k.S_N], row[k.S_DEPTH]
                filtered = net.voltages[row[k.S_VOLTAGE]:row[k.S_VOLTAGE] + (depth + 2) * n].reshape(depth + 2, n)
                filtered[:depth + 1], filtered[depth + 1] = v, k.NEVER


def settle(sim: Simulation) -> None:
    """Bring all weights up to date; leaves no trace in what follows."""
    if sim._net.rules.shape[0] and sim._settled != sim._step:
        sim._settled = sim._step
        bind(sim)
        for p, part in enumerate(sim._net.parts):
            if part[sim._k.P_SITES] > 0:
                _ask(sim, sim._k.SETTLE, p)


def _kernel() -> Any:
    from .kernels import plasticity
    return plasticity


def _act() -> Any:
    """The hook of the main loop; only networks that learn load it."""
    from .kernels.learning import act
    return act


def _ask(sim: Simulation, what: int, p: int, block: int = 0, address: int = 0) -> None:
    """Call the hook between two calls of the main loop."""
    table = sim._net.table.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
    _act().ctypes(table, what, p, sim._step, address, block, sim.dt)


def bind(sim: Simulation) -> None:
    """Tell the main loop's hook where the arrays lie now."""
    net = sim._net
    if net.hook[0]:
        for j, array in enumerate(net):
            if sim._bound is None or array is not sim._bound[j]:
                net.table[j] = array.ctypes.data, array.shape[0], array.shape[-1]
        sim._bound = net


def _changing_parts(sim: Simulation) -> list[tuple[int, np.ndarray]]:
    """(row of ``blocks``, row of ``rules``) of all parts of blocks that change."""
    net, k = sim._net, sim._k
    return [(b, net.rules[row[k.B_RULE]]) for b, row in enumerate(net.blocks) if row[k.B_RULE] >= 0]


def parts_of(sim: Simulation, block: SynapseBlock) -> list[tuple[int, int]]:
    """(part, row of ``blocks``) of the parts of a block that changes."""
    k, net = sim._k, sim._net
    first = net.groups[sim._groups.index(block.target), k.G_PART0]
    return [(p, b) for p in range(first, first + block.target.n_parts)
            for b in range(net.parts[p, k.P_CHANGE0], net.parts[p, k.P_CHANGE0] + net.parts[p, k.P_CHANGES])
            if sim._tables.block_of[b] is block]


def learner(sim: Simulation, projection: Projection | str, what: str) -> tuple[Projection, SynapseBlock]:
    """A projection whose weights change, by itself or its label, and its block."""
    one = sim.projection(projection)
    if not one.changes:
        raise NetworkError(f"{what}: the weights of projection {one.label} do not change")
    return one, next(block for block in sim._store.blocks if one in block.projections)


def places_of(sim: Simulation, projection: Projection, block: SynapseBlock) -> np.ndarray:
    """Where each synapse of a projection lies in its block, in the order of `Simulation.weights`."""
    if projection.label not in sim._placed:
        at = places(block, projection, sim.network, sim._place, sim.dt)
        sim._placed[projection.label] = at.astype(np.uint32) if block.size < 2**32 else at
    return sim._placed[projection.label]


def _now(sim: Simulation, block: SynapseBlock) -> np.ndarray:
    """The magnitudes of a block's weights at this moment, in the order of the store; to be read only."""
    settle(sim)
    kept = sim._net.changing[block.weights_at:block.weights_at + block.size]
    if not block.has_eligibility:
        return kept
    now = kept.copy()  # dopamine has gone on acting since the last event
    bind(sim)
    for p, b in parts_of(sim, block):
        _ask(sim, sim._k.PEEK, p, b, now[sim._net.blocks[b, sim._k.B_W] - block.weights_at:].ctypes.data)
    return now


def read(sim: Simulation, projection: Projection, chosen: Any = slice(None)) -> np.ndarray:
    """The weights of a projection, or of some of its synapses, now, with their sign, in the order of the connector."""
    one, block = learner(sim, projection, "weights")
    return _now(sim, block)[places_of(sim, one, block)[chosen]] * block.sign


def write(sim: Simulation, projection: Projection | str, values: Any) -> None:
    """Set the weights of a projection; what the synapses remember of spikes stays."""
    one, block = learner(sim, projection, "set_weights")
    at = places_of(sim, one, block)
    array = numbers(values)
    if array is None or array.shape not in ((), at.shape) or not np.isfinite(array).all():
        raise ParameterError(
            f"set_weights: {one.label} has {at.size} synapses: values must be a finite number or as many, got {values!r:.200}"
        )
    low, high = bounds(one, block)
    sized = array * block.sign
    bad = (sized < low) | (sized > high)
    if bad.any():
        raise ParameterError(
            f"set_weights: weights of {one.label} must lie between {low:g} and {high:g}"
            f" {one.post.cell.weight_unit} in magnitude, got {float(array[bad].flat[0]):g}"
        )
    cut(sim, block)
    sim._net.changing[block.weights_at + at] = sized


def bounds(projection: Projection, block: SynapseBlock) -> tuple[float, float]:
    """The least and the greatest that a weight of a block may be, times the block's sign."""
    if block.mechanism is not None:
        return block.mechanism.weight_dependence.w_min, block.mechanism.weight_dependence.w_max
    return (-math.inf if projection.sign == 0 else 0.0), math.inf


def is_frozen(sim: Simulation, block: SynapseBlock) -> bool:
    """Whether a block's learning is stopped."""
    return any(sim._net.rules[sim._net.blocks[b, sim._k.B_RULE], _kernel().R_FROZEN] for _, b in parts_of(sim, block))


def cut(sim: Simulation, block: SynapseBlock) -> None:
    """Bring a block up to this moment, which counts as an event of all its synapses."""
    settle(sim)
    if block.has_eligibility:
        k, net = _kernel(), sim._net
        bind(sim)
        for p, b in parts_of(sim, block):
            _ask(sim, sim._k.CUT, p, b)
            net.rules[net.blocks[b, sim._k.B_RULE], k.R_CUT] = sim._step


def freeze(sim: Simulation, projection: Projection | str, frozen: bool) -> None:
    """Stop or resume the learning of a projection; traces of spikes go on, eligibilities wait."""
    _, block = learner(sim, projection, "freeze")
    k, net = _kernel(), sim._net
    cut(sim, block)
    for _, b in parts_of(sim, block):
        net.rules[net.blocks[b, sim._k.B_RULE], k.R_FROZEN] = int(frozen)


def reinforce(sim: Simulation, projection: Projection | str, amount: Any) -> None:
    """Raise the dopamine at the synapses of a projection now."""
    one, block = learner(sim, projection, "reinforce")
    if not block.has_eligibility:
        raise NetworkError(f"reinforce: projection {one.label} has no neuromodulation=Dopamine()")
    value = numbers(amount)
    if value is None or value.ndim or not np.isfinite(value):
        raise ParameterError(f"reinforce: the amount of dopamine for {one.label} must be a finite number, got {amount!r}")
    k, net = _kernel(), sim._net
    assert block.mechanism is not None and block.mechanism.neuromodulation is not None
    tau_d = block.mechanism.neuromodulation.tau_d
    for _, b in parts_of(sim, block):
        rule = net.rules[net.blocks[b, sim._k.B_RULE]]
        pool = net.pools[rule[k.R_POOL]:]
        if not k.drop(pool, rule[k.R_POOL_ROOM], sim._step, float(value), tau_d, sim.dt):
            settle(sim)
            if not k.drop(pool, rule[k.R_POOL_ROOM], sim._step, float(value), tau_d, sim.dt):
                raise SimulationError(f"reinforce: {one.label} cannot remember more releases of dopamine over the delays in its dendrites")


# ------------------------------------------------------------------------------------ at intervals


class Process:
    """What is done every so many steps, between two calls of the compiled loop.  By itself, a reason to stop."""

    def __init__(self, every: int) -> None:
        self.every = every

    def begin(self, sim: Simulation) -> None:
        """Time is zero: make the first state."""

    def act(self, sim: Simulation) -> None:
        """Read and change the simulation."""

    def copy(self) -> Process:
        """One for a branch, with its own state."""
        return self

    def saved(self, sim: Simulation) -> dict[str, np.ndarray]:
        """The state, for a file."""
        return {}

    def restore(self, sim: Simulation, kept: Mapping[str, np.ndarray]) -> None:
        """Put into a saved state; synapses are laid out as they were, their weights come later."""


class Samples:
    """The recorded weights."""

    def __init__(self, network: Network, dt: float) -> None:
        self._records = [(one, interval_steps(one.interval, dt, f"weights of {one.projection.label}")) for one in network.weight_records]

    @property
    def intervals(self) -> list[int]:
        """Steps between samples."""
        return [every for _, every in self._records]

    def take(self, sim: Simulation) -> dict[str, Weights]:
        """One sample of each projection whose turn it is at this step; of the others none."""
        return {one.projection.label: self._of(sim, one, sim._step % every == 0) for one, every in self._records}

    def nothing(self, sim: Simulation) -> dict[str, Weights]:
        """No sample of any."""
        return {one.projection.label: self._of(sim, one, False) for one, _ in self._records}

    @staticmethod
    def _of(sim: Simulation, one: Any, now: bool) -> Weights:
        chosen = slice(None) if one.synapses is None else one.synapses
        pre, post = sim._ends(one.projection)
        if one.synapses is not None and one.synapses.max() >= pre.size:
            raise ParameterError(
                f"weights of {one.projection.label}: synapses must be below {pre.size}, their number, got {one.synapses.max()}"
            )
        pre, post = pre[chosen], post[chosen]
        values = read(sim, one.projection, chosen)[None, :] if now else np.empty((0, pre.size))
        times = np.array([sim.t]) if now else np.empty(0)
        return Weights(values, one.projection.post.cell.weight_unit, pre, post, times)


# ------------------------------------------------------------------------------------ whole states


def saved(sim: Simulation) -> dict[str, np.ndarray]:
    """All that plasticity has changed, whatever the parts."""
    settle(sim)
    k, net, out = _kernel(), sim._net, {}
    for number, block in enumerate(sim._store.blocks):
        parts = parts_of(sim, block)
        if not block.ruled or not parts:
            continue
        rules = [net.rules[net.blocks[b, sim._k.B_RULE]] for _, b in parts]
        rows = block.source.n * block.delays.size
        order = canonical_order(block)
        if block.kind == CHANGING:
            out[f"weights{number}"] = net.changing[block.weights_at:block.weights_at + block.size][order]
        if block.has_eligibility:
            out[f"eligibility{number}"] = net.eligibility[block.eligibility_at:block.eligibility_at + block.size][order]
            pool = net.pools[rules[0][k.R_POOL]:rules[0][k.R_POOL] + k.POOL_EVENTS + 2 * rules[0][k.R_POOL_ROOM]]
            out[f"pool{number}"] = pool[:k.POOL_EVENTS + 2 * int(pool[k.POOL_COUNT])].copy()
        for name, column, width, asked in (("rows", k.R_ROWS, k.ROW_SIZE, block.mechanism is not None),
                                           ("short", k.R_SHORT_ROWS, k.SHORT_ROW_SIZE, block.transmission is not None)):
            if asked:  # a part that has none of a row's synapses does not know of its spikes, nor what the others have seen
                each = np.stack([net.row_state[r[column]:r[column] + rows * width].reshape(rows, width) for r in rules])
                last = each[:, :, 0]
                known = np.where(last == last.max(axis=0), each[:, :, k.SEEN], -np.inf).argmax(axis=0)
                out[f"{name}{number}"] = each[known, np.arange(rows)]
        if (states := _states_apart(sim, block)).size:
            out[f"transmission{number}"] = states[order]
        out[f"flags{number}"] = np.array([rules[0][k.R_FROZEN], rules[0][k.R_CUT]])
    if out:
        out.update(history=net.history, heads=net.heads, voltages=net.voltages)
    return out


def restore(sim: Simulation, kept: Mapping[str, np.ndarray]) -> None:
    """Put synapses into a saved state; the simulation's step is already the saved one."""
    k, net = _kernel(), sim._net
    sim._settled = -1
    if not net.rules.shape[0]:
        return
    for name in ("history", "heads", "voltages"):
        _copy(kept[name], getattr(net, name), name)
    for number, block in enumerate(sim._store.blocks):
        if not block.ruled or not parts_of(sim, block):
            continue
        rows = block.source.n * block.delays.size
        order = canonical_order(block)
        for name, array, at, asked in (("weights", net.changing, block.weights_at, block.kind == CHANGING),
                                       ("eligibility", net.eligibility, block.eligibility_at, block.has_eligibility)):
            if asked:
                own = array[at:at + block.size]
                values = np.empty(block.size)
                _copy(kept[f"{name}{number}"], values, name)
                own[order] = values
        if (states := _states_apart(sim, block)).size:
            values = np.empty(states.shape)
            _copy(kept[f"transmission{number}"], values, "transmission")
            states[order] = values
        for _, b in parts_of(sim, block):
            rule = net.rules[net.blocks[b, sim._k.B_RULE]]
            for name, column, width, asked in (("rows", k.R_ROWS, k.ROW_SIZE, block.mechanism is not None),
                                               ("short", k.R_SHORT_ROWS, k.SHORT_ROW_SIZE, block.transmission is not None)):
                if asked:
                    _copy(kept[f"{name}{number}"], net.row_state[rule[column]:rule[column] + rows * width].reshape(rows, width), name)
            if block.has_eligibility:
                pool = kept[f"pool{number}"]
                if pool.size > k.POOL_EVENTS + 2 * rule[k.R_POOL_ROOM] or pool.size != k.POOL_EVENTS + 2 * int(pool[0]):
                    raise FileFormatError("saved state: the events of dopamine do not fit this network")
                net.pools[rule[k.R_POOL]:rule[k.R_POOL] + pool.size] = pool
            rule[k.R_FROZEN], rule[k.R_CUT] = kept[f"flags{number}"]
    for group in sim._groups:  # all rows were brought up to date before they were saved
        first, number = sim._tables.sites_of(group)
        for row in net.sites[first:first + number]:
            net.swept[row[k.S_SWEPT]:row[k.S_SWEPT] + group.n_parts] = sim._step - 1 - row[k.S_LAG]


def _states_apart(sim: Simulation, block: SynapseBlock) -> np.ndarray:
    """What the synapses of a block keep of what they sent, each for itself, in the order of the store: a view, (size, numbers)."""
    k, net = _kernel(), sim._net
    p, b = parts_of(sim, block)[0]
    rule = net.rules[net.blocks[b, sim._k.B_RULE]]
    width = k.STATES[rule[k.R_RELEASE]]
    part = p - net.groups[sim._groups.index(block.target), sim._k.G_PART0]
    at = rule[k.R_STATES] - int(block.bases[part]) * width
    return net.row_state[at:at + block.size * width].reshape(block.size, width)


def _copy(saved_array: np.ndarray, own: np.ndarray, name: str) -> None:
    if saved_array.shape != own.shape or saved_array.dtype != own.dtype:
        raise FileFormatError(f"saved state: {name} has shape {saved_array.shape}, this network needs {own.shape}")
    own[...] = saved_array


def canonical_order(block: SynapseBlock) -> np.ndarray:
    """The store's places of a block's synapses in an order that does not depend on parts: by row, then target."""
    sizes = np.stack([np.diff(pointer) for pointer in block.pointer], axis=1)  # (rows, parts)
    starts = np.stack([pointer[:-1].astype(np.int64) + base for pointer, base in zip(block.pointer, block.bases, strict=False)], axis=1)
    sizes, starts = sizes.ravel().astype(np.int64), starts.ravel()
    ends = np.cumsum(sizes)
    return np.repeat(starts - (ends - sizes), sizes) + np.arange(block.size)
