"""Connectors: who is connected, how often, in what order; and that bad descriptions are refused by name."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neurosim.kernels import connect, random

from neurosim import connectors as c
from neurosim.errors import FileFormatError, NetworkError, ParameterError
from neurosim.parameters import Integers, Normal
from neurosim.space import (
    Cuboid,
    Grid2D,
    Grid3D,
    Line,
    RandomStructure,
    Space,
    Sphere,
    distance_function,
)

KEY = 0x0123456789ABCDEF


def context(n_pre, n_post, same=False, key=KEY, placed=True, **fields):
    places = {"pre_positions": Line(dx=10.0).generate_positions(n_pre),
              "post_positions": Line(dx=10.0).generate_positions(n_post)} if placed else {}
    return c.Context(n_pre, n_post, key, same, **{**places, **fields})


def pairs_of(connector, ctx, max_synapses=c.MAX_SYNAPSES):
    blocks = list(connector.blocks(ctx, max_synapses))
    pre = np.concatenate([np.empty(0, np.int32), *(b.pre for b in blocks)])
    return pre, np.concatenate([np.empty(0, np.int32), *(b.post for b in blocks)])


def count_matrix(connector, ctx):
    pre, post = pairs_of(connector, ctx)
    count = np.zeros((ctx.n_pre, ctx.n_post), dtype=int)
    np.add.at(count, (pre, post), 1)
    return count


def every_connector(n_pre, n_post, allow_self):
    """One or more of each connector that fits any two sides of at least 3 cells."""
    n = min(n_pre, n_post) // 2
    table = [(i % n_pre, (7 * i) % n_post, 0.5 * i, 1.0 + i) for i in range(2 * n_pre)]
    some = [
        c.AllToAllConnector(allow_self),
        c.ArrayConnector(np.add.outer(np.arange(n_pre), np.arange(n_post)) % 3 == 0),
        c.FromListConnector(table),
        c.PairsConnector(*np.array(sorted(((7 * i) % n_post, i % n_pre) for i in range(2 * n_pre))).T[::-1]),
        c.FixedProbabilityConnector(0.3, allow_self),
        c.FixedProbabilityConnector(1.0, allow_self),
        c.FixedProbabilityConnector(0.0, allow_self),
        c.FixedNumberPreConnector(n, allow_self),
        c.FixedNumberPreConnector(2 * n + 3, allow_self, with_replacement=True),
        c.FixedNumberPreConnector(Integers(0, n), allow_self),
        c.FixedNumberPostConnector(n, allow_self),
        c.FixedNumberPostConnector(2 * n + 3, allow_self, with_replacement=True),
        c.FixedTotalNumberConnector(3 * n_post, allow_self),
        c.FixedTotalNumberConnector(n_pre * n_post // 4, allow_self, with_replacement=False),
        c.FixedTotalNumberConnector(n_pre * n_post - n_post, allow_self, with_replacement=False),
        c.IndexBasedProbabilityConnector(lambda i, j: ((i + j) % 3) / 2, allow_self),
        c.DistanceDependentProbabilityConnector("exp(-d / 50)", allow_self),
        c.DistanceDependentProbabilityConnector(lambda d: d < 35, allow_self),
        c.SmallWorldConnector(25.0, 0.3, allow_self),
        c.SmallWorldConnector(25.0, 0.3, allow_self, n_connections=1),
    ]
    return some + ([c.OneToOneConnector()] if n_pre == n_post else [])


def expected_names():
    return set(c.__all__) - {"Block", "Connector", "Context", "FromFileConnector"}


def test_every_connector_is_tested():
    assert {type(one).__name__ for one in every_connector(6, 6, True)} == expected_names()


sizes = st.integers(3, 30)


# ------------------------------------------------------------------------------------- all of them


@given(n_pre=sizes, n_post=sizes, allow_self=st.booleans(), key=st.integers(0, 2**64 - 1), most=st.integers(1, 200))
def test_order_range_and_portions(n_pre, n_post, allow_self, key, most):
    ctx = context(n_pre, n_post, key=key)
    for connector in every_connector(n_pre, n_post, allow_self):
        if getattr(connector, "n_connections", None) and n_pre > n_post:
            continue  # sources beyond the last targets have no neighbours
        pre, post = pairs_of(connector, ctx)
        assert pre.dtype == post.dtype == np.int32
        assert ((pre >= 0) & (pre < n_pre)).all() and ((post >= 0) & (post < n_post)).all()
        assert (np.lexsort((pre, post)) == np.arange(pre.size)).all()
        pre_again, post_again = pairs_of(connector, ctx, most)
        assert np.array_equal(pre, pre_again) and np.array_equal(post, post_again)
        for block in connector.blocks(ctx, most):
            assert 0 < block.pre.size <= most or len(set(block.post.tolist())) == 1


@given(n=sizes, key=st.integers(0, 2**64 - 1))
def test_no_self_connections_where_forbidden(n, key):
    forbidden = 0
    for connector in every_connector(n, n, False):
        if hasattr(connector, "allow_self_connections"):
            count = count_matrix(connector, context(n, n, same=True, key=key))
            assert np.trace(count) == 0
            forbidden += 1
    assert forbidden == 17


@given(n_pre=sizes, n_post=sizes, shift=st.integers(0, 10))
def test_no_self_connections_of_overlapping_views(n_pre, n_post, shift):
    """Target t is source t + shift, where there is one."""
    own = np.arange(n_post, dtype=np.int32) + shift
    own[own >= n_pre] = -1
    ctx = context(n_pre, n_post, own=own)
    inside = np.flatnonzero(own >= 0)
    for connector in every_connector(n_pre, n_post, False):
        if hasattr(connector, "allow_self_connections") and getattr(connector, "n_connections", None) is None:
            n = getattr(connector, "n", 0)
            if isinstance(connector, c.FixedTotalNumberConnector) and n > n_pre * n_post - inside.size:
                continue
            assert count_matrix(connector, ctx)[own[inside], inside].sum() == 0


def test_self_connections_happen_where_allowed():
    happened = [np.trace(count_matrix(one, context(30, 30, same=True))) for one in every_connector(30, 30, True)]
    assert sum(n > 0 for n in happened) >= 15


def test_another_key_gives_other_synapses():
    random_ones = [c.FixedProbabilityConnector(0.3), c.FixedNumberPreConnector(5), c.FixedNumberPostConnector(5),
                   c.FixedTotalNumberConnector(100), c.SmallWorldConnector(3, 0.5)]
    for connector in random_ones:
        one, other = (pairs_of(connector, context(20, 20, key=key)) for key in (1, 2))
        assert not (np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1]))


@pytest.mark.parametrize("same", [False, True])
def test_expected_is_the_mean(same):
    for connector in every_connector(30, 30, not same):
        places = context(30, 30, same)
        expected = connector.expected(30, 30, same, pre_positions=places.pre_positions,
                                      post_positions=places.post_positions)
        totals = [pairs_of(connector, places._replace(key=key))[0].size for key in range(40)]
        if np.std(totals) == 0:
            assert totals[0] == expected
        else:
            assert abs(np.mean(totals) - expected) < 5 * np.std(totals) / math.sqrt(40)


# ------------------------------------------------------------------------------------- each for itself


@given(n_pre=sizes, n_post=sizes, same=st.booleans())
def test_fixed_numbers_are_exact(n_pre, n_post, same):
    n_post = n_pre if same else n_post
    ctx, n, total = context(n_pre, n_post, same), min(n_pre, n_post) // 2, n_pre * n_post // 2
    for replace in (False, True):
        assert (count_matrix(c.FixedNumberPreConnector(n, False, replace), ctx).sum(0) == n).all()
        assert (count_matrix(c.FixedNumberPostConnector(n, False, replace), ctx).sum(1) == n).all()
        assert count_matrix(c.FixedTotalNumberConnector(total, False, replace), ctx).sum() == total
    for one in (c.FixedNumberPreConnector(n, False), c.FixedNumberPostConnector(n, False),
                c.FixedTotalNumberConnector(total, False, False)):
        assert count_matrix(one, ctx).max() <= 1


@pytest.mark.parametrize("same", [False, True])
def test_taking_all_takes_all(same):
    ctx, one = context(17, 17, same), np.ones((17, 17), int) - np.eye(17, dtype=int) * same
    n = 16 if same else 17
    for connector in (c.FixedNumberPreConnector(n, False), c.FixedNumberPostConnector(n, False),
                      c.FixedTotalNumberConnector(17 * n, False, False), c.FixedProbabilityConnector(1.0, False),
                      c.AllToAllConnector(False), c.DistanceDependentProbabilityConnector("1", False),
                      c.SmallWorldConnector(1e9, 0.5, False)):
        assert (count_matrix(connector, ctx) == one).all()


def test_drawn_numbers_lie_in_their_range():
    degrees = count_matrix(c.FixedNumberPreConnector(Integers(2, 5)), context(30, 400)).sum(0)
    assert set(degrees.tolist()) == {2, 3, 4, 5}
    degrees = count_matrix(c.FixedNumberPostConnector(Normal(6, 2, low=0, high=12), with_replacement=True),
                           context(400, 30)).sum(1)
    assert 5 < degrees.mean() < 7 and degrees.min() >= 0 and degrees.max() <= 12


def test_few_sources_of_very_many():
    """The list of draws is sorted where scanning all sources would cost more."""
    pre, post = pairs_of(c.FixedNumberPreConnector(100), context(200_000, 20, placed=False))
    assert (np.bincount(post) == 100).all()
    assert (np.diff(pre.reshape(20, 100)) > 0).all()


def test_list_order_and_values():
    rows = [(3, 1, 0.5, 2.0), (0, 1, 0.25, 1.0), (3, 0, 0.75, 3.0), (3, 1, 1.5, 4.0)]
    (block,) = c.FromListConnector(rows).blocks(context(5, 2))
    assert block.pre.tolist() == [3, 0, 3, 3] and block.post.tolist() == [0, 1, 1, 1]
    assert block.row.tolist() == [2, 1, 0, 3]
    assert block.weight.tolist() == [0.75, 0.25, 0.5, 1.5] and block.delay.tolist() == [3.0, 1.0, 2.0, 4.0]
    (block,) = c.FromListConnector([(0, 1, 2.5)], ("delay",)).blocks(context(5, 2))
    assert block.weight is None and block.delay.tolist() == [2.5]
    assert list(c.FromListConnector([]).blocks(context(5, 2))) == []


def test_pairs_are_kept_as_they_are():
    pre, post = np.array([2, 2, 0], np.int32), np.array([0, 0, 1], np.int32)
    connector = c.PairsConnector(pre, post)
    assert np.shares_memory(connector.pre, pre) and np.shares_memory(connector.post, post)
    pre[2] = 1  # the caller's own array can still be written to
    assert not connector.pre.flags.writeable
    (block,) = connector.blocks(context(5, 2))
    assert block.pre.tolist() == [2, 2, 1] and block.post.tolist() == [0, 0, 1]
    assert np.shares_memory(block.pre, pre)
    assert list(c.PairsConnector([], []).blocks(context(5, 2))) == []


def test_files(tmp_path):
    table = np.array([[3, 1, 0.5, 2.0], [0, 1, 0.25, 1.0]])
    np.savetxt(tmp_path / "plain.txt", table)
    np.savetxt(tmp_path / "named.txt", table[:, [2, 0, 1]], header='columns = ["weight", "i", "j"]')
    np.savetxt(tmp_path / "pynn.txt", table, header="columns = ['weight', 'delay']")
    np.savez(tmp_path / "named.npz", weight=table[:, 2], post=table[:, 1], pre=table[:, 0])
    for name, columns in [("plain.txt", ("weight", "delay")), ("named.txt", ("weight",)),
                          ("pynn.txt", ("weight", "delay")), ("named.npz", ("weight",))]:
        connector = c.FromFileConnector(tmp_path / name)
        assert connector.columns() == columns
        (block,) = connector.blocks(context(4, 4))
        assert block.pre.tolist() == [0, 3] and block.weight.tolist() == [0.25, 0.5]
    assert connector.expected(4, 4) == 2


def test_file_of_objects_is_not_unpickled(tmp_path):
    np.savez(tmp_path / "bad.npz", pre=np.array([{"a": 1}], dtype=object), post=np.array([0]))
    with pytest.raises(FileFormatError, match=r"bad\.npz.* dtype object"):
        c.FromFileConnector(tmp_path / "bad.npz")


def test_small_world_without_rewiring_is_the_ring():
    count = count_matrix(c.SmallWorldConnector(3, 0.0, False), context(12, 12, same=True, placed=False))
    gap = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    assert (count == ((np.minimum(gap, 12 - gap) < 3) & (gap > 0))).all()


def test_small_world_rewires_the_right_share():
    """Watts & Strogatz 1998: a share ``rewiring`` leaves its place; nothing is doubled, out-degrees stay."""
    ctx = context(2000, 2000, same=True, placed=False)
    local = count_matrix(c.SmallWorldConnector(6, 0.0, False), ctx)
    for share in (0.1, 0.5, 1.0):
        moved = count_matrix(c.SmallWorldConnector(6, share, False), ctx)
        assert (moved.sum(1) == 10).all() and moved.max() == 1 and np.trace(moved) == 0
        stayed = (moved * local).sum() / 20000
        assert abs(stayed - (1 - share)) < 0.02


@pytest.mark.parametrize("text", ["exp(-d/5)", "d < 3", "where(d < 3, 0.5, 0) + 0.1 * (d > 5 and not d > 9)",
                                  "1 - d/(1 + d)", "(d<3) | (2 < d < 4)", "minimum(1, d ** -2)", "pi - e + 0 * d"])
def test_text_is_what_python_says(text):
    d = np.linspace(0.5, 12, 24)
    names = {"exp": math.exp, "where": lambda a, b, x: b if a else x, "minimum": min, "pi": math.pi, "e": math.e}
    assert np.allclose(distance_function(text)(d), [eval(text, names, {"d": x}) for x in d])


@pytest.mark.parametrize("text, shown", [
    ("__import__('os').system('true')", "__import__"), ("d.size", "d.size"), ("(lambda: d)()", "lambda"),
    ("x + 1", "x"), ("exp(d, d)", "exp"), ("exp(d, out=d)", "exp"), ("d[0]", r"d\[0\]"),
    ("d if d else 1", "if"), ("'a'", "'a'"),
    ("d +", "not an expression"), ("[1]", r"\[1\]"), ("d" * 501, "500"), ("1j", "1j"), ("(d := 3)", ":="),
    ("1" * 400, "too large"), ("(" * 250 + "d" + ")" * 249, "not an expression"),
])
def test_text_that_is_no_expression(text, shown):
    with pytest.raises(ParameterError, match=shown):
        distance_function(text)


# ------------------------------------------------------------------------------------- statistics


def assert_uniform(counts, expected, taken=0.0):
    """A chi-square test that fails once in a million right programs, on fixed seeds.

    ``taken``: the share of all pairs that are drawn without replacement, by which the counts vary less.
    """
    stats = pytest.importorskip("scipy.stats")
    statistic = ((counts - expected) ** 2 / expected).sum() / (1.0 - taken)
    assert 5e-7 < stats.chi2.sf(statistic, counts.size - 1) < 1 - 5e-7


@pytest.mark.parametrize("connector", [
    c.FixedNumberPreConnector(20), c.FixedNumberPreConnector(20, with_replacement=True),
    c.FixedNumberPreConnector(20, False), c.FixedTotalNumberConnector(40_000),
    c.FixedTotalNumberConnector(40_000, False), c.FixedTotalNumberConnector(20_000, False, False),
], ids=repr)
def test_all_sources_alike(connector):
    same = not connector.allow_self_connections
    count = count_matrix(connector, context(200, 200 if same else 2000, same))
    taken = 0.0 if connector.with_replacement else count.mean()
    assert_uniform(count.sum(1), count.sum() / 200, taken)
    if isinstance(connector, c.FixedTotalNumberConnector):
        assert_uniform(count.sum(0), count.sum() / count.shape[1], taken)


def test_all_targets_alike():
    for replace in (False, True):
        count = count_matrix(c.FixedNumberPostConnector(20, True, replace), context(2000, 200))
        assert_uniform(count.sum(0), 200.0, 0.0 if replace else 0.1)


def test_all_subsets_alike():
    """Distinct draws: each of the 20 sets of 3 sources of 6 comes equally often; of pairs without replacement too."""
    pre, _ = pairs_of(c.FixedNumberPreConnector(3), context(6, 20_000, placed=False))
    sets = np.unique((1 << pre.reshape(-1, 3)).sum(1), return_counts=True)[1]
    assert sets.size == 20
    assert_uniform(sets, 1000.0)
    for n, subsets in ((2, 15), (4, 15)):  # drawn as they are, and as those left out
        connector = c.FixedTotalNumberConnector(n, True, False)
        found = [np.stack(pairs_of(connector, context(2, 3, key=key, placed=False))).reshape(-1) for key in range(3000)]
        times = np.unique(found, axis=0, return_counts=True)[1]
        assert times.size == subsets
        assert_uniform(times, 3000 / subsets)


def test_probability_is_binomial_and_free_of_place():
    for p in (0.003, 0.1, 0.7):
        count = count_matrix(c.FixedProbabilityConnector(p), context(1000, 1000, placed=False))
        assert count.max() == 1
        assert abs(count.sum() - 1e6 * p) < 5 * math.sqrt(1e6 * p * (1 - p))
        for axis in (0, 1):
            degrees = count.sum(axis)
            assert abs(degrees.var() / (1000 * p * (1 - p)) - 1) < 0.25
        thirds = count[:999].reshape(3, 333, 1000).sum((1, 2))
        assert np.ptp(thirds) < 10 * math.sqrt(333e3 * p * (1 - p))


def test_distance_probability_falls_with_distance():
    ctx = context(300, 300)
    count = count_matrix(c.DistanceDependentProbabilityConnector("exp(-d / 200)"), ctx)
    gap = np.abs(np.subtract.outer(np.arange(300), np.arange(300)))
    for k in (1, 20, 50, 100):
        got, pairs, p = count[gap == k].sum(), (gap == k).sum(), math.exp(-k / 20)
        assert abs(got - pairs * p) < 5 * math.sqrt(pairs * p * (1 - p)) + 1


# ------------------------------------------------------------------------------------- fast against plain


def words(key, index):
    """All words of one item, one after the other."""
    slot = 0
    while True:
        yield from random.block(np.uint64(key), index, slot)
        slot += 1


def plain_draws(key, index, n, m, distinct):
    """n of 0..m-1 as the kernels' docstrings have it."""
    chosen, word = [], words(key, index)
    for k in range(n):
        if not distinct:
            chosen.append(int(next(word)) * m >> 32)
            continue
        last = m - n + k
        value = int(next(word)) * (last + 1) >> 32
        chosen.append(last if value in chosen else value)
    return chosen


