"""Learning without going back in time: what a synapse needs of the past it carries along in a trace.

A learner is one object for one network: ``loss = learner.step(x, target)`` shows a batch, leaves gradients in ``weight.grad`` and
steps the optimiser.  Memory does not grow with the length of a sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import NetworkError, ParameterError
from .functional import Cell, plain_loop
from .neurons import LI, LIF, Neurons
from .presynaptic import WEIGHTED, patches, postsynaptic
from .recurrent import Recurrent
from .sequence import Sequential

__all__ = ["EProp", "Learner", "OTTT"]

Loss = Callable[[Tensor, Tensor], Tensor]
Observe = Callable[[nn.Module, Tensor], None]


class Learner:
    """What learners have in common: ``step(x, target)`` learns from a batch and returns its loss.

    Parameters
    ----------
    model : Sequential
        Weight layers and neurons in turn, the last of them the readout.
    optimiser : torch.optim.Optimizer or None
        None leaves gradients in ``grad``, added to what is there.
    loss : callable
        (what the readout sends at a step (B, k), targets) -> number; the loss of a sequence is the mean over the steps.
    every_step : bool
        Whether the weights change at each step instead of after the sequence.
    observe : callable, optional
        ``observe(layer, trace)``, before each product: what the learner multiplies the errors of the layer with.
    """

    def __init__(self, model: Sequential, optimiser: Any = None, loss: Loss = nn.functional.cross_entropy, every_step: bool = False,
                 observe: Observe | None = None) -> None:
        self.model, self.optimiser, self.loss, self.every_step, self.observe = model, optimiser, loss, every_step, observe
        if every_step and optimiser is None:
            raise ParameterError(f"{type(self).__name__}: every_step needs an optimiser")

    def start(self, x: Tensor) -> Any:
        """What is carried along, before the first step."""
        raise NotImplementedError

    def advance(self, x: Tensor, target: Tensor, share: float, carried: Any) -> Tensor:
        """One step of input (B, ...): add gradients of ``share`` times its loss, renew what is carried, return that loss."""
        raise NotImplementedError

    def step(self, x: Tensor, target: Tensor, weights: Any = None) -> float:
        """Learn from a batch.

        Parameters
        ----------
        x : Tensor, shape (T, B, ...)
        target : Tensor, shape (B, ...) or (T, B, ...)
            For the whole sequence, or one for each step (where the first two dimensions are T and B).
        weights : array of shape (T,), optional
            What a step's loss counts; by default 1 / T each.

        Returns
        -------
        float
            The loss, by the weights before the batch (with ``every_step``: by those of each step).
        """
        steps, batch = x.shape[:2]
        each = target.ndim > 1 and target.shape[:2] == (steps, batch)
        if not each and target.shape[:1] != (batch,):
            raise ParameterError(f"{type(self).__name__}: targets must be ({batch}, ...) or ({steps}, {batch}, ...), got"
                                 f" {tuple(target.shape)}")
        share = torch.full((steps,), 1.0 / steps) if weights is None else torch.as_tensor(weights, dtype=torch.float64)
        if share.shape != (steps,):
            raise ParameterError(f"{type(self).__name__}: weights must have shape ({steps},), got {tuple(share.shape)}")
        if self.optimiser is not None:
            self.optimiser.zero_grad()
        total, carried = 0.0, self.start(x)
        for t in range(steps):
            total += float(self.advance(x[t], target[t] if each else target, float(share[t]), carried))
            if self.every_step:
                self.optimiser.step()
                self.optimiser.zero_grad()
        if self.optimiser is not None and not self.every_step:
            self.optimiser.step()
        return total


def product(layer: nn.Module, x: Tensor) -> Tensor:
    """A weight layer's product, called as a module, whose weights are constants: its gradient goes to ``x`` alone."""
    y: Tensor = torch.func.functional_call(layer, {name: one.detach() for name, one in layer.named_parameters()}, (x,))
    return y


def add_gradient(layer: Any, trace: Tensor, of_ones: float, error: Tensor) -> None:
    """weight.grad += error x trace, bias.grad += error times the trace of an input of ones."""
    rows = torch.einsum("gro,gri->goi", postsynaptic(layer, error), patches(layer, trace))
    add(layer.weight, rows.reshape(layer.weight.shape))
    if layer.bias is not None:
        add(layer.bias, of_ones * error.transpose(0, 1).flatten(1).sum(1))


