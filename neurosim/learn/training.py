"""A loop that trains a network, shows how it goes on, and can be interrupted, resumed and repeated to the last bit."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..console import interruptible, learning_bar
from ..errors import FileFormatError, ParameterError
from .readout import mean_over_time
from .sequence import Layer, Sequential, detached

__all__ = ["History", "evaluate", "fit", "scores"]

Data = tuple[Any, Any]
_KIND = "neurosim training"


@dataclasses.dataclass(eq=False)
class History:
    """What a training went through, epoch by epoch.

    Attributes
    ----------
    rows : list of dict
        For each epoch: ``epoch`` (from 1), ``loss`` and ``accuracy`` on the training data while they were being learnt,
        ``validation_loss`` and ``validation_accuracy`` after it, ``seconds``; and what ``after_epoch`` returned.
    best : int
        Epoch whose parameters the model has now; 0 before the first.
    interrupted : bool
        Whether Ctrl-C ended it early.
    """

    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best: int = 0
    interrupted: bool = False

    def __getitem__(self, name: str) -> np.ndarray:
        """One number of all epochs, NaN where an epoch does not have it."""
        if not any(name in row for row in self.rows):
            raise KeyError(f"no epoch has {name!r}; there are {sorted({key for row in self.rows for key in row})}")
        return np.array([row.get(name, np.nan) for row in self.rows])

    def plot(self) -> Any:
        """Learning curves: loss, and accuracy where there is one; a ``matplotlib.figure.Figure``."""
        from ..plot import learning_curves
        return learning_curves({"": [self.rows]})


def fit(model: nn.Module, train: Data, validation: Data | None = None, *, epochs: int, batch_size: int = 64,
        optimiser: Any = None, readout: Callable[[Tensor], Tensor] = mean_over_time,
        loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy, encode: Callable | None = None,
        regularise: Callable[[dict[str, Tensor]], Tensor] | None = None, schedule: Any = None, truncate: int | None = None,
        clip: float | None = None, after_batch: Callable | Sequence[Callable] = (), after_epoch: Callable | Sequence[Callable] = (),
        keep: str = "best", checkpoint: str | os.PathLike | None = None, seed: int = 1, progress: bool = True) -> History:
    """Train a model on sequences.

    Parameters
    ----------
    model : nn.Module
        ``model(x)`` gives y or (y, state) for x of shape (T, B, ...).
    train, validation : (inputs, targets)
        Arrays or tensors, samples first.  ``validation`` is for choosing, not for the final figure: keep a test set
        that nothing here sees.
    epochs, batch_size : int
    optimiser : torch.optim.Optimizer, optional
        By default Adam with a learning rate of 1e-3 on all parameters.
    readout : callable
        y, shape (T, B, k) -> scores.
    loss : callable
        (scores, targets) -> number.
    encode : callable, optional
        (inputs of a batch, torch.Generator) -> (T, B, ...).  By default inputs are (n, T, ...) and are turned; bytes
        and booleans, as spikes often are, become floating-point numbers.
    regularise : callable, optional
        dict of name -> output (T, B, ...) of each layer with time -> number that is added to the loss.
    schedule : torch.optim.lr_scheduler.LRScheduler, optional
        Stepped after each epoch.
    truncate : int, optional
        Steps of truncated back-propagation: the sequence is learnt in pieces of that many steps, each with an update of
        its own; gradients end where a piece begins, states go on.
    clip : float, optional
        The longest gradient (Euclidean norm over all parameters).
    after_batch : callable or several
        ``f(model)``, after each update: clamping, projecting.
    after_epoch : callable or several
        ``f(model, epoch)``, before the epoch is validated; numbers of a dict that it returns go into the history.  What has a
        method ``resume(model, epoch)`` is told by it that a checkpoint was read, so that it can set up what no parameter holds.
    keep : {"best", "last"}
        Which parameters the model has at the end: those of the epoch that did best on the validation data (accuracy, then
        loss), or the last.  Without validation data, the last.
    checkpoint : path, optional
        Written after each epoch; if the file is there, training goes on from it, to the same result as without a break.
    seed : int
        Decides the order of samples, what ``encode`` draws, and dropout.
    progress : bool
        Whether a bar shows batches, time left and figures.

    Returns
    -------
    History

    Raises
    ------
    ParameterError
        If arguments are out of range, or numbers of inputs and targets differ.
    FileFormatError
        If ``checkpoint`` is a file of another kind.
    FloatingPointError
        If the loss is not finite; parameters are those from before that batch.

    Notes
    -----
    Ctrl-C ends training after the batch at hand; what was learnt stays (a second one interrupts at once).
    """
    _check(epochs, batch_size, keep, truncate, clip)
    inputs, targets = _pair("train", train)
    held = None if validation is None else _pair("validation", validation)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3) if optimiser is None else optimiser
    after_batch, after_epoch = _several(after_batch), _several(after_epoch)
    history, kept = History(), _copy(model)
    # Dropout and the like draw from torch's own generator, which is left as it was.
    with torch.random.fork_rng(devices=[]), interruptible() as asked, \
            learning_bar(progress, epochs * -(-len(inputs) // batch_size)) as tell:
        torch.manual_seed(seed)
        draws = torch.Generator().manual_seed(seed)
        parts = {"model": model, "optimiser": optimiser, "schedule": schedule}
        if checkpoint is not None and Path(checkpoint).exists():
            kept = _resume(Path(checkpoint), parts, history, draws, kept)
            for one in after_epoch:
                getattr(one, "resume", _nothing)(model, len(history.rows))
            tell(len(history.rows) * -(-len(inputs) // batch_size), {})
        for epoch in range(len(history.rows) + 1, epochs + 1):
            began, row = time.perf_counter(), {"epoch": float(epoch)}
            right: list[np.ndarray | None] = []
            model.train()
            order, total = torch.randperm(len(inputs), generator=draws), 0.0
            for batch in order.split(batch_size):
                x, target = _encoded(inputs[batch], encode, draws), targets[batch]
                value, found = _learn(model, x, target, optimiser, readout, loss, regularise, truncate, clip)
                for one in after_batch:
                    one(model)
                total += value * len(batch)
                right.append(_hits(found, target))
                tell(1, {"epoch": epoch, "loss": value, **_last(history)})
                if asked.is_set():
                    break
            if asked.is_set():
                history.interrupted = True
                break
            row |= {"loss": total / len(inputs), **_share(right)}
            for one in after_epoch:
                row |= {name: float(number) for name, number in (one(model, epoch) or {}).items()}
            if held is not None:
                measured = evaluate(model, held, readout=readout, loss=loss, encode=encode, batch_size=batch_size, seed=seed)
                row |= {f"validation_{name}": number for name, number in measured.items()}
            if schedule is not None:
                schedule.step()
            row["seconds"] = time.perf_counter() - began
            history.rows.append(row)
            if keep == "last" or held is None or _better(history):
                history.best, kept = epoch, _copy(model)
            if checkpoint is not None:
                _save(Path(checkpoint), parts, history, draws, kept)
    if not history.interrupted or (keep == "best" and held is not None and history.best):
        model.load_state_dict(kept)
    model.eval()
    return history


def evaluate(model: nn.Module, data: Data, *, readout: Callable[[Tensor], Tensor] = mean_over_time,
             loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy, encode: Callable | None = None,
             batch_size: int = 256, seed: int = 1) -> dict[str, float]:
    """Loss, and for classes also accuracy, of a model on data; parameters as in :func:`fit`.

    The model is put in evaluation mode for it and then back.

    Returns
    -------
    dict
        ``loss`` and, where targets are classes and there is one score for each, ``accuracy``.
    """
    inputs, targets = _pair("data", data)
    total, right = 0.0, []
    for found, target in _batches(model, inputs, targets, readout, encode, batch_size, seed):
        total += float(loss(found, target)) * len(target)
        right.append(_hits(found, target))
    return {"loss": total / len(inputs), **_share(right)}


def scores(model: nn.Module, inputs: Any, *, readout: Callable[[Tensor], Tensor] = mean_over_time, encode: Callable | None = None,
           batch_size: int = 256, seed: int = 1) -> Tensor:
    """What the readout makes of each sample, in evaluation mode; parameters as in :func:`fit`."""
    rows = torch.as_tensor(inputs)
    return torch.cat([found for found, _ in _batches(model, rows, torch.zeros(len(rows)), readout, encode, batch_size, seed)])


@contextlib.contextmanager
def watched(model: nn.Module, wanted: bool) -> Iterator[dict[str, Tensor]]:
    """Within: the last output of every layer with time, by name."""
    sent: dict[str, Tensor] = {}
    hooks = []
    for name, layer in model.named_modules() if wanted else ():
        if isinstance(layer, Layer) and not isinstance(layer, Sequential):
            hooks.append(layer.register_forward_hook(lambda _, args, out, name=name: sent.__setitem__(name, out[0])))
    try:
        yield sent
    finally:
        for hook in hooks:
            hook.remove()


# ------------------------------------------------------------------------------------------------ one batch


def _learn(model: nn.Module, x: Tensor, target: Tensor, optimiser: Any, readout: Callable, loss: Callable,
           regularise: Callable | None, truncate: int | None, clip: float | None) -> tuple[float, Tensor]:
    """(loss, scores) of a batch, learnt; with truncation, their means over the pieces."""
    state, values, found = None, [], []
    for piece in x.split(truncate or len(x)):
        with watched(model, regularise is not None) as sent:
            out = model(piece, detached(state)) if state is not None else model(piece)
        y, state = out if isinstance(out, tuple) else (out, None)
        answer = readout(y)
        value = loss(answer, target)
        whole = value + regularise(sent) if regularise is not None else value
        if not torch.isfinite(whole):
            raise FloatingPointError(f"fit: the loss is {float(whole.detach())}; a smaller learning rate or clip= may help")
        optimiser.zero_grad()
        whole.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_([one for group in optimiser.param_groups for one in group["params"]], clip)
        optimiser.step()
        values.append(float(value.detach()))
        found.append(answer.detach())
    return float(np.mean(values)), torch.stack(found).mean(0)


def _batches(model: nn.Module, inputs: Tensor, targets: Tensor, readout: Callable, encode: Callable | None, batch_size: int,
             seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    draws, before = torch.Generator().manual_seed(seed), model.training
    model.eval()
    try:
        for batch in torch.arange(len(inputs)).split(batch_size):
            with torch.no_grad():
                out = model(_encoded(inputs[batch], encode, draws))
                yield readout(out[0] if isinstance(out, tuple) else out), targets[batch]
    finally:
        model.train(before)


def _encoded(inputs: Tensor, encode: Callable | None, draws: torch.Generator) -> Tensor:
    if encode is not None:
        return encode(inputs, draws)
    spikes = inputs.dtype in (torch.uint8, torch.bool)
    return (inputs.to(torch.get_default_dtype()) if spikes else inputs).transpose(0, 1)


def _hits(found: Tensor, target: Tensor) -> np.ndarray | None:
    """Whether each sample's largest score is that of its class; None where targets are not classes."""
    if target.is_floating_point() or found.ndim != target.ndim + 1:
        return None
    return (found.argmax(-1) == target).cpu().numpy().reshape(-1)


