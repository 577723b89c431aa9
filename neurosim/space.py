"""Where cells lie, how far they are from each other, and functions of that distance.

Structures and their arguments are PyNN's; positions are arrays of shape (n, 3), where PyNN's are (3, n).
Lengths have no unit of their own: whatever the positions are in, distances are in too (µm, by custom).
"""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import NetworkError, ParameterError
from .parameters import Uniform, numbers, stream_key

__all__ = [
    "Cuboid", "Grid2D", "Grid3D", "Line", "RandomStructure", "Space", "Sphere", "Structure", "distance_function",
]

_AXES = {None: (0, 1, 2), "x": (0,), "y": (1,), "z": (2,), "xy": (0, 1), "yz": (1, 2), "xz": (0, 2), "xyz": (0, 1, 2)}


def _finite(owner: object, **values: float) -> None:
    for name, value in values.items():
        if not _is_number(value) or not math.isfinite(value):
            raise ParameterError(f"{type(owner).__name__}.{name} must be finite, got {value!r}")


def _above(owner: object, **values: float) -> None:
    for name, value in values.items():
        if not _is_number(value) or not 0 < value < math.inf:
            raise ParameterError(f"{type(owner).__name__}.{name} must be > 0, got {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


# ------------------------------------------------------------------------------------- distances


@dataclasses.dataclass(frozen=True)
class Space:
    """How the distance between two positions is measured (PyNN's ``Space``).

    Parameters
    ----------
    axes
        The coordinates that count: any of ``"x"``, ``"yz"``, ..., ``"xyz"``; None means all three.
    scale_factor, offset
        The target's position is taken as ``scale_factor * (position + offset)``; for two populations
        whose coordinates have other units or origins.
    periodic_boundaries
        None, or for each of x, y, z either None or ``(min, max)``: the space is then a ring along that
        axis, so that no two cells are further apart than half of max - min along it.
    """

    axes: str | None = None
    scale_factor: float = 1.0
    offset: float | tuple[float, float, float] = 0.0
    periodic_boundaries: tuple[tuple[float, float] | None, ...] | None = None

    def __post_init__(self) -> None:
        if self.axes not in list(_AXES):
            raise ParameterError(f"Space.axes must be one of {', '.join(map(str, _AXES))}, got {self.axes!r}")
        _finite(self, scale_factor=self.scale_factor)
        offset = numbers(self.offset)
        if offset is None or offset.shape not in ((), (3,)) or not np.isfinite(offset).all():
            raise ParameterError(f"Space.offset must be a finite number or three of them, got {self.offset!r}")
        if self.periodic_boundaries is None:
            return
        if not isinstance(self.periodic_boundaries, (tuple, list)) or len(self.periodic_boundaries) != 3:
            raise ParameterError(
                "Space.periodic_boundaries must have 3 items, one for each of x, y, z,"
                f" got {self.periodic_boundaries!r}"
            )
        for axis, bounds in zip("xyz", self.periodic_boundaries):
            ends = None if bounds is None else numbers(bounds)
            if bounds is not None and (ends is None or ends.shape != (2,) or not 0 < ends[1] - ends[0] < math.inf):
                raise ParameterError(
                    f"Space.periodic_boundaries of {axis} must be None or (min, max) with min < max, got {bounds!r}"
                )

    def distances(self, pre: np.ndarray, post: np.ndarray) -> np.ndarray:
        """Euclidean distances of positions ``(..., 3)`` that broadcast against each other; shape ``(...)``.

        ``distances(a[None, :], b[:, None])`` is the matrix of all targets b (rows) and sources a (columns).
        """
        target = self.scale_factor * (np.asarray(post, dtype=np.float64) + np.asarray(self.offset))
        source = np.asarray(pre, dtype=np.float64)
        total: Any = 0.0
        for axis in _AXES[self.axes]:
            difference = source[..., axis] - target[..., axis]
            bounds = None if self.periodic_boundaries is None else self.periodic_boundaries[axis]
            if bounds is not None:
                length = bounds[1] - bounds[0]
                difference = difference - length * np.rint(difference / length)
            total = total + difference * difference
        return np.sqrt(total)


# ------------------------------------------------------------------------------------- structures


class Structure:
    """Base of the arrangements of cells in space."""

    def generate_positions(self, n: int, seed: int = 0, label: str = "") -> np.ndarray:
        """Where ``n`` cells lie: float64, shape (n, 3).  Random structures depend on the seed and the label."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Line(Structure):
    """Cells on a line along x, ``dx`` apart, the first at (x0, y, z)."""

    dx: float = 1.0
    x0: float = 0.0
    y: float = 0.0
    z: float = 0.0

    def __post_init__(self) -> None:
        _finite(self, dx=self.dx, x0=self.x0, y=self.y, z=self.z)

    def generate_positions(self, n: int, seed: int = 0, label: str = "") -> np.ndarray:
        out = np.empty((n, 3))
        out[:] = self.x0, self.y, self.z
        out[:, 0] += self.dx * np.arange(n)
        return out


def _fill_order(owner: object, order: str) -> None:
    if order not in ("sequential", "random"):
        raise ParameterError(f"{type(owner).__name__}.fill_order must be 'sequential' or 'random', got {order!r}")


def _grid(shape: tuple[int, ...], step: tuple[float, ...], start: tuple[float, ...]) -> np.ndarray:
    return np.ascontiguousarray(np.indices(shape, dtype=np.float64).reshape(3, -1).T * step + start)


def _filled(places: np.ndarray, order: str, seed: int, label: str) -> np.ndarray:
    """The places in the order in which cells take them."""
    if order == "sequential":
        return places
    draws = Uniform(0.0, 1.0).draw(stream_key(seed, label, "fill order"), 0, len(places))
    return places[np.argsort(draws, kind="stable")]


@dataclasses.dataclass(frozen=True)
class Grid2D(Structure):
    """Cells on a grid of nx by ny points, y running fastest; nx / ny is ``aspect_ratio``.

    ``fill_order`` "random" gives the points to the cells in random order.  The number of cells must fill the grid.
    """

    aspect_ratio: float = 1.0
    dx: float = 1.0
    dy: float = 1.0
    x0: float = 0.0
    y0: float = 0.0
    z: float = 0.0
    fill_order: str = "sequential"

    def __post_init__(self) -> None:
        _above(self, aspect_ratio=self.aspect_ratio)
        _finite(self, dx=self.dx, dy=self.dy, x0=self.x0, y0=self.y0, z=self.z)
        _fill_order(self, self.fill_order)

    def shape(self, n: int) -> tuple[int, int]:
        """Points along x and y for ``n`` cells; raises :class:`NetworkError` if they do not fill a grid."""
        nx = round(math.sqrt(n * self.aspect_ratio))
        if nx == 0 or n % nx or not math.isclose(nx, n // nx * self.aspect_ratio, rel_tol=1e-9):
            raise NetworkError(f"{n} cells do not fill a Grid2D of aspect_ratio {self.aspect_ratio:g}")
        return nx, n // nx

    def generate_positions(self, n: int, seed: int = 0, label: str = "") -> np.ndarray:
        grid = _grid((*self.shape(n), 1), (self.dx, self.dy, 1.0), (self.x0, self.y0, self.z))
        return _filled(grid, self.fill_order, seed, label)


@dataclasses.dataclass(frozen=True)
class Grid3D(Structure):
    """Cells on a grid of nx by ny by nz points, z running fastest.

    nx / ny is ``aspect_ratioXY`` and nx / nz ``aspect_ratioXZ``; else as :class:`Grid2D`.
    """

    aspect_ratioXY: float = 1.0
    aspect_ratioXZ: float = 1.0
    dx: float = 1.0
    dy: float = 1.0
    dz: float = 1.0
    x0: float = 0.0
    y0: float = 0.0
    z0: float = 0.0
    fill_order: str = "sequential"

    def __post_init__(self) -> None:
        _above(self, aspect_ratioXY=self.aspect_ratioXY, aspect_ratioXZ=self.aspect_ratioXZ)
        _finite(self, dx=self.dx, dy=self.dy, dz=self.dz, x0=self.x0, y0=self.y0, z0=self.z0)
        _fill_order(self, self.fill_order)

    def shape(self, n: int) -> tuple[int, int, int]:
        """Points along x, y, z for ``n`` cells; raises :class:`NetworkError` if they do not fill a grid."""
        nx = round((n * self.aspect_ratioXY * self.aspect_ratioXZ) ** (1.0 / 3.0))
        ny, nz = round(nx / self.aspect_ratioXY), round(nx / self.aspect_ratioXZ)
        if nx * ny * nz != n or n == 0:
            raise NetworkError(
                f"{n} cells do not fill a Grid3D of aspect_ratioXY {self.aspect_ratioXY:g},"
                f" aspect_ratioXZ {self.aspect_ratioXZ:g}"
            )
        return nx, ny, nz

    def generate_positions(self, n: int, seed: int = 0, label: str = "") -> np.ndarray:
        grid = _grid(self.shape(n), (self.dx, self.dy, self.dz), (self.x0, self.y0, self.z0))
        return _filled(grid, self.fill_order, seed, label)


@dataclasses.dataclass(frozen=True)
class Cuboid:
    """A box around the origin: ``width`` along x, ``height`` along y, ``depth`` along z."""

    width: float
    height: float
    depth: float

    def __post_init__(self) -> None:
        _above(self, width=self.width, height=self.height, depth=self.depth)

    def sample(self, n: int, key: int) -> np.ndarray:
        """``n`` uniform points, shape (n, 3)."""
        return Uniform(-0.5, 0.5).draw(key, 0, 3 * n).reshape(n, 3) * (self.width, self.height, self.depth)


@dataclasses.dataclass(frozen=True)
class Sphere:
    """A ball of ``radius`` around the origin."""

    radius: float

    def __post_init__(self) -> None:
        _above(self, radius=self.radius)

    def sample(self, n: int, key: int) -> np.ndarray:
        """``n`` uniform points, shape (n, 3): z and angle are uniform on the sphere (Archimedes), r**3 in the ball."""
        u = Uniform(0.0, 1.0).draw(key, 0, 3 * n).reshape(n, 3)
        z, angle, r = 2.0 * u[:, 0] - 1.0, 2.0 * math.pi * u[:, 1], self.radius * np.cbrt(u[:, 2])
        ring = np.sqrt(1.0 - z * z)
        return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1) * r[:, None]


@dataclasses.dataclass(frozen=True)
class RandomStructure(Structure):
    """Cells anywhere in ``boundary`` (a :class:`Cuboid` or a :class:`Sphere`), which is moved to ``origin``."""

    boundary: Cuboid | Sphere
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not isinstance(self.boundary, (Cuboid, Sphere)):
            raise ParameterError(f"RandomStructure.boundary must be a Cuboid or a Sphere, got {self.boundary!r}")
        origin = numbers(self.origin)
        if origin is None or origin.shape != (3,) or not np.isfinite(origin).all():
            raise ParameterError(f"RandomStructure.origin must be three finite numbers, got {self.origin!r}")

    def generate_positions(self, n: int, seed: int = 0, label: str = "") -> np.ndarray:
        return self.boundary.sample(n, stream_key(seed, label, "positions")) + np.asarray(self.origin, dtype=np.float64)


# ----------------------------------------------------------------------- functions of distance as text

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in (
        "abs", "fabs", "exp", "log", "log10", "sqrt", "power", "hypot", "sin", "cos", "tan", "arcsin", "arccos",
        "arctan", "arctan2", "sinh", "cosh", "tanh", "floor", "ceil", "fmod", "sign", "minimum", "maximum", "where",
        "clip",
    )
}
_CONSTANTS = {"e": math.e, "pi": math.pi}
_BINARY: dict[type, Callable[..., Any]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide, ast.Pow: np.power,
    ast.Mod: np.mod, ast.FloorDiv: np.floor_divide, ast.BitAnd: np.logical_and, ast.BitOr: np.logical_or,
}
_UNARY: dict[type, Callable[..., Any]] = {
    ast.UAdd: np.positive, ast.USub: np.negative, ast.Not: np.logical_not, ast.Invert: np.logical_not,
}
_COMPARE: dict[type, Callable[..., Any]] = {
    ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal,
    ast.Eq: np.equal, ast.NotEq: np.not_equal,
}
_LONGEST = 500


def distance_function(text: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function of an array of distances that ``text`` says, as in ``"exp(-d / 50)"`` or ``"d < 100"``.

    Numbers, ``d``, ``pi``, ``e``, arithmetic, comparisons, ``and``, ``or``, ``not`` and NumPy's elementary
    functions are understood (``where(condition, a, b)``, ``minimum``, ``clip`` among them); nothing else is, and
    no Python code is run.

    Raises
    ------
    ParameterError
        If the text is anything else; the message shows the part that is not understood.
    """
    if len(text) > _LONGEST:
        raise ParameterError(f"an expression of distance may have {_LONGEST} characters, got {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ParameterError(f"{text!r} is not an expression of the distance d: {error}") from None
    value = _compile(tree, text)

    def function(d: np.ndarray) -> np.ndarray:
        d = np.asarray(d, dtype=np.float64)
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(value(d), dtype=np.float64), d.shape)

    return function


def _compile(node: ast.AST, text: str) -> Callable[[np.ndarray], Any]:
    """A closure that evaluates one node of the expression; all numbers are float64."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        try:
            number = np.float64(node.value)
        except OverflowError:
            raise ParameterError(f"a number in {text!r} is too large") from None
        return lambda d: number
    if isinstance(node, ast.Name) and node.id == "d":
        return lambda d: d
    if isinstance(node, ast.Name) and node.id in _CONSTANTS:
        constant = np.float64(_CONSTANTS[node.id])
        return lambda d: constant
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return _call(_BINARY[type(node.op)], [node.left, node.right], text)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _call(_UNARY[type(node.op)], [node.operand], text)
    if isinstance(node, ast.BoolOp):
        parts = [_compile(part, text) for part in node.values]
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return lambda d: join.reduce(np.broadcast_arrays(*(part(d) for part in parts)))
    if isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
        sides = [node.left, *node.comparators]
        tests = [_call(_COMPARE[type(op)], sides[k:k + 2], text) for k, op in enumerate(node.ops)]
        return lambda d: np.logical_and.reduce(np.broadcast_arrays(*(test(d) for test in tests)))
    if isinstance(node, ast.Call) and ast.unparse(node.func) in _FUNCTIONS and not node.keywords:
        function = _FUNCTIONS[ast.unparse(node.func)]
        if len(node.args) != getattr(function, "nin", 3):  # a ufunc's next argument would be its output
            raise ParameterError(f"{ast.unparse(node)!r} in {text!r} has the wrong number of arguments")
        return _call(function, node.args, text)
    raise ParameterError(
        f"{ast.unparse(node)!r} in {text!r} is not understood: an expression of distance has numbers, d, pi, e,"
        f" arithmetic, comparisons and the functions {', '.join(_FUNCTIONS)}"
    )


def _call(function: Callable[..., Any], arguments: list[Any], text: str) -> Callable[[np.ndarray], Any]:
    values = [_compile(argument, text) for argument in arguments]
    return lambda d: function(*(value(d) for value in values))
