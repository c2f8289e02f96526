"""Bases of modes and degrees: what they hold, when they grow, and what is said of them."""

from dataclasses import replace

import numpy as np
import pytest

import meanfield as mf
from meanfield.density import fourier
from meanfield.density.fourier import FourierModes, Galerkin
from meanfield.density.harmonics import Degrees, Harmonics
from meanfield.density.stages import LANES
from meanfield.games.lowrank import polynomial, trigonometric
from tests.langevin_runs import CIRCLE, TORUS, WAVY

PLANE = FourierModes(mf.Torus(2), (9, 12), (1, 2))


def engine(kind=Galerkin, game=CIRCLE, start=WAVY, **options):
    return kind(game, mf.Langevin(5.0), start.laws(game.X, game.Y), **options)


def test_modes_are_one_of_each_pair_up_to_their_reach():
    """(9 - 1) // 2 = 4 and (12 - 1) // 2 = 5 along the axes."""
    k = PLANE.k
    assert np.abs(k).max(axis=0).tolist() == [4, 5] and len(k) == (9 * 11 + 1) // 2
    both = {*map(tuple, k), *map(tuple, -k)}
    assert len(both) == 99 and (0, 0) in map(tuple, k)
    assert PLANE.resolution == 12


@pytest.mark.parametrize(
    "modes",
    [PLANE, FourierModes(mf.Torus(1), (9,), (3,)), FourierModes(mf.Torus(3), (5, 8, 7), (1, 2, 1))],
)
def test_shifts_by_the_games_modes_fall_on_kept_modes_or_on_zeros(modes):
    """Flat offsets of k + m are those of kept modes where it is one, and of none elsewhere."""
    both = np.concatenate([modes.k, -modes.k])
    place = {tuple(k): int(k @ modes.strides) for k in both}
    assert len(set(place.values())) == len(place) == np.prod(2 * modes.reach + 1)
    held = set(place.values())
    for m in np.ndindex(*(2 * np.array(modes.margin) + 1)):
        for k in both + np.array(m) - modes.margin:
            at = int(k @ modes.strides)
            assert place.get(tuple(k)) == at if tuple(k) in place else at not in held
            assert abs(at) <= modes.span - 1 + modes.centre
    assert max(held) < modes.span <= max(held) + LANES


def test_modes_serve_tori_of_one_to_three_angles_and_games_that_fit():
    bases = [
        trigonometric([((1,) * d, (3,), 1.0, 0.0)], mf.Torus(d), mf.Torus(1)).bases
        for d in (1, 2, 3, 4)
    ]
    assert [FourierModes.fits(x) for x, _ in bases] == [True, True, True, False]
    three = bases[1][1]  # of modes up to 3
    assert FourierModes.given(three, 7).nodes == (7,)
    with pytest.raises(ValueError, match="use at least 7 per axis"):
        FourierModes.given(three, 6)
    first = [next(iter(FourierModes.ladder(trigonometric([((k,), (1,), 1.0, 0.0)]).bases[0])))
             for k in (3, 4, 5, 6)]  # fmt: skip
    assert [modes.nodes for modes in first] == [(16,), (24,), (24,), (32,)]  # 4 k + 3 or more
    assert [modes.nodes for modes in FourierModes.ladder(bases[2][0])] == [(16,) * 3, (24,) * 3]
    grown = [FourierModes(mf.Torus(3), (n,) * 3, (1,) * 3).finer() for n in (96, 128)]
    assert grown[0].nodes == (128,) * 3 and grown[1] is None


@pytest.mark.parametrize("kind", [Galerkin, Harmonics])
def test_the_norm_of_coefficients_bounds_the_l1_norm(kind):
    """By Schwarz: the root of the volume times the integral of the square."""
    game, cells = (TORUS, (9, 12)) if kind is Galerkin else (polynomial("a"), 5)
    made = engine(kind, game, mf.Start(), cells=(cells, cells))
    basis, player, rng = made.bases[0], made._held[0], np.random.default_rng(4)
    z = rng.standard_normal(basis.number) + (1j if kind is Galerkin else 0)
    z[0] = 0.0
    on = mf.mesh(game.X, (16, 16)) if kind is Galerkin else basis.grid(False)
    f = basis.masses(z[None], on)[0] / on.volumes
    bound = 2**0.5 if kind is Galerkin else (11 / (2 * np.pi)) ** 0.5
    largest = player.largest[np.isfinite(player.largest)].max()
    assert bound <= largest < 1.2 * bound  # of a probability measure's
    square = player.norm * ((z.real**2).sum() + (z.imag**2).sum())
    assert square == pytest.approx(on.volumes.sum() * (f**2 @ on.volumes), rel=1e-12)