def add(parameter: Any, gradient: Tensor) -> None:
    """Add to what is in ``grad``, if the parameter is one that learns."""
    if parameter.requires_grad:
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def one_number(name: str, neurons: Neurons, what: str) -> float:
    """A time constant's factor that all cells of a layer share."""
    kept = neurons.kept(what)
    if kept.dim() and not bool((kept == kept.flatten()[0]).all()):
        raise NetworkError(f"{name}: a trace is one for all that an input projects to, so {what} must be one number for each layer")
    return float(kept.flatten()[0])


# ------------------------------------------------------------------------------------------------ OTTT


class OTTT(Learner):
    """Online training through time (Xiao et al., NeurIPS 2022).

    At each step, errors go back through the layers as they are at that step, and each weight changes by error times the trace of its
    input::

        a[t] = keep a[t - 1] + x[t],        dL[t]/dW = delta[t] a[t]^T        

    with keep that of the neurons the weights lead to.  This is the gradient of back-propagation through time as far as a loss
    depends on a weight through one membrane only: exact for the last layer and for one layer of weights; for deeper layers what
    reaches a loss by later spikes and potentials of layers above is left out.

    Parameters
    ----------
    model : Sequential
        ``nn.Linear`` or convolutions, each followed by `LIF` with ``reset="subtract"`` or by `LI`, without tau_syn; in between
        whatever has no time and no parameters.
    others
        As for `Learner`.

    Notes
    -----
    Departure: a bias has a trace too, that of an input of ones, as its derivative has.
    """

    def __init__(self, model: Sequential, optimiser: Any = None, loss: Loss = nn.functional.cross_entropy, every_step: bool = False,
                 observe: Observe | None = None) -> None:
        super().__init__(model, optimiser, loss, every_step, observe)
        self._keeps: dict[str, tuple[str, nn.Module]] = {}
        waiting: list[tuple[str, nn.Module]] = []
        for name, layer in model.layers():
            if isinstance(layer, WEIGHTED):
                if waiting:
                    raise NetworkError(f"OTTT: layer {waiting[0][0]} must be followed by neurons before layer {name}")
                waiting.append((name, layer))
            elif isinstance(layer, Neurons):
                plain = type(layer) in (LIF, LI) and layer.tau_syn is None
                if not plain or (isinstance(layer, LIF) and layer.reset != "subtract") or layer.train_names:
                    raise NetworkError(
                        f"OTTT: layer {name} must be LI, or LIF with reset='subtract', without tau_syn and train, got {layer}")
                self._keeps |= {weights: (name, layer) for weights, _ in waiting}
                waiting = []
            elif any(True for _ in layer.parameters()):
                raise NetworkError(f"OTTT: layer {name} ({type(layer).__name__}) has parameters it cannot learn")
        if waiting or not self._keeps:
            raise NetworkError("OTTT: the model must end in neurons that weights lead to")

    def start(self, x: Tensor) -> Any:
        """States and traces by layer; there are none yet."""
        return {}

    def advance(self, x: Tensor, target: Tensor, share: float, carried: dict[str, Any]) -> Tensor:
        """Forward one step, the errors of that step back, traces times errors."""
        sums: dict[str, Tensor] = {}
        now = x
        for name, layer in self.model.layers():
            if name in self._keeps:
                keep = one_number("OTTT", self._keeps[name][1], "tau_m")  # type: ignore[arg-type]
                trace, ones = carried.get(name, (0.0, 0.0))
                trace, ones = keep * trace + now.detach(), keep * ones + 1.0
                carried[name] = trace, ones
                if self.observe is not None:
                    self.observe(layer, trace)
                sums[name] = now = _leaf(product(layer, now))
            elif isinstance(layer, Neurons):
                out, state = layer(now[None], carried.get(name))
                carried[name] = {key: one.detach() for key, one in state.items()}
                now = out[0]
            else:
                now = layer(now)
        value = share * self.loss(now, target)
        errors = torch.autograd.grad(value, list(sums.values()))
        for (name, _), error in zip(sums.items(), errors):
            trace, ones = carried[name]
            add_gradient(getattr(self.model, name), trace, ones, error)
        return value.detach()


