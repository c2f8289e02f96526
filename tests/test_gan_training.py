"""Training of mixtures of GANs: gradients, steps, weights, and what is refused.

Everything is tiny and on one thread; without PyTorch these tests are skipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import meanfield as mf
from meanfield import gan
from meanfield.density.equation import react

torch = pytest.importorskip("torch", reason="needs PyTorch, the extra gan")

from meanfield.gan.game import between, payoffs, penalties  # noqa: E402
from meanfield.gan.particles import Particles, new_networks  # noqa: E402
from meanfield.gan.training import Settings, Training  # noqa: E402

FLOW = mf.WassersteinFisherRao((1.0, 3.0), 20.0)
GAME = gan.GanGame(gan.Ring(), gan.mlp(3, 2, 8, norm=True), gan.mlp(2, 1, 8), 3, clip=0.5)
PENALISED = gan.GanGame(gan.Ring(), gan.mlp(3, 2, 8), gan.mlp(2, 1, 8), 3, penalty=1.0)
HOW: dict[str, Any] = {"generators": 2, "critics": 3, "batch": 8, "threads": 1, "progress": False}


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def training(game: gan.GanGame = GAME, flow: mf.Flow = FLOW, **given: Any) -> Training:
    usual = {
        "step": 1e-2, "generators": 2, "critics": 3, "batch": 8, "fakes": 5, "rule": "gradient",
        "order": "simultaneous", "betas": (0.0, 0.9), "warm_up": 0, "average": 0.0, "seed": 0,
        "compile": False, "device": "cpu", "threads": 1,
    }  # fmt: skip
    return Training(game, flow, Settings(**{**usual, **given}))


def draws(t: Training) -> tuple[Any, Any, Any]:
    """Data, noise and points of the penalty of a step's first batch, drawn as the step does."""
    rng = np.random.default_rng((t.s.seed, 2, t.done))
    data = torch.from_numpy(t.game.data.sample(t.s.batch, rng).astype(np.float32))
    shape = (t.s.generators, t.s.fakes, t.game.noise)
    noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    fakes = torch.stack([g(e) for g, e in zip(t.x.networks, noise, strict=True)])
    return data, noise, between(data, fakes, t.x.weights, rng)


def test_the_losses_are_those_of_every_pair_by_itself() -> None:
    t = training(PENALISED)
    data, noise, _ = draws(t)
    together, _ = payoffs(t.x.networks, t.y.networks, data, noise)
    alone = [
        [(f(data).mean() - f(g(e)).mean()).item() for f in t.y.networks]
        for g, e in zip(t.x.networks, noise, strict=True)
    ]
    assert torch.allclose(together, torch.tensor(alone), atol=1e-6)


@pytest.mark.parametrize("game", [GAME, PENALISED], ids=["clip", "penalty"])
def test_a_gradient_step_is_the_one_of_the_text(game: gan.GanGame) -> None:
    """x_i along sum_j v_j l_ij, y_j along sum_i w_i l_ij less the penalty, each by itself."""
    t, u = training(game), training(game)
    for s in (t, u):
        s.x.log_weights, s.y.log_weights = np.log([0.9, 0.1]), np.log([0.2, 0.3, 0.5])
    data, noise, at = draws(u)
    w, v = (torch.tensor(p.weights, dtype=torch.float32) for p in (u.x, u.y))
    losses, _ = payoffs(u.x.networks, u.y.networks, data, noise)
    paid = 1.0 * penalties(u.y.networks, at) if game.penalty else torch.zeros(3)
    wanted = []
    for player, costs in ((u.x, losses @ v), (u.y, -(w @ losses) + paid)):
        rows = []
        for net, cost in zip(player.networks, costs, strict=True):
            slopes = torch.autograd.grad(cost, list(net.parameters()), retain_graph=True)
            rows.append(torch.cat([s.reshape(-1) for s in slopes]))
        gamma = u.flow.gamma[player is u.y]
        wanted.append(player.at - 1e-2 * gamma * torch.stack(rows))
    t.advance()
    assert torch.allclose(t.x.at, wanted[0], atol=1e-6)
    bound = 0.5 if game.clip else torch.inf
    assert torch.allclose(t.y.at, wanted[1].clamp(-bound, bound), atol=1e-6)
    ell = losses.detach().numpy().astype(np.float64)
    for player, costs in ((t.x, ell @ [0.2, 0.3, 0.5]), (t.y, -(np.array([0.9, 0.1]) @ ell))):
        before = np.log([0.9, 0.1] if player is t.x else [0.2, 0.3, 0.5])
        assert np.allclose(player.log_weights, react(before, costs, 0.2), atol=1e-6)