def test_tails_of_modes_are_the_outer_thirds_share():
    """Of |re| + |im|; two thirds of the reach along an axis are not outer yet."""
    rng = np.random.default_rng(0)
    for modes in (PLANE, FourierModes(mf.Torus(1), (13,), (1,))):
        z = rng.standard_normal(len(modes.k)) + 1j * rng.standard_normal(len(modes.k))
        size = np.abs(z.real) + np.abs(z.imag)
        far = (np.abs(modes.k) > 2 * ((np.array(modes.nodes) - 1) // 2) / 3).any(axis=1)
        assert modes.tail(z) == pytest.approx(size[far].sum() / size.sum(), rel=1e-14)


def test_modes_among_more_or_fewer_are_the_same():
    finer = FourierModes(PLANE.torus, (14, 17), PLANE.margin)
    z = np.random.default_rng(1).standard_normal(len(PLANE.k)) + 1j
    wide = finer.k[:, 0], finer.k[:, 1]
    more = dict(zip(zip(*wide, strict=True), PLANE.extended(z, finer), strict=True))
    assert all(more[tuple(k)] == v for k, v in zip(PLANE.k, z, strict=True))
    assert sum(v != 0 for v in more.values()) == len(z)
    back = finer.restricted(PLANE.extended(z, finer), PLANE)
    np.testing.assert_array_equal(back, z)


def test_coefficients_of_atoms_and_of_nodal_values_are_sums_of_waves():
    torus = mf.Torus(2, period=3.0)
    modes, rng = FourierModes(torus, (9, 12), (1, 1)), np.random.default_rng(2)
    for on in (None, (15, 14), (6, 16)):
        if on is None:
            mu = mf.Measure(torus.sample(7, rng), rng.dirichlet(np.ones(7)), torus)
        else:
            mesh = mf.mesh(torus, on)
            mu = mf.Density(rng.dirichlet(np.ones(len(mesh))), mesh)
        sums = np.exp(-2j * np.pi / 3.0 * modes.k @ mu.points.T) @ mu.masses
        if on is not None:  # a polynomial through nodal values has no modes beyond its grid's
            sums[(2 * np.abs(modes.k) >= on).any(axis=1)] = 0.0
        np.testing.assert_allclose(modes.of(mu), sums, atol=1e-14)


def test_rungs_of_nodes_are_powers_of_two_and_three_times_these():
    """From four times the game's modes on; twice as many where the ladder has ended."""
    first = [modes.nodes[0] for modes in FourierModes.ladder(CIRCLE.bases[0])]  # modes up to 2
    assert first == [16, 24, 32, 48, 64, 96, 128, 192, 256]
    assert [m.nodes for m in FourierModes.ladder(TORUS.bases[0])][-1] == (64, 64)
    high = trigonometric([((90,), (1,), 1.0, 0.0)])
    assert [modes.nodes[0] for modes in FourierModes.ladder(high.bases[0])] == [384]
    grown = [FourierModes(mf.Torus(1), (n,), (2,)).finer() for n in (16, 20, 8192, 16384)]
    assert [None if m is None else m.nodes for m in grown] == [(24,), (24,), (16384,), None]
    assert FourierModes(mf.Torus(2), (768, 768), (1, 1)).finer().nodes == (1024, 1024)
    assert FourierModes(mf.Torus(2), (1024, 1024), (1, 1)).finer() is None
    shrunk = [FourierModes(mf.Torus(1), (n,), (2,)).coarser() for n in (16384, 384, 256, 16)]
    assert [m and m.nodes for m in shrunk] == [(6144,), (256,), None, None]


@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-9])
def test_a_start_has_the_fewest_modes_whose_tail_is_below_two_thirds_of_the_tolerances_digits(tol):
    made = engine(tol=tol)
    for p, law in enumerate(made.laws):
        ladder = list(FourierModes.ladder(CIRCLE.bases[p]))
        z = ladder[-1].project(law, True)
        light = [m for m in ladder if m.tail(ladder[-1].restricted(z, m)) < tol ** (2 / 3)]
        assert made.bases[p].nodes == light[0].nodes
        np.testing.assert_array_equal(made.modes(p), ladder[-1].restricted(z, light[0]))


