"""Particles against exact answers: orders in law by quadrature over the noise, and section by
section.
"""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import meanfield as mf
from meanfield.games.lowrank import polynomial_from, trigonometric
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Measure
from meanfield.particles import primitives
from meanfield.particles.looks.modes import forces, gradient_rows, modes
from meanfield.particles.players import State
from meanfield.particles.simulate import simulate
from meanfield.particles.state import player, state
from validation.algorithms import Swarm


def order(steps, errors):
    """Least-squares slope of log error against log step."""
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


def gauss(dim, nodes):
    """Nodes (N, dim) and weights (N,) for a standard normal vector."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    grids = np.stack(np.meshgrid(*[z] * dim, indexing="ij"), -1).reshape(-1, dim)
    return grids, np.prod(
        np.stack(np.meshgrid(*[w / w.sum()] * dim, indexing="ij"), -1), -1
    ).ravel()


class OneStep:
    """The kernels' step of one particle of player x, its normals replaced by quadrature nodes."""

    def __init__(self, game, temperature, dt, points):
        flow = mf.Langevin(1 / temperature)
        self.me = tuple(player(game, p, r, dt, 0, 0, 1) for p, r in enumerate(flow.players))
        n = len(points)
        self.X, self.n = game.X, n
        self.s = state(points, np.full(n, -np.log(n)), np.zeros(n))
        other = game.Y.sample(2, np.random.default_rng(0))
        y = state(other, np.full(2, -np.log(2)), np.zeros(2))
        self.y, self.look = y, modes(self.me[0], self.s)
        opponent = modes(self.me[1], y)
        opponent.see(y)
        self.look.aim(opponent)

    def rows(self):
        return self.s.x.transpose(0, 2, 1).reshape(-1, self.s.x.shape[1])

    def noise(self, z):
        """Tangent vectors with coordinates z in orthonormal frames, in the kernels' layout."""
        x = self.rows()
        v = np.einsum(
            "nda,nd->na",
            self.X.basis(x),
            np.concatenate([z, np.zeros((len(x) - len(z), z.shape[1]))]),
        )
        return np.ascontiguousarray(v.reshape(len(self.s.x), -1, v.shape[1]).transpose(0, 2, 1))

    def kick(self, z):
        v = self.noise(z)
        me = self.me[0]
        scale = primitives.kick_scale(me.sphere, me.variance, v.shape[1])
        for x, z in zip(self.s.x, v, strict=True):
            primitives.geodesic(me.sphere, x, scale, z, self.look.r.t, self.look.r.u)
            primitives.settle(me.sphere, me.period, x, self.look.r.t)

    def push(self, at, part):
        self.look.see(at)
        self.look.push(at, self.s if part == 1.0 else self.m, part, 0.0, 0)

    def strang(self, z1, z2):
        self.kick(z1)
        self.m = State(*(a.copy() for a in self.s))
        self.push(self.s, 0.5)
        self.push(self.m, 1.0)
        self.kick(z2)
        return self.rows()[: self.n]

    def euler(self, z):
        v = self.noise(z)
        me, look, r = self.me[0], self.look, self.look.r
        gradient_rows(me.sphere, me.matrix, look.c, look.A)
        for x, z in zip(self.s.x, v, strict=True):
            forces(look, x, look.v[0], False, False)
            noise = np.sqrt(me.variance)
            primitives.advance(me.sphere, me.period, me.transport, noise, x, r.UG, z, r.t, x)
        return self.rows()[: self.n]


def means(game, temperature, dt, x0, scheme, nodes, f):
    """E f(x_dt) of one numerical step from x0, up to the quadrature."""
    dim = game.X.dim
    z, w = gauss(dim * (2 if scheme == "strang" else 1), nodes)
    step = OneStep(game, temperature, dt, np.repeat(x0[None], len(z), 0))
    ends = step.strang(z[:, :dim], z[:, dim:]) if scheme == "strang" else step.euler(z)
    return w @ f(ends)


