"""Figure 3 of the paper: mixtures of GANs on images, with what the paper does not show.

Two generators and two critics on MNIST and on Fashion-MNIST, with a gradient penalty: the images of
each generator, the weights over the steps, who makes which class, and the distance of the mixture
and of each generator to data that were not trained on, beside its floor. Where the user has
CIFAR-10, the residual networks of the paper at (1, 1), (5, 1) and (5, 2), W and WFR.

Files of images are the user's: MEANFIELD_IMAGES names a folder with mnist/, fashion-mnist/ or
cifar-10/ in it; what is not there is left out. Nothing is fetched.
"""

from __future__ import annotations

import os
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from figures.store import Parts, load, merged, save_png, settings_of
from meanfield.checks import Array
from meanfield.gan.pictures import colour, draw_weights, grid
from meanfield.plotting.style import BLUE, GREY, new_figure, styled

FOLDERS = {"MNIST": "mnist", "Fashion-MNIST": "fashion-mnist", "CIFAR-10": "cifar-10"}
SIZES = ((1, 1), (5, 1), (5, 2))  # of CIFAR-10

ONE_CORE = True  # a part uses one core, so that several are computed at once


def images_folder() -> Path:
    """Where the user's images are."""
    return Path(os.environ.get("MEANFIELD_IMAGES", "images"))


def there() -> list[str]:
    """The data sets whose folders are there."""
    return [name for name, folder in FOLDERS.items() if (images_folder() / folder).is_dir()]


def missing() -> str:
    """Why the figure cannot be made; empty where it can."""
    if there():
        return ""
    return (
        f"there are no images in {images_folder()}: MEANFIELD_IMAGES names a folder with mnist/, "
        "fashion-mnist/ or cifar-10/ in it, see docs/how-to/gans.md"
    )


def settings(quick: bool) -> dict[str, Any]:
    return {
        "data": there(),
        "steps": 300 if quick else 3000,
        "width": 16,
        "batch": 32,
        "step": 5e-4,
        "rate": 0.002,
        "penalty": 10.0,
        "saves": 30,
        "samples": 1000 if quick else 2500,
        "cifar_width": 16 if quick else 128,
        "cifar_steps": 30 if quick else 20_000,
        "seed": 0,
    }


def parts(s: dict[str, Any], folder: Path) -> Parts:
    found: dict[str, Any] = {}
    for name in s["data"]:
        if name != "CIFAR-10":
            found[f"2 generators on {name}"] = partial(digits, s, name, folder)
            continue
        for (g, d), rate in product(SIZES, (0.0, s["rate"])):
            if g > 1 or rate == 0:
                title = f"{g} generators, {d} critics on {name}, {'WFR' if rate else 'W'}"
                found[title] = partial(cifar, s, g, d, rate, folder)
    return found


def joined(s: dict[str, Any], found: dict[str, dict[str, Array]]) -> dict[str, Array]:
    return merged(found)


def digits(s: dict[str, Any], name: str, folder: Path) -> dict[str, Array]:
    """Two against two on MNIST or Fashion-MNIST, named "data set/what"."""
    data = mf.gan.mnist(images_folder() / FOLDERS[name], "train", name)
    networks = mf.gan.dcgan(width=s["width"])
    run = trained(s, data, networks, 32, (2, 2), s["rate"], s["steps"], folder)
    test = mf.gan.mnist(images_folder() / FOLDERS[name], "test", name)
    return measured(s, name, run, data, test)


