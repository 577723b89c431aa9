"""The Yin-Yang set: three areas of a disc, drawn evenly, by seed."""

import numpy as np
import pytest

from neurosim.data.yin_yang import yin_yang, yin_yang_class
from neurosim.errors import ParameterError


def test_the_sign_is_that_of_the_picture():
    points = np.array([[0.25, 0.5], [0.75, 0.5], [0.25, 0.35], [0.75, 0.65], [0.5, 0.9], [0.5, 0.1], [0.99, 0.99], [0.01, 0.5]])
    assert yin_yang_class(points).tolist() == [2, 2, 0, 1, 0, 1, -1, 0]
    # Turned by half a turn, Yin and Yang change places and the dots are dots.
    many = np.random.default_rng(1).random((4000, 2))
    kind, turned = yin_yang_class(many), yin_yang_class(1.0 - many)
    assert (np.where(kind < 0, -1, np.choose(np.clip(kind, 0, 2), [1, 0, 2])) == turned).mean() > 0.999
    area = np.array([(kind == k).mean() for k in range(3)])
    assert area[2] == pytest.approx(2 * np.pi * 0.01, abs=0.015) and area[0] == pytest.approx(area[1], abs=0.03)


def test_parts_are_balanced_disjoint_and_a_function_of_the_seed():
    split, again, other = yin_yang((300, 60, 90), 1), yin_yang((300, 60, 90), 1), yin_yang((300, 60, 90), 2)
    for name, (points, targets) in split.parts():
        assert (np.bincount(targets) == len(targets) // 3).all(), name
        assert (yin_yang_class(points) == targets).all() and not (np.sort(targets) == targets).all()
    assert len(np.unique(np.concatenate([points for _, (points, _) in split.parts()]), axis=0)) == 450
    assert (split.test[0] == again.test[0]).all() and (split.train[1] == again.train[1]).all()
    assert not (split.train[0] == other.train[0]).all()


@pytest.mark.parametrize("sizes", [(10, 10), (10, 0, 10), (10, 2.5, 10)])
def test_bad_sizes_are_told(sizes):
    with pytest.raises(ParameterError, match="yin_yang: sizes must be three whole numbers >= 1"):
        yin_yang(sizes)