def circle_semigroup(T, terms, dt, modes, x0):
    """E e^{ikx_dt} for dx = -V' dt + sqrt(2T) dB, V = sum a_k cos kx + b_k sin kx, from Fourier
    matrices.
    """
    k = np.arange(-40, 41)
    A = np.diag(-T * k**2).astype(complex)
    for m, a, b in terms:
        # -V' (e^{ikx})' = sum over m of -(i m V_m)(i k) e^{i(k+m)x}, V_m = (a - i b)/2
        for s, V in ((m, (a - 1j * b) / 2), (-m, (a + 1j * b) / 2)):
            for j in range(len(k)):
                if 0 <= j + s < len(k):
                    A[j + s, j] += s * k[j] * V
    at = np.exp(1j * k * x0)
    moved = expm(dt * A)
    return np.array([at @ moved[:, 40 + m] for m in modes])


@pytest.mark.parametrize("scheme, local", [("euler", 2), ("strang", 3)])
def test_weak_order_on_the_circle(scheme, local):
    """One-step errors of harmonics are O(dt^{order + 1})."""
    T, x0, modes = 0.3, np.array([0.7]), (1, 2, 3)
    terms = [(1, 0.8, 0.5), (2, -0.3, 0.4)]
    game = trigonometric([((m,), (0,), a, -b) for m, a, b in terms])
    steps = np.array([0.05, 0.025, 0.0125])
    for i, m in enumerate(modes):
        errors = [
            abs(
                means(game, T, dt, x0, scheme, 24, lambda x, m=m: np.exp(1j * m * x[:, 0]))
                - circle_semigroup(T, terms, dt, modes, x0[0])[i]
            )
            for dt in steps
        ]
        assert abs(order(steps, errors) - local) < 0.2, (m, errors)


def sphere_semigroup(T, b, dt, degrees, z0):
    """E P_l(z_dt) on S^2 with potential U = b z: f -> T [(1 - z^2) f']' - b (1 - z^2) f' on
    polynomials of z.
    """
    from numpy.polynomial import legendre

    N = 30
    A = np.zeros((N, N))
    for m in range(N):
        slope = legendre.legder(np.eye(N)[m])
        lifted = legendre.legmul([2 / 3, 0, -2 / 3], slope)  # (1 - z^2) f'
        image = np.zeros(N + 2)
        image[: len(lifted)] -= b * lifted
        image[m] -= T * m * (m + 1)
        A[:, m] = image[:N]
    at = legendre.legvander(np.array([z0]), N - 1)[0]
    return np.array([at @ expm(dt * A)[:, m] for m in degrees])


@pytest.mark.parametrize("scheme, local", [("euler", 2), ("strang", 3)])
def test_weak_order_on_the_sphere(scheme, local):
    T, b, degrees = 0.4, 0.9, (1, 2, 3)
    game = polynomial_from(0, np.zeros((3, 3)), 0, 0, np.array([0.0, 0.0, b]), 0)
    x0 = np.array([0.6, 0.48, 0.64])
    steps = np.array([0.02, 0.01, 0.005])
    for i, m in enumerate(degrees):
        P = np.polynomial.legendre.Legendre.basis(m)
        errors = [
            abs(
                means(game, T, dt, x0, scheme, 10, lambda x, P=P: P(x[:, 2]))
                - sphere_semigroup(T, b, dt, degrees, x0[2])[i]
            )
            for dt in steps
        ]
        assert abs(order(steps, errors) - local) < 0.2, (m, errors)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_sphere_noise_is_brownian_to_second_order(n):
    """Gegenbauer polynomials of degree l have eigenvalue l (l + n - 1) on S^n: an error O(q^3) for
    one kick.
    """
    from scipy.special import eval_chebyt, eval_gegenbauer

    game = polynomial_from(0, np.zeros((n + 1, 2)), 0, 0, 0, 0)
    x0 = np.eye(n + 1)[0]
    z, w = gauss(n, {1: 30, 2: 20, 3: 12, 5: 6}[n])
    steps = np.array([0.02, 0.01, 0.005])
    for degree in (1, 2, 3):
        errors = []
        for dt in steps:
            step = OneStep(game, 0.5, dt, np.repeat(x0[None], len(z), 0))
            step.kick(z)
            c = step.rows()[: len(z), 0]
            if n == 1:
                got = w @ eval_chebyt(degree, c)
            else:
                got = w @ (
                    eval_gegenbauer(degree, (n - 1) / 2, c)
                    / eval_gegenbauer(degree, (n - 1) / 2, 1.0)
                )
            errors.append(abs(got - np.exp(-degree * (degree + n - 1) * 0.5 * dt / 2)))
        # On the circle a kick is exact.
        assert (max(errors) < 1e-13) if n == 1 else abs(order(steps, errors) - 3) < 0.2, (
            degree,
            errors,
        )