def _share(hits: list[np.ndarray | None]) -> dict[str, float]:
    known = [one for one in hits if one is not None]
    return {"accuracy": float(np.mean(np.concatenate(known)))} if known else {}


# ------------------------------------------------------------------------------------------------ epochs


def _better(history: History) -> bool:
    """Whether the last epoch did better on the validation data than all before it."""
    def rank(row: dict[str, float]) -> tuple[float, float]:
        return row.get("validation_accuracy", 0.0), -row["validation_loss"]
    *before, last = history.rows
    return all(rank(last) > rank(row) for row in before)


def _last(history: History) -> dict[str, float]:
    row = history.rows[-1] if history.rows else {}
    return {name: row[name] for name in ("accuracy", "validation_accuracy", "validation_loss") if name in row}


def _copy(model: nn.Module) -> dict[str, Any]:
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in model.state_dict().items()}


def _save(path: Path, parts: dict[str, Any], history: History, draws: torch.Generator, kept: dict[str, Any]) -> None:
    """The whole state, written beside the file and then put in its place."""
    state = {"kind": _KIND, "rows": history.rows, "best": history.best, "kept": kept, "draws": draws.get_state(),
             "torch": torch.get_rng_state(), **{name: part.state_dict() for name, part in parts.items() if part is not None}}
    content = io.BytesIO()
    torch.save(state, content)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content.getvalue())
    os.replace(file.name, path)


