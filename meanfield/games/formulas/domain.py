"""Is a formula a smooth finite function on X x Y? Checked at probe points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import both_or_neither
from meanfield.games.formulas.calculus import applied
from meanfield.games.formulas.grammar import ExpressionError, Parsed, Place, Variable
from meanfield.manifolds import Manifold, Sphere, Torus

LARGE, EPS = 1e100, 4 * np.finfo(float).eps

Probes = Mapping[Variable, Array]  # the values of every coordinate, shape (N,)


def resolve(parsed: Parsed, X: Manifold | None, Y: Manifold | None) -> tuple[Manifold, Manifold]:
    """The players' manifolds: those given, or tori with as many angles as the formula uses.

    Raises ExpressionError at a coordinate that the manifold does not have, and ValueError where one
    manifold is given without the other, or none for a player whom the formula does not name.
    """
    both_or_neither(X, Y)
    manifolds = []
    for p, wanted in enumerate((X, Y)):
        used = [(k, at) for (player, k), at in parsed.names if player == p]
        if wanted is None and not used:
            raise ExpressionError(
                f"the formula has no {'xy'[p]}, so that {'XY'[p]} is not known; give X and Y, for "
                "example X=Torus(1), Y=Torus(1)"
            )
        manifold = Torus(1 + max(k for k, _ in used)) if wanted is None else wanted
        if not isinstance(manifold, (Torus, Sphere)):
            raise TypeError(
                f"{'XY'[p]} must be a Torus or a Sphere for an expression, got {manifold!r}; "
                "use function()"
            )
        letter, a = "xy"[p], manifold.ambient
        names = f"{letter}1" if a == 1 else f"{letter}1 to {letter}{a}"
        for k, at in used:
            what = ""
            if k >= a:
                what = f"points of {manifold} have the coordinates {names} only"
            elif a > 1 and parsed.text[slice(*at)] == letter:
                what = f"{letter} has {a} coordinates on {manifold}: write {names}"
            if what:
                raise ExpressionError(what, parsed.text, at)
        manifolds.append(manifold)
    return manifolds[0], manifolds[1]


def check_domain(parsed: Parsed, X: Manifold, Y: Manifold) -> None:
    """Raises ExpressionError where the loss is infinite, undefined, kinked or not periodic."""
    probes = _probes(X, Y)
    with np.errstate(all="ignore"):
        _check_values(parsed, probes)
        _check_periods(parsed, probes, X, Y)


def _probes(X: Manifold, Y: Manifold) -> Probes:
    """Pairs (x, y): random ones, some where formulas often misbehave, and some with x = y."""
    rng = np.random.default_rng(0)
    parts = [[m.sample(2048, rng) for m in (X, Y)], [_special(m, 1024, rng) for m in (X, Y)]]
    if X == Y:
        diagonal = np.concatenate([X.sample(256, rng), _special(X, 256, rng)])
        parts.append([diagonal, diagonal])
    points = [np.concatenate(own) for own in zip(*parts, strict=True)]
    return {(p, k): points[p][:, k] for p in (0, 1) for k in range(points[p].shape[1])}


def _special(manifold: Manifold, n: int, rng: np.random.Generator) -> Array:
    """Multiples of a 24th of the period; the axes and the bisectors between them."""
    if isinstance(manifold, Torus):
        return np.asarray(rng.integers(0, 24, (n, manifold.d)), float) * (manifold.period / 24)
    v = np.zeros((n, manifold.ambient))
    for _ in range(2):
        v[np.arange(n), rng.integers(0, manifold.ambient, n)] = rng.choice([-1.0, 1.0], n)
    return np.asarray(v / np.linalg.norm(v, axis=1, keepdims=True), float)


def _check_values(parsed: Parsed, probes: Probes) -> None:
    """Refuses the first operation that misbehaves at the probes.

    Bounds of the rounding errors go along, which tell a zero from a small number.
    """
    entries, N = parsed.graph.entries, len(probes[0, 0])
    last = {a: i for i, entry in enumerate(entries) for a in entry[1]}
    values, errors = dict[int, Array](), dict[int, Any]()
    for i, (op, args, value) in enumerate(entries):
        u, e = [values[a] for a in args], [errors[a] for a in args]
        fault = _fault(op, value, u, e)
        if op == "div" and [entries[a][0] for a in args] == ["sin", "cos"] and fault:
            fault = "tan is infinite", fault[1]
        values[i] = np.broadcast_to(applied(op, u, value, probes), N)
        errors[i] = _error(op, value, u, e) + EPS * np.abs(values[i])
        if fault is None and not (fine := np.abs(values[i]) <= LARGE).all():
            fault = f"this is {values[i][np.argmin(fine)]:g}", int(np.argmin(fine))
        if fault is not None:
            raise _refused(parsed, i, *fault, probes)
        for a in set(args):
            if last[a] == i:
                del values[a], errors[a]


def _refused(parsed: Parsed, i: int, what: str, row: int, probes: Probes) -> ExpressionError:
    x, y = (
        np.array2string(np.array([v[row] for (q, _), v in probes.items() if q == p]), precision=4)
        for p in (0, 1)
    )
    what = f"{what} near x = {x}, y = {y}; the loss must be finite and smooth"
    return ExpressionError(what, parsed.text, parsed.places[i])


def _error(op: str, value: Any, args: Sequence[Array], errors: Sequence[Any]) -> Any:
    """How far errors in the arguments can move an operation."""
    if not args:
        return 0.0
    if op in ("add", "neg"):
        return sum(errors)
    sizes = [np.abs(a) for a in args]
    if op == "div":
        return (errors[0] + sizes[0] / sizes[1] * errors[1]) / sizes[1]
    if op in ("mul", "pow"):
        moved = [s + e for s, e in zip(sizes, errors, strict=True)]
        return applied(op, moved, value, ()) - applied(op, sizes, value, ())
    low, high = (applied(op, [args[0] + s * errors[0]], value, ()) for s in (-1, 1))
    return np.nan_to_num(np.abs(high - low))


_WHATS = {
    "div": "this divides by something that vanishes",
    "pow": "this power has no gradient where its base vanishes",
    "log": "log takes something that vanishes",
    "sqrt": "sqrt has no gradient where its argument vanishes; add a small positive number inside",
    "abs": "abs has a kink where its argument vanishes; sqrt(u**2 + 0.01) is smooth",
}


def _fault(
    op: str, value: Any, args: Sequence[Array], errors: Sequence[Any]
) -> tuple[str, int] | None:
    """What is wrong with the argument of an operation that is not smooth everywhere, and where."""
    if op in ("asin", "acos"):
        what = f"{op} has no gradient where its argument reaches 1 in size"
        return _vanishing(1 - args[0] * args[0], 2 * errors[0], what)
    if op not in _WHATS or (op == "pow" and (isinstance(value, int) or value >= 2)):
        return None
    return _vanishing(args[-1], errors[-1], _WHATS["div" if op == "pow" and value < 0 else op])


def _vanishing(u: Array, error: Array, what: str) -> tuple[str, int] | None:
    """What is wrong, and where, with a function that has a zero.

    A continuous one on a connected space has a zero where it changes sign.
    """
    i = int(np.argmin(np.abs(u) - error))
    zero = np.abs(u[i]) <= np.broadcast_to(error, u.shape)[i]
    return (what, i) if zero or (u.min() < 0 < u.max()) else None


def _check_periods(parsed: Parsed, probes: Probes, X: Manifold, Y: Manifold) -> None:
    for place, values in probes.items():
        manifold, letter = (X, Y)[place[0]], "xy"[place[0]]
        if isinstance(manifold, Torus):
            moved = {**probes, place: values + manifold.period}
            if (at := _aperiodic(parsed, probes, moved)) is not None:
                what = (
                    f"not a function on {manifold}: moving {letter} by the period "
                    f"{manifold.period:.6g} changes this; angles enter through sin, cos and the "
                    "like of whole multiples of 2 pi / period"
                )
                raise ExpressionError(what, parsed.text, at)


def _aperiodic(parsed: Parsed, probes: Probes, moved: Probes) -> Place | None:
    """Where the innermost operation stands that alone changes the formula; None if none does."""
    graph = parsed.graph

    def changed(*operations: int) -> list[int]:
        pairs = (graph.evaluate(operations, points) for points in (probes, moved))
        return [
            i
            for i, before, after in zip(operations, *pairs, strict=True)
            if np.any(np.abs(after - before) > 1e-9 * (np.max(np.abs(before)) + 1e-300))
        ]

    guilty, i = changed(parsed.root), parsed.root
    if not guilty:
        return None
    often = {name for name, count in Counter(name for name, _ in parsed.names).items() if count > 1}
    while len(guilty) == 1 and graph.entries[guilty[0]][2] not in often:
        (i,) = guilty
        op, args, _ = graph.entries[i]
        guilty = changed(*args) if op in ("add", "mul", "div", "neg") else []
    return parsed.places[i]
