"""Every compiled look moves particles as the plain one does: by the game's and the manifold's own
methods.
"""

from dataclasses import dataclass

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.functions import function
from meanfield.manifolds import Sphere, Torus
from meanfield.particles.looks import pairs
from meanfield.particles.looks.plain import Plain
from meanfield.particles.plan import make_plan
from meanfield.particles.stepper import Stepper
from tests.test_particles import FLOWS

N = (131, 40)
TERMS = [((k,), (-k,), 1 / k, 0.1 * k) for k in range(1, 13)]
PLANE = [((1, 0), (-1, 0), 1, 0), ((0, 1), (0, -1), 0.7, 0), ((2, 1), (1, 0), 0, -0.25)]
GAMES = {
    "modes": lambda: mf.games.trigonometric(TERMS),
    "modes of a torus": lambda: mf.games.trigonometric(PLANE),
    "modes too high for powers": lambda: mf.games.trigonometric(
        [((1,), (1,), 1.0, 0.0), ((50,), (1,), 0.01, 0.0)]
    ),
    "forms, dense": lambda: mf.games.polynomial("a", 4),
    "forms, diagonal": lambda: mf.games.polynomial("b", 5),
    "pairs": lambda: mf.games.expression("exp(sin(x)*cos(y)) + 0.3*cos(2*x - y)"),
}


def moved(game, flow, plain, steps=5, **options):
    """Both players' points and weights after a few steps, by the look that is chosen or by the
    plain one.
    """
    settings = {
        "scheme": "euler", "save_every": None, "replica": 2, "refine": 1, "placement": "iid",
        "seed": 5, "step": 1e-3, "particles": N, **options,
    }  # fmt: skip
    run = Stepper(game, flow, make_plan(time=steps * settings["step"], **settings), mf.Start())
    if plain:
        run.compiled = run.fused = False
        run.exact_looks = run.looks = lambda players, *_: run._each(Plain, run.frame.game, players)
    run.measures()
    run.advance(steps * settings["step"])
    return run.measures()


@pytest.mark.parametrize("scheme", ["euler", "strang", "mirror-prox"])
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("game", GAMES)
def test_looks_move_particles_as_the_plain_one_does(game, flow, scheme):
    game, flow = GAMES[game](), FLOWS[flow]
    if scheme == "mirror-prox" and flow.diffuses:
        pytest.skip("mirror-prox is without noise")
    for refine in (1, 2) if flow.diffuses else (1,):
        pairs = (moved(game, flow, plain, scheme=scheme, refine=refine) for plain in (False, True))
        for a, b in zip(*pairs, strict=True):
            gap = a.manifold.difference(a.points, b.points)  # around a circle, too
            np.testing.assert_allclose(gap, 0, rtol=0, atol=1e-12)
            np.testing.assert_allclose(a.masses, b.masses, rtol=1e-11)


@pytest.mark.parametrize("scheme", ["euler", "strang"])
@pytest.mark.parametrize("game", ["modes", "pairs"])
def test_looks_in_single_precision_are_near_the_plain_one(game, scheme):
    game, flow = GAMES[game](), mf.Langevin(20.0)
    single = moved(game, flow, False, scheme=scheme, precision="float32")
    for a, b in zip(single, moved(game, flow, True, scheme=scheme), strict=True):
        assert a.manifold.distance(a.points, b.points).max() < 1e-6


@dataclass(frozen=True)
class Product:
    """S^2 x S^1, as a user would write it: a point is three coordinates and an angle."""

    ball, circle = Sphere(2), Torus(1)
    dim, ambient, reach = 3, 4, np.pi
    volume = 8 * np.pi**2

    def check(self, name, points):
        x = np.array(points, dtype=float)
        self.ball.check(name, x[:, :3])
        return x

    def _each(self, name, x, v):
        parts = ((self.ball, slice(0, 3)), (self.circle, slice(3, 4)))
        return np.concatenate([getattr(M, name)(x[..., i], v[..., i]) for M, i in parts], axis=-1)

    def basis(self, x):
        frame = np.zeros((len(x), 3, 4))
        frame[:, :2, :3], frame[:, 2, 3] = self.ball.basis(x[:, :3]), 1.0
        return frame

    def project(self, x, v):
        return self._each("project", x, v)

    def retract(self, x, v):
        return self._each("retract", x, v)

    def distance(self, x, y):
        ball = self.ball.distance(x[..., :3], y[..., :3])
        return np.hypot(ball, self.circle.distance(x[..., 3:], y[..., 3:]))

    def sample(self, n, rng):
        return np.concatenate([self.ball.sample(n, rng), self.circle.sample(n, rng)], axis=1)


def loss(x, y):
    return x[..., 2] * np.cos(y[..., 3]) + np.cos(x[..., 3] - y[..., 3]) + x[..., 0] * y[..., 1]


@pytest.mark.parametrize("flow", FLOWS)
def test_particles_run_on_a_manifold_of_a_user(flow):
    M = Product()
    game, flow = function(loss, M, M), FLOWS[flow]
    start = mf.Start(
        *(
            mf.Measure(M.sample(60, np.random.default_rng(p)), np.full(60, 1 / 60), M)
            for p in (0, 1)
        )
    )
    how = {"step": 1e-2, "particles": 60, "placement": "atoms"}
    whole = mf.simulate(game, flow, start, 0.2, **how)
    for mu in whole[-1]:
        M.check("points", mu.points)
    half = mf.simulate(game, flow, start, 0.1, **how)
    again = mf.simulate(game, flow, None, 0.2, resume=half)
    np.testing.assert_array_equal(again.x[-1].points, whole.x[-1].points)
    np.testing.assert_array_equal(again.y[-1].masses, whole.y[-1].masses)
    if flow.diffuses:
        with pytest.raises(ValueError, match='"strang" knows the noise of tori and spheres'):
            mf.simulate(game, flow, start, 0.2, scheme="strang", **how)


@pytest.mark.parametrize(
    ("scheme", "saved_once", "saved_always"),
    [("euler", 5, 5), ("alternating", 9, 9), ("mirror-prox", 9, 9), ("strang", 10, 13)],
)
@pytest.mark.parametrize("flow", FLOWS)
def test_steps_begin_with_the_forces_that_a_save_has_found(
    flow, scheme, saved_once, saved_always, monkeypatch
):
    """Where they begin where the particles were saved, and to the same bits: of four steps."""
    if scheme == "mirror-prox" and any(of.temperature > 0 for of in FLOWS[flow].players):
        pytest.skip("mirror-prox has no noise")
    found, by = [], pairs.pair_forces
    monkeypatch.setattr(pairs, "pair_forces", lambda *given: found.append(1) or by(*given))
    how = {"step": 1e-3, "particles": N, "scheme": scheme, "seed": 3, "progress": False}
    ends, counts = [], []
    for save_every in (4e-3, 1e-3):
        found.clear()
        run = mf.simulate(
            GAMES["pairs"](), FLOWS[flow], mf.Start(), 4e-3, save_every=save_every, **how
        )
        ends.append(run[-1])
        counts.append(len(found))
    assert counts == [saved_once, saved_always]
    for mu, nu in zip(*ends, strict=True):
        assert np.array_equal(mu.points, nu.points) and np.array_equal(mu.masses, nu.masses)