def _resume(path: Path, parts: dict[str, Any], history: History, draws: torch.Generator, kept: dict[str, Any]) -> dict[str, Any]:
    """Put a saved state back; returns the parameters that were kept."""
    try:
        state = torch.load(path, weights_only=True)
    except Exception as error:
        raise FileFormatError(f"{path} is not a checkpoint of fit: {error}") from error
    if not isinstance(state, dict) or state.get("kind") != _KIND:
        raise FileFormatError(f"{path} is not a checkpoint of fit")
    if set(state["kept"]) != set(kept):
        other = ", ".join(sorted(set(state["kept"]) ^ set(kept)))
        raise FileFormatError(f"{path} is a checkpoint of another model: only one of them has {other}")
    for name, part in parts.items():
        if part is not None:
            part.load_state_dict(state[name])
    history.rows, history.best = state["rows"], state["best"]
    draws.set_state(state["draws"])
    torch.set_rng_state(state["torch"])
    return state["kept"]


def _check(epochs: int, batch_size: int, keep: str, truncate: int | None, clip: float | None) -> None:
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("truncate", truncate)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
            raise ParameterError(f"fit: {name} must be a whole number >= 1, got {value!r}")
    if keep not in ("best", "last"):
        raise ParameterError(f"fit: keep must be 'best' or 'last', got {keep!r}")
    if clip is not None and not clip > 0:
        raise ParameterError(f"fit: clip must be > 0, got {clip!r}")


def _pair(name: str, data: Data) -> tuple[Tensor, Tensor]:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise ParameterError(f"fit: {name} must be (inputs, targets), got {type(data).__name__}")
    inputs, targets = (torch.as_tensor(one) for one in data)
    if len(inputs) != len(targets) or not len(inputs):
        raise ParameterError(f"fit: {name} has {len(inputs)} inputs and {len(targets)} targets; both must be the same number, > 0")
    if inputs.is_floating_point() and bool(inputs.isnan().any()):
        raise ParameterError(f"fit: inputs of {name} are not a number (NaN) in places; cells would never spike there, without a word")
    return inputs, targets


def _nothing(*_: Any) -> None:
    """What is done about a checkpoint by what holds nothing."""


def _several(given: Any) -> tuple[Callable, ...]:
    return (given,) if callable(given) else tuple(given)