@pytest.mark.parametrize("scheme, p", [("euler", 1), ("strang", 2)])
@pytest.mark.parametrize("space", ["S^1", "S^2"])
def test_noiseless_order(scheme, p, space):
    """Positions and weights of twelve against seven particles, against (5) by an adaptive
    eighth-order method.
    """
    swarm, time = Swarm(space), 1.0
    steps = time / np.array([50, 100, 200, 400])
    exact = swarm.flow(time)
    errors = [swarm.gap(swarm.simulated(step, time, scheme), exact) for step in steps]
    assert abs(order(steps, errors) - p) < 0.15, errors


@pytest.mark.parametrize("scheme", ["euler", "strang"])
def test_free_motion_on_the_circle(scheme):
    """Design item 2: E cos k(x_t - x_0) = exp(-k^2 t/beta), at any step; T^2 axes and periods
    alike.
    """
    n, beta, t = 100_000, 2.0, 1.0
    free = trigonometric([((0, 0), (0,), 1.0, 0.0)], X=Torus(2, period=3.0), Y=Torus(1))
    tr = simulate(
        free, mf.Langevin(beta), mf.Start(), t, step=0.1, particles=n, scheme=scheme, save_every=t
    )
    for M, pair in ((free.X, tr.x), (free.Y, tr.y)):
        for k in (1, 2):
            w = 2 * np.pi * k / M.period
            c = np.cos(w * (pair[1].points - pair[0].points))
            assert (abs(c.mean(0) - np.exp(-(w**2) * t / beta)) < 4 * c.std(0) / np.sqrt(n)).all()


@pytest.mark.parametrize("d", [3, 10])
def test_free_motion_on_spheres(d):
    """Design item 2 on S^{d-1}: E<x_t, x_0> = exp(-(d-1) t/beta); Euler's bias at this step would
    show.
    """
    n, beta, t, step = 100_000, 4.0, 1.0, 0.05
    free = polynomial_from(0, np.zeros((d, 2)), 0, 0, 0, 0)
    gaps = {}
    for scheme in ("euler", "strang"):
        tr = simulate(
            free,
            mf.Langevin(beta),
            mf.Start(),
            t,
            step=step,
            particles=n,
            scheme=scheme,
            save_every=t,
        )
        c = np.sum(tr.x[0].points * tr.x[1].points, axis=1)
        gaps[scheme] = (c.mean() - np.exp(-(d - 1) * t / beta)) / (c.std() / np.sqrt(n))
    assert abs(gaps["strang"]) < 4 < abs(gaps["euler"])


# Design item 4.
ROTOR = mf.games.wang_chizat()


def rotor(a, b, time, **options):
    options = {"particles": 2, "placement": "atoms", **options}
    tr = simulate(
        ROTOR, mf.MirrorDescent(), mf.Start(*ROTOR.answers["measures"](a, b)), time, **options
    )
    return tr, np.array([[mu.masses[0] - 0.5, nu.masses[0] - 0.5] for mu, nu in tr])


