"""Whether a formula is a smooth finite function on X x Y: checked at probe points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.formulas.calculus import NUMPY
from meanfield.games.formulas.grammar import ExpressionError, Node
from meanfield.manifolds import Manifold, Sphere, Torus

LARGE, EPS = 1e100, 4 * np.finfo(float).eps


def resolve(
    tree: Node, text: str, X: Manifold | None, Y: Manifold | None
) -> tuple[Manifold, Manifold]:
    """The players' manifolds: those given, or tori with as many angles as the formula uses.

    Raises ExpressionError at a coordinate that the manifold does not have.
    """
    found = []
    for p, given in enumerate((X, Y)):
        used = [node for node in _nodes(tree) if node.op == "variable" and node.value[0] == p]
        manifold = Torus(1 + max((n.value[1] for n in used), default=0)) if given is None else given
        if not isinstance(manifold, (Torus, Sphere)):
            raise TypeError(
                f"{'XY'[p]} must be a Torus or a Sphere for an expression, got {manifold!r}; "
                "use function()"
            )
        for node in used:
            _fits(node, text, manifold)
        found.append(manifold)
    return found[0], found[1]


def _fits(node: Node, text: str, manifold: Manifold) -> None:
    letter, a = "xy"[node.value[0]], manifold.ambient
    names = f"{letter}1" if a == 1 else f"{letter}1 to {letter}{a}"
    if node.value[1] >= a:
        raise ExpressionError(
            f"points of {manifold} have the coordinates {names} only", text, node.at
        )
    if a > 1 and text[slice(*node.at)].strip("() \t\r\n") == letter:
        raise ExpressionError(
            f"{letter} has {a} coordinates on {manifold}: write {names}", text, node.at
        )


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for arg in node.args:
        yield from _nodes(arg)


def check_domain(tree: Node, text: str, X: Manifold, Y: Manifold) -> None:
    """Raises ExpressionError for a loss infinite, undefined, kinked or not periodic somewhere."""
    points = _probes(X, Y)
    with np.errstate(all="ignore"):
        _Walk(text, points, X.ambient).values(tree)
        _check_periods(tree, text, points, X, Y)


def _probes(X: Manifold, Y: Manifold) -> Array:
    """Pairs (x, y) as rows: random ones, ones from the corners of the formula world, and x = y."""
    rng = np.random.default_rng(0)
    parts = [[m.sample(2048, rng) for m in (X, Y)], [_special(m, 1024, rng) for m in (X, Y)]]
    if X == Y:
        both = np.concatenate([X.sample(256, rng), _special(X, 256, rng)])
        parts.append([both, both])
    return np.concatenate([np.concatenate(pair, axis=1) for pair in parts])


def _special(manifold: Manifold, n: int, rng: np.random.Generator) -> Array:
    """Multiples of a 24th of the period; the axes and the bisectors between them."""
    if isinstance(manifold, Torus):
        return np.asarray(rng.integers(0, 24, (n, manifold.d)), float) * (manifold.period / 24)
    v = np.zeros((n, manifold.ambient))
    for _ in range(2):
        v[np.arange(n), rng.integers(0, manifold.ambient, n)] = rng.choice([-1.0, 1.0], n)
    return np.asarray(v / np.linalg.norm(v, axis=1, keepdims=True), float)


class _Walk:
    """Values of a tree's operations at the probes, refusing the first that misbehaves.

    A bound of the rounding error goes along, which tells a zero from a small number.
    """

    def __init__(self, text: str, points: Array, split: int) -> None:
        self.text, self.points, self.split = text, points, split

    def values(self, node: Node) -> tuple[Array, Array]:
        """Values (N,) and the bounds of their rounding errors."""
        found = [self.values(arg) for arg in node.args]
        args, errors = [v for v, _ in found], [e for _, e in found]
        if (fault := _fault(node, args, errors)) is not None:
            self.refuse(node, *fault)
        value = np.broadcast_to(apply(node, args, self.points, self.split), len(self.points))
        bad = ~(np.abs(value) <= LARGE)
        if bad.any():
            self.refuse(node, f"this is {value[bad][0]:g}", int(np.argmax(bad)))
        return value, _error(node, args, errors) + EPS * np.abs(value)

    def refuse(self, node: Node, what: str, i: int) -> None:
        x, y = (np.array2string(v, precision=4) for v in np.split(self.points[i], [self.split]))
        raise ExpressionError(
            f"{what} near x = {x}, y = {y}; the loss must be finite and smooth", self.text, node.at
        )


def apply(node: Node, args: list[Array], points: Array, split: int) -> Any:
    """The operation of a node on arrays; points (N, a + b) hold the coordinates of x, then of y."""
    if node.op == "number":
        return node.value
    if node.op == "variable":
        return points[:, node.value[1] + (split if node.value[0] else 0)]
    if node.op == "sum":
        return np.sum(args, axis=0)
    if node.op == "product":
        return np.prod(args, axis=0)
    if node.op == "negative":
        return -args[0]
    if node.op == "inverse":
        return 1 / args[0]
    if node.op == "power":
        return np.power(args[0], node.value)
    return np.tan(args[0]) if node.value == "tan" else NUMPY[node.value](args[0])


def _error(node: Node, args: list[Array], errors: list[Array]) -> Any:
    """How far errors in the arguments can move an operation."""
    if not args:
        return 0.0
    if node.op in ("sum", "negative"):
        return np.sum(errors, axis=0)
    sizes = [np.abs(a) for a in args]
    if node.op == "product":
        largest = [s + e for s, e in zip(sizes, errors, strict=True)]
        return np.prod(largest, axis=0) - np.prod(sizes, axis=0)
    if node.op == "inverse":
        return errors[0] / sizes[0] ** 2
    if node.op == "power" and node.value > 0:
        return (sizes[0] + errors[0]) ** node.value - sizes[0] ** node.value
    ends = [apply(node, [args[0] + sign * errors[0]], args[0][:, None], 0) for sign in (-1, 1)]
    return np.nan_to_num(np.abs(ends[1] - ends[0]))


def _fault(node: Node, args: list[Array], errors: list[Array]) -> tuple[str, int] | None:
    """What is wrong with the argument of an operation that is not smooth everywhere, and where."""
    if node.op not in ("inverse", "power", "call"):
        return None
    u, e = args[0], errors[0]
    if node.op == "inverse" or (node.op == "power" and node.value < 0):
        return _vanishing(u, e, "this divides by something that vanishes")
    if node.op == "power":
        if float(node.value).is_integer() or node.value >= 2:
            return None
        return _vanishing(u, e, "this power has no gradient where its base vanishes")
    if node.value == "tan":
        return _vanishing(np.cos(u), e, "tan is infinite")
    if node.value in ("asin", "acos"):
        what = f"{node.value} has no gradient where its argument reaches 1 in size"
        return _vanishing(1 - u * u, 2 * e, what)
    return _vanishing(u, e, _AT_ZERO[node.value]) if node.value in _AT_ZERO else None


_AT_ZERO = {
    "log": "log takes something that vanishes",
    "sqrt": "sqrt has no gradient where its argument vanishes; add a small positive number inside",
    "abs": "abs has a kink where its argument vanishes; sqrt(u**2 + 0.01) is smooth",
}


def _vanishing(u: Array, error: Array, what: str) -> tuple[str, int] | None:
    """Where u has a zero: a continuous function that changes sign on a connected space has one."""
    i = int(np.argmin(np.abs(u) - error))
    zero = np.abs(u[i]) <= error[i]
    return (what, i) if zero or (u.min() < 0 < u.max()) else None


def _check_periods(tree: Node, text: str, points: Array, X: Manifold, Y: Manifold) -> None:
    columns = [m for m in (X, Y) for _ in range(m.ambient)]
    for k, manifold in enumerate(columns):
        if isinstance(manifold, Torus):
            moved = points.copy()
            moved[:, k] += manifold.period
            if (culprit := _aperiodic(tree, points, moved, X.ambient)) is not None:
                what = (
                    f"not a function on {manifold}: moving {'xy'[k >= X.ambient]} by the period "
                    f"{manifold.period:.6g} changes this; angles enter through sin, cos and the "
                    "like of whole multiples of 2 pi / period"
                )
                raise ExpressionError(what, text, culprit.at)


def _aperiodic(node: Node, points: Array, moved: Array, split: int) -> Node | None:
    """The innermost operation that alone changes the formula between the points, if it does."""
    if _same(node, points, moved, split):
        return None
    if node.op in ("sum", "product", "negative"):
        guilty = [arg for arg in node.args if not _same(arg, points, moved, split)]
        if len(guilty) == 1:
            return _aperiodic(guilty[0], points, moved, split)
    return node


def _same(node: Node, points: Array, moved: Array, split: int) -> bool:
    before, after = _plain(node, points, split), _plain(node, moved, split)
    return bool(np.all(np.abs(after - before) <= 1e-9 * (np.max(np.abs(before)) + 1e-300)))


def _plain(node: Node, points: Array, split: int) -> Array:
    args = [_plain(arg, points, split) for arg in node.args]
    return np.broadcast_to(apply(node, args, points, split), len(points))
