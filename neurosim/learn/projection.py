"""Continual learning by orthogonal projection: lateral rows learn what a task's signals span, later weight changes avoid it.

Hebbian learning based orthogonal projection (HLOP; Xiao et al., ICLR 2024), for any learner whose weight changes are
dW = sum of delta x^T over presynaptic signals x: back-propagation through time, online learning with traces, three-factor
rules.  A change that is orthogonal to x leaves what the layer answers to x as it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import NetworkError, ParameterError
from ..parameters import stream_key
from ..subspace import projected, quantised
from .freezing import freeze, inside
from .lateral import Lateral, Rule, is_whole
from .presynaptic import WEIGHTED, groups_of, matrix, patches, postsynaptic

__all__ = ["OrthogonalProjection"]


class OrthogonalProjection:
    """Protects what a network has learned from what it learns later.

    Each weight layer with ``k`` lateral rows H, of shape (k, n), sees the presynaptic signals x of its layer while a task is
    learned: y = H x, and Oja's subspace rule H <- H + rate y (x - H^T y)^T makes the rows an orthonormal base of the
    directions in which x is largest.  `end_task` fixes them; from then on weight changes are taken out of these
    directions, g <- g - g H^T H, which is delta x_perp^T with x_perp = x - H^T H x: what the layer answers to signals of earlier
    tasks stays.  The forward pass and the way of errors are as before.

    Rows learn while a layer is in training mode and gradients are on, and in `watching`.  Gradients are projected as
    back-propagation leaves them in ``weight.grad``; see `attach` for optimisers that do more than add these, and for
    learners that write ``grad`` themselves.

    From the second task on only weights with rows, and what ``free`` names, change: all other parameters (biases, thresholds,
    time constants, affine parameters) are frozen, and batch normalisation uses its stored statistics.

    Parameters
    ----------
    model : nn.Module
        Holds ``nn.Linear``, ``nn.Conv1d`` or ``nn.Conv2d``; convolutions have rows for each group of channels.
    rows : int or dict of str to int
        Lateral rows for the first task, for all these layers or by the layer's name in ``model.named_modules()``.  More rows
        protect more of a task and leave less for those after it.
    free : tuple of str
        Layers that change freely in all tasks, such as the head of each task.
    signal : {"spikes", "rate"}
        What rows learn from: the signals of each step, or their mean over the sequence.
    tau : float, optional
        With ``signal="rate"``: time constant, in steps, of the weights exp(-(T - 1 - t) / tau) of that mean; None weighs all steps alike.
    gain : float
        The rate is ``gain`` over the mean squared length of the signals, as far as old rows leave them, and falls as
        1 / (1 + u / settle) with the updates u of the task.  With the momentum 0.9 stable up to 19; higher finds directions of
        little energy sooner.
    settle : float
        Updates after which the rate has halved; lower leaves less noise at the end and less time to find directions.
    iterations : int
        Updates from each batch.
    momentum : float
    every : int
        While a task is trained, learn from every so many batches only.
    samples : int, optional
        Signals drawn from a batch at random; None takes all of them.
    levels : int, optional
        Spiking lateral neurons: y is clipped to +-20 and rounded to that many steps a side, in learning and in projecting.
        Needs a learner that back-propagates to the weights, or uses `perpendicular`.
    orthonormal : bool
        Make the rows exactly orthonormal when a task ends (QR).  Departs from the paper, whose rows are so to some 1e-3.
    seed : int
        Decides the rows at the start and the drawn signals.

    Attributes
    ----------
    task : int
        Tasks that have ended.

    Raises
    ------
    NetworkError
        If ``rows`` or ``free`` name what is not there, or a layer of another kind.
    ParameterError
        If numbers are out of range, or there are more rows than directions.

    Notes
    -----
    Departures from the paper: the rate follows the signals' length instead of being 1e-3 (inputs) or 1e-2 (hidden layers);
    with old rows, updates from one batch compute their share once.
    """

    def __init__(self, model: nn.Module, rows: int | Mapping[str, int], *, free: tuple[str, ...] = (), signal: str = "spikes",
                 tau: float | None = None, gain: float = 4.0, settle: float = 300.0, iterations: int = 5, momentum: float = 0.9,
                 every: int = 1, samples: int | None = 256, levels: int | None = None, orthonormal: bool = False,
                 seed: int = 1) -> None:
        self.rule = Rule(gain, settle, iterations, momentum, levels)
        if not is_whole(every, 1) or (samples is not None and not is_whole(samples, 1)):
            raise ParameterError("OrthogonalProjection.every and .samples must be whole numbers >= 1 (samples may be None), got "
                                 f"{every!r} and {samples!r}")
        if tau is not None and (isinstance(tau, bool) or not isinstance(tau, (int, float)) or not tau > 0.0):
            raise ParameterError(f"OrthogonalProjection.tau must be > 0 steps, got {tau!r}")
        if signal not in ("spikes", "rate"):
            raise ParameterError(f"OrthogonalProjection.signal must be 'spikes' or 'rate', got {signal!r}")
        if tau is not None and signal != "rate":
            raise ParameterError("OrthogonalProjection.tau weighs the steps of signal='rate'; with 'spikes' each is a signal of its own")
        self.model, self.free, self.signal, self.tau = model, tuple(free), signal, tau
        self.every, self.samples, self.orthonormal, self.task = every, samples, orthonormal, 0
        modules = dict(model.named_modules())
        missing = [name for name in self.free if name not in modules]
        if missing:
            raise NetworkError(f"OrthogonalProjection.free names {missing[0]!r}, which the model does not have")
        self._layers = {name: layer for name, layer in modules.items()
                        if isinstance(layer, WEIGHTED) and not inside(name, self.free)}
        numbers = self._numbers("rows", rows)
        self._layers = {name: layer for name, layer in self._layers.items() if name in numbers}
        self._rows = {name: [Lateral(name if groups_of(layer) == 1 else f"{name}, group {g}", layer.weight, numbers[name], seed)
                             for g in range(groups_of(layer))] for name, layer in self._layers.items()}
        self._draws = torch.Generator().manual_seed(stream_key(seed, "OrthogonalProjection") % 2**63)
        self._names: dict[nn.Module, str] = {layer: name for name, layer in self._layers.items()}
        self._seen = dict.fromkeys(self._layers, 0)
        self._handed: dict[str, Tensor] = {}
        self._shares: dict[str, list[Tensor]] = {}
        self._arrivals: set[str] = set()
        self._watching, self._attached = False, False
        self._steps: tuple[int, int] | None = None
        self._hooks: list[Any] = [model.register_forward_pre_hook(self._begin)]
        for name, layer in self._layers.items():
            self._hooks.append(layer.register_forward_hook(lambda layer, args, y, name=name: self._passed(name, args[0], y)))
            self._hooks.append(layer.weight.register_hook(lambda grad, name=name: self._arrived(name, grad)))

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}: {one[0].old} + {len(one[0].rows) - one[0].old} of {one[0].space.n}" for name, one in self._rows.items())
        return f"OrthogonalProjection({self.task} tasks ended; fixed + learning rows: {parts})"

    # -------------------------------------------------------------------------------------------- what a learner uses

    def attach(self, optimiser: torch.optim.Optimizer) -> None:
        """Project what this optimiser does instead of each gradient as it arrives.

        For learners that write ``weight.grad`` themselves, or back-propagate several times before a step; and for optimisers that
        add more than the gradient (momentum, weight decay, Adam): the whole change of the weights is projected then.
        """
        plain = isinstance(optimiser, torch.optim.SGD) and not any(
            group["momentum"] or group["weight_decay"] for group in optimiser.param_groups)
        before: dict[str, Tensor] = {}

        def begin(*_: Any) -> None:
            self._refuse_unseen()
            self.project_gradients()
            if not plain and self.task:
                before.update({name: layer.weight.detach().clone() for name, layer in self._layers.items()})

        def end(*_: Any) -> None:
            for name, layer in self._layers.items() if before else ():
                change = layer.weight.detach() - before[name]
                layer.weight.data.copy_(before[name] + self._projected(name, change))
            before.clear()

        self._attached = True
        self._hooks += [optimiser.register_step_pre_hook(begin), optimiser.register_step_post_hook(end)]

    def project_gradients(self) -> None:
        """Project the gradients of all weights with rows, in place, once before a step; for graded lateral neurons.

        For a learner that writes ``grad`` itself and has no optimiser to `attach`; back-propagation has its gradients projected already.
        """
        if self.rule.levels is None:
            for name, layer in self._layers.items():
                gradient: Any = layer.weight.grad
                if gradient is not None:
                    gradient.copy_(self._projected(name, gradient))

    def observe(self, layer: nn.Module, signal: Tensor) -> None:
        """Tell what a learner multiplies its deltas with, if that is not the input of the layer (traces).

        To be called before the layer's product; the layer's next input is then no signal.

        Parameters
        ----------
        layer : nn.Module
            One of those with rows; others are passed over.
        signal : Tensor
            Of the shape of the layer's input.
        """
        name = self._names.get(layer)
        if name is not None:
            self._handed[name] = signal.detach()
            self._learn(name, self._handed[name])

    def perpendicular(self, name: str, x: Tensor) -> Tensor:
        """x_perp: what the fixed rows leave of the presynaptic signals of an input; shape (groups, rows, n)."""
        signals = patches(self._layer(name), x)
        return torch.stack([projected(one.fixed, part, self.rule.levels) for one, part in zip(self._rows[name], signals)])

    def end_task(self, grow: int | Mapping[str, int] = 0) -> None:
        """Fix the rows of the task that ends, and add ``grow`` rows that learn the next one.

        Warns where less than a tenth of a layer's directions stay free.

        Raises
        ------
        ParameterError
            If there are fewer free directions than rows asked for.
        """
        numbers = self._numbers("grow", grow)
        for name, laterals in self._rows.items():
            for one in laterals:
                one.check(numbers.get(name, 0))
        for name, laterals in self._rows.items():
            for one in laterals:
                one.end(numbers.get(name, 0), self.orthonormal)
        self._shares.clear()
        self._end_first(self.task + 1)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Within: rows learn from every forward pass, in evaluation mode too.

        For a task whose training is over: its signals do not change any more, and rows that followed them until now settle
        on them.  The rate starts anew.
        """
        self._watching = True
        for laterals in self._rows.values():
            for one in laterals:
                one.updates = 0
        try:
            yield
        finally:
            self._watching = False

    # ------------------------------------------------------------------------------------------------- what it tells

    @property
    def capacity(self) -> dict[str, int]:
        """Directions of each layer's input that no row holds yet: n - k (of the first group; all have as many)."""
        return {name: laterals[0].space.n - len(laterals[0].rows) for name, laterals in self._rows.items()}

    def rows(self, name: str) -> Tensor:
        """The rows of a layer, those of old tasks first; shape (groups, k, n)."""
        self._layer(name)
        return torch.stack([one.rows for one in self._rows[name]])

    def signals(self, x: Tensor) -> dict[str, Tensor]:
        """What the rows of each layer would learn from for the input ``x``, (groups, rows, n), all of it; nothing is learned."""
        found: dict[str, Tensor] = {}
        hooks = [layer.register_forward_pre_hook(lambda layer, args, name=name: found.__setitem__(
            name, patches(layer, self._signal(args[0])))) for name, layer in self._layers.items()]
        was, mode = self._watching, self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                self.model(x)
        finally:
            self.model.train(mode)
            self._watching = was
            for hook in hooks:
                hook.remove()
        return found

    def energy(self, name: str, signals: Tensor) -> float:
        """The share of the squared length of signals, (groups, rows, n), that all rows of a layer together reach; NaN for silence."""
        left = sum(float((projected(one.rows, part) ** 2).sum()) for one, part in zip(self._rows[name], signals, strict=True))
        whole = float((signals**2).sum())
        return 1.0 - left / whole if whole else float("nan")

    @property
    def novelty(self) -> dict[str, float]:
        """|x_perp|^2 / |x|^2 of each layer's last signals: the share that fixed rows leave; near 1 for what is new."""
        return {name: sum(one.novelty for one in laterals) / len(laterals) for name, laterals in self._rows.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that it remembers, tensors and numbers."""
        return {"task": self.task, "draws": self._draws.get_state(), "seen": dict(self._seen),
                "rows": {name: [one.state() for one in laterals] for name, laterals in self._rows.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state, of a projection with the same layers."""
        if set(state["rows"]) != set(self._rows):
            raise ParameterError(f"the state is of layers {sorted(state['rows'])}; here rows are on {sorted(self._rows)}")
        for name, laterals in self._rows.items():
            for one, kept in zip(laterals, state["rows"][name], strict=True):
                one.restore(kept)
        self._seen = dict(state["seen"])
        self._draws.set_state(state["draws"])
        self._end_first(int(state["task"]))

    def remove(self) -> None:
        """Take all hooks off the model and the optimiser; frozen parameters stay frozen."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    # ---------------------------------------------------------------------------------------------------- from hooks

    def _begin(self, model: nn.Module, args: tuple) -> None:
        """Before the model runs: how a batch of T * B falls into steps."""
        x = args[0]
        self._steps = (x.shape[0], x.shape[1]) if isinstance(x, Tensor) and x.ndim > 1 else None

    def _passed(self, name: str, x: Tensor, y: Tensor) -> None:
        """A layer has had the input ``x`` and sends ``y``."""
        layer = self._layers[name]
        signal = self._handed.pop(name, None)
        if signal is None:
            signal = x.detach()
            if self._watching or (layer.training and torch.is_grad_enabled()):
                self._learn(name, self._signal(signal))
        if self.rule.levels is not None and self._rows[name][0].old and y.requires_grad:
            y.register_hook(lambda delta: self._share(name, signal, delta))

    def _signal(self, x: Tensor) -> Tensor:
        """A layer's input as its rows learn from it: every step, or the mean over the sequence."""
        if self.signal == "spikes" or self._steps is None:
            return x
        if x.shape[:2] != self._steps:  # all steps as one batch
            if len(x) % self._steps[1]:
                raise NetworkError(f"signal='rate': {len(x)} signals are no sequences of {self._steps[1]} samples; "
                                   "what the model is given must be of shape (T, B, ...)")
            x = x.unflatten(0, (-1, self._steps[1]))
        if self.tau is None:
            return x.mean(0)
        weights = torch.exp(torch.arange(1 - len(x), 1, dtype=x.dtype, device=x.device) / self.tau)
        return torch.tensordot(weights / weights.sum(), x, 1)

    def _learn(self, name: str, x: Tensor) -> None:
        self._seen[name] += 1
        skipped = (self._seen[name] - 1) % self.every and not self._watching
        if skipped or all(one.old == len(one.rows) for one in self._rows[name]):
            return
        layer = self._layers[name]
        if self.samples is not None and not isinstance(layer, nn.Linear) and len(x) > self.samples:
            x = x[self._drawn(len(x), self.samples)]  # a few images, before they are cut into patches
        signals = patches(layer, x.detach())
        if self.samples is not None and signals.shape[1] > self.samples:
            signals = signals[:, self._drawn(signals.shape[1], self.samples).to(signals.device)]
        for one, part in zip(self._rows[name], signals):
            one.learn(part, self.rule)

    def _drawn(self, size: int, number: int) -> Tensor:
        return torch.randperm(size, generator=self._draws)[:number]

    def _share(self, name: str, signal: Tensor, delta: Tensor) -> None:
        """Spiking lateral neurons: what the gradient of one pass has along the rows, delta times their quantised signals."""
        layer = self._layers[name]
        parts = [post.T @ quantised(part.to(one.rows.dtype) @ one.fixed.T, self.rule.levels) @ one.fixed
                 for one, part, post in zip(self._rows[name], patches(layer, signal), postsynaptic(layer, delta.detach()))]
        self._shares.setdefault(name, []).append(torch.stack(parts))

    def _arrived(self, name: str, gradient: Tensor) -> Tensor:
        """What back-propagation adds to a weight's gradient."""
        if self.rule.levels is not None:
            self._arrivals.add(name)
            for part in self._shares.pop(name, ()):
                gradient = gradient - part.view_as(gradient)
        elif not self._attached and self._rows[name][0].old:
            gradient = self._projected(name, gradient)
        return gradient

    # ---------------------------------------------------------------------------------------------------------- inside

    def _refuse_unseen(self) -> None:
        """Spiking lateral neurons project where errors meet signals; a gradient that came otherwise is not projected."""
        for name, layer in self._layers.items() if self.rule.levels is not None and self.task else ():
            if layer.weight.grad is not None and name not in self._arrivals:
                raise NetworkError(f"levels={self.rule.levels}: the gradient of {name!r} did not come by back-propagation to its weight; a "
                                   "learner that writes it must use perpendicular(), or rows of graded neurons (levels=None)")
        self._arrivals.clear()

    def _projected(self, name: str, change: Tensor) -> Tensor:
        """A change of a weight without what it has along the fixed rows."""
        parts = matrix(self._layers[name], change)
        return torch.stack([part - (part @ one.fixed.T.to(part)) @ one.fixed.to(part)
                            for one, part in zip(self._rows[name], parts)]).view_as(change)

    def _end_first(self, task: int) -> None:
        """Go on to a task; what the first one ends, it ends once."""
        if task and not self.task:
            self._hooks += freeze(self.model, [layer.weight for layer in self._layers.values()], self.free)
        self.task = task

    def _layer(self, name: str) -> nn.Module:
        if name not in self._layers:
            raise NetworkError(f"no lateral rows on {name!r}; there are some on {sorted(self._layers)}")
        return self._layers[name]

    def _numbers(self, what: str, given: int | Mapping[str, int]) -> dict[str, int]:
        numbers = dict(given) if isinstance(given, Mapping) else dict.fromkeys(self._layers, given)
        for name, k in numbers.items():
            if name not in self._layers:
                raise NetworkError(f"OrthogonalProjection: {what} names {name!r}, which is no Linear, Conv1d or Conv2d with rows; "
                                   f"there are {sorted(self._layers)}")
            if not is_whole(k, 0):
                raise ParameterError(f"OrthogonalProjection.{what} of {name!r} must be a whole number >= 0, got {k!r}")
        if not numbers:
            raise NetworkError("OrthogonalProjection: the model has no Linear, Conv1d or Conv2d that could have lateral rows")
        return numbers
