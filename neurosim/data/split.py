"""Samples to train on, to choose settings by, and to test with once: three sets that have nothing in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ParameterError

__all__ = ["Part", "Split", "by_group", "by_index", "generator", "some", "stratified"]

Part = tuple[Any, np.ndarray]
"""Inputs (an ndarray, or a `Binned`) and targets, sample first and of equal length."""


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Samples in three disjoint parts, each ``(inputs, targets)`` with the sample first.

    Settings are chosen by ``validation``; ``test`` is for the last number.  Sequences have the shape (samples, steps, ...).

    Attributes
    ----------
    train, validation, test : tuple
        ``(inputs, targets)``, ndarrays (inputs may be a `Binned`); targets of classes are int64.
    source : str
        What the samples are ("real speech ...", "synthetic speech ..."): to be printed beside a score.
    groups : tuple of three tuples of str
        The speakers or voices of each part, where parts are made by them; else empty.

    Raises ParameterError if a part is empty, inputs and targets differ in number, samples differ in shape, or a group is in two parts.
    """

    train: Part
    validation: Part
    test: Part
    source: str = ""
    groups: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        for name, (inputs, targets) in self.parts():
            if len(inputs) != len(targets) or not len(inputs):
                raise ParameterError(f"Split.{name} must have as many inputs as targets, and some; got {len(inputs)} and {len(targets)}")
            if inputs.shape[1:] != self.train[0].shape[1:]:
                raise ParameterError(f"Split.{name}: samples of shape {inputs.shape[1:]}, those of train of {self.train[0].shape[1:]}")
        named = [name for group in self.groups for name in group]
        if len(set(named)) != len(named):
            raise ParameterError(f"Split.groups: {sorted({n for n in named if named.count(n) > 1})} are in more than one part")

    def parts(self) -> list[tuple[str, Part]]:
        """(name, (inputs, targets)) of the three."""
        return [("train", self.train), ("validation", self.validation), ("test", self.test)]

    @property
    def classes(self) -> int:
        """How many classes there are, if targets are classes."""
        return 1 + max(int(targets.max()) for _, (_, targets) in self.parts())

    def map(self, change: Any) -> "Split":
        """The same split with ``change(inputs)`` for the inputs of each part."""
        train, validation, test = ((change(inputs), targets) for _, (inputs, targets) in self.parts())
        return Split(train, validation, test, self.source, self.groups)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(targets)}" for name, (_, targets) in self.parts())
        return f"Split({sizes}; samples of {self.train[0].shape[1:]} {self.train[0].dtype}; {self.source or 'no source told'})"


def generator(*seeds: int) -> np.random.Generator:
    """Random numbers that are a function of these whole numbers."""
    if not all(isinstance(one, (int, np.integer)) and one >= 0 for one in seeds):
        raise ParameterError(f"seed must be a whole number >= 0, got {seeds[0]!r}")
    return np.random.default_rng([int(one) for one in seeds])


def by_index(inputs: np.ndarray, targets: np.ndarray, parts: Sequence[Any], source: str = "", groups: tuple[tuple[str, ...], ...] = ()
             ) -> Split:
    """A split by the indices of the samples of each of its three parts."""
    train, validation, test = (np.asarray(part) for part in parts)
    together = np.concatenate([train, validation, test])
    if len(np.unique(together)) != len(together):
        raise ParameterError("a sample is in more than one part")
    return Split((inputs[train], targets[train]), (inputs[validation], targets[validation]), (inputs[test], targets[test]), source, groups)


def stratified(targets: Any, fractions: Sequence[float], seed: int = 1) -> list[np.ndarray]:
    """Indices of the samples in parts that hold every class in the same proportion, by seed.

    Parameters
    ----------
    targets : array_like of int, shape (n,)
    fractions : sequence of float
        Of the parts, in their order; they add up to at most 1.
    seed : int

    Returns
    -------
    list of ndarray of int64
        Disjoint; in the order of the samples.  Each part has its fraction of all samples, rounded, and of each class
        within one sample of it.
    """
    targets = np.asarray(targets)
    edges = np.concatenate([[0.0], np.cumsum(np.asarray(fractions, float))])
    if not len(fractions) or min(fractions) < 0 or edges[-1] > 1 + 1e-9:
        raise ParameterError(f"fractions must be >= 0 and add up to at most 1, got {list(fractions)}")
    rng = generator(seed)
    place = np.empty(len(targets))  # of each sample among those of its class, from 0 to 1
    for kind in np.unique(targets):
        found = rng.permutation(np.flatnonzero(targets == kind))
        place[found] = (np.arange(len(found)) + 0.5) / len(found)
    order = np.lexsort((rng.random(len(targets)), place))
    cut = np.floor(edges * len(targets) + 0.5).astype(int)
    return [np.sort(order[start:stop]) for start, stop in zip(cut[:-1], cut[1:])]


def by_group(groups: Any, validation: int | Sequence[str], test: int | Sequence[str], seed: int = 1
             ) -> tuple[list[np.ndarray], tuple[tuple[str, ...], ...]]:
    """Indices of samples so that no group (speaker, voice, recording day) is in two parts.

    Parameters
    ----------
    groups : array_like of str, shape (n,)
        Of each sample.
    validation, test : int or sequence of str
        The groups of these parts, or how many are drawn for them by seed.

    Returns
    -------
    list of ndarray, tuple of tuple of str
        Indices, and groups, of train, validation and test.
    """
    groups = np.asarray(groups)
    names = [str(name) for name in np.unique(groups)]
    given = [name for want in (validation, test) if not isinstance(want, int) for name in want]
    for name in given:
        if name not in names:
            raise ParameterError(f"there is no group {name!r}; there are {', '.join(names)}")
    free = [str(name) for name in generator(seed).permutation([name for name in names if name not in given])]
    chosen: list[tuple[str, ...]] = []
    for want in (test, validation):  # the test part first, so that it does not depend on how many validate
        drawn = free[:want] if isinstance(want, int) else list(want)
        free = [name for name in free if name not in drawn]
        chosen.append(tuple(sorted(drawn)))
    parts = (tuple(sorted(free)), chosen[1], chosen[0])
    if not all(parts):
        raise ParameterError(f"{len(names)} groups do not make three parts with {validation!r} to validate and {test!r} to test")
    return [np.flatnonzero(np.isin(groups, part)) for part in parts], parts

def some(split: Split, sizes: tuple[int, int, int], seed: int = 1) -> Split:
    """A smaller split of classes: so many of each part, every class in its proportion, by seed."""
    parts = []
    for (name, (inputs, targets)), size in zip(split.parts(), sizes):
        if not 0 < size <= len(targets):
            raise ParameterError(f"some: {size} of the {len(targets)} samples to {name} cannot be had")
        at = stratified(targets, (size / len(targets),), seed)[0]
        parts.append((inputs.take(at, axis=0), targets[at]))
    return Split(parts[0], parts[1], parts[2], split.source, split.groups)
