"""An artificial network laid open: its linear maps and activations in series, and branches side by side where it adds."""

from __future__ import annotations

import copy
import dataclasses
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from ..errors import NetworkError, ParameterError
from .pieces import ACTIVATIONS, NORMS, WEIGHTED, Piece, Sum, folded
from .quantised import QCFS

__all__ = ["Traced", "traced"]

_POOLS = (nn.AvgPool1d, nn.AvgPool2d)
_ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
_SUPPORTED = "Linear, Conv1d, Conv2d, AvgPool, AdaptiveAvgPool, ReLU, QCFS, BatchNorm, Dropout, Flatten and additions are supported"
_INSTEAD = {
    "MaxPool": "train with AvgPool, or a stride: within a step spikes have no maximum",
    "max_pool": "train with avg_pool, or a stride: within a step spikes have no maximum",
    "Softmax": "leave it off: the largest score stays the largest",
    "softmax": "leave it off: the largest score stays the largest",
    "LayerNorm": "train with BatchNorm, which folds into weights",
    "GroupNorm": "train with BatchNorm, which folds into weights",
    "InstanceNorm": "train with BatchNorm, which folds into weights",
    "ReLU6": "train with QCFS, whose threshold is learnt, or with ReLU",
    **dict.fromkeys(("Sigmoid", "Tanh", "GELU", "SiLU", "LeakyReLU", "PReLU", "ELU", "Softplus", "sigmoid", "tanh", "gelu", "silu",
                     "elu", "Hardtanh"), "train with ReLU or QCFS: a rate of spikes is never negative"),
    "LSTM": "train a recurrent spiking layer", "GRU": "train a recurrent spiking layer", "RNN": "train a recurrent spiking layer",
    "cat": "add branches in place of joining them",
}


@dataclasses.dataclass(eq=False)
class Traced:
    """A network as a series of pieces.

    Attributes
    ----------
    pieces : list of Piece and Sum
        Linear, Conv1d, Conv2d, AvgPool1d, AvgPool2d, Flatten and activations, in evaluation mode and double precision;
        batch normalisation is folded, what does nothing is left out.
    input_shape : tuple of int
        Of one sample.
    run : callable
        ``run(x, see)``: the network itself on a batch; ``see(name, z)`` gets what goes into each activation.
    """

    pieces: list[Any]
    input_shape: tuple[int, ...]
    run: Callable[[Tensor, Callable[[str, Tensor], None]], Tensor]


def traced(ann: nn.Module, sample: Tensor) -> Traced:
    """Lay a network open.

    Parameters
    ----------
    ann : nn.Module
        Of one input and one output, without decisions that depend on data (`torch.fx` traces it).
    sample : Tensor, shape (B, ...)
        From which the shapes within are found.

    Raises
    ------
    NetworkError
        For what spikes cannot do, by name, with what to train instead.
    ParameterError
        If the network does not take such samples.
    """
    try:
        graph = _Tracer().trace(ann)
    except (fx.proxy.TraceError, TypeError, ValueError) as error:
        raise NetworkError(f"convert: {type(ann).__name__} cannot be traced: {str(error).splitlines()[0]}") from error
    module = fx.GraphModule(ann, graph)
    module.graph.eliminate_dead_code()
    nodes = list(module.graph.nodes)
    inputs = [node for node in nodes if node.op == "placeholder"]
    end = nodes[-1].args[0]
    if len(inputs) != 1 or not isinstance(end, fx.Node):
        raise NetworkError(f"convert: {type(ann).__name__} must have one input and one output tensor")
    for node in nodes:
        _refuse_early(node, module)
    shapes = _shapes(module, sample)
    opened = _Opened(module, shapes)
    pieces = folded(opened.chain(end, inputs[0]))

    def run(x: Tensor, see: Callable[[str, Tensor], None]) -> Tensor:
        return _Watch(module, opened.activations, see).run(x)

    return Traced(pieces, tuple(sample.shape[1:]), run)