def test_extrapolated_steps_start_where_the_trial_began() -> None:
    """l = x y for scalars: a trial to (x - h y, y + h x), then from (x, y) along slopes there."""

    class Number(torch.nn.Module):
        def __init__(self, critic: bool) -> None:
            super().__init__()
            self.a, self.critic = torch.nn.Parameter(torch.ones(1)), critic

        def forward(self, z: Any) -> Any:
            return self.a * z[:, 0] if self.critic else -self.a.expand(len(z), 2)

    ring = gan.Ring(1, 1e-12, 1e-9)
    game = gan.GanGame(ring, lambda: Number(False), lambda: Number(True), 1)
    h, one = 0.1, {"generators": 1, "critics": 1, "batch": 1, "fakes": 1, "step": 0.1}
    for rule, x, y in (
        ("gradient", 1 - h, 1 + h),
        ("extragradient", 1 - h * (1 + h), 1 + h * (1 - h)),
    ):
        t = training(game, mf.Wasserstein(), rule=rule, **one)
        t.advance()
        assert t.x.at.item() == pytest.approx(x, abs=1e-6)
        assert t.y.at.item() == pytest.approx(y, abs=1e-6)
    t = training(game, mf.Wasserstein(), order="alternating", **one)
    t.advance()
    assert t.x.at.item() == pytest.approx(1 - h * (1 + h), abs=1e-6)


def test_adam_is_the_one_of_the_paper() -> None:
    """Kingma & Ba (2015), Algorithm 1, by hand on the slopes k (1, -2, ...)."""
    mine = Particles(new_networks(gan.mlp(2, 1, 4), 1, 3))
    m = v = np.zeros(mine.at.shape)
    slope = np.arange(1.0, 1 + m.size)[None] * (-1) ** np.arange(m.size)
    for k in range(1, 4):
        mine.slope.copy_(torch.from_numpy(k * slope))
        m, v = 0.5 * m + 0.5 * k * slope, 0.9 * v + 0.1 * (k * slope) ** 2
        wanted = m / (1 - 0.5**k) / (np.sqrt(v / (1 - 0.9**k)) + 1e-8)
        assert np.allclose(mine.adam((0.5, 0.9)).numpy(), wanted, rtol=1e-5)


def test_points_of_the_penalty_lie_between_a_datum_and_a_fake_of_the_mixture() -> None:
    data, fakes = (
        torch.zeros(4000, 2),
        torch.ones(2, 50, 2) * torch.tensor([1.0, 2.0])[:, None, None],
    )
    at = between(data, fakes, np.array([0.25, 0.75]), np.random.default_rng(0))
    assert at.min() >= 0 and torch.equal(at[:, 0], at[:, 1])
    assert abs(at[:, 0].mean().item() - 0.5 * (0.25 * 1 + 0.75 * 2)) < 0.05
    assert abs((at[:, 0] > 1).float().mean().item() - 0.75 / 2) < 0.04


def test_weights_wait_for_the_warm_up_and_do_not_see_the_penalty() -> None:
    run = gan.train(PENALISED, FLOW, 4, step=1e-2, warm_up=2, save_every=1, **HOW)
    w = run.diagnostics["weights_x"]
    assert (w[:2] == 0.5).all() and (w[2] != 0.5).all()
    assert np.allclose(run.diagnostics["spread_x"], 1 / (w**2).sum(axis=1))


@pytest.mark.parametrize("flow", [mf.Wasserstein(), mf.MirrorDescent(3.0)], ids=["W", "mirror"])
def test_what_a_flow_leaves_alone_does_not_move(flow: mf.Flow) -> None:
    t = training(flow=flow, rule="extra-adam")
    before, weights = t.x.at.clone(), t.x.weights
    t.advance()
    assert torch.equal(t.x.at, before) is (flow.gamma[0] == 0)
    assert np.array_equal(t.x.weights, weights) is (flow.alpha[0] == 0)


