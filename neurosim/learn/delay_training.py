"""How layers with delays are trained: what goes on after each batch and epoch, learning rates, and what rounding costs.

With the paper's training (Hammouamri et al. 2024) kernels are narrowed in the first quarter of the epochs, to about a step
and a half, and delays are rounded at the end: a network that made use of what the kernel adds to its neighbours loses that.
`DelaySchedule` therefore goes on with whole delays in the forward pass while delays are still learnt
(``straight-through``): the network that is trained *is* the one that is deployed, batch norm's statistics included.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ParameterError
from .delays import DelayLayer
from .sequence import applied

__all__ = ["DelaySchedule", "as_trained", "clamp_delays", "delay_layers", "delay_rates", "parameter_groups", "refresh_batch_norm",
           "round_delays", "rounded", "rounding_gap"]


def delay_layers(model: nn.Module) -> list[DelayLayer]:
    """All layers with delays."""
    return [one for one in model.modules() if isinstance(one, DelayLayer)]


def clamp_delays(model: nn.Module) -> None:
    """Put delays that left their range back to its ends; for ``fit(after_batch=...)``."""
    for layer in delay_layers(model):
        layer.clamp_()


def round_delays(model: nn.Module) -> nn.Module:
    """Round all delays, in place, for good; weights can go on learning.  Returns the model."""
    for layer in delay_layers(model):
        layer.round_()
    return model


def rounded(model: nn.Module) -> nn.Module:
    """A copy with whole delays."""
    return round_delays(copy.deepcopy(model))


@contextlib.contextmanager
def as_trained(model: nn.Module) -> Iterator[nn.Module]:
    """Within: delays act in evaluation as they did while training, not rounded."""
    layers = delay_layers(model)
    before = [layer.whole_in_evaluation for layer in layers]
    try:
        for layer in layers:
            layer.whole_in_evaluation = False
        yield model
    finally:
        for layer, one in zip(layers, before):
            layer.whole_in_evaluation = one


def rounding_gap(model: nn.Module, measure: Callable[[nn.Module], Any]) -> tuple[Any, Any]:
    """What ``measure(model)`` gives with delays as they were trained, and with rounded ones; the model stays as it is."""
    with as_trained(model):
        before = measure(model)
    return before, measure(rounded(model))


class DelaySchedule:
    """Narrows kernels and makes delays whole, epoch by epoch; for ``fit(after_epoch=...)``.

    Parameters
    ----------
    epochs : int
        That one trains for.
    width : float
        That kernels of `DelayedLinear` are narrowed to, steps; the paper's 0.23 gives a gauss of 0.5 steps.
    narrow : float
        Part of the epochs within which they are.
    straight_through : float or None
        Part of the epochs after which delays are whole in the forward pass, while they go on learning by the gradient that the
        kernel gives.  Earlier: more time to adapt; later: more time with a true gradient.  None: never, as in the paper.
    freeze : float or None
        Part of the epochs after which delays are rounded for good and batch norm uses the statistics that it has, as in evaluation;
        all else goes on learning.  With whole delays a neuron's input has few values, and a threshold that moves with
        every batch's statistics jumps over many spikes at once.

    Notes
    -----
    What it sets is a function of the epoch: `resume` it with the last epoch before training goes on (``fit`` does so).
    ``DelaySchedule(epochs, straight_through=None, freeze=None)`` is the paper's.  Keep the last epoch
    (``fit(keep="last")``), or an early one with wide kernels may be kept.
    """

    def __init__(self, epochs: int, width: float = 0.23, narrow: float = 0.25, straight_through: float | None = 0.5,
                 freeze: float | None = 0.75) -> None:
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
            raise ParameterError(f"DelaySchedule.epochs must be a whole number >= 1, got {epochs!r}")
        if not 0.0 <= width < math.inf:
            raise ParameterError(f"DelaySchedule.width must be >= 0 steps, got {width!r}")
        for name, value in (("narrow", narrow), ("straight_through", straight_through), ("freeze", freeze)):
            if value is not None and not 0.0 <= value <= 1.0:
                raise ParameterError(f"DelaySchedule.{name} must be a part of the epochs, 0 to 1, got {value!r}")
        self.epochs, self.width, self.narrow, self.straight_through, self.freeze = epochs, width, narrow, straight_through, freeze
        self._hooks: list[Any] = []

    def mode(self, epoch: int) -> str:
        """What layers do after so many epochs."""
        for name, part in (("rounded", self.freeze), ("straight-through", self.straight_through)):
            if part is not None and epoch >= part * self.epochs:
                return name
        return "kernel"

    def __call__(self, model: nn.Module, epoch: int = 0) -> None:
        """Prepare the model for the epoch that follows ``epoch``; layers that were rounded stay so."""
        for layer in delay_layers(model):
            if layer.mode != "rounded":
                layer.width.fill_(layer.narrowed(epoch, self.epochs, self.width, self.narrow))
                layer.mode = self.mode(epoch)
        still = self.mode(epoch) == "rounded" and epoch < self.epochs
        if still and not self._hooks:
            self._hooks = [norm.register_forward_pre_hook(_as_in_evaluation) for norm in _norms(model)]
        while self._hooks and not still:
            self._hooks.pop().remove()

    def resume(self, model: nn.Module, epoch: int) -> None:
        """Prepare a model whose parameters are those of after ``epoch``: what batch norm uses is kept by no parameter."""
        self(model, epoch)


def parameter_groups(model: nn.Module, lr: float = 1e-3, delay_lr: float = 0.1, weight_decay: float = 1e-5) -> list[dict[str, Any]]:
    """Groups for an optimiser: weights; biases and all else with one dimension (batch norm), without decay; delays, 100 times faster."""
    delays = {id(layer.delay) for layer in delay_layers(model)}
    own = [one for one in model.parameters() if one.requires_grad]
    rest = [one for one in own if id(one) not in delays]
    return [group for group in (
        {"params": [one for one in rest if one.dim() > 1], "lr": lr, "weight_decay": weight_decay, "kind": "weights"},
        {"params": [one for one in rest if one.dim() <= 1], "lr": lr, "weight_decay": 0.0, "kind": "weights"},
        {"params": [one for one in own if id(one) in delays], "lr": delay_lr, "weight_decay": 0.0, "kind": "delays"},
    ) if group["params"]]


def delay_rates(optimiser: torch.optim.Optimizer, epochs: int, peak: float = 5.0) -> torch.optim.lr_scheduler.LambdaLR:
    """The paper's learning rates for `parameter_groups`, stepped once an epoch; for ``fit(schedule=...)``.

    Weights go up to ``peak`` times their rate and down again (one cycle, as ``torch.optim.lr_scheduler.OneCycleLR`` but with a constant
    momentum), delays fall along a cosine to 0.
    """
    top = max(0.3 * epochs - 1.0, 1e-9)

    def cosine(start: float, end: float, part: float) -> float:
        return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * min(max(part, 0.0), 1.0)))

    def weights(epoch: int) -> float:
        if epoch <= top:
            return cosine(peak / 25.0, peak, epoch / top)
        return cosine(peak, peak / 25.0 / 1e4, (epoch - top) / max(epochs - 1.0 - top, 1e-9))

    rates = {"weights": weights, "delays": lambda epoch: cosine(1.0, 0.0, epoch / epochs)}
    return torch.optim.lr_scheduler.LambdaLR(optimiser, [rates[group.get("kind", "weights")] for group in optimiser.param_groups])


def _norms(model: nn.Module) -> list[nn.Module]:
    return [one for one in model.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm) and one.track_running_stats]


def _as_in_evaluation(norm: nn.Module, inputs: Any) -> None:
    norm.eval()


@torch.no_grad()
def refresh_batch_norm(model: nn.Module, inputs: Tensor, batch_size: int = 256) -> None:
    """Batch norm's statistics anew, with all else as in evaluation: as means over batches of ``inputs``, (T, samples, ...)."""
    norms: list[Any] = _norms(model)
    momenta, before = [one.momentum for one in norms], model.training
    model.eval()
    try:
        for one in norms:
            one.reset_running_stats()
            one.momentum = None
            one.train()
        for piece in inputs.split(batch_size, dim=1):
            applied(model, piece, None)
        if any(int(one.num_batches_tracked) == 0 for one in norms):
            raise ParameterError("refresh_batch_norm: batch norm is kept as it is by something: a DelaySchedule that has not ended?")
    finally:
        for one, momentum in zip(norms, momenta):
            one.momentum = momentum
        model.train(before)
