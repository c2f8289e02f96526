"""W2 on the circle against linear programs, brute force, closed forms and its symmetries."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import meanfield as mf
from meanfield.metrics import prepare, w2_squared
from tests.convergence import fitted_order
from validation.w2_circle import against_linear_programs, random_atoms

CIRCLE = mf.Torus(1, 3.0)
UNIT = mf.Torus(1, 1.0)


def density(rng, cells, circle=CIRCLE, holes=0.0):
    m = rng.random(cells) * (rng.random(cells) >= holes)
    m[0] += 1e-3
    return mf.Density(m / m.sum(), mf.mesh(circle, cells))


def quantiles(measure):
    """Breakpoints of q and the left and right values there, written apart from the package."""
    L = measure.manifold.period
    if isinstance(measure, mf.Density):
        h = 1 / len(measure)
        left = np.arange(len(measure)) * h - h / 2
        right = left + h
    else:
        order = np.argsort(measure.points[:, 0], kind="stable")
        left = right = measure.points[order, 0] / L
        measure = mf.Measure(measure.points[order], measure.masses[order], measure.manifold)
    return np.cumsum(measure.masses) / np.sum(measure.masses), left, right, measure.masses


def shifted_cost(a, b, theta):
    """C(theta) by Gauss-Legendre on the merged breakpoints: exact for products of linear pieces."""

    def value(data, q):
        F, left, right, m = data
        turn = np.floor(q)
        i = np.minimum(np.searchsorted(F, q - turn, side="right"), len(F) - 1)
        inside = (q - turn - F[i] + m[i]) / np.where(m[i] > 0, m[i], 1)
        return left[i] + inside * (right[i] - left[i]) + turn

    qa, qb = quantiles(a), quantiles(b)
    cuts = np.unique(np.clip(np.concatenate([[0, 1], qa[0], np.mod(qb[0] - theta, 1)]), 0, 1))
    nodes = np.array([-np.sqrt(0.6), 0, np.sqrt(0.6)]) / 2 + 0.5
    width = np.diff(cuts)[:, None]
    q = cuts[:-1, None] + width * nodes
    gap = value(qa, q) - value(qb, q + theta)
    return float(np.sum(width * gap**2 * (np.array([5, 8, 5]) / 18)))


def brute_atoms(a, b):
    """C at every shift that brings two cumulative masses together."""
    F, G = quantiles(a)[0], quantiles(b)[0]
    shifts = np.unique((G[None, :] - F[:, None])[..., None] + np.array([-1.0, 0.0, 1.0]))
    return min(shifted_cost(a, b, t) for t in shifts) * a.manifold.period**2


def brute_convex(a, b):
    found = minimize_scalar(
        lambda t: shifted_cost(a, b, t), bounds=(-1.2, 1.2), options={"xatol": 1e-9}
    )
    return found.fun * a.manifold.period**2


def test_against_linear_programs():
    assert against_linear_programs(200, seed=11).max() < 2e-12


def test_atoms_against_every_breakpoint():
    rng = np.random.default_rng(0)
    for _ in range(30):
        a, b = random_atoms(rng, CIRCLE, 7), random_atoms(rng, CIRCLE, 7)
        # The brute force ties its breakpoints only to rounding, which moves C by 1e-16 periods^2.
        assert w2_squared(a, b) == pytest.approx(brute_atoms(a, b), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("holes", [0.0, 0.6])
def test_densities_against_independent_minimisation(holes):
    rng = np.random.default_rng(2)
    for cells in (3, 5, 8, 31):
        rho, other = density(rng, cells, holes=holes), density(rng, cells + 2, holes=holes)
        atoms = random_atoms(rng, CIRCLE)
        for a, b in ((atoms, rho), (rho, other)):
            # The outside search is only as sharp as its shift (1e-9); the exact one must not be
            # above it.
            exact, found = w2_squared(a, b), brute_convex(a, b)
            assert exact == pytest.approx(found, rel=1e-7)
            assert exact <= found * (1 + 1e-12)


def test_cells_refined_to_atoms_converge_with_order_two():
    """r atoms a cell lack its variance, and the ones that are split stand at one point: both
    O(r^-2).
    """
    rng = np.random.default_rng(3)
    sizes, errors = np.array([30, 100, 300, 1000, 3000, 10_000]), []
    pairs = [(density(rng, 6), random_atoms(rng, CIRCLE)) for _ in range(10)]
    for r in sizes:
        offsets = ((np.arange(r) + 0.5) / r - 0.5) * CIRCLE.period / 6
        worst = 0.0
        for rho, atoms in pairs:
            fine = mf.Measure(
                (rho.points + offsets).reshape(-1, 1), np.repeat(rho.masses, r) / r, CIRCLE
            )
            worst = max(worst, abs(w2_squared(atoms, fine) - w2_squared(atoms, rho)))
        errors.append(worst)
    assert fitted_order(sizes, errors) == pytest.approx(-2, abs=0.15)
    assert errors[-1] < 1e-9


def test_cells_are_centred_at_their_nodes():
    masses = np.zeros(16)
    masses[0] = 1
    cell, atom = mf.Density(masses, mf.mesh(CIRCLE, 16)), mf.Measure([[0.0]], None, CIRCLE)
    assert w2_squared(cell, atom) == pytest.approx((CIRCLE.period / 16) ** 2 / 12, rel=1e-13)


def test_uniform_on_two_meshes_is_one_measure():
    a, b = (mf.Density(np.full(n, 1 / n), mf.mesh(CIRCLE, n)) for n in (12, 35))
    assert mf.w2(a, b) < 1e-15


@pytest.mark.parametrize("s", [0.0, 1e-9, 0.3, 1.4, 1.6, 2.9])
def test_one_atom_turned(s):
    a, b = mf.Measure([[0.2]], None, CIRCLE), mf.Measure([[0.2 + s]], None, CIRCLE)
    assert mf.w2(a, b) == pytest.approx(min(s, 3 - s), rel=1e-6 if s == 1e-9 else 1e-13, abs=1e-16)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.floats(-10, 10))
def test_symmetries_and_triangle(seed, turn):
    rng = np.random.default_rng(seed)
    a, b = random_atoms(rng, CIRCLE), random_atoms(rng, CIRCLE)
    c = density(rng, 9, holes=0.3)
    # Masses are known to 1e-16, so that W2 itself is to 1e-8 where it vanishes.
    ab, bc, ac = mf.w2(a, b), mf.w2(b, c), mf.w2(a, c)
    assert ab == pytest.approx(mf.w2(b, a), rel=1e-12, abs=1e-7)
    assert ac == pytest.approx(mf.w2(c, a), rel=1e-12, abs=1e-7)
    assert ac <= ab + bc + 1e-12
    assert mf.w2(a, a) == mf.w2(c, c) == 0
    turned = [mf.Measure(m.points + turn, m.masses, CIRCLE) for m in (a, b)]
    assert mf.w2(*turned) ** 2 == pytest.approx(ab**2, rel=1e-12, abs=1e-13)
    mirrored = [mf.Measure(-m.points, m.masses, CIRCLE) for m in (a, b)]
    assert mf.w2(*mirrored) ** 2 == pytest.approx(ab**2, rel=1e-12, abs=1e-13)
    scaled = [mf.Measure(m.points * 5 / 3, m.masses, mf.Torus(1, 5.0)) for m in (a, b)]
    assert mf.w2(*scaled) ** 2 == pytest.approx((ab * 5 / 3) ** 2, rel=1e-12, abs=1e-13)
    cells = int(rng.integers(1, 9))
    rolled = mf.Density(np.roll(c.masses, cells), c.mesh)
    moved = mf.Measure(a.points + cells * 3.0 / 9, a.masses, CIRCLE)
    assert mf.w2(moved, rolled) ** 2 == pytest.approx(ac**2, rel=1e-12, abs=1e-13)


def test_zero_and_vanishing_masses_change_nothing():
    rng = np.random.default_rng(5)
    x, m = CIRCLE.sample(6, rng), np.array([0.2, 0.3, 0.0, 0.5, 0.0, 1e-300])
    kept = m > 1e-200
    rho = density(rng, 20)
    full, short = mf.Measure(x, m, CIRCLE), mf.Measure(x[kept], m[kept], CIRCLE)
    assert w2_squared(full, rho) == pytest.approx(w2_squared(short, rho), rel=1e-13)
    assert w2_squared(full, short) < 1e-15


def test_nearly_empty_cells_and_far_atoms():
    """C'' is astronomically large in a cell without mass; the safeguard must still find the
    minimum.
    """
    m = np.full(64, 1e-200)
    m[[5, 6, 40]] = [0.2, 0.3, 0.5]
    thin = mf.Density(m / m.sum(), mf.mesh(UNIT, 64))
    bare = mf.Density(np.where(m > 1e-100, m, 0), mf.mesh(UNIT, 64))
    rng = np.random.default_rng(6)
    for n in (1, 2, 3, 10, 100):
        atoms = mf.Measure(UNIT.sample(n, rng), None, UNIT)
        assert w2_squared(atoms, thin) == pytest.approx(w2_squared(atoms, bare), rel=1e-12)
        assert w2_squared(atoms, bare) == pytest.approx(brute_convex(atoms, bare), rel=1e-7)


def test_the_two_kernels_compute_one_function():
    """The vectorised sums over atoms against the plain walk along both measures, at any shift."""
    from meanfield.metrics.w2.circle_shift import cost_at, cost_of_atoms

    rng = np.random.default_rng(10)
    for _ in range(300):
        a = prepare(random_atoms(rng, UNIT, 60))
        b = prepare(
            random_atoms(rng, UNIT) if rng.random() < 0.3 else density(rng, 7, UNIT, holes=0.4)
        )
        theta = float(rng.choice([0.0, 0.5, 1.0, rng.uniform(-2, 2)]))
        walk = cost_at(theta, a.Q, b.Q)
        assert cost_of_atoms(theta, a.Q, b.Q) == pytest.approx(walk, rel=1e-12, abs=1e-14)
        whole = cost_at(0.0, a.Q, b.Q)[0]  # -1e-20 lies a shift of 1, to rounding, after -1
        for cost in (cost_at, cost_of_atoms):
            assert cost(-1e-20, a.Q, b.Q)[0] == pytest.approx(whole, rel=1e-12, abs=1e-14)


def test_the_best_shift_takes_few_looks():
    """Newton's steps, tangents and secants in turn: bisection alone would take fifty."""
    from meanfield.metrics.w2.circle_shift import best_shift

    rng, looks = np.random.default_rng(3), []
    for k in range(60):
        a = prepare(random_atoms(rng, UNIT, 60)).Q
        b = prepare(random_atoms(rng, UNIT) if k % 3 == 0 else density(rng, 7, UNIT, holes=0.4)).Q
        looks += [best_shift(*pair, float(pair[1].slopes.min()))[2] for pair in ((a, b), (b, a))]
    assert min(looks) > 2 and np.mean(looks) < 15 and max(looks) < 35