@pytest.mark.parametrize(("tol", "limit"), [(1e-9, 1e-4), (1e-7, 1e-5 ** (2 / 3))])
@pytest.mark.parametrize("atoms", [False, True])
def test_heavy_tails_are_said_from_their_limit_on(tol, limit, atoms, recwarn):
    """max(1e-6, 100 tol)^(2/3), at any step for smooth starts, now for atoms."""
    start = mf.Start(mf.Measure([[1.0]], None, CIRCLE.X), "uniform") if atoms else WAVY
    made = engine(cells=(33, 33), tol=tol, start=start)
    outer = made.bases[0].outer > 0
    for part, said in ((0.999, 0), (1.001, 1)):
        made.worst[:] = (1.0, 0.0) if atoms else (0.5 * limit, part * limit)
        share = part * limit / (1 - part * limit) * (~outer).sum() / outer.sum()
        made.place(np.where(outer, share, 1.0) + 0j, made.modes(1))
        made.watch()
        assert len(recwarn) == said


@pytest.mark.parametrize("kind", [Galerkin, Harmonics])
def test_starts_are_refused_from_a_negative_mass_of_a_fiftieth(kind):
    game = CIRCLE if kind is Galerkin else polynomial("a")
    made = engine(kind, game, mf.Start(), cells=(33, 33) if kind is Galerkin else (8, 8))
    n = len(made.on_nodes(1))
    for lost, refused in ((0.0199, False), (0.0201, True)):
        masses = np.full(n, (1 + lost) / (n - 2))
        masses[[1, 5]] = -0.3 * lost, -0.7 * lost
        found = replace(made._now(), times=np.array([made.time]))
        vars(found)["masses"] = masses[None], masses[None]
        made._now = lambda found=found: found
        if refused:
            with pytest.raises(ValueError, match=r"start.y is narrower than .* mass of 0.02"):
                made.on_nodes(1)
            found.times[:] = 0.1  # later on it is said, not refused
        with pytest.warns(mf.UnderResolved, match="negative mass"):
            made.on_nodes(1)
        made._warned_negative.clear()


def test_degrees_grow_by_their_ladder():
    smooth, atom = mf.Start(), mf.Start(mf.Measure([[0, 0, 1.0]], None, mf.Sphere(2)))
    S = mf.Sphere(2)
    laws = smooth.laws(S, S)[0], atom.laws(S, S)[0]
    grown = [Degrees(L).finer() for L in (6, 48, 64, 160, 192)]
    assert [d and d.L for d in grown] == [8, 64, 80, 192, None]
    shrunk = [Degrees(L).coarser() for L in (192, 80, 64, 6)]
    assert [d and d.L for d in shrunk] == [160, 64, None, None]
    assert [Degrees.rough(law) for law in laws] == [False, True]
    basis = polynomial("a").bases[0]
    assert [d.L for d in Degrees.ladder(basis)] == [6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64]
    assert [len(Degrees(L).grid(True)) for L in (5, 35, 36, 50)] == [2592, 2592, 2738, 5202]


def test_tables_of_modes_are_made_once():
    a, b = (fourier._modes(mf.Torus(1), (n,), (1,)) for n in (9, 9))
    assert a is b and a.k is b.k


def test_the_tail_is_the_outer_third_of_degrees_share():
    c = np.random.default_rng(0).standard_normal(64)
    degree = np.repeat(np.arange(8), 2 * np.arange(8) + 1)
    size = np.abs(c)
    assert Degrees(7).tail(c) == pytest.approx(size[degree >= 5].sum() / size.sum(), rel=1e-14)
    assert (
        Degrees(6).tail(c[:49])
        == pytest.approx(  # two thirds are not outer
            size[25:49].sum() / size[:49].sum(), rel=1e-14
        )
    )