class _Tracer(fx.Tracer):
    """Modules of torch, and ours, are taken whole; those of others are opened."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, QCFS) or super().is_leaf_module(m, module_qualified_name)


class _Watch(fx.Interpreter):
    """Runs a network and shows what goes into its activations."""

    def __init__(self, module: fx.GraphModule, names: dict[fx.Node, str], see: Callable[[str, Tensor], None]) -> None:
        super().__init__(module)
        self.names, self.see = names, see

    def run_node(self, n: fx.Node) -> Any:
        if n in self.names:
            before: Any = n.args[0]
            self.see(self.names[n], self.env[before])
        return super().run_node(n)


def _shapes(module: fx.GraphModule, sample: Tensor) -> dict[fx.Node, tuple[int, ...]]:
    """Shape of what each node gives, without the batch."""
    found: dict[fx.Node, tuple[int, ...]] = {}

    class Look(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, Tensor):
                found[n] = tuple(value.shape[1:])
            return value

    try:
        with torch.no_grad():
            Look(module).run(sample[:2])
    except RuntimeError as error:
        raise ParameterError(f"convert: samples of shape {tuple(sample.shape[1:])} do not go through the network:"
                             f" {str(error).splitlines()[0]}") from error
    return found


# ------------------------------------------------------------------------------------------------ nodes


def _what(node: fx.Node, module: fx.GraphModule) -> str:
    """What a node is called where it comes from: ``pool (MaxPool2d)``, ``softmax``."""
    if node.op == "call_module":
        return f"{node.target} ({type(module.get_submodule(str(node.target))).__name__})"
    return str(node.target) if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def _refused(node: fx.Node, module: fx.GraphModule, why: str = "") -> NetworkError:
    name = _what(node, module)
    instead = next((text for kind, text in _INSTEAD.items() if kind in name.rpartition("(")[2]), "")
    return NetworkError(f"convert: {name} is not supported; {why or instead or _SUPPORTED}")


_ADDS = (operator.add, operator.iadd, torch.add, "add", "add_")
_RELUS = (torch.relu, torch.relu_, functional.relu, functional.relu_, "relu", "relu_")
_DROPOUTS = (functional.dropout, functional.dropout1d, functional.dropout2d, functional.alpha_dropout)
_FLATTENS = (torch.flatten, "flatten")
_RESHAPES = (torch.reshape, "view", "reshape")
_MEANS = (torch.mean, "mean")
_FUNCTIONAL_POOLS = {functional.avg_pool1d: nn.AvgPool1d, functional.avg_pool2d: nn.AvgPool2d,
                     functional.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d, functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d}
_TAKEN = (*_ADDS, *_RELUS, *_DROPOUTS, *_FLATTENS, *_RESHAPES, *_MEANS, *_FUNCTIONAL_POOLS)
_ASIDE = ("size", "dim", getattr, operator.getitem, operator.mul, operator.floordiv)  # numbers for a reshape


def _is_add(node: fx.Node) -> bool:
    return node.op in ("call_function", "call_method") and node.target in _ADDS


def _refuse_early(node: fx.Node, module: fx.GraphModule) -> None:
    """Refuse by name what is not known at all, before anything is run."""
    if node.op == "call_module":
        kinds = (*WEIGHTED, *ACTIVATIONS, *NORMS, *_POOLS, *_ADAPTIVE, *_NOTHING, nn.Flatten)
        if type(module.get_submodule(str(node.target))) not in kinds:
            raise _refused(node, module)
    elif node.op in ("call_function", "call_method") and node.target not in (*_TAKEN, *_ASIDE):
        raise _refused(node, module)
    elif node.op == "get_attr":
        raise NetworkError(f"convert: {node.target} is a tensor of its own; only weights and biases of layers are supported")


def _pool(window: Any) -> nn.Module:
    return (nn.AvgPool1d if len(window) == 1 else nn.AvgPool2d)(window)


class _Opened:
    """A traced graph, taken apart from its end."""

    def __init__(self, module: fx.GraphModule, shapes: dict[fx.Node, tuple[int, ...]]) -> None:
        self.module, self.shapes = module, shapes
        self.place = {node: k for k, node in enumerate(module.graph.nodes)}
        self.before: dict[fx.Node, fx.Node] = {}  # immediate dominators
        self.taken: set[fx.Node] = set()
        self.activations: dict[fx.Node, str] = {}
        for node in module.graph.nodes:
            if node.op not in ("placeholder", "output") and node in shapes:
                self.before[node] = self._fork(self._inputs(node))

    def _inputs(self, node: fx.Node) -> list[fx.Node]:
        """The tensors that a node is made of."""
        given = list(node.args[:2]) if _is_add(node) else list(node.args[:1])
        if _is_add(node) and len(given) == 1:
            given += [node.kwargs.get("other")]
        if not given or not all(isinstance(one, fx.Node) and one in self.shapes for one in given):
            raise _refused(node, self.module, "it must work on the tensors of the network alone")
        return given  # type: ignore[return-value]

    def _fork(self, nodes: list[fx.Node]) -> fx.Node:
        """The last node that all ways to these pass through."""
        at = nodes[0]
        for other in nodes[1:]:
            while at is not other:
                if self.place[at] > self.place[other]:
                    at = self.before[at]
                else:
                    other = self.before[other]
        return at

    def chain(self, node: fx.Node, start: fx.Node) -> list[Any]:
        """The pieces from what ``start`` gives to what ``node`` gives."""
        found: list[Any] = []
        while node is not start:
            if node in self.taken:
                raise NetworkError(f"convert: {_what(node, self.module)} feeds branches that are not nested in each other")
            self.taken.add(node)
            name = node.name.strip("_")
            if _is_add(node):
                self._check_add(node)
                fork = self.before[node]
                found.append(Sum(name, [self.chain(one, fork) for one in self._inputs(node)]))
                node = fork
                continue
            module = self._module(node)
            if isinstance(module, ACTIVATIONS):
                self.activations[node] = name
            if not isinstance(module, _NOTHING):
                found.append(Piece(name, module, self.shapes[self._inputs(node)[0]]))
            node = self._inputs(node)[0]
        return found[::-1]

    def _check_add(self, node: fx.Node) -> None:
        if node.kwargs.get("alpha", 1) != 1:
            raise _refused(node, self.module, "alpha must be 1")
        shapes = {self.shapes[one] for one in self._inputs(node)}
        if len(shapes) != 1:
            raise _refused(node, self.module, f"what is added must have one shape, got {sorted(shapes)}")

    def _module(self, node: fx.Node) -> nn.Module:
        """What a node does to its one input, as a module of our own."""
        shape, after = self.shapes[self._inputs(node)[0]], self.shapes[node]
        if node.op == "call_module":
            module = self.module.get_submodule(str(node.target))
            if isinstance(module, _NOTHING):
                return nn.Identity()
            if isinstance(module, nn.Flatten):
                return self._flat(node, shape, after)
        elif node.target in _RELUS:
            return nn.ReLU()
        elif node.target in _DROPOUTS:
            return nn.Identity()
        elif node.target in (*_FLATTENS, *_RESHAPES):
            return self._flat(node, shape, after)
        elif node.target in _MEANS:
            return self._mean(node, shape, after)
        elif node.target not in _FUNCTIONAL_POOLS:
            raise _refused(node, self.module)
        else:
            names = ("stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
            kind = _FUNCTIONAL_POOLS[node.target]
            size = node.args[1] if len(node.args) > 1 else node.kwargs.get("kernel_size", node.kwargs.get("output_size"))
            given = {name: value for name, value in node.kwargs.items() if name in names}
            module = kind(size, **dict(zip(names, node.args[2:])), **given)
        if isinstance(module, _ADAPTIVE):
            return self._whole(node, shape, after)
        if isinstance(module, _POOLS):
            self._check_pool(node, module)
        if isinstance(module, (nn.Conv1d, nn.Conv2d)) and module.padding_mode != "zeros":
            raise _refused(node, self.module, f"padding_mode must be 'zeros', got {module.padding_mode!r}")
        if isinstance(module, NORMS) and not module.track_running_stats:
            raise _refused(node, self.module, "track_running_stats must be True")
        if isinstance(module, nn.Linear) and len(shape) != 1:
            raise _refused(node, self.module, f"it must get one axis besides the batch, got shape {shape}; Flatten before it")
        made = copy.deepcopy(module).double().eval()
        return made.requires_grad_(False)

    def _flat(self, node: fx.Node, shape: tuple[int, ...], after: tuple[int, ...]) -> nn.Module:
        if after != (int(torch.Size(shape).numel()),):
            raise _refused(node, self.module, f"only flattening of all but the batch is, got {shape} -> {after}")
        return nn.Flatten() if len(shape) != 1 else nn.Identity()

    def _mean(self, node: fx.Node, shape: tuple[int, ...], after: tuple[int, ...]) -> nn.Module:
        """The mean over all of space: a pool and, unless the axes stay, a flattening."""
        axes: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        axes = sorted(axis % (len(shape) + 1) for axis in ([axes] if isinstance(axes, int) else axes or [0]))
        if len(shape) not in (2, 3) or axes != list(range(2, len(shape) + 1)):
            raise _refused(node, self.module, "only the mean over all of space is")
        pool = _pool(shape[1:])
        return pool if len(after) == len(shape) else nn.Sequential(pool, nn.Flatten())

    def _whole(self, node: fx.Node, shape: tuple[int, ...], after: tuple[int, ...]) -> nn.Module:
        """An adaptive pool with windows of one size."""
        if any(size % part for size, part in zip(shape[1:], after[1:])):
            raise _refused(node, self.module, f"output sizes {after[1:]} must divide the input's {shape[1:]}")
        window = tuple(size // part for size, part in zip(shape[1:], after[1:]))
        return _pool(window)

    def _check_pool(self, node: fx.Node, pool: Any) -> None:
        if pool.ceil_mode:
            raise _refused(node, self.module, "ceil_mode must be False")
        if not pool.count_include_pad and any(torch.as_tensor(pool.padding).reshape(-1).tolist()):
            raise _refused(node, self.module, "count_include_pad must be True where there is padding")
        if getattr(pool, "divisor_override", None) is not None:
            raise _refused(node, self.module, "divisor_override must be None")
