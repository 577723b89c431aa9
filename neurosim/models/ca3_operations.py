"""What the memory of `neurosim.models.ca3` can be asked to do, and what it should answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ParameterError

__all__ = ["Answer", "Operation", "consolidated", "fragment", "index", "learn", "perfect", "recall"]

HOLD = {"learn": 3, "recall": 1}  # ticks for which the input of an operation is repeated
SPACING = {"learn": 7, "recall": 6}  # ticks until the next operation may begin


@dataclasses.dataclass(frozen=True)
class Operation:
    """What the memory is asked to do: made by `learn` and `recall`.

    ``kind`` is ``"learn"`` or ``"recall"``; ``cue`` None in a recall by content; ``content`` () in a recall by cue.
    """

    kind: str
    cue: int | None
    content: tuple[int, ...]

    @property
    def spacing(self) -> int:
        """Ticks until the next operation may begin."""
        return SPACING[self.kind]


def learn(cue: int, content: Iterable[int]) -> Operation:
    """Store a content, a set of bits, under a cue; what was stored there is forgotten."""
    bits = _bits(content)
    if not bits:
        raise ParameterError(f"learn: content must have at least one bit, got {content!r}")
    return Operation("learn", index(cue, "learn: cue"), bits)


def recall(cue: int | None = None, content: Iterable[int] | None = None) -> Operation:
    """Ask for the content of a cue, or for all cues whose content has any of these bits."""
    if (cue is None) == (content is None):
        raise ParameterError("recall needs a cue or a content, one of the two")
    if content is None:
        return Operation("recall", index(cue, "recall: cue"), ())
    bits = _bits(content)
    if not bits:
        raise ParameterError(f"recall: content must have at least one bit, got {content!r}")
    return Operation("recall", None, bits)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the output said to an operation that began at ``time`` (ms).

    ``cues`` and ``content`` are the cells of the output that fired: in a recall by cue the cue that was asked for and its
    content; in a recall by content the content that was asked for and the cues that have some of it; in learning what is
    learnt.  ``forgotten`` are the bits that a cue had before it learnt and has no longer.
    """

    operation: Operation
    time: float
    cues: tuple[int, ...]
    content: tuple[int, ...]
    forgotten: tuple[int, ...] = ()

    @property
    def said(self) -> tuple[tuple[int, ...], ...]:
        """All but the time: what two memories that agree have in common."""
        return self.cues, self.content, self.forgotten


def perfect(operations: Iterable[Operation]) -> list[Answer]:
    """What a memory without a flaw answers: a table of cues, in plain Python."""
    table: dict[int, frozenset[int]] = {}
    answers = []
    for one in operations:
        forgotten: tuple[int, ...] = ()
        if one.kind == "learn":
            assert one.cue is not None
            forgotten = tuple(sorted(table.get(one.cue, frozenset()) - set(one.content)))
            table[one.cue] = frozenset(one.content)
        if one.cue is None:
            cues = tuple(sorted(cue for cue, bits in table.items() if bits & set(one.content)))
            answers.append(Answer(one, 0.0, cues, one.content))
        else:
            answers.append(Answer(one, 0.0, (one.cue,), tuple(sorted(table.get(one.cue, ()))), forgotten))
    return answers


def consolidated(operations: Iterable[Operation]) -> list[Operation]:
    """The same operations, and after each learning recalls by its cue and by each of its bits.

    The machine changes the weights of a cell's synapses when that cell fires next, and remembers 15 spikes of their targets until
    then.  What is not recalled is lost if a bit takes part in eight other learnings meanwhile, or a cue in fifteen recalls by
    its other bits.  Single bits, since recalls teach: bits that are asked for together are bound to all cues that answer.
    """
    out = []
    for one in operations:
        out.append(one)
        if one.kind == "learn":
            out += [recall(cue=one.cue), *(recall(content={bit}) for bit in one.content)]
    return out


def fragment(content: Sequence[int], bits: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Some bits of a content, drawn without replacement."""
    return tuple(sorted(rng.choice(np.asarray(content), bits, replace=False).tolist()))


def index(value: Any, name: str) -> int:
    """A whole number >= 0; raises :class:`ParameterError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ParameterError(f"{name} must be a whole number >= 0, got {value!r}")
    return int(value)


def _bits(content: Any) -> tuple[int, ...]:
    if isinstance(content, (str, bytes)) or not isinstance(content, Iterable):
        raise ParameterError(f"content must be a set of bits, whole numbers >= 0, got {content!r}")
    return tuple(sorted({index(bit, "a bit of the content") for bit in content}))