def test_rotor_follows_its_equation():
    """da/dt = 8 b (1/4 - a^2), db/dt = -8 a (1/4 - b^2), to order two for positions and weights
    together.
    """
    velocity = ROTOR.answers["velocity"]
    want = solve_ivp(lambda t, u: velocity(*u), (0, 2.0), [0.3, 0.1], rtol=1e-12, atol=1e-14).y[
        :, -1
    ]
    steps = np.array([0.04, 0.02, 0.01, 0.005])
    errors, drifts = [], []
    for h in steps:
        _, orbit = rotor(0.3, 0.1, 2.0, step=h, scheme="strang", save_every=2.0)
        errors.append(abs(orbit[-1] - want).max())
        kept = (0.25 - orbit[:, 0] ** 2) * (0.25 - orbit[:, 1] ** 2)
        drifts.append(abs(kept[-1] - kept[0]))
    assert abs(order(steps, errors) - 2) < 0.15
    assert (
        order(steps, drifts) > 2.8
    )  # a midpoint step misses circles by O(h^4): the invariant drifts at h^3


def test_rotor_turns_with_period_pi_and_averages_converge():
    tr, orbit = rotor(0.001, 0.0, 8 * np.pi, step=np.pi / 1000, scheme="strang", save_every=np.pi)
    np.testing.assert_allclose(orbit, [[0.001, 0.0]] * 9, rtol=0, atol=1e-6)
    for mu in tr.average("weights"):
        assert abs(mu.masses - 0.5).max() < 1e-7


@pytest.mark.parametrize("scheme, p", [("euler", 1), ("strang", 1)])
def test_halving_on_one_brownian_path(scheme, p):
    """Runs with step h and refine 2 follow a run with step h/2: they meet at the strong order of
    additive noise.
    """
    game = trigonometric([((1,), (1,), 1.0, 0.3), ((1,), (0,), 0.5, 0.0)])
    runs = {}
    for level in range(5):
        options = {
            "step": 0.04 / 2**level,
            "refine": 2 ** (4 - level),
            "scheme": scheme,
            "save_every": 0.8,
        }
        runs[level] = (
            simulate(game, mf.Langevin(5.0), mf.Start(), 0.8, particles=500, **options).x[-1].points
        )
    gaps = [np.sqrt(np.mean(game.X.distance(runs[i], runs[i + 1]) ** 2)) for i in range(4)]
    assert order(0.04 / 2 ** np.arange(4.0), gaps) > p - 0.15
    alone = (
        simulate(game, mf.Langevin(5.0), mf.Start(), 0.8, step=0.04, particles=500, scheme=scheme)
        .x[-1]
        .points
    )
    assert np.sqrt(np.mean(game.X.distance(alone, runs[1]) ** 2)) > 10 * gaps[0]


def test_euler_follows_the_path_of_strang():
    free = trigonometric([((0,), (0,), 1.0, 0.0)])
    options = {"step": 0.1, "particles": 50, "save_every": 1.0}
    a = simulate(free, mf.Langevin(5.0), mf.Start(), 1.0, refine=2, **options)
    b = simulate(free, mf.Langevin(5.0), mf.Start(), 1.0, scheme="strang", **options)
    assert free.X.distance(a.x[-1].points, b.x[-1].points).max() < 1e-13


def test_spheres_of_dimension_one_and_circles_agree():
    """l = -cos(x - y) on S^1 with Cartesian points and on the circle with angles, no noise."""
    flow = mf.WassersteinFisherRao(1.0, 1.0)
    angles = trigonometric([((1,), (-1,), -1.0, 0.0)])
    plane = polynomial_from(0, -np.eye(2), 0, 0, 0, 0)
    rng = np.random.default_rng(5)
    th = rng.uniform(0, 2 * np.pi, (2, 15))
    starts = (
        mf.Start(*(Measure(t[:, None], None, Torus(1)) for t in th)),
        mf.Start(*(Measure(np.stack([np.cos(t), np.sin(t)], 1), None, Sphere(1)) for t in th)),
    )
    ends = []
    for game, start in zip((angles, plane), starts, strict=True):
        options = {
            "step": 1e-3,
            "scheme": "strang",
            "particles": 15,
            "placement": "atoms",
            "save_every": 1.0,
        }
        ends.append(simulate(game, flow, start, 1.0, **options)[-1])
    for a, b in zip(*ends, strict=True):
        z = np.exp(1j * a.points[:, 0])
        assert abs(z - (b.points[:, 0] + 1j * b.points[:, 1])).max() < 2e-6
        np.testing.assert_allclose(a.masses, b.masses, rtol=1e-5)
