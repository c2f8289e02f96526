"""Compiled pair loops against numpy, the folder they are kept in, and games given by functions."""

import hashlib
import os
import random
import re
import stat
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.formulas import kernels, loops
from meanfield.games.formulas.loops import forces_source
from meanfield.games.lowrank import LowRank
from tests.vectors import arithmetic, needs_vectors, use_fresh_kernels

T1, S2 = mf.Torus(1), mf.Sphere(2)
CIRCLE = (
    "exp(cos(x - y)) + 0.3*sin(2*x)*cos(y) + sqrt(2 + cos(2*x - y + 0.3)) + tanh(cos(y))**3"
    " + 1/(2 + sin(-x))"
)
SPHERE = (
    "exp(x1*y2) + x1*x2*y3 + sin(x3 - 2*y1) + abs(2 + y1)**1.5 + x2**7 + atan(y3*x1)"
    " + log(2 + y1*x2)"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cache folder for this file's kernels."""
    patch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("cache")
    use_fresh_kernels(patch, home)
    yield home / "kernels"
    patch.undo()


def draw(game, n=37, m=23, seed=0):
    rng = np.random.default_rng(seed)
    weights = [rng.random(k) for k in (n, m)]
    return [
        (M.sample(len(w), rng), w / w.sum()) for M, w in zip(game.manifolds, weights, strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "manifold"), [(CIRCLE, T1), (SPHERE, S2)], ids=["circle", "sphere"]
)
@pytest.mark.parametrize("p", [0, 1])
def test_compiled_forces_equal_numpy_and_the_game(folder, text, manifold, p):
    game = mf.games.expression(text, manifold, manifold)
    players = draw(game)
    (points, _), (nodes, masses) = players[p], players[1 - p]
    cost, slope = game.forces(p, points, nodes, masses)
    assert game._kernels[p, "jet"] is not None
    plain = game._plain(p, game.jet(p), points, nodes, masses)
    opponent = mf.Measure(nodes, masses, manifold)
    for have, want in zip((cost, slope), plain, strict=True):
        np.testing.assert_allclose(have, want, rtol=0, atol=1e-13)
    np.testing.assert_allclose(cost, game.cost(p, points, opponent), rtol=0, atol=1e-13)
    np.testing.assert_allclose(slope, game.gradient(p, points, opponent), rtol=0, atol=1e-13)


@pytest.mark.parametrize("p", [0, 1])
def test_many_pairs_go_through_compiled_loops_with_the_same_answers(folder, p):
    game = mf.games.expression(SPHERE, S2, S2)
    players = draw(game, 190, 180)
    own, other = players[p][0], mf.Measure(*players[1 - p], S2)
    have = [getattr(game, what)(p, own, other) for what in ("cost", "gradient", "laplacian")]
    assert set(game._kernels) == {(p, "jet"), (p, "laplacian")}
    few = [np.concatenate([getattr(game, what)(p, own[i : i + 10], other)
                           for i in range(0, len(own), 10)]) for what in
           ("cost", "gradient", "laplacian")]  # fmt: skip
    for a, b in zip(have, few, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_inner_loops_hold_no_trigonometry_of_sums():
    game = mf.games.expression("exp(cos(x - y)) + sin(3*x + y/2 - 0.2 + y/2)")
    inner = forces_source(game, 0).split("w = masses[j]")[1]
    assert "math.exp" in inner and "math.sin" not in inner and "math.cos" not in inner


@pytest.mark.parametrize(
    ("text", "left", "steep"),
    [
        (
            "exp(cos(x - y)) + sin(2*x)*(cos(y) - exp(sin(y))) - tanh(cos(y))",
            {"exp_moderate": 1},
            1,
        ),
        ("(sin(x) + cos(y))*sqrt(2 + sin(y))*(tanh(cos(x)) - 2*cos(y)) + exp(cos(x))", {}, 1),
        ("exp(4*sin(y))*(log(2 + cos(x - y)) - 3*cos(x)/(2 + sin(x)))", {"log": 1}, 1),
        ("exp(800*cos(x - y) - 800)", {"exp": 1}, 100),
    ],
)
@pytest.mark.parametrize("single", [False, True])
def test_pairs_are_asked_only_for_what_they_share(folder, text, left, steep, single):
    """Products of one player's part and the other's are summed apart; both gradients use the same
    functions.
    """
    game = mf.games.expression(text)
    source = loops._source(
        game, 0, game.jet(0), game.jet(1), loops.SINGLE if single else loops.PROCESSOR
    )
    inner = re.findall(
        r"for j in range\((?:first|m).*?(?=\n        for i in|\n    for j)", source, re.S
    )
    found = Counter(re.findall(r"math\.(\w+?)(?:32)?\(", "".join(inner[1:])))
    if parts := found.pop("exp_begun", 0):  # see `stages`
        assert found.pop("exp_ended") == parts
        found["exp_moderate"] += parts
    assert found == left
    (x, a), (y, b) = draw(game)
    pairs = (loops.pair_kernel32 if single else loops.pair_kernel)(game)(x, y, a, b)
    for p, given in enumerate(((x, y, b), (y, x, a))):
        for have, want in zip(pairs[p], game._plain(p, game.jet(p), *given), strict=True):
            error = np.abs(have - want).max() / np.abs(want).max()
            assert error < (2e-6 if single else 3e-15) * steep


def formula(rnd, depth):
    """A random smooth formula of two angles."""

    def angle():
        k, l = rnd.randint(-3, 3), rnd.randint(-3, 3)
        return f"{k}*x + {l}*y + {rnd.choice(['0', '0.3', '-1', 'pi'])}"

    def atom():
        call = rnd.choice(["sin", "cos"])
        inside = rnd.choice(
            [angle(), f"{rnd.randint(1, 3)}*{rnd.choice('xy')}", "x - y", "-x", "-2*y", "0.7"]
        )
        return rnd.choice([f"{call}({inside})"] * 6 + [f"{rnd.uniform(-2, 2):.2f}"])

    if depth == 0:
        return atom()
    a, b, c, d = (
        formula(rnd, depth - 1),
        formula(rnd, depth - 1),
        atom(),
        f"{rnd.uniform(-1, 1):.2f}",
    )
    calls = [f"{name}({a})" for name in ("tanh", "atan", "sin", "cos", "sinh", "cosh")]
    smooth = [
        f"exp({d}*({a}))",
        f"log(3 + {c})",
        f"(3 + {c})**{rnd.choice(['1.5', '-0.5', '0.3'])}",
        f"({a})/(3 + {c})",
    ]
    sums = [f"({a} + {b})", f"({a} - {b})", f"({a})*({b})", f"-({a})", f"({a})**{rnd.choice('23')}"]
    return rnd.choice(sums * 3 + smooth + [rnd.choice(calls)])


def interpreted(source):
    """`forces` of a generated module, run by Python, number by number."""
    wide = {name: (lambda *v, f=f: f(*v)) for name, f in
            {"exp_moderate": np.exp, "power": np.power, **{n: getattr(np, n) for n in
             ("sin", "cos", "exp", "log", "tanh", "sinh", "cosh")}}.items()}  # fmt: skip
    functions = SimpleNamespace(**wide, **{f"{name}32": f for name, f in wide.items()})
    functions.exp_begun, functions.exp_ended = lambda x: (x, 0.0), lambda r, _: np.exp(r)
    mathematics = SimpleNamespace(
        **{n: getattr(np, n) for n in ("fabs", "copysign", "sqrt")}, atan=np.arctan
    )
    namespace = {
        "np": np,
        "math": mathematics,
        "fastmath": functions,
        "fma": lambda a, b, c: a * b + c,
        "summed": lambda total, a, b: total + a * b,
        "together": lambda numbers: None,
    }
    namespace["kernel"] = lambda f=None, **_: f or (lambda g: g)
    lines = [line for line in source.splitlines() if not line.startswith(("import ", "from "))]
    exec("\n".join(lines), namespace)
    return namespace["forces"]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("apart", [True, False])
def test_loops_of_random_formulas_equal_numpy(monkeypatch, seed, apart):
    monkeypatch.setattr(loops, "apart", lambda: apart)
    rnd, done = random.Random(seed), 0
    while done < 12:
        text = formula(rnd, rnd.choice([1, 2, 3]))
        try:
            game = mf.games.expression(text)
        except ValueError:  # kinks and poles of some formulas
            continue
        if isinstance(game, LowRank):
            continue
        done += 1
        (x, a), (y, b) = draw(game, 5, 4, seed)
        source = loops.pair_source(game)
        with np.errstate(all="ignore"):
            pairs = interpreted(source)(x, y, a, b)
        for p, given in enumerate(((x, y, b), (y, x, a))):
            jet = [np.abs(v).max() for v in game._at(game.jet(p), x, y)]
            for have, want in zip(pairs[p], game._plain(p, game.jet(p), *given), strict=True):
                np.testing.assert_allclose(
                    have, want, rtol=0, atol=1e-13 * (1 + max(jet)), err_msg=text
                )


EXPONENTIALS = [
    "exp(cos(x - y)) + 0.3*sin(2*x)*cos(y)",
    "cos(x - y)**3*exp(cos(x - y))",
    "exp(sin(2*x)*cos(y) + sin(x))*cos(x + 2*y) - cos(y)",
]


@pytest.mark.parametrize("text", EXPONENTIALS)
def test_three_loops_give_the_bits_of_one(folder, monkeypatch, text):
    game = mf.games.expression(text)
    (x, a), (y, b) = draw(game, 300, 70)
    found, sources = [], []
    for apart in (True, False):
        monkeypatch.setattr(loops, "apart", lambda apart=apart: apart)
        both, own = loops.pair_kernel(game), loops.kernel(game, 1, game.jet(1))
        sources.append(loops.pair_source(game))
        found.append([*both(x, y, a, b), own(y, x, a)])
    assert [source.count("for i in range(whole)") for source in sources] == [3, 1]
    for one, three in zip(*found, strict=True):
        assert all(map(np.array_equal, one, three))


def test_one_loop_stays_where_more_than_an_exponential_is_asked_of_pairs(monkeypatch):
    monkeypatch.setattr(loops, "apart", lambda: True)
    for text in ("exp(cos(x - y))*sqrt(2 + cos(x - y))", "exp(cos(x - y)) + exp(sin(x - y))",
                 "exp(800*cos(x - y) - 800)", "1/(2 + cos(x - y))"):  # fmt: skip
        assert loops.pair_source(mf.games.expression(text)).count("for i in range(whole)") == 1


@needs_vectors
def test_pair_loops_gather_nothing(folder):
    game = mf.games.expression("exp(cos(x - y)) + 0.3*sin(3*x)*cos(y)")
    forces = loops.pair_kernel(game)
    forces(*(v for pair in zip(*draw(game), strict=True) for v in pair))
    kernel = forces.__globals__["fill"]
    assert arithmetic(kernel)[0] > 20 and "gather" not in "".join(kernel.inspect_asm().values())


def test_kernels_are_kept_in_a_private_folder_and_written_once(folder):
    game = mf.games.expression("exp(sin(x - y))")
    (points, _), (nodes, masses) = draw(game)
    game.forces(0, points, nodes, masses)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    source = forces_source(game, 0)
    name = kernels.load(source, "forces").__module__
    path = folder / f"{name}.py"
    assert path.read_text() == source and not list(folder.glob("*.tmp"))
    before = os.stat(path).st_mtime_ns
    assert kernels._stored(name, source) == path and os.stat(path).st_mtime_ns == before


def test_a_changed_file_is_rewritten_and_never_run(folder):
    source = 'marker = "generated"\n\n\ndef forces():\n    return marker\n'
    name = "meanfield_kernel_" + hashlib.sha256(source.encode()).hexdigest()[:32]
    kernels._private(folder)
    (folder / f"{name}.py").write_text(source.replace("generated", "tampered!"))
    assert kernels.load(source, "forces")() == "generated"
    assert (folder / f"{name}.py").read_text() == source


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_folder_open_to_others_is_not_used(tmp_path, monkeypatch):
    open_folder = tmp_path / "kernels"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    monkeypatch.setenv("MEANFIELD_CACHE", str(tmp_path))
    path = kernels._stored("kernel_of_a_test", "a = 1\n")
    assert not list(open_folder.iterdir())
    assert path.parent != open_folder and stat.S_IMODE(os.stat(path.parent).st_mode) == 0o700
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "kernels").symlink_to(elsewhere)
    monkeypatch.setenv("MEANFIELD_CACHE", str(tmp_path / "linked"))
    assert kernels._stored("kernel_of_a_test", "a = 1\n").parent != elsewhere and not list(
        elsewhere.iterdir()
    )


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("MEANFIELD_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kernels.cache_folder() == tmp_path / "meanfield" / "kernels"
    monkeypatch.setenv("MEANFIELD_CACHE", str(tmp_path / "own"))
    assert kernels.cache_folder() == tmp_path / "own" / "kernels"


def test_without_any_folder_numpy_serves(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("MEANFIELD_CACHE", str(blocked))
    monkeypatch.setattr(kernels, "_temporary", lambda: blocked)
    game = mf.games.expression("exp(cos(2*x - y))")
    (points, _), (nodes, masses) = draw(game)
    with pytest.warns(UserWarning, match="numpy is used instead"):
        cost, slope = game.forces(0, points, nodes, masses)
    want = np.exp(np.cos(2 * points - nodes.T))
    np.testing.assert_allclose(cost, want @ masses, atol=1e-13)
    np.testing.assert_allclose(
        slope[:, 0], (-2 * np.sin(2 * points - nodes.T) * want) @ masses, atol=1e-13
    )


def test_a_second_process_compiles_nothing(folder):
    script = (
        "import numpy as np, meanfield as mf\n"
        "g = mf.games.expression('exp(sin(x - y))')\n"
        "g.forces(0, np.zeros((3, 1)), np.zeros((2, 1)), np.full(2, 0.5))\n"
        "stats = g._kernels[0, 'jet'].__globals__['fill'].stats\n"
        "print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))\n"
    )
    environment = {**os.environ, "MEANFIELD_CACHE": str(folder.parent)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    ]
    runs.append(
        subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    )
    assert runs[1].stdout.split() == ["1", "0"]


def wave(x, y):
    return np.exp(np.cos(x[..., 0] - y[..., 0])) + np.sin(2 * x[..., 0])


def bump(x, y):
    return np.exp(x[..., 0] * y[..., 1]) + np.sin(x[..., 2] - 2 * y[..., 0])


@pytest.mark.parametrize(
    ("loss", "text", "manifold"),
    [(wave, "exp(cos(x - y)) + sin(2*x)", T1), (bump, "exp(x1*y2) + sin(x3 - 2*y1)", S2)],
    ids=["circle", "sphere"],
)
def test_functions_by_differences_equal_expressions(loss, text, manifold):
    game, exact = (
        mf.games.function(loss, manifold, manifold),
        mf.games.expression(text, manifold, manifold),
    )
    for a, b in ((game, exact), (game.swapped(), exact.swapped())):
        players = [mf.Measure(*player, manifold) for player in draw(a)]
        for p in (0, 1):
            own, other = players[p], players[1 - p]
            for what, tolerance in (
                ("cost", 1e-14),
                ("gradient", 2e-11),
                ("laplacian", 2e-9),
                ("hessian", 1e-6),
            ):
                have = getattr(a, what)(p, own.points, other)
                np.testing.assert_allclose(
                    have, getattr(b, what)(p, own.points, other), rtol=0, atol=tolerance
                )
            cost, slope = a.forces(p, own.points, other.points, other.masses)
            np.testing.assert_allclose(cost, b.cost(p, own.points, other), rtol=0, atol=1e-13)
            np.testing.assert_allclose(slope, b.gradient(p, own.points, other), rtol=0, atol=2e-11)


def test_differences_are_of_fourth_order(monkeypatch):
    from meanfield.games import functions

    game, exact = (
        mf.games.function(bump, S2, S2),
        mf.games.expression("exp(x1*y2) + sin(x3 - 2*y1)", S2, S2),
    )
    (x, _), (y, _) = draw(game)
    errors = []
    for h in (0.08, 0.04):
        monkeypatch.setattr(functions, "FIRST", h)
        monkeypatch.setattr(functions, "SECOND", h)
        pairs = (
            (game.pair_gradient, exact.pair_gradient),
            (game.pair_laplacian, exact.pair_laplacian),
        )
        errors.append([np.abs(f(1, x, y) - g(1, x, y)).max() for f, g in pairs])
    orders = np.log2(np.array(errors[0]) / errors[1])
    assert (np.abs(orders - 4) < 0.2).all()


def test_given_gradients_are_used_projected_and_checked():
    calls = []

    def slope_x(x, y):
        calls.append(x.shape)
        out = np.zeros(np.broadcast_shapes(x.shape, y.shape))
        out[..., 0] = y[..., 1] * np.exp(x[..., 0] * y[..., 1])
        out[..., 2] = np.cos(x[..., 2] - 2 * y[..., 0])
        return out

    game, exact = (
        mf.games.function(bump, S2, S2, slope_x),
        mf.games.expression("exp(x1*y2) + sin(x3 - 2*y1)", S2, S2),
    )
    for g, e, p in ((game, exact, 0), (game.swapped(), exact.swapped(), 1)):
        (x, a), (y, b) = draw(g)
        own, other = ((x, (y, b)), (y, (x, a)))[p]
        mu = mf.Measure(*other, S2)
        before = len(calls)
        np.testing.assert_allclose(
            g.gradient(p, own, mu), e.gradient(p, own, mu), rtol=0, atol=1e-14
        )
        assert len(calls) > before
    with pytest.raises(ValueError, match="gradient_x of 'bump' differs"):
        mf.games.function(bump, S2, S2, lambda x, y: -slope_x(x, y))
    with pytest.raises(ValueError, match="gradient_y of 'bump' returned shape"):
        mf.games.function(bump, S2, S2, gradient_y=bump)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda x, y: np.cos(x - y), r"returned shape \(5, 3, 1\)"),
        (lambda x, y: 0.0, r"returned shape \(\)"),
        (lambda x, y: np.cos(x[..., 0]), r"returned shape \(5, 1\)"),
        (lambda x, y: np.cos(x[..., 0] - y[..., 0]) * np.nan, "is nan at x ="),
        (lambda x, y: x[..., 0] * np.cos(y[..., 0]), "changes when x moves by the period"),
        (lambda x, y: np.cos(x[..., 0]) * y[..., 0], "changes when y moves by the period"),
    ],
)
def test_functions_that_give_no_loss_are_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        mf.games.function(loss, T1, T1, name="mine")
    with pytest.raises(ValueError, match="'mine'"):
        mf.games.function(loss, T1, T1, name="mine")


def test_function_needs_a_function_and_manifolds():
    with pytest.raises(TypeError, match="loss must be a function"):
        mf.games.function("cos(x)", T1, T1)
    with pytest.raises(TypeError, match="Y must be a Torus"):
        mf.games.function(wave, T1, None)
    for loss in (
        lambda x, y: "no",
        lambda x, y: np.exp(1j * (x - y))[..., 0],
        lambda x, y: (x < y)[..., 0],
    ):
        with pytest.raises(TypeError, match="must return real numbers"):
            mf.games.function(loss, T1, T1)