def without(own, values):
    return [v + (0 <= own <= v) for v in values]


@given(m=st.integers(2, 5000), n=st.integers(0, 300), first=st.integers(0, 2**31 - 8), distinct=st.booleans(),
       data=st.data())
def test_sources_are_the_plain_ones(m, n, first, distinct, data):
    n = min(n, m - 1) if distinct else n
    own = np.array(data.draw(st.lists(st.integers(-1, m - 1), min_size=3, max_size=3)), dtype=np.int32)
    counts = np.array([n, 0, n // 2], dtype=np.int64)
    pre, post = np.empty((2, counts.sum()), dtype=np.int32)
    fill = connect.sources_distinct if distinct else connect.sources_with_replacement
    fill(np.uint64(KEY), first, counts, m, own, pre, post)
    plain = [sorted(without(own[t], plain_draws(KEY, first + t, counts[t], m - (own[t] >= 0), distinct)))
             for t in range(3)]
    assert pre.tolist() == [source for row in plain for source in row]
    assert post.tolist() == [first] * n + [first + 2] * (n // 2)


@given(m=st.integers(1, 500), p=st.floats(1e-6, 1.0), room=st.integers(0, 600), own=st.integers(-1, 499))
def test_chance_is_the_plain_one(m, p, room, own):
    own = min(own, m - 1)
    plain, fits = [], 4
    for target in range(4):
        hits, position, slot = [], -1, 0
        while True:
            x = random.block(np.uint64(KEY), target, slot // 2)
            u = random._unit(*(x[0:2] if slot % 2 == 0 else (x[3 - 1], x[3])))
            slot += 1
            position += 1 + (math.floor(min(math.log(u) / math.log1p(-p), 1e9)) if p < 1 else 0)
            if position >= m - (own >= 0):
                break
            hits.append((position + (0 <= own <= position), target))
        if len(plain) + len(hits) > room:
            fits = target
            break
        plain += hits
    pre, post = np.empty((2, room), dtype=np.int32)
    reached, k = connect.sources_by_chance(np.uint64(KEY), 0, 4, m, np.full(4, own, np.int32), p, pre, post)
    assert (reached, list(zip(pre[:k].tolist(), post[:k].tolist()))) == (fits, plain)


@given(targets=st.integers(1, 5), n_pre=st.integers(1, 40), own=st.integers(-1, 5))
def test_matrix_is_the_plain_one(targets, n_pre, own):
    p = np.random.default_rng(n_pre).choice([0.0, 1.0, 0.5, 0.1, 1e-12], (targets, n_pre))
    plain = []
    for t in range(targets):
        word = words(KEY, 7 + t)
        plain += [(i, 7 + t) for i in range(n_pre) if int(next(word)) / 2**32 < p[t, i] and i != own]
    pre, post = np.empty((2, p.size), dtype=np.int32)
    k = connect.sources_by_matrix(np.uint64(KEY), 7, p, np.full(targets, own, np.int32), pre, post)
    assert list(zip(pre[:k].tolist(), post[:k].tolist())) == plain


@given(n=st.integers(0, 200), m=st.integers(1, 50), distinct=st.booleans(), n_pre=st.integers(2, 30))
def test_shares_are_the_plain_ones(n, m, distinct, n_pre):
    counts, plain = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    connect.share_out(np.uint64(KEY), n, counts)
    for k in range(n):
        plain[int(random.block(np.uint64(KEY), k // 4, 0)[k % 4]) * m >> 32] += 1
    assert counts.tolist() == plain.tolist()

    own = np.arange(m, dtype=np.int32) % 2 - 1
    n = min(n, (m * (n_pre - 1)) // 2)
    counts[:], plain[:], attempt = 0, 0, 0
    connect.share_out_pairs(np.uint64(KEY), n, n_pre, own, distinct, counts)
    while plain.sum() < n:
        x = random.block(np.uint64(KEY), attempt // 2, 0)[attempt % 2 * 2:][:2]
        t, source = int(x[0]) * m >> 32, int(x[1]) * n_pre >> 32
        attempt += 1
        plain[t] += source >= (plain[t] if distinct else 0) + (own[t] >= 0)
    assert counts.tolist() == plain.tolist()


@given(n_pre=st.integers(1, 20), n_post=st.integers(2, 100), distinct=st.booleans(), begin=st.integers(0, 50))
def test_targets_are_the_plain_ones(n_pre, n_post, distinct, begin):
    fan_out = np.arange(n_pre, dtype=np.int64) % n_post
    own = np.arange(n_pre, dtype=np.int32) % (n_post + 1) - 1
    plain = [(t, i) for i in range(n_pre)
             for t in without(own[i], plain_draws(KEY, i, fan_out[i], n_post - (own[i] >= 0), distinct))]
    counts = np.zeros(n_post, dtype=np.int64)
    connect.count_targets(np.uint64(KEY), fan_out, own, distinct, counts)
    assert counts.tolist() == np.bincount([t for t, _ in plain], minlength=n_post).tolist()
    begin, end = min(begin, n_post - 1), min(begin + 40, n_post)
    wanted = sorted((t, i) for t, i in plain if begin <= t < end)
    cursor = np.concatenate([[0], np.cumsum(counts[begin:end])])[:-1]
    pre = np.empty(len(wanted), dtype=np.int32)
    connect.fill_targets(np.uint64(KEY), fan_out, own, distinct, n_post, begin, cursor, pre)
    assert pre.tolist() == [i for _, i in wanted]


@given(values=st.lists(st.integers(0, 9), max_size=50))
def test_counting_sort_is_stable(values):
    values = np.array(values, dtype=np.int32)
    out = np.empty(values.size, dtype=np.int64)
    connect.stable_order(values, 10, np.arange(values.size), out)
    assert out.tolist() == np.argsort(values, kind="stable").tolist()


@given(n_post=st.integers(3, 80), degree=st.integers(0, 10), p=st.floats(0, 1))
def test_rewiring_is_the_plain_one(n_post, degree, p):
    degree, n_pre, key = min(degree, n_post - 2), 5, np.uint64(KEY)
    own = np.array([-1, 0, 1, -1, 2], dtype=np.int32)
    targets = np.array([[(i + 1 + k) % n_post for k in range(degree)] for i in range(n_pre)], dtype=np.int32)
    plain = targets.tolist()
    for i, row in enumerate(plain):
        for k in range(degree):
            slot = k << 32
            if random.uniform_at(key, i, slot) >= p:
                continue
            new = row[k]
            while new in row or new == own[i]:
                slot += 1
                new = int(random.block(key, i, slot)[0]) * n_post >> 32
            row[k] = new
    flat = targets.reshape(-1)
    connect.rewire(key, np.arange(n_pre + 1) * degree, p, n_post, own, flat)
    assert flat.reshape(n_pre, degree).tolist() == plain


# ------------------------------------------------------------------------------------- PyNN


@pytest.mark.needs("pyNN")
@pytest.mark.parametrize("same", [False, True])
def test_agrees_with_pynn(same):
    """Where nothing is random, the same synapses as PyNN's connectors on its mock simulator."""
    import pyNN.mock as sim
    sim.setup()
    one, other = sim.Population(7, sim.IF_curr_exp()), sim.Population(7, sim.IF_curr_exp())
    places = np.random.default_rng(1).uniform(0, 5, (2, 7, 3))
    one.positions, other.positions = places[0].T, places[1].T
    ends = (one, one) if same else (one, other)
    ctx = context(7, 7, same, pre_positions=places[0], post_positions=places[0 if same else 1])
    mask = np.arange(49).reshape(7, 7) % 4 == 1
    table = [(1, 2, 0.5, 1.0), (6, 0, 0.25, 2.0), (1, 2, 0.75, 3.0)]
    for name, *arguments in [("AllToAllConnector", True), ("AllToAllConnector", False), ("OneToOneConnector",),
                             ("ArrayConnector", mask), ("FromListConnector", table),
                             ("DistanceDependentProbabilityConnector", "d < 3", False),
                             ("FixedProbabilityConnector", 1.0, False), ("FixedNumberPreConnector", 6, False)]:
        theirs = sim.Projection(*ends, getattr(sim, name)(*arguments), sim.StaticSynapse(weight=1.0, delay=1.0))
        rows = theirs.get(["weight", "delay"], "list")
        ours = getattr(c, name)(*arguments)
        if name == "FixedNumberPreConnector" and not same:
            assert (count_matrix(ours, ctx).sum(0) == 6).all()
            continue
        pre, post = pairs_of(ours, ctx)
        assert sorted(zip(pre, post)) == sorted((int(r[0]), int(r[1])) for r in rows), name
        if name == "FromListConnector":
            (block,) = ours.blocks(ctx)
            assert sorted(zip(*(block[:4]))) == sorted(tuple(r) for r in rows)


@pytest.mark.needs("pyNN")
@pytest.mark.parametrize("name, arguments, n", [
    ("Line", {"dx": 2.0, "x0": 1.0, "y": 3.0, "z": -1.0}, 5),
    ("Grid2D", {"aspect_ratio": 3.0, "dy": 2.0, "x0": 1.0}, 12),
    ("Grid3D", {"aspect_ratioXY": 2.0, "aspect_ratioXZ": 4.0, "dz": 3.0, "y0": 1.0}, 8),
])
def test_structures_agree_with_pynn(name, arguments, n):
    from pyNN import space as theirs

    from neurosim import space as ours
    wanted = getattr(theirs, name)(**arguments).generate_positions(n).T
    assert np.array_equal(getattr(ours, name)(**arguments).generate_positions(n), wanted)


@pytest.mark.needs("pyNN")
@pytest.mark.parametrize("arguments", [
    {}, {"axes": "xz"}, {"axes": "y", "scale_factor": 2.0, "offset": 1.0},
    {"periodic_boundaries": ((0.0, 5.0), None, (0.0, 6.0))},
], ids=str)
def test_distances_agree_with_pynn(arguments):
    from pyNN import space as theirs
    a, b = np.random.default_rng(2).uniform(0, 5, (2, 6, 3))
    wanted = theirs.Space(**arguments).distances(a, b).reshape(6, 6)
    assert np.allclose(Space(**arguments).distances(a[:, None], b[None, :]), wanted)


# ------------------------------------------------------------------------------------- space


def test_random_places():
    ball = RandomStructure(Sphere(2.0), origin=(1, 2, 3)).generate_positions(4000, 5, "a") - (1, 2, 3)
    r = np.linalg.norm(ball, axis=1)
    assert r.max() < 2 and abs(((r / 2) ** 3).mean() - 0.5) < 0.03 and np.abs(ball.mean(0)).max() < 0.1
    box = RandomStructure(Cuboid(2, 4, 6)).generate_positions(4000, 5, "a")
    assert (np.abs(box) < (1, 2, 3)).all() and np.allclose(box.std(0), np.array([2, 4, 6]) / math.sqrt(12), rtol=0.05)
    assert not np.array_equal(box, RandomStructure(Cuboid(2, 4, 6)).generate_positions(4000, 5, "b"))
    grid = Grid2D(fill_order="random").generate_positions(25, 1, "a")
    assert not np.array_equal(grid, Grid2D().generate_positions(25))
    assert sorted(map(tuple, grid)) == sorted(map(tuple, Grid2D().generate_positions(25)))


# ------------------------------------------------------------------------------------- refusals

BAD_ARGUMENTS = [
    (lambda: c.AllToAllConnector("NoMutual"), "AllToAllConnector.allow_self_connections.*'NoMutual'"),
    (lambda: c.FixedProbabilityConnector(1.5), "FixedProbabilityConnector.p_connect must be >= 0 and <= 1, got 1.5"),
    (lambda: c.FixedProbabilityConnector(-0.1), "got -0.1"),
    (lambda: c.FixedProbabilityConnector(math.nan), "got nan"),
    (lambda: c.FixedProbabilityConnector("a"), "got 'a'"),
    (lambda: c.FixedNumberPreConnector(-1), "FixedNumberPreConnector.n must be a whole number >= 0, got -1"),
    (lambda: c.FixedNumberPostConnector(2.5), "FixedNumberPostConnector.n .* got 2.5"),
    (lambda: c.FixedTotalNumberConnector(True), "FixedTotalNumberConnector.n .* got True"),
    (lambda: c.FixedTotalNumberConnector(3, with_replacement=1), "with_replacement must be True or False, got 1"),
    (lambda: c.FromListConnector([(0, 1, 2.0)]), "column_names is needed for rows of 3"),
    (lambda: c.FromListConnector([(0, 1), (2,)]), "conn_list must be rows of the same number"),
    (lambda: c.FromListConnector([(0, 1, 2.0)], ("U",)), r"\('U',\)"),
    (lambda: c.FromListConnector([(0, 1, 2.0, 1.0)], ("weight",)), "must name the 2 columns"),
    (lambda: c.FromListConnector([(0, 1), (0.5, 1)]), "row 1: pre must be a whole number, got 0.5"),
    (lambda: c.FromListConnector([(0, math.nan)]), "row 0: post must be a whole number, got nan"),
    (lambda: c.FromListConnector([(0, 1, math.inf, 1.0)]), "row 0: weight must be finite, got inf"),
    (lambda: c.FromListConnector([("a", "b")]), "must be rows"),
    (lambda: c.PairsConnector([0.5], [0]), "pre must be a row of whole numbers"),
    (lambda: c.PairsConnector([[0]], [0]), r"got shape \(1, 1\)"),
    (lambda: c.PairsConnector([0, 1], [0]), "as many pre as post indices, got 2 and 1"),
    (lambda: c.PairsConnector([0], [2**31]), r"post must be >= 0 and < 2\*\*31, got 2147483648"),
    (lambda: c.PairsConnector([0, 1], [1, 0]), r"got \(0, 1\) before \(1, 0\) at index 0"),
    (lambda: c.PairsConnector([1, 0], [0, 0]), "ordered by target, then by source"),
    (lambda: c.ArrayConnector([1, 0]), r"ArrayConnector.array must be a 2-D array .* shape \(2,\)"),
    (lambda: c.ArrayConnector([[0.5]]), "True and False"),
    (lambda: c.IndexBasedProbabilityConnector(0.5), "index_expression .* got 0.5"),
    (lambda: c.DistanceDependentProbabilityConnector(0.5), "d_expression .* got 0.5"),
    (lambda: c.DistanceDependentProbabilityConnector("open('x')"), "open"),
    (lambda: c.SmallWorldConnector(-1, 0.1), "SmallWorldConnector.degree must be >= 0, got -1"),
    (lambda: c.SmallWorldConnector(2, 2), "SmallWorldConnector.rewiring .* got 2"),
    (lambda: c.SmallWorldConnector(2, 0.2, n_connections=1.5), "n_connections .* got 1.5"),
    (lambda: Space(axes="w"), "Space.axes .* got 'w'"),
    (lambda: Space(periodic_boundaries=((0, 1),)), "3 items"),
    (lambda: Space(periodic_boundaries=((1, 0), None, None)), r"of x must be .* got \(1, 0\)"),
    (lambda: Space(offset=(1, 2)), "Space.offset"),
    (lambda: Space(scale_factor=math.nan), "Space.scale_factor must be finite, got nan"),
    (lambda: Line(dx=math.inf), "Line.dx must be finite, got inf"),
    (lambda: Grid2D(aspect_ratio=0), "Grid2D.aspect_ratio must be > 0, got 0"),
    (lambda: Grid2D(fill_order="x"), "Grid2D.fill_order .* got 'x'"),
    (lambda: Sphere(-1), "Sphere.radius must be > 0, got -1"),
    (lambda: RandomStructure("box"), "RandomStructure.boundary .* got 'box'"),
    (lambda: RandomStructure(Sphere(1), (0, 1)), "RandomStructure.origin"),
]
assert BAD_ARGUMENTS


@pytest.mark.parametrize("make, message", BAD_ARGUMENTS, ids=[m for _, m in BAD_ARGUMENTS])
def test_bad_arguments(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


BAD_SIDES = [
    (c.OneToOneConnector(), {}, "net: OneToOneConnector .* got 5 sources and 4 targets"),
    (c.FixedNumberPreConnector(6), {}, "net: FixedNumberPreConnector.n must be >= 0 and <= 5 without .* got 6"),
    (c.FixedNumberPreConnector(4, False), {"n_pre": 4, "same": True}, "<= 3 without .* itself excepted"),
    (c.FixedNumberPreConnector(Integers(1, 9)), {}, r"<= 5 .* got Integers\(low=1, high=9\)"),
    (c.FixedNumberPreConnector(1, with_replacement=True), {"n_pre": 0}, "<= 0, got 1"),
    (c.FixedNumberPostConnector(5), {}, "FixedNumberPostConnector.n must be >= 0 and <= 4"),
    (c.FixedTotalNumberConnector(21, True, False), {}, "<= 20 without replacement, got 21"),
    (c.FixedTotalNumberConnector(1, False), {"n_pre": 1, "n_post": 1, "same": True}, "there are 0 pairs"),
    (c.FromListConnector([(0, 0), (5, 1)]), {}, "conn_list row 1: pre index must be >= 0 and < 5.* got 5"),
    (c.FromListConnector([(0, -1)]), {}, "row 0: post index .* got -1"),
    (c.PairsConnector([0, 5], [0, 1]), {}, "PairsConnector.pre must be >= 0 and < 5.* got 5 at index 1"),
    (c.PairsConnector([0], [-1]), {}, "PairsConnector.post .* got -1 at index 0"),
    (c.ArrayConnector(np.ones((4, 5), bool)), {}, r"must have shape \(5, 4\).* got \(4, 5\)"),
    (c.DistanceDependentProbabilityConnector("d"), {}, "needs positions, and the source population has none"),
    (c.SmallWorldConnector(2, 0.1), {}, "SmallWorldConnector needs positions, or two sides of the same size"),
    (c.SmallWorldConnector(2, 0.1, False, 3), {"n_pre": 8, "n_post": 8, "same": True}, "n_connections must be .* <= 2"),
]
assert BAD_SIDES


@pytest.mark.parametrize("connector, sides, message", BAD_SIDES, ids=[m for *_, m in BAD_SIDES])
def test_bad_sides(connector, sides, message):
    ctx = context(**{"n_pre": 5, "n_post": 4, "placed": False, "label": "net", **sides})
    with pytest.raises(NetworkError, match=message):
        list(connector.blocks(ctx))
    if "needs positions" in message:
        connector.validate(ctx.n_pre, ctx.n_post, ctx.same, "net")  # nothing is said of places
        with pytest.raises(NetworkError, match=message):
            connector.validate(ctx.n_pre, ctx.n_post, ctx.same, "net", pre_positions=None)
    elif "n_connections" not in message:
        with pytest.raises(NetworkError, match=message):
            connector.validate(ctx.n_pre, ctx.n_post, ctx.same, "net")


@pytest.mark.parametrize("connector, message", [
    (c.IndexBasedProbabilityConnector(lambda i, j: i + 0 * j),
     "index_expression must give .* got 2 for source 2 and target 0"),
    (c.IndexBasedProbabilityConnector(lambda i, j: np.ones(3)), "for each pair"),
    (c.DistanceDependentProbabilityConnector("-d"), "d_expression must give .* got -10 for source 1 and target 0"),
    (c.DistanceDependentProbabilityConnector("1 / d - 1 / d"), "got nan for source 0 and target 0"),
    (c.FixedNumberPreConnector(Normal(0.0, 1.0, low=-3, high=3)), "n must be >= 0"),
], ids=lambda x: str(x)[:40])
def test_bad_draws(connector, message):
    with pytest.raises(ParameterError, match=message):
        list(connector.blocks(context(5, 40)))
    with pytest.raises(ParameterError, match="max_synapses must be >= 1, got 0"):
        list(c.AllToAllConnector().blocks(context(5, 4), 0))


@pytest.mark.parametrize("structure, n", [(Grid2D(), 7), (Grid3D(), 9), (Grid2D(aspect_ratio=2.0), 9)], ids=repr)
def test_cells_that_do_not_fill_the_grid(structure, n):
    with pytest.raises(NetworkError, match=f"{n} cells do not fill a {type(structure).__name__}"):
        structure.generate_positions(n)


@pytest.mark.parametrize("name, content, message", [
    ("absent.txt", None, "absent.txt.*cannot be read"),
    ("words.txt", "a b c", "words.txt.*not a list of synapses"),
    ("header.txt", "# columns = ['i', 'j', 'weight']\n1 2\n", "3 columns are named, but the lines have 2"),
    ("names.txt", "# columns = ['i', 'weight']\n1 2\n", "columns must be pre, post"),
    ("code.txt", "# columns = open('x')\n1 2\n", "code.txt.*not a list of synapses"),
    ("zip.npz", "no archive", "zip.npz"),
    ("half.txt", "0 1\n0.5 1\n", "row 1: pre must be a whole number"),
])
def test_bad_files(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(FileFormatError, match=message):
        c.FromFileConnector(tmp_path / name)