@pytest.mark.parametrize(
    ("flow", "given", "said"),
    [
        (mf.Langevin(2.0), {}, "has noise"),
        (mf.AveragedLangevin(2.0), {"rule": "gradient"}, "memory"),
        (mf.BestResponse(), {}, "best responses"),
        (mf.EntropicWassersteinFisherRao(2.0), {"rule": "gradient"}, "log-density"),
        (FLOW, {"rule": "lion"}, "rule must be one of"),
        (FLOW, {"betas": (0.5, 1.0)}, "betas must be below 1"),
        (FLOW, {"betas": 0.5}, "betas must be two numbers"),
        (FLOW, {"scores": ["fid"]}, "scores are"),
        (FLOW, {"scores": {"time": len}}, "choose other names"),
        (FLOW, {"scores": {"mine": 3}}, "functions by their names"),
        (FLOW, {"step": 1e300}, "step 1e\\+300 is too large"),
        (FLOW, {"threads": 0}, "threads must be at least 1"),
        (FLOW, {"threads": 100_000}, "threads must be at most"),
        (FLOW, {"device": "cuda:99"}, "device 'cuda:99' is not to be had here"),
        (FLOW, {"device": "meta"}, "device 'meta' is not to be had here"),
        (FLOW, {"checkpoint_every": 3.0}, "needs checkpoint"),
        (FLOW, {"fakes": 1}, "fakes must be at least 2"),
        (FLOW, {"compile": True, "game": PENALISED}, "compile does not go"),
        (3, {}, "flow must be"),
    ],
)
def test_what_does_not_apply_is_refused(flow: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        gan.train(**{"game": GAME, "flow": flow, "steps": 1, **HOW, **given})


def test_noise_of_a_langevin_flow_has_its_variance() -> None:
    game = gan.GanGame(gan.Ring(), gan.mlp(3, 2, 40), gan.mlp(2, 1, 8), 3, clip=0.5)
    t, u = (training(game, f, step=1e-4) for f in (mf.Langevin(2.0), mf.Wasserstein()))
    t.advance(), u.advance()
    assert (t.x.at - u.x.at).std().item() == pytest.approx(np.sqrt(2 * 1e-4 / 2), rel=0.1)


def test_a_dying_weight_is_told() -> None:
    with pytest.warns(UserWarning, match="has left the mixture"):
        gan.train(GAME, mf.WassersteinFisherRao(1.0, 1e6), 2, **HOW)


@pytest.mark.parametrize(
    ("gamma", "steps", "said"),
    [(1e12, 20, "a loss is"), (1e41, 1, "a parameter,"), (1e38, 1, "an output is")],
)
def test_diverging_networks_stop_the_run(gamma: float, steps: int, said: str) -> None:
    """At the last step too, after which no loss is formed."""
    ring = gan.Ring(radius=1.0 if steps > 1 else 1000.0)
    free = gan.GanGame(ring, gan.mlp(3, 2, 8), gan.mlp(2, 1, 8), 3)
    with pytest.raises(FloatingPointError, match=f"{said}.* not finite in step"):
        gan.train(free, mf.Wasserstein(gamma), steps, rule="gradient", **HOW)


def sequence(*layers: Any) -> Any:
    """A function that makes a network; each layer is a class with its sizes."""

    def make() -> Any:
        return torch.nn.Sequential(*(kind(*sizes) for kind, *sizes in layers))

    return make


LINEAR, RELU, TANH = (torch.nn.Linear, 3, 2), (torch.nn.ReLU,), (torch.nn.Tanh,)


@pytest.mark.parametrize(
    ("generator", "critic", "said"),
    [
        ([(torch.nn.Linear, 4, 2)], [(torch.nn.Linear, 2, 1)],
         r"generator cannot take an input of shape \(3, 3\)"),
        ([(torch.nn.Linear, 3, 5)], [(torch.nn.Linear, 5, 1)], r"outputs of shape \(3, 5\)"),
        ([LINEAR], [(torch.nn.Linear, 7, 1)], r"critic cannot take an input of shape \(3, 2\)"),
        ([LINEAR], [(torch.nn.Linear, 2, 2)], "it must give one number for each"),
        ([(torch.nn.LazyLinear, 2)], [(torch.nn.Linear, 2, 1)], "sizes are not known yet"),
        ([LINEAR], [(torch.nn.BatchNorm1d, 2), (torch.nn.Linear, 2, 1)], "leave norm out of"),
        ([RELU], [(torch.nn.Linear, 2, 1)], "some that are not frozen"),
    ],
)  # fmt: skip
def test_networks_that_do_not_fit_are_refused(generator: Any, critic: Any, said: str) -> None:
    game = gan.GanGame(gan.Ring(), sequence(*generator), sequence(*critic), 3, clip=0.1)
    with pytest.raises(ValueError, match=said):
        gan.train(game, FLOW, 1, **HOW)


def test_one_module_cannot_be_two_particles() -> None:
    one = torch.nn.Linear(3, 2)
    with pytest.raises(ValueError, match="one module was returned"):
        gan.train(gan.GanGame(gan.Ring(), lambda: one, gan.mlp(2, 1, 4), 3), FLOW, 1, **HOW)


def test_running_averages_are_of_buffers_too() -> None:
    t = training(average=0.75)
    rows = []
    for _ in range(3):
        norm = t.x.networks[0][1]
        rows.append(norm.running_mean.clone())
        t.advance()
    rows.append(norm.running_mean.clone())
    wanted = rows[0]
    for row in rows[1:]:
        wanted = 0.75 * wanted + 0.25 * row
    t.x.settle()
    assert torch.allclose(norm.running_mean, wanted, atol=1e-7)
    assert not torch.allclose(norm.running_mean, rows[-1], atol=1e-4)


def test_paired_starts_do_not_depend_on_how_many_there_are() -> None:
    few, many = training(generators=1), training(generators=4)
    assert torch.equal(few.x.at[0], many.x.at[0])


def test_point_masses_are_looked_for_where_generators_reach():
    """A linear critic f(a) = c.a gains |c|_1 times the bound of a generator."""
    game = gan.GanGame(gan.Ring(), gan.mlp(4, 2, 8, bound=0.1), gan.mlp(2, 1, depth=0), 4, clip=0.3)
    run = gan.train(game, mf.Wasserstein(), 2, threads=1, progress=False)
    made = gan.nikaido_isoda(run, samples=500, restarts=1, steps=2)
    assert 0 < -made.best_generator < 0.1 * 2 * 0.3 + 0.05
    wide = gan.nikaido_isoda(run, samples=500, restarts=1, steps=2, box=2.0)
    assert wide.best_generator < made.best_generator


def test_critics_that_stand_still_are_clipped():
    game = gan.GanGame(gan.Ring(), gan.mlp(4, 2, 8), gan.mlp(2, 1, 8), 4, clip=0.01)
    run = gan.train(game, mf.MirrorDescent(1.0), 1, critics=2, threads=1, progress=False)
    assert (
        max(float(p.detach().abs().max()) for f in run.critics().networks for p in f.parameters())
        <= 0.01
    )


def test_networks_that_share_layers_or_freeze_others_are_refused():
    shared = torch.nn.Linear(2, 2)
    with_shared = lambda *more: lambda: torch.nn.Sequential(shared, *more)  # noqa: E731
    plain = lambda: torch.nn.Sequential(torch.nn.Linear(2, 2))  # noqa: E731
    count = iter(range(100))

    def oddly():
        made = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
        made[0].weight.requires_grad_(next(count) % 2 == 0)
        return made

    to_one = torch.nn.Linear(2, 1)
    flow = mf.WassersteinFisherRao(1.0, 1.0)
    for generator, critic, p, says in (
        (with_shared(), lambda: torch.nn.Linear(2, 1), 2, "share a parameter"),
        (with_shared(), lambda: torch.nn.Sequential(shared, to_one), 1, "share a parameter"),
        (oddly, lambda: torch.nn.Linear(2, 1), 2, "the same of them frozen"),
        (lambda: torch.nn.Sequential(plain(), torch.nn.BatchNorm1d(2, track_running_stats=False)),
         lambda: torch.nn.Linear(2, 1), 1, "must keep running averages"),
    ):  # fmt: skip
        game = gan.GanGame(gan.Ring(), generator, critic, noise=2, clip=0.1)
        with pytest.raises(ValueError, match=says):
            gan.train(game, flow, steps=1, step=1e-3, generators=p, critics=1, progress=False)
    with pytest.raises(TypeError, match="write lambda"):
        gan.GanGame(gan.Ring(), torch.nn.Linear(2, 2), plain, noise=2)


def test_critics_that_draw_are_judged_alike_when_given_again():
    class Noisy(torch.nn.Linear):
        def forward(self, z):
            return super().forward(z + torch.randn_like(z))

    game = gan.GanGame(
        gan.Ring(), lambda: torch.nn.Linear(2, 2), lambda: Noisy(2, 1), noise=2, clip=0.1
    )
    run = gan.train(game, mf.Wasserstein(), steps=2, step=1e-3, progress=False)
    assert len(run.critics().networks) == len(run.diagnostics["weights_y"][-1])


class ByBatch(torch.nn.Linear):
    def forward(self, z):
        return super().forward(z - z.mean(0))


class Unregistered(torch.nn.Linear):
    def __init__(self):
        super().__init__(2, 1)
        self.rest = [torch.nn.Linear(1, 1)]

    def forward(self, z):
        return self.rest[0](super().forward(z))


@pytest.mark.parametrize(
    ("critic", "says"),
    [(lambda: ByBatch(2, 1), "depends on the other points"), (Unregistered, "are not registered")],
)
def test_critics_that_look_at_the_batch_or_hide_layers_are_refused(critic, says):
    game = gan.GanGame(gan.Ring(), lambda: torch.nn.Linear(2, 2), critic, noise=2, clip=0.1)
    with pytest.raises(ValueError, match=says):
        gan.train(game, mf.Wasserstein(), steps=1, step=1e-3, progress=False)
