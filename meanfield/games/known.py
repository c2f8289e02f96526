"""Games whose answers are known exactly: what every engine is held against.

Each function returns a game with `.statement`, the facts in words and formulas with their source,
and `.answers`, the numbers and functions that state them. Angles have period 2 pi unless said
otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from meanfield.checks import Array, finite_array, real
from meanfield.games.bases import Basis, QuadraticBasis, TrigBasis, mode
from meanfield.games.catalogue import recorded
from meanfield.games.lowrank import LowRank, Term, polynomial_from, rows_of, trigonometric
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Measure
from meanfield.start import Start, concentrated


@recorded
def oscillator(coupling: float = 3.0) -> LowRank:
    """l = V(x) - V(y) + a sin x sin y, V(x) = -(2/3) cos x + (5/12) cos 2x, a = `coupling`.

    At a = 3, beta = 25 the mean field (7) settles on a limit cycle, whose numbers are the answers.

    Parameters
    ----------
    coupling : float

    Returns
    -------
    LowRank

    Examples
    --------
    >>> import meanfield as mf
    >>> print(f"{mf.games.oscillator().answers['period']:.2f}")
    4.03
    """
    a = real("coupling", coupling)
    terms: list[Term] = [
        ((1,), (0,), -2 / 3, 0.0), ((2,), (0,), 5 / 12, 0.0),
        ((0,), (1,), 2 / 3, 0.0), ((0,), (2,), -5 / 12, 0.0),
        ((1,), (-1,), a / 2, 0.0), ((1,), (1,), -a / 2, 0.0),
    ]  # fmt: skip
    statement = f"l = V(x) - V(y) + {a:g} sin x sin y, {_WELLS}; the cycle is stated at a = 3."
    answers: dict[str, Any] = {}
    if a == 3.0:
        statement = _OSCILLATION
        answers = {
            "beta": 25.0,
            "start": Start(x=concentrated(1.1, std=0.2), y=concentrated(0.0, std=0.2)),
            "window": (20.0, 60.0),
            "norm": (0.8737, 1.0136),
            "period": 4.0343,
            "period_by_crossings": 4.03419,
            "gibbs_eigenvalues": (-0.00489 + 0.00941j, -0.00489 - 0.00941j),
        }
    name = f"oscillator (coupling {a:g})"
    return trigonometric(terms, name=name, statement=statement, answers=answers)


_WELLS = "V(x) = -(2/3) cos x + (5/12) cos 2x"
_OSCILLATION = (
    f"l = V(x) - V(y) + 3 sin x sin y, {_WELLS}. At beta = 25, from densities proportional to "
    "exp((cos(x - c) - 1)/0.04), c = 1.1 for x and c = 0 for y, the mean field (7) does not "
    "converge: over t in [20, 60] the vector (E sin x, E sin y) keeps its norm in [0.8737, 1.0136] "
    "and turns with period 4.0343 by the slope of its unwrapped angle, 4.03419 by the mean "
    "interval between upward zero crossings of E sin x, while the Gibbs point (9) is linearly "
    "stable with leading eigenvalues -0.00489 +- 0.00941 i."
)


@recorded
def uniform_equilibrium(amplitude: float = 1.0, k: int | Sequence[int] = 1) -> LowRank:
    """l = A cos(k.(x - y)), A = `amplitude`, on the torus with as many angles as k has entries.

    answers: "value"; "eigenvalues"(beta, gamma=1) of mode k at the uniform equilibrium.

    Parameters
    ----------
    amplitude : float
    k : int or sequence of int
        The frequency, one for each angle.

    Returns
    -------
    LowRank

    Raises
    ------
    ValueError
        For a frequency of zero.

    Examples
    --------
    >>> import meanfield as mf
    >>> mf.games.uniform_equilibrium(k=(1, 2)).X
    Torus(2)
    """
    A = real("amplitude", amplitude)
    wave = mode("k entry", k)
    square = float(sum(v * v for v in wave))
    if not square:
        raise ValueError("k is zero, which makes the loss a constant; give a mode that is not")
    statement = (
        f"l = {A:g} cos(k.(x - y)), k = {wave}: uniform x uniform is the Gibbs point (9) for every "
        "beta and a Nash equilibrium of value 0; under (7) a small perturbation in mode k evolves "
        "with the eigenvalues -|k|^2/beta +- i |k|^2 A/2, any other mode m decays like "
        "exp(-|m|^2 t/beta)."
    )
    return trigonometric(
        [(wave, tuple(-v for v in wave), A, 0.0)],
        name=f"A cos(k.(x - y)), A = {A:g}, k = {wave}",
        statement=statement,
        answers={"value": 0.0, "eigenvalues": partial(_eigenvalues, A, square)},
    )


def _eigenvalues(A: float, square: float, beta: float, gamma: float = 1.0) -> tuple[complex, ...]:
    decay, turn = -gamma * square / beta, gamma * square * A / 2
    return complex(decay, turn), complex(decay, -turn)


@recorded
def free(X: Manifold | None = None, Y: Manifold | None = None) -> LowRank:
    """l = 0 on any tori and spheres: Brownian motion.

    answers: "value"; "decay"(p, degree, beta, t), the factor of player p's eigenfunctions of that
    degree: the frequency |w k| on a torus, the degree of the harmonic on a sphere.

    Parameters
    ----------
    X, Y : Torus or Sphere, optional
        The circle by default, Y like X.

    Returns
    -------
    LowRank

    Examples
    --------
    >>> import meanfield as mf
    >>> print(f"{mf.games.free(mf.Sphere(2)).answers['decay'](0, 1, beta=2.0, t=1.0):.6f}")
    0.367879
    """
    X = Torus(1) if X is None else X
    manifolds = (X, X if Y is None else Y)
    phi, psi = (_constants(m) for m in manifolds)
    statement = (
        "l = 0: under (4) and (7) each player is a Brownian motion of generator (1/beta) Lap. On "
        "the circle mode k decays like exp(-k^2 t/beta), on S^{d-1} harmonics of degree q like "
        "exp(-q (q + d - 2) t/beta). Particles stay independent; every pair of measures is an "
        "equilibrium."
    )
    answers = {"value": 0.0, "decay": partial(_decay, manifolds)}
    return LowRank(phi, psi, np.zeros((phi.size, psi.size)), "free motion", statement, answers)


def _decay(
    manifolds: tuple[Manifold, Manifold], p: int, degree: float, beta: float, t: float
) -> float:
    turned = degree + manifolds[p].dim - 1 if isinstance(manifolds[p], Sphere) else degree
    return float(np.exp(-degree * turned * t / beta))


def _constants(manifold: Manifold) -> Basis:
    """The smallest basis there is on the manifold."""
    if isinstance(manifold, Torus):
        return TrigBasis(manifold, np.zeros((1, manifold.d)))
    if isinstance(manifold, Sphere):
        return QuadraticBasis(manifold, np.zeros((manifold.ambient, manifold.ambient)))
    raise TypeError(f"the free game is built on tori and spheres, got {manifold!r}")


@recorded
def wang_chizat() -> LowRank:
    """l = sin 4 pi x + sin 4 pi y + 2 cos 2 pi (x + y) on the unit circle (Wang & Chizat, 4.1).

    answers: "equilibrium" (two measures), "value", "measures"(a, b): its atoms with weights
    1/2 +- a, 1/2 +- b; "velocity"(a, b, alpha) of the WFR flow (8) there, "conserved"(a, b),
    "period"(alpha) of small orbits.

    Returns
    -------
    LowRank

    References
    ----------
    G. Wang, L. Chizat. An exponentially converging particle method for the mixed Nash equilibrium
    of continuous games. Open J. Math. Optim. 6, 2025.

    Examples
    --------
    >>> import meanfield as mf
    >>> game = mf.games.wang_chizat()
    >>> bool(mf.nikaido_isoda(game, *game.answers["equilibrium"]).value < 1e-12)
    True
    """
    answers = {
        "equilibrium": _two_atoms(0.0, 0.0), "value": 0.0, "measures": _two_atoms,
        "velocity": _velocity, "conserved": _conserved, "period": _period,
    }  # fmt: skip
    terms: list[Term] = [
        ((2,), (0,), 0.0, -1.0), ((0,), (2,), 0.0, -1.0), ((1,), (1,), 2.0, 0.0)
    ]  # fmt: skip
    about = {"name": "Wang-Chizat example 4.1", "statement": _WANG_CHIZAT, "answers": answers}
    return trigonometric(terms, _UNIT_CIRCLE, _UNIT_CIRCLE, **about)


_UNIT_CIRCLE = Torus(1, period=1.0)


def _two_atoms(a: float, b: float) -> tuple[Measure, Measure]:
    return (
        Measure([[3 / 8], [7 / 8]], [0.5 + a, 0.5 - a], _UNIT_CIRCLE),
        Measure([[1 / 8], [5 / 8]], [0.5 + b, 0.5 - b], _UNIT_CIRCLE),
    )


def _velocity(a: float, b: float, alpha: float = 1.0) -> tuple[float, float]:
    return 8 * alpha * b * (0.25 - a * a), -8 * alpha * a * (0.25 - b * b)


def _conserved(a: float, b: float) -> float:
    return (0.25 - a * a) * (0.25 - b * b)


def _period(alpha: float) -> float:
    return np.pi / alpha


_WANG_CHIZAT = (
    "l = sin 4 pi x + sin 4 pi y + 2 cos 2 pi (x + y) on the unit circle (Wang & Chizat, An "
    "exponentially converging particle method for the mixed Nash equilibrium of continuous games, "
    "arXiv:2211.01280, example 4.1). Equilibrium: x at 3/8 and 7/8, y at 1/8 and 5/8, halves; "
    "value 0. From those atoms with weights 1/2 +- a, 1/2 +- b the flow (8) has da/dt = 8 alpha b "
    "(1/4 - a^2), db/dt = -8 alpha a (1/4 - b^2), so (1/4 - a^2)(1/4 - b^2) is conserved; small "
    "orbits have period pi/alpha. Time averages converge, the last iterate never does. After k "
    "simultaneous steps eta' the orbit has grown like exp(2 eta'^2 k), after k steps of "
    "mirror-prox it has shrunk like exp(-2 eta'^2 k)."
)


@recorded
def bilinear(A: ArrayLike | None = None, dim: int = 3) -> LowRank:
    """l = x'Ay on the unit spheres of R^d and R^e.

    answers: "value" 0; "ni"(mu_x, mu_y) = |A'E x| + |A E y|, exact; "best_response_rate" of NI.

    Parameters
    ----------
    A : (d, e), optional
        By default the identity of size dim.
    dim : int

    Returns
    -------
    LowRank

    Raises
    ------
    ValueError
        For an A that is no matrix of finite numbers.

    Examples
    --------
    >>> import meanfield as mf
    >>> game = mf.games.bilinear([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    >>> game.X, game.Y, game.answers["value"]
    (Sphere(1), Sphere(2), 0.0)
    """
    A = np.eye(rows_of(dim)) if A is None else finite_array("A", A, (None, None)).copy()
    statement = (
        "l = x'Ay: value 0; measures with A'E x = 0 and A E y = 0, the uniform ones among them, "
        "are the equilibria, NI(mu_x, mu_y) = |A'E x| + |A E y|. The best-response flow "
        "d_t mu = alpha (best response - mu) without entropy lets NI decay exactly like "
        "exp(-alpha t), as in every zero-sum game (Harris, On the rate of convergence of "
        "continuous-time fictitious play, Games and Economic Behavior 22, 1998)."
    )
    answers = {"value": 0.0, "ni": partial(_mean_norms, A), "best_response_rate": float}
    return polynomial_from(0, A, 0, 0, 0, 0, name="x'Ay", statement=statement, answers=answers)


def _mean_norms(A: Array, mu_x: Measure, mu_y: Measure) -> float:
    """|A'E x| + |A E y|."""
    x, y = (mu.integrate(mu.points) for mu in (mu_x, mu_y))
    return float(np.linalg.norm(x @ A) + np.linalg.norm(A @ y))
