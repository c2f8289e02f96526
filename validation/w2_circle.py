"""Claim: `w2` on the circle is exact.

1. Against linear programs (POT's network simplex, dual certificate checked) on random weighted
   pairs, degenerate ones included: relative error of W2^2 below 2e-12, none failing.
2. E W2^2 = L^2/(12 n) between n uniform points and the uniform law, for every n; with i.i.d.
   weights (L^2/12) E sum W_i^2 (z-scores below 4).
3. Sample by sample W2^2 against the uniform law is the H^-1 norm squared,
   L^2 sum_ij w_i w_j B_2({x_i - x_j})/2, B_2 the Bernoulli polynomial.

    python -m validation.w2_circle [--quick]
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.metrics import prepare, w2_squared

OUT = Path("results/validation")
PERIOD = 3.0
LP_TOLERANCE = 2e-12
Z_LIMIT = 4.0


def random_atoms(rng: np.random.Generator, circle: mf.Torus, most: int = 12) -> mf.Measure:
    """Up to `most` atoms: spread, clustered or repeated points; weights equal, random, heavy-tailed, with zeros."""
    n = int(rng.integers(1, most + 1))
    where, how = rng.integers(0, 4, 2)
    x = rng.random(n)
    if where == 1:
        x = (0.3 + 0.05 * rng.standard_normal(n)) % 1.0
    elif where == 2:
        x = rng.integers(0, 8, n) / 8
    m = (np.ones(n), rng.random(n), rng.lognormal(0, 3, n), rng.random(n) * (rng.random(n) < 0.6))[how]
    m = m if m.sum() > 0 else np.ones(n)
    return mf.Measure(x[:, None] * circle.period, m / m.sum(), circle)


def linear_program(a: mf.Measure, b: mf.Measure) -> tuple[float, float]:
    """Optimal cost of the transport problem and the gap to its dual."""
    import ot

    p, q = a.masses / a.masses.sum(), b.masses / b.masses.sum()
    cost = a.manifold.distance(a.points[:, None], b.points[None]) ** 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan, log = ot.lp.emd(p, q, cost, log=True, center_dual=False)
    v = log["v"]
    dual = float((cost - v).min(axis=1) @ p + v @ q)
    value = float(np.vdot(plan, cost))
    return value, value - dual


def against_linear_programs(pairs: int, seed: int = 1) -> Array:
    """Relative errors (pairs,) of W2^2, against the larger of it and 1e-4 periods^2.

    Below that the rounding of the weights' sums, 1e-16 over a squared distance of order one, is
    what both answers carry.
    """
    rng, circle = np.random.default_rng(seed), mf.Torus(1, PERIOD)
    errors = np.empty(pairs)
    for i in range(pairs):
        a, b = random_atoms(rng, circle), random_atoms(rng, circle)
        exact, gap = linear_program(a, b)
        assert abs(gap) < 1e-12 * circle.period**2, f"pair {i}: the linear program is proven only within {gap:.1e}"
        errors[i] = abs(w2_squared(a, b) - exact) / max(exact, 1e-4 * circle.period**2)
    return errors


def uniform_law(n: int, replicas: int, weighted: bool, rng: np.random.Generator) -> tuple[Array, Array]:
    """W2^2 of n i.i.d. points against the uniform law, and its exact mean given the weights, (replicas,) each."""
    circle = mf.Torus(1, PERIOD)
    law = prepare(mf.uniform(circle))
    found, mean = np.empty(replicas), np.empty(replicas)
    for r in range(replicas):
        w = rng.exponential(size=n) if weighted else np.ones(n)
        w /= w.sum()
        found[r] = w2_squared(mf.Measure(circle.sample(n, rng), w if weighted else None, circle), law)
        mean[r] = PERIOD**2 / 12 * np.sum(w**2)
    return found, mean


def z_score(found: Array, mean: Array) -> float:
    """(mean difference) / (its standard error); where nothing is random the difference must vanish."""
    gap = found - mean
    if np.ptp(gap) < 1e-12 * mean.mean():
        assert abs(gap).max() < 1e-12 * mean.mean(), "a deterministic W2^2 differs from its exact value"
        return 0.0
    return float(gap.mean() / (gap.std(ddof=1) / np.sqrt(len(gap))))


def sobolev_norm_squared(measure: mf.Measure) -> float:
    """The H^-1 norm squared of measure - uniform by its pair kernel, O(n^2)."""
    L = measure.manifold.period  # type: ignore[attr-defined]
    x = measure.points[:, 0] / L
    u = np.abs(x[:, None] - x[None])
    return float(L**2 * (measure.masses @ (0.5 * (u * u - u + 1 / 6)) @ measure.masses))


def against_sobolev(samples: int, seed: int = 3) -> float:
    """Largest relative difference of W2^2 and the H^-1 norm squared over random weighted samples."""
    rng, circle = np.random.default_rng(seed), mf.Torus(1, PERIOD)
    worst = 0.0
    for _ in range(samples):
        n = int(rng.integers(1, 200))
        w = rng.exponential(size=n) if rng.random() < 0.5 else np.ones(n)
        sample = mf.Measure(circle.sample(n, rng), w / w.sum(), circle)
        exact = sobolev_norm_squared(sample)
        worst = max(worst, abs(w2_squared(sample, mf.uniform(circle)) / exact - 1))
    return worst


def main(quick: bool = False) -> dict[str, Any]:
    """Compute, draw, print and assert; returns the figures."""
    begun = time.perf_counter()
    errors = against_linear_programs(300 if quick else 10_000)
    rng = np.random.default_rng(2)
    rows = []
    for n in (1, 3, 10, 100, 10_000):
        for weighted in (False, True):
            replicas = (400 if n < 1000 else 60) if quick else (20_000 if n < 1000 else 2000)
            found, mean = uniform_law(n, replicas, weighted, rng)
            rows.append((n, weighted, replicas, found.mean() / mean.mean(), found.std() / mean.mean(), mean, found))
    scores = [z_score(row[6], row[5]) for row in rows]
    sobolev = against_sobolev(20 if quick else 300)
    _table(errors, rows, scores, sobolev, time.perf_counter() - begun)
    _draw(errors, rows)
    assert errors.max() < LP_TOLERANCE, f"W2^2 differs from a linear program by {errors.max():.2e}"
    assert max(map(abs, scores)) < Z_LIMIT, f"E W2^2 is off: z = {scores}"
    assert sobolev < 1e-11, f"W2^2 differs from the H^-1 norm by {sobolev:.2e}"
    ratios = {(row[0], row[1]): row[3] for row in rows}
    return {"pairs": len(errors), "lp_error": float(errors.max()), "ratios": ratios, "z": scores, "sobolev": sobolev}


def _table(errors: Array, rows: list[Any], scores: list[float], sobolev: float, seconds: float) -> None:
    print(f"linear programs: {len(errors)} pairs, largest relative error {errors.max():.2e}")
    print(f"H^-1 norm: largest relative difference {sobolev:.2e}")
    print("       n  weights  replicas   E W2^2 / exact       z")
    for (n, weighted, replicas, ratio, spread, _, _), z in zip(rows, scores, strict=True):
        kind = "random" if weighted else " equal"
        print(f"{n:8d}   {kind}  {replicas:8d}  {ratio:.5f}({spread / np.sqrt(replicas):.5f})  {z:6.2f}")
    print(f"{seconds:.1f} s")


def _draw(errors: Array, rows: list[Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    for weighted, mark in ((False, "o"), (True, "s")):
        some = [row for row in rows if row[1] == weighted]
        left.errorbar(
            [row[0] for row in some],
            [row[3] for row in some],
            [2 * row[4] / np.sqrt(row[2]) for row in some],
            fmt=mark,
            capsize=3,
            label="random weights" if weighted else "equal weights",
        )
    left.axhline(1, color="k", lw=0.8)
    left.set(xscale="log", xlabel="n", ylabel=r"$E\,W_2^2\,/\,(L^2/12)\,E\sum W_i^2$", title="uniform law, two sigma")
    left.legend()
    right.hist(np.log10(np.maximum(errors, 1e-17)), bins=40)
    right.axvline(np.log10(LP_TOLERANCE), color="r", lw=0.8)
    right.set(xlabel=r"$\log_{10}$ relative error", ylabel="pairs", title="against linear programs")
    OUT.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT / "w2_circle.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
