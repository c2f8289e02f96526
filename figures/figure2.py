"""Figure 2 of the paper: mixtures of GANs on eight Gaussians, W-DA against WFR-DA.

Generators of four kinds, (G, D) = (1, 1), (3, 3) and (5, 5), several seeds with paired starts: the
i-th generator of a seed begins with the same parameters everywhere. Eta' = 0 is W-DA. The paper's
log-likelihood, which cannot see collapse, stands beside W2, the modes covered, the weights, and who
makes what. Curves run against updates of all generators together and of each.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

import meanfield as mf
from figures.store import Parts, load, merged, save_png, settings_of
from meanfield.checks import Array
from meanfield.gan.pictures import draw_makers
from meanfield.plotting.style import BLUE, GREY, ORANGE, new_figure, styled

# By the panel's title: options of the generator, and learning rates of generators and critics.
PANELS: dict[str, tuple[dict[str, Any], float, float]] = {
    "one hidden layer": ({"depth": 1}, 1e-3, 3e-3),
    "three hidden layers, BatchNorm": ({"depth": 3, "norm": True}, 3e-4, 3e-3),
    "three hidden layers": ({"depth": 3}, 1e-3, 3e-3),
    "linear": ({"depth": 0}, 1e-3, 3e-3),
}
COLORS = {1: GREY, 3: BLUE, 5: ORANGE}
LINES = ("-", "--", ":")
EARLY = 0.25  # of all updates: where "early" is
LEFT = 1e-3  # a weight below which a generator has left the mixture

ONE_CORE = True  # a part uses one core, so that several are computed at once


def settings(quick: bool) -> dict[str, Any]:
    return {
        "sizes": [1, 5] if quick else [1, 3, 5],
        "rates": [0.0, 0.05] if quick else [0.0, 0.01, 0.05],
        "seeds": 2 if quick else 5,
        "updates": 1000 if quick else 6000,
        "saves": 20 if quick else 40,
        "width": 64,
        "noise": 16,
        "batch": 64,
        "clip": 0.3,
        "panels": list(PANELS),
    }


def runs_of(s: dict[str, Any]) -> list[tuple[int, float]]:
    """(G, eta') of every run of a panel and a seed; one generator has no weights to learn."""
    return [(n, rate) for n, rate in product(s["sizes"], s["rates"]) if n > 1 or rate == 0]


def parts(s: dict[str, Any], folder: Path) -> Parts:
    """By seed and panel, so that a stopped figure has whole seeds first."""
    return {
        f"{title}, seed {seed}": partial(panel, s, k, seed, folder)
        for seed in range(s["seeds"])
        for k, title in enumerate(s["panels"])
    }


def joined(s: dict[str, Any], found: dict[str, dict[str, Array]]) -> dict[str, Array]:
    return merged(found)


def panel(s: dict[str, Any], k: int, seed: int, folder: Path) -> dict[str, Array]:
    """All runs of one kind of generator and one seed, named "panel/seed/run/what".

    Each is kept in a file of its own, which goes on where it was stopped.
    """
    held: dict[str, Array] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for r, (n, rate) in enumerate(runs_of(s)):
        kept = folder / f"panel_{k}_seed_{seed}_run_{r}.h5"
        run = trained(s, s["panels"][k], n, rate, seed, kept)
        mixture, ring = run.mixture(), run.game.data
        d, scores = run.diagnostics, mf.gan.scores
        counts = [scores.modes_of(ring, row) for row in mixture.each(2000)]
        found = {
            "step": d["step"], "log_likelihood": d["log_likelihood"], "weights": d["weights_x"],
            "modes": scores.modes(mixture), "w2": scores.w2(mixture),
            "information": scores.information(mixture), "mass_error": scores.mass_error(mixture),
            "modes_each": counts, "outputs": run.outputs, "wall_time": run.provenance["wall_time"],
        }  # fmt: skip
        held |= {f"{k}/{seed}/{r}/{name}": np.asarray(value) for name, value in found.items()}
    return held


def trained(
    s: dict[str, Any], title: str, n: int, rate: float, seed: int, kept: Path | None = None
) -> Any:
    """One run: n generators of a panel's kind against n critics, weights at eta' = rate."""
    options, lr, lr_critics = PANELS[title]
    game = mf.gan.GanGame(
        mf.gan.Ring(), mf.gan.mlp(s["noise"], 2, s["width"], **options),
        mf.gan.mlp(2, 1, s["width"], depth=2), noise=s["noise"], clip=s["clip"],
    )  # fmt: skip
    gamma = (1.0, lr_critics / lr)
    flow = mf.WassersteinFisherRao(gamma, rate / lr) if rate else mf.Wasserstein(gamma)
    steps = s["updates"] // n
    return mf.gan.train(
        game, flow, steps, step=lr, generators=n, critics=n, batch=s["batch"], seed=seed,
        betas=(0.0, 0.999), save_every=max(steps // s["saves"], 1), scores=["log_likelihood"],
        threads=1, progress=False, checkpoint=kept,
    )  # fmt: skip


def curves(held: dict[str, Array], s: dict[str, Any], k: int, r: int, name: str) -> Array:
    """What was recorded or found in run r of panel k, with seeds first."""
    return np.stack([held[f"{k}/{seed}/{r}/{name}"] for seed in range(s["seeds"])])


def draw(path: Path) -> Path:
    """The picture, drawn from the stored data alone."""
    held = load(path)
    s = settings_of(held)
    with styled():
        figure = new_figure(13.6, 2.75 * len(s["panels"]))
        axes = figure.subplots(len(s["panels"]), 4, width_ratios=(1.3, 1.3, 1, 0.9))
        for k, (row, title) in enumerate(zip(axes, s["panels"], strict=True)):
            draw_curves(row[0], held, s, k, 1)
            draw_curves(row[1], held, s, k, 0)
            draw_distances(row[2], held, s, k)
            last = len(runs_of(s)) - 1
            ring = mf.gan.Ring()
            outputs, weights = (held[f"{k}/0/{last}/{name}"] for name in ("outputs", "weights"))
            draw_makers(row[3], outputs, weights[-1], ring)
            row[0].set_ylabel(f"{title}\nlog-likelihood")
        heads = (
            "against updates of all generators", "against updates of each generator",
            "$W_2$ at the end, and modes covered", f"who makes what: {label(*runs_of(s)[-1])}",
        )  # fmt: skip
        for ax, head in zip(axes[0], heads, strict=True):
            ax.set_title(head)
        names, lines = axes[0, 0].get_legend_handles_labels()[::-1]
        figure.legend(lines, names, loc="outside lower center", ncols=len(names))
    return save_png(figure, path, caption(held, s))


def label(n: int, rate: float) -> str:
    """A run as it is named in legends."""
    return (
        f"({n}, {n})" if n == 1 else f"({n}, {n}), " + (f"$\\eta' = {rate:g}$" if rate else "W-DA")
    )


def draw_curves(ax: Any, held: dict[str, Array], s: dict[str, Any], k: int, total: int) -> None:
    """The mean log-likelihood over seeds with one standard error to either side."""
    for r, (n, rate) in enumerate(runs_of(s)):
        steps = curves(held, s, k, r, "step")[0] * (n if total else 1)
        values = curves(held, s, k, r, "log_likelihood")
        mean, error = values.mean(axis=0), spread(values)
        style: Any = {"color": COLORS[n], "ls": LINES[s["rates"].index(rate)]}
        ax.plot(steps, mean, label=label(n, rate), **style)
        ax.fill_between(steps, mean - error, mean + error, color=COLORS[n], alpha=0.15, lw=0)
    ax.axhline(-0.311, color="black", lw=0.6)
    ax.set(xlabel="updates", ylim=(-16, 2.5))


def spread(values: Array) -> Array:
    """One standard error of the mean over seeds; zero for a single seed, which has none."""
    n = len(values)
    return values.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(values.shape[1:])


def draw_distances(ax: Any, held: dict[str, Array], s: dict[str, Any], k: int) -> None:
    """A dot a seed, with the mean number of modes above; the grey band is the floor."""
    floor, deviation = mf.gan.scores.w2_floor(mf.gan.Ring())
    ax.axhspan(floor - deviation, floor + deviation, color=GREY, alpha=0.2, lw=0)
    for r, (n, _) in enumerate(runs_of(s)):
        values = curves(held, s, k, r, "w2")
        ax.scatter([r] * len(values), values, s=14, color=COLORS[n], lw=0, alpha=0.8)
        covered = curves(held, s, k, r, "modes").mean()
        ax.annotate(f"{covered:.1f}", (r, values.max()), (0, 4), textcoords="offset points",
                    ha="center", fontsize=7)  # fmt: skip
    ax.set_ylim(0, 1.12 * ax.get_ylim()[1])
    names = [f"{n}" if n == 1 else f"{n}\n{rate:g}" for n, rate in runs_of(s)]
    ax.set_xticks(range(len(names)), names, fontsize=7)
    ax.set(xlabel="$G = D$, and $\\eta'$ below")


def verdicts(held: dict[str, Array], s: dict[str, Any]) -> list[str]:
    """The paper's sentences, each with a number: differences are paired by seed, in nats.

    A difference is told where Student's 95% interval over the seeds leaves out zero.
    """
    runs = runs_of(s)
    at = {run: r for r, run in enumerate(runs)}
    most, rate = s["sizes"][-1], s["rates"][-1]
    single, plain, learned = at[1, 0.0], at[most, 0.0], at[most, rate]

    quantile = float(student.ppf(0.975, s["seeds"] - 1)) if s["seeds"] > 1 else np.inf

    def gap(k: int, r: int, other: int, share: float) -> tuple[float, float]:
        rows = [curves(held, s, k, i, "log_likelihood") for i in (r, other)]
        paired = np.subtract(*(row[:, int(share * row.shape[1]) - 1] for row in rows))
        return float(paired.mean()), float(spread(paired[:, None])[0])

    def told(mean: float, error: float, yes: str, no: str, alike: str) -> str:
        clear = abs(mean) > quantile * error > 0
        return f"{yes if mean > 0 else no} ({mean:+.2f} +- {error:.2f})" if clear else (
            f"{alike} ({mean:+.2f} +- {error:.2f})"
        )  # fmt: skip

    weak, strong = (list(PANELS).index(name) for name in list(PANELS)[:2])
    early, late = (told(*gap(weak, plain, single, share), "yes", "no, slower", "not told apart")
                   for share in (EARLY, 1.0))  # fmt: skip
    alike = told(*gap(strong, plain, single, 1.0), "the mixture is ahead", "the single is ahead",
                 "alike")  # fmt: skip
    bits = np.mean([curves(held, s, k, plain, "information").mean() for k in (weak, strong)])
    each = np.mean([curves(held, s, k, plain, "modes_each").mean() for k in (weak, strong)])
    moved = told(*gap(weak, learned, plain, 1.0), "WFR is ahead", "W is ahead", "not told apart")
    learning = [r for r, (_, rate) in enumerate(runs) if rate]
    least = np.array([
        curves(held, s, k, r, "weights").min(axis=(1, 2))
        for k in range(len(s["panels"])) for r in learning
    ])  # fmt: skip
    return [
        f"Mixtures of weak generators converge faster in updates of all: after a quarter {early}, "
        f"at the end {late}.",
        f"Strong ones (BatchNorm, critics ten times as fast) are like a single one: {alike}.",
        f"Generators of a mixture cluster: I(generator; mode) is {bits:.2f} bits of at most "
        f"{np.log2(most):.2f}, {each:.1f} modes of 8 each.",
        f"WFR with few particles: at eta' = {rate:g}, weak generators, {moved}; a generator left "
        f"the mixture (a weight below {LEFT:g}) in {(least < LEFT).sum()} of {least.size} runs.",
    ]


def caption(held: dict[str, Array], s: dict[str, Any]) -> str:
    """What the panels are, how runs were made, and the verdicts."""
    seconds = sum(float(v) for name, v in held.items() if name.endswith("wall_time"))
    return f"""
    Mixtures of GANs on eight Gaussians of deviation 0.1 on the unit circle; rows: kinds of
    generator. First and second column: mean log-likelihood of samples under the true law, with one
    standard error over {s["seeds"]} seeds to either side, against the updates of all generators and
    of each; the thin line is the truth's own, -0.311. It cannot see collapse: a single mode scores
    as well. Third: W2 to 1000 data by exact transport, a dot a seed, the number of modes covered
    above, and as a grey band what the truth itself scores. Last: points of each generator, as many
    as its weight asks for. G generators and D = G critics of {s["width"]} units (two hidden
    layers), batch {s["batch"]} a generator, critics clipped to {s["clip"]:g}, extrapolated Adam,
    {s["updates"]} updates of all generators together; training took {seconds:.0f} s in all.
    {" ".join(verdicts(held, s))}
    """
