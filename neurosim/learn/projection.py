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
from .freezing import freeze, inside
from .lateral import Rule, is_whole
from .layer_rows import LayerRows
from .presynaptic import WEIGHTED, mean_rate, patches

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
        layers = {name: layer for name, layer in modules.items() if isinstance(layer, WEIGHTED) and not inside(name, self.free)}
        numbers = _numbers("rows", rows, layers)
        if not numbers:
            raise NetworkError("OrthogonalProjection: the model has no Linear, Conv1d or Conv2d that could have lateral rows")
        self._rows = {name: LayerRows(name, layer, numbers[name], seed) for name, layer in layers.items() if name in numbers}
        self._draws = torch.Generator().manual_seed(stream_key(seed, "OrthogonalProjection") % 2**63)
        self._names: dict[nn.Module, str] = {one.layer: name for name, one in self._rows.items()}
        self._handed: dict[str, Tensor] = {}
        self._shares: dict[str, list[Tensor]] = {}
        self._arrivals: set[str] = set()
        self._watching, self._attached = False, False
        self._steps: tuple[int, int] | None = None
        self._hooks: list[Any] = [model.register_forward_pre_hook(self._begin)]
        for name, one in self._rows.items():
            self._hooks.append(one.layer.register_forward_hook(lambda layer, args, y, name=name: self._passed(name, args[0], y)))
            if one.layer.weight.requires_grad:
                self._hooks.append(one.layer.weight.register_hook(lambda gradient, name=name: self._arrived(name, gradient)))

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}: {one.old} + {one.size - one.old} of {one.inputs}" for name, one in self._rows.items())
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
                before.update({name: one.layer.weight.detach().clone() for name, one in self._rows.items()})

        def end(*_: Any) -> None:
            for name, was in before.items():
                one = self._rows[name]
                one.layer.weight.data.copy_(was + one.projected(one.layer.weight.detach() - was))
            before.clear()

        self._attached = True
        self._hooks += [optimiser.register_step_pre_hook(begin), optimiser.register_step_post_hook(end)]

    def project_gradients(self) -> None:
        """Project the gradients of all weights with rows, in place, once before a step; for graded lateral neurons.

        For a learner that writes ``grad`` itself and has no optimiser to `attach`; back-propagation has its gradients projected already.
        """
        if self.rule.levels is None:
            for one in self._rows.values():
                if one.layer.weight.grad is not None:
                    one.layer.weight.grad.copy_(one.projected(one.layer.weight.grad))

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
            self._learn(self._rows[name], self._handed[name])

    def perpendicular(self, name: str, x: Tensor) -> Tensor:
        """x_perp: what the fixed rows leave of the presynaptic signals of an input; shape (groups, rows, n)."""
        return self._of(name).perpendicular(x, self.rule.levels)

    def end_task(self, grow: int | Mapping[str, int] = 0) -> None:
        """Fix the rows of the task that ends, and add ``grow`` rows that learn the next one.

        Warns where less than a tenth of a layer's directions stay free.

        Raises
        ------
        ParameterError
            If there are fewer free directions than rows asked for.
        """
        numbers = _numbers("grow", grow, self._rows)
        every = [(part, numbers.get(name, 0)) for name, one in self._rows.items() for part in one.groups]
        for part, k in every:
            part.check(k)
        for part, k in every:
            part.end(k, self.orthonormal)
        self._shares.clear()
        self._go_on(self.task + 1)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Within: rows learn from every forward pass, in evaluation mode too.

        For a task whose training is over: its signals do not change any more, and rows that followed them until now settle
        on them.  The rate starts anew.
        """
        self._watching = True
        for one in self._rows.values():
            for part in one.groups:
                part.updates = 0
        try:
            yield
        finally:
            self._watching = False

    # ------------------------------------------------------------------------------------------------- what it tells

    @property
    def capacity(self) -> dict[str, int]:
        """Directions of each layer's input that no row holds yet: n - k, in each group."""
        return {name: one.inputs - one.size for name, one in self._rows.items()}

    def rows(self, name: str) -> Tensor:
        """The rows of a layer, those of old tasks first; shape (groups, k, n)."""
        return self._of(name).stacked()

    def signals(self, x: Tensor) -> dict[str, Tensor]:
        """What the rows of each layer would learn from for the input ``x``, (groups, rows, n), all of it; nothing is learned."""
        found: dict[str, Tensor] = {}
        hooks = [one.layer.register_forward_pre_hook(lambda layer, args, name=name: found.__setitem__(
            name, patches(layer, self._signal(args[0])))) for name, one in self._rows.items()]
        watching, modes = self._watching, [(module, module.training) for module in self.model.modules()]
        self._watching = False
        self.model.eval()
        try:
            with torch.no_grad():
                self.model(x)
        finally:
            self._watching = watching
            for module, mode in modes:
                module.training = mode
            for hook in hooks:
                hook.remove()
        return found

    def energy(self, name: str, signals: Tensor) -> float:
        """The share of the squared length of signals, (groups, rows, n), that all rows of a layer together reach; NaN for silence."""
        return self._of(name).energy(signals)

    @property
    def novelty(self) -> dict[str, float]:
        """|x_perp|^2 / |x|^2 of each layer's last signals: the share that fixed rows leave; near 1 for what is new."""
        return {name: one.novelty for name, one in self._rows.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that it remembers, tensors and numbers."""
        return {"task": self.task, "draws": self._draws.get_state(), "seen": {name: one.seen for name, one in self._rows.items()},
                "rows": {name: [part.state() for part in one.groups] for name, one in self._rows.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state, of a projection with the same layers."""
        if set(state["rows"]) != set(self._rows):
            raise ParameterError(f"the state is of layers {sorted(state['rows'])}; here rows are on {sorted(self._rows)}")
        for name, one in self._rows.items():
            one.seen = int(state["seen"][name])
            for part, kept in zip(one.groups, state["rows"][name], strict=True):
                part.restore(kept)
        self._draws.set_state(state["draws"])
        self._go_on(int(state["task"]))

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
        one, signal = self._rows[name], self._handed.pop(name, None)
        if signal is None:
            signal = x.detach()
            if self._watching or (one.layer.training and torch.is_grad_enabled()):
                self._learn(one, self._signal(signal))
        if self.rule.levels is not None and one.old and y.requires_grad:
            y.register_hook(lambda delta: self._shares.setdefault(name, []).append(one.share(signal, delta.detach(), self.rule.levels)))

    def _signal(self, x: Tensor) -> Tensor:
        """A layer's input as its rows learn from it: every step, or the mean over the sequence."""
        return x if self.signal == "spikes" or self._steps is None else mean_rate(x, self._steps, self.tau)

    def _learn(self, one: LayerRows, x: Tensor) -> None:
        one.seen += 1
        if self._watching or (one.seen - 1) % self.every == 0:
            one.learn(x, self.rule, self.samples, self._draws)

    def _arrived(self, name: str, gradient: Tensor) -> Tensor:
        """What back-propagation adds to a weight's gradient."""
        one = self._rows[name]
        if self.rule.levels is not None:
            self._arrivals.add(name)
            return gradient - sum(self._shares.pop(name, []))
        return one.projected(gradient) if one.old and not self._attached else gradient

    # ---------------------------------------------------------------------------------------------------------- inside

    def _refuse_unseen(self) -> None:
        """Spiking lateral neurons project where errors meet signals; a gradient that came otherwise is not projected."""
        for name, one in self._rows.items() if self.rule.levels is not None and self.task else ():
            if one.layer.weight.grad is not None and name not in self._arrivals:
                raise NetworkError(f"levels={self.rule.levels}: the gradient of {name!r} did not come by back-propagation to its weight; a "
                                   "learner that writes it must use perpendicular(), or rows of graded neurons (levels=None)")
        self._arrivals.clear()

    def _go_on(self, task: int) -> None:
        """To the next task; from the second on, only weights with rows change."""
        if task and not self.task:
            self._hooks += freeze(self.model, [one.layer.weight for one in self._rows.values()], self.free)
        self.task = task

    def _of(self, name: str) -> LayerRows:
        if name not in self._rows:
            raise NetworkError(f"no lateral rows on {name!r}; there are some on {sorted(self._rows)}")
        return self._rows[name]


def _numbers(what: str, given: int | Mapping[str, int], layers: Mapping[str, Any]) -> dict[str, int]:
    """Rows by layer."""
    numbers = dict(given) if isinstance(given, Mapping) else dict.fromkeys(layers, given)
    for name, k in numbers.items():
        if name not in layers:
            raise NetworkError(f"OrthogonalProjection: {what} names {name!r}, which is no Linear, Conv1d or Conv2d with rows; "
                               f"there are {sorted(layers)}")
        if not is_whole(k, 0):
            raise ParameterError(f"OrthogonalProjection.{what} of {name!r} must be a whole number >= 0, got {k!r}")
    return numbers
