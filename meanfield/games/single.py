"""The pair loops of `codegen` in single precision, both players' forces from one look at each pair.

Positions, tables and what depends on one player alone are computed in double precision and rounded once;
only the inner loop is single, twice as many pairs at a time. Sums run over SHORT pairs in single precision and
then go on in double, so that their rounding does not grow with the number of particles. Measured against double:
3.0 to 3.6 times as fast, for shorter polynomials serve; 1.01 times where a pair asks for a function of the C
library, which is called for one number after the other. Such formulas are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meanfield.games.base import SIGNS
from meanfield.games.codegen import BLOCK, Dialect, header, name, parts, prepared

if TYPE_CHECKING:
    from meanfield.games.expressions import Expression

SHORT = 64  # the opponent's points in one single-precision sum
_SLOW = re.compile(r"math\.(sinh|cosh|tanh|asin|acos|atan)\(|\*\*")
SINGLE = Dialect(constant="F({})", ours="fastmath.{}32")


def pair_kernel32(game: Expression) -> Callable[..., Any] | None:
    """`codegen.pair_kernel` with an inner loop in single precision; None, with a warning, where numpy has to do."""
    from meanfield.games.kernels import load

    if "single" not in game._kernels:
        game._kernels["single"] = load(single_source(game), "forces")
    return game._kernels["single"]  # type: ignore[no-any-return]


def single_source(game: Expression) -> str:
    """The module's text; ValueError for a game too long, or one that gains nothing."""
    R, S = len(game.jet(0)), len(game.jet(1))
    found = prepared(game, 0, [*game.jet(0), *game.jet(1)])
    if found is None:
        raise ValueError(f'{game.name[:60]} is too long for precision="float32"; leave precision at "float64"')
    graph, made, order = found
    wide = parts(graph, made, order, game.variables(0), game.variables(1))
    inner = parts(graph, made, order, game.variables(0), game.variables(1), SINGLE).inner
    if slow := _SLOW.search("\n".join(inner)):
        what = slow[1] or "a broken power"
        raise ValueError(
            f'precision="float32" gains nothing for {game.name[:60]}: {what} of both players together is computed for '
            'one pair after the other (measured: 1.01 times as fast); leave precision at "float64"'
        )
    called = {r: name(graph, r, SINGLE) for r in made}
    G, T = len(wide.given), len(wide.table)
    lines = [
        "F = np.float32",
        "",
        "",
        "@kernel",
        "def forces(points, nodes, weights, masses):",
        "    n, m = points.shape[0], nodes.shape[0]",
        f"    cost, slope, against, push = np.zeros(n), np.zeros((n, {R - 1})), np.zeros(m), np.zeros((m, {S - 1}))",
        f"    table, given = np.zeros((m, {T + 1}), F), np.zeros({(G + 1) * BLOCK}, F)",
        f"    sums, short = np.zeros({R * BLOCK}), np.zeros({R * BLOCK}, F)",
        "    fill(points, nodes, weights, masses, cost, slope, against, push, table, given, sums, short)",
        "    return (cost, slope), (against, push)",
        "",
        "",
        "@kernel(counted=False)",
        "def fill(points, nodes, weights, masses, cost, slope, against, push, table, given, sums, short):",
        "    n, m = points.shape[0], nodes.shape[0]",
        "    for j in range(m):",
        *(f"        {line}" for line in wide.other),
        *(f"        table[j, {k}] = {name(graph, i)}" for k, i in enumerate(wide.table)),
        f"        table[j, {T}] = masses[j]",
        f"    for low in range(0, n, {BLOCK}):",
        f"        size = min({BLOCK}, n - low)",
        "        for i in range(size):",
        *(f"            {line}" for line in wide.own),
        *(f"            given[{k * BLOCK} + i] = {name(graph, i)}" for k, i in enumerate(wide.given)),
        f"            given[{G * BLOCK} + i] = weights[low + i]",
        *(f"            sums[{k * BLOCK} + i] = 0.0" for k in range(R)),
        f"        for first in range(0, m, {SHORT}):",
        *(f"            for i in range(size):\n                short[{k * BLOCK} + i] = F(0.0)" for k in range(R)),
        f"            for j in range(first, min(m, first + {SHORT})):",
        f"                w = table[j, {T}]",
        *(f"                {name(graph, i)} = table[j, {k}]" for k, i in enumerate(wide.table)),
        *(f"                a{k} = F(0.0)" for k in range(S)),
        "                for i in range(size):",
        *(f"                    {name(graph, i)} = given[{k * BLOCK} + i]" for k, i in enumerate(wide.given)),
        *(f"                    {line}" for line in inner),
        *(
            f"                    short[{k * BLOCK} + i] = fma(w, {called[r]}, short[{k * BLOCK} + i])"
            for k, r in enumerate(made[:R])
        ),
        *(
            f"                    a{k} = summed(a{k}, given[{G * BLOCK} + i] * {called[r]})"
            for k, r in enumerate(made[R:])
        ),
        f"                against[j] -= {SIGNS[0]!r} * a0",
        *(f"                push[j, {k - 1}] -= {SIGNS[0]!r} * a{k}" for k in range(1, S)),
        *(
            f"            for i in range(size):\n                sums[{k * BLOCK} + i] += short[{k * BLOCK} + i]"
            for k in range(R)
        ),
        "        for i in range(size):",
        f"            cost[low + i] = {SIGNS[0]!r} * sums[i]",
        *(f"            slope[low + i, {k - 1}] = {SIGNS[0]!r} * sums[{k * BLOCK} + i]" for k in range(1, R)),
    ]
    return "\n".join([*header()[:-3], "", "", *lines, ""])