def _leaf(y: Tensor) -> Tensor:
    """A tensor in the graph whose gradient can be asked for, also where nothing before it has one."""
    return y if y.requires_grad else y.requires_grad_()


# ------------------------------------------------------------------------------------------------ e-prop


class EProp(Learner):
    """e-prop (Bellec et al., Nature Communications 11, 2020) for one layer of spiking neurons and a leaky readout.

    Each synapse carries along the derivative of what its neuron sends, e[t] = ds_j[t]/dW_ji, through all that is within this
    neuron (membrane, synaptic current, adaptation); errors of the readout come back by weights B::

        dW_ji = sum over t of L_j[t] ebar_ji[t],     L[t] = B dE/dy[t],     ebar[t] = keep_out ebar[t - 1] + e[t]

    With B the readout's own weights this is the gradient of back-propagation through time with what the neurons send to each other within
    the layer held constant; without recurrent weights it is the gradient.

    Parameters
    ----------
    model : Sequential
        (nn.Linear, `LIF` or `AdaptiveLIF` or `Recurrent` of these, nn.Linear, `LI` without tau_syn).
    feedback : {"symmetric", "random", "adaptive"}
        B: the readout's weights; drawn once, normal with deviation 1 / sqrt(outputs); or drawn, and then changed as the readout's
        weights are while both decay, so that they grow alike.
    decay : float
        With "adaptive": the share of B and of the readout's weights that is added to their gradients.
    generator : torch.Generator, optional
        Draws B; by default one of its own, seeded with 1.
    others
        As for `Learner`.

    Attributes
    ----------
    feedback_weight : nn.Parameter of shape (cells, outputs), or None
        B; with "adaptive" to be given to the optimiser (`parameters`).

    Notes
    -----
    The derivatives within a neuron are those that autograd finds for one step, so the surrogate and ``detach_reset`` are the
    model's.  Traces take B x cells x inputs numbers for each state of a neuron.  ``observe`` is given the layers' inputs: a synapse's
    trace is a weighted sum of past ones.
    """

    def __init__(self, model: Sequential, optimiser: Any = None, loss: Loss = nn.functional.cross_entropy, every_step: bool = False,
                 observe: Observe | None = None, feedback: str = "symmetric", decay: float = 1e-3,
                 generator: torch.Generator | None = None) -> None:
        super().__init__(model, optimiser, loss, every_step, observe)
        kinds: tuple[Any, ...] = (nn.Linear, (LIF, Recurrent), nn.Linear, LI)
        layers: list[Any] = [layer for _, layer in model.layers()]
        if len(layers) != 4 or not all(isinstance(layer, kind) for layer, kind in zip(layers, kinds)):
            raise NetworkError("EProp needs Sequential(Linear, LIF or AdaptiveLIF or Recurrent of these, Linear, LI), got"
                               f" ({', '.join(type(layer).__name__ for layer in layers)})")
        self._first, self._hidden, self._second, self._readout = layers
        self._loop = self._hidden.weight if isinstance(self._hidden, Recurrent) else None
        self._neurons = self._hidden.neurons if isinstance(self._hidden, Recurrent) else self._hidden
        if self._readout.tau_syn is not None or self._readout.train_names or self._neurons.train_names:
            raise NetworkError("EProp: the readout has no tau_syn, and time constants and thresholds are not trained")
        if feedback not in ("symmetric", "random", "adaptive"):
            raise ParameterError(f"EProp.feedback must be 'symmetric', 'random' or 'adaptive', got {feedback!r}")
        if not decay >= 0:
            raise ParameterError(f"EProp.decay must be >= 0, got {decay!r}")
        self.feedback, self.decay, self.feedback_weight = feedback, float(decay), None
        if feedback != "symmetric":
            draws, weight = torch.Generator().manual_seed(1) if generator is None else generator, self._second.weight
            drawn = torch.randn(weight.shape[1], weight.shape[0], generator=draws).to(weight) / weight.shape[0] ** 0.5
            self.feedback_weight = nn.Parameter(drawn, requires_grad=feedback == "adaptive")

    def parameters(self) -> list[nn.Parameter]:
        """What is learnt: the model's, and the feedback's where it is."""
        own = [self.feedback_weight] if self.feedback_weight is not None and self.feedback == "adaptive" else []
        return [*self.model.parameters(), *own]

    def start(self, x: Tensor) -> Any:
        """Zeros for the neurons' states and each synapse's traces."""
        state = self._hidden.initial(x.new_zeros(1, x.shape[1], self._second.in_features))
        inputs = self._first.in_features + (0 if self._loop is None else self._second.in_features) + 1
        empty = x.new_zeros(x.shape[1], self._second.in_features, inputs)
        return {"state": state, "out": None, "traces": {name: empty for name in state if name != "s"}, "filtered": empty,
                "sent": (torch.zeros(()), 0.0)}

    def advance(self, x: Tensor, target: Tensor, share: float, carried: dict[str, Any]) -> Tensor:
        """Forward one step; eligibilities; errors times eligibilities."""
        keep, state = one_number("EProp", self._readout, "tau_m"), carried["state"]
        before = [] if self._loop is None else [state["s"]]
        for layer, signal in ((self._first, x), (self._hidden, before[0] if before else None)):
            if self.observe is not None and signal is not None:
                self.observe(layer, signal)
        with torch.no_grad():
            now = self._first(x) if self._loop is None else self._first(x) + state["s"] @ self._loop.T
        sent, carried["state"], traces, eligible = eligibility(
            self._neurons.cell(), state, now, torch.cat([x, *before, x.new_ones(len(x), 1)], 1), carried["traces"])
        carried["traces"], carried["filtered"] = traces, keep * carried["filtered"] + eligible
        if self._loop is not None:
            carried["state"]["s"] = sent
        if self.observe is not None:
            self.observe(self._second, sent)
        trace, ones = carried["sent"]
        carried["sent"] = trace, ones = keep * trace + sent, keep * ones + 1.0
        with torch.no_grad():
            y, carried["out"] = self._readout(self._second(sent)[None], carried["out"])
        answer = y[0].detach().requires_grad_()
        value = share * self.loss(answer, target)
        error, = torch.autograd.grad(value, answer)
        with torch.no_grad():
            self._learn(error, trace, ones, carried["filtered"])
        return value.detach()

    def _learn(self, error: Tensor, trace: Tensor, ones: float, filtered: Tensor) -> None:
        """Add the gradients of a step."""
        weight = self._second.weight
        back = weight.T if self.feedback_weight is None else self.feedback_weight
        change = torch.einsum("bj,bji->ji", error @ back.T, filtered)
        first = self._first.in_features
        add(self._first.weight, change[:, :first])
        if self._loop is not None:
            add(self._loop, change[:, first:-1])
        if self._first.bias is not None:
            add(self._first.bias, change[:, -1])
        add_gradient(self._second, trace, ones, error)
        if self.feedback == "adaptive":  # Bellec et al. 2020, methods; as Kolen & Pollack 1994
            add(back, trace.T @ error + self.decay * back)
            add(weight, self.decay * weight)