def cifar(s: dict[str, Any], g: int, d: int, rate: float, folder: Path) -> dict[str, Array]:
    """One curve of the paper's figure, named "CIFAR-10 G D rate/what"."""
    place = images_folder() / FOLDERS["CIFAR-10"]
    data, test = (mf.gan.cifar10(place, part) for part in ("train", "test"))
    networks = mf.gan.resnet(width=s["cifar_width"])
    run = trained(s, data, networks, 128, (g, d), rate, s["cifar_steps"] // g, folder)
    return measured(s, f"CIFAR-10 {g} {d} {rate:g}", run, data, test)


def trained(
    s: dict[str, Any], data: mf.gan.Images, networks: tuple[Any, Any], noise: int,
    size: tuple[int, int], rate: float, steps: int, folder: Path,
) -> Any:  # fmt: skip
    """A run, kept in a file of its own, which goes on where it was stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    game = mf.gan.GanGame(data, *networks, noise=noise, penalty=s["penalty"])
    flow = mf.WassersteinFisherRao(1.0, rate / s["step"]) if rate else mf.Wasserstein()
    kept = folder / f"{data.name.replace(' ', '_')}_{size[0]}_{size[1]}_{rate:g}.h5"
    return mf.gan.train(
        game, flow, steps, step=s["step"], generators=size[0], critics=size[1],
        batch=s["batch"], seed=s["seed"], save_every=max(steps // s["saves"], 1), threads=1,
        checkpoint=kept,
    )  # fmt: skip


def measured(
    s: dict[str, Any], title: str, run: Any, data: mf.gan.Images, test: mf.gan.Images
) -> dict[str, Array]:
    """What is drawn and said of a run."""
    features = mf.gan.features.trained(data)
    found = mf.gan.features.distances(run.mixture(), test, features, s["samples"])
    d = run.diagnostics
    held = {
        **found, "outputs": run.outputs, "step": d["step"], "weights": d["weights_x"],
        "spread": d["spread_x"], "value": run.value, "wall_time": run.provenance["wall_time"],
    }  # fmt: skip
    return {f"{title}/{name}": np.asarray(value) for name, value in held.items()}


def draw(path: Path) -> Path:
    """The picture, drawn from the stored data alone."""
    held = load(path)
    titles = list(dict.fromkeys(name.split("/")[0] for name in held if "/" in name))
    with styled():
        figure = new_figure(12.6, 3.1 * len(titles))
        rows = figure.subfigures(len(titles), 1, squeeze=False)[:, 0]
        for part, title in zip(rows, titles, strict=True):
            draw_run(part, title, {n.split("/")[1]: v for n, v in held.items()
                                   if n.startswith(f"{title}/")})  # fmt: skip
    return save_png(figure, path, caption(held, settings_of(held), titles))


def draw_run(part: Any, title: str, held: dict[str, Array]) -> None:
    """Images of two generators, loss, weights, classes, distances."""
    part.suptitle(title)
    axes = part.subplots(1, 6, width_ratios=(1, 1, 0.9, 0.9, 0.9, 0.8))
    weights, outputs = held["weights"], held["outputs"]
    for i, ax in enumerate(axes[:2]):
        ax.axis("off")
        if i < len(outputs):
            ax.imshow(grid(outputs[i, :49]), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            ax.set_title(f"generator {i + 1}, $w = {weights[-1, i]:.2f}$", color=colour(i))
    axes[2].plot(held["step"], held["value"], color=BLUE)
    axes[2].set(xlabel="step", ylabel="$L$ of both mixtures", ylim=(0, None))
    draw_weights(axes[3], held["step"], weights)
    axes[3].set_xlabel("step")
    ax = axes[4]
    laws = held["classes"]
    for i, law in enumerate(laws):
        at = np.arange(len(law)) + 0.8 * (i / len(laws) - 0.5)
        ax.bar(at, weights[-1, i] * law, 0.8 / len(laws), color=colour(i), align="edge")
    ax.set(xlabel="class", ylabel="mass", title=f"{float(held['information']):.2f} bits")
    ax.set_xticks(range(laws.shape[1]))
    ax = axes[5]
    each = held["frechet_each"]
    ax.bar(0, float(held["frechet"]), 0.6, color="black")
    for i, value in enumerate(each):
        ax.bar(1 + i, value, 0.6, color=colour(i))
    ax.axhline(float(held["floor"]), color=GREY, lw=1)
    ax.set_xticks(range(1 + len(each)), ["mix", *(str(i + 1) for i in range(len(each)))])
    ax.set(ylabel="Frechet distance", xlabel="line: real images")


def caption(held: dict[str, Array], s: dict[str, Any], titles: list[str]) -> str:
    """What the panels are, and the numbers of each run."""
    said = []
    for title in titles:
        g = {n.split("/")[1]: v for n, v in held.items() if n.startswith(f"{title}/")}
        each = " and ".join(f"{v:.0f}" for v in g["frechet_each"])
        said.append(
            f"{title}, {int(g['step'][-1])} steps in {float(g['wall_time']):.0f} s: Frechet "
            f"distance {float(g['frechet']):.0f} for the mixture, {each} for its generators, "
            f"floor {float(g['floor']):.0f}; "
            f"KID {float(g['kid']):.2g}, floor {float(g['kid_floor']):.2g};"
            f" I(generator; class) {float(g['information']):.2f} bits; weights "
            f"{', '.join(f'{w:.2f}' for w in g['weights'][-1])}."
        )
    return f"""
    Mixtures of GANs on images, with a gradient penalty ({s["penalty"]:g}), extrapolated Adam at
    {s["step"]:g} and eta' = {s["rate"]:g}. From the left: images of two generators from the same
    noise; the loss L and the weights over the steps; the classes that each makes, as a network
    trained here sees them; the Frechet distance, in the 64 features of that network, of the mixture
    and of each generator to {s["samples"]} test images, the line being that of as many other real
    ones. It is not FID. {" ".join(said)}
    """