def test_many_atoms_against_few_cells():
    """Sizes at which the vectorised sums are used, against the independent minimisation."""
    rng = np.random.default_rng(11)
    for holes in (0.0, 0.5):
        rho = density(rng, 6, holes=holes)
        w = rng.exponential(size=500)
        atoms = mf.Measure(CIRCLE.sample(500, rng), w / w.sum(), CIRCLE)
        assert w2_squared(atoms, rho) == pytest.approx(brute_convex(atoms, rho), rel=1e-7)


def test_prepared_measures_give_the_same():
    rng = np.random.default_rng(9)
    rho, atoms = density(rng, 50), random_atoms(rng, CIRCLE)
    assert mf.w2(prepare(rho), prepare(atoms)) == mf.w2(rho, atoms)
    with pytest.raises(ValueError, match="circle"):
        prepare(mf.uniform(mf.Torus(2)))


def test_bad_input():
    a = mf.Measure([[0.1]], None, CIRCLE)
    with pytest.raises(ValueError, match="one manifold"):
        mf.w2(a, mf.Measure([[0.1]], None, mf.Torus(1)))
    with pytest.raises(TypeError, match="second argument"):
        mf.w2(a, np.zeros(3))


def test_importing_metrics_loads_nothing_heavy():
    code = (
        "import sys, meanfield.metrics; "
        "sys.exit(bool({'numba', 'ot', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("spread", ["uniform", "bump", "lattice", "point"])
def test_equal_atoms_take_the_best_of_all_cyclic_shifts(spread: str) -> None:
    """Against every shift in turn, and against the walk along cumulative masses that serves any
    weights.
    """
    rng, circle = np.random.default_rng(11), mf.Torus(1, 2.5)

    def draw(n: int) -> mf.Measure:
        x = {
            "uniform": rng.random(n),
            "bump": (rng.random() + 0.05 * rng.standard_normal(n)) % 1,
            "lattice": rng.integers(0, 8, n) / 8,
            "point": np.full(n, rng.random()),
        }[spread]
        return mf.Measure(circle.period * x[:, None], None, circle)

    for n in [*range(1, 40), 1000]:
        a, b = (
            prepare(draw(n)),
            prepare(draw(n) if n % 2 else mf.Measure(circle.sample(n, rng), None, circle)),
        )
        assert a.equal_atoms and b.equal_atoms
        found = w2_squared(a, b) / circle.period**2
        turns = np.concatenate([b.Q.starts + k for k in (-1, 0, 1, 2)])
        every = min(np.mean((turns[j : j + n] - a.Q.starts) ** 2) for j in range(2 * n + 1))
        assert abs(found - every) <= 1e-13 * max(every, 1e-4)
        walked = w2_squared(replace(a, equal_atoms=False), b) / circle.period**2
        assert abs(found - walked) <= 1e-13 * max(walked, 1e-4)