def eligibility(cell: Cell, state: dict[str, Tensor], now: Tensor, inputs: Tensor, traces: dict[str, Tensor],
                ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor], Tensor]:
    """One step of neurons and of the derivatives of their states with respect to the weights onto them.

    Parameters
    ----------
    cell : Cell
    state : dict of Tensor (B, n)
    now : Tensor (B, n)
        Weighted sum of ``inputs``.
    inputs : Tensor (B, m)
    traces : dict of Tensor (B, n, m)
        d state / d weight.

    Returns
    -------
    sent (B, n), state, traces, ds/dW (B, n, m)
    """
    names = list(traces)
    leaves = [state[name].detach().requires_grad_() for name in names] + [now.detach().requires_grad_()]
    with torch.enable_grad():
        sent, after = plain_loop(leaves[-1][None], dict(zip(names, leaves)), cell)
    after["s"] = sent[0]
    moved = {}
    for name, one in after.items():
        slopes = torch.autograd.grad(one.sum(), leaves, retain_graph=True, allow_unused=True)
        parts = [slope[:, :, None] * trace for slope, trace in zip(slopes, traces.values()) if slope is not None]
        if slopes[-1] is not None:
            parts.append(slopes[-1][:, :, None] * inputs[:, None, :])
        moved[name] = sum(parts[1:], parts[0]) if parts else torch.zeros_like(traces[name])
    eligible = moved.pop("s")
    spikes = after.pop("s").detach()
    return spikes, {name: one.detach() for name, one in after.items()}, moved, eligible
