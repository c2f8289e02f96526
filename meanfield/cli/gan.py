"""`meanfield gan train | sample | evaluate | show`: mixtures of GANs from TOML files."""

from __future__ import annotations

import shlex
from functools import partial
from inspect import signature
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from meanfield import gan as room
from meanfield.cli import build
from meanfield.cli.jobs import finished, stopped
from meanfield.cli.schema import DATA, GAME_OF_GAN, NETWORK, TRAIN, BadInput
from meanfield.cli.spec import Spec, read
from meanfield.storage.atomic import replace
from meanfield.storage.export import to_csv
from meanfield.storage.files import checked_path, load, read_header

PICTURES = 30.0  # seconds between pictures while training


def gan(options: Any) -> int:
    """Do what is asked of a mixture of GANs."""
    actions = {"train": train, "sample": sample, "evaluate": evaluate, "show": show}
    try:
        return actions[options.action](options)
    except RuntimeError as error:  # PyTorch has not enough memory, for one
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise OSError(f"PyTorch cannot go on: {said}") from None


def described(spec: Spec) -> tuple[room.GanGame, Any, dict[str, Any]]:
    """The game, the flow and the arguments of `meanfield.gan.train` that a file gives."""
    data = _data(spec)
    given: dict[str, Any] = spec.section("gan", GAME_OF_GAN)
    noise = given.setdefault("noise", 16)
    generator, critic = (_network(spec, who, data, noise) for who in ("generator", "critic"))
    try:
        game = room.GanGame(data, generator, critic, **given)
    except (ValueError, TypeError) as error:
        raise spec.fail(("gan",), build.one_line(error)) from None
    arguments = spec.section("train", TRAIN)
    if "steps" not in arguments:
        raise spec.fail(("train",), "steps is missing: how many, for example steps = 1000")
    return game, build.flow(spec), arguments


def _data(spec: Spec) -> room.Ring | room.Images:
    kind = spec.content.get("data", {}).get("kind", "ring")
    given = spec.section("data", DATA)
    given.pop("kind", None)
    own = {"modes", "std", "radius"} if kind == "ring" else {"folder", "part", "name"}
    if other := sorted(set(given) - own):
        raise spec.fail(("data", other[0]), f'does not belong to kind = "{kind}"')
    if kind != "ring" and "folder" not in given:
        raise spec.fail(("data",), "folder is missing: where the files of the images are")
    try:
        if kind == "ring":
            return room.Ring(**given)
        if kind == "cifar10":
            given.pop("name", None)
            return room.cifar10(**given)
        return room.mnist(**given)
    except (ValueError, TypeError, FileNotFoundError) as error:
        raise spec.fail(("data",), build.one_line(error)) from None


def _network(spec: Spec, who: str, data: Any, noise: int) -> room.Network:
    """The network of a section; what the data and the noise say of its sizes is filled in."""
    given = spec.section(who, NETWORK)
    images = isinstance(data, room.Images)
    kind = given.pop("kind", "dcgan" if images else "mlp")
    if images != (kind != "mlp"):
        raise spec.fail((who, "kind"), f"{kind} does not fit these data; mlp is for a ring, "
                        "dcgan for 28 x 28 and resnet for 32 x 32 images")  # fmt: skip
    try:
        if kind == "mlp":
            sizes = (noise, 2) if who == "generator" else (2, 1)
            return room.mlp(*sizes, **given)
        make = room.dcgan if kind == "dcgan" else room.resnet
        if (wanted := 28 if kind == "dcgan" else 32) != data.shape[2]:
            raise ValueError(f"{kind} is for images of {wanted} x {wanted}, not {data.shape[2:]}")
        if other := sorted(set(given) - set(signature(make).parameters)):
            raise ValueError(f'{other[0]} does not belong to kind = "{kind}"')
        return make(noise=noise, channels=data.shape[1], **given)[who == "critic"]
    except (ValueError, TypeError) as error:
        raise spec.fail((who,), build.one_line(error)) from None


def train(options: Any) -> int:
    """Train: meanfield gan train FILE.toml."""
    spec, clock = read(options.file, options.set), perf_counter()
    out, every = target(options, spec)
    game, flow, given = described(spec)
    beside = _Beside(out)
    how: dict[str, Any] = {"progress": False if options.quiet else None, "checkpoint": out,
           "checkpoint_every": every, "callback": beside}  # fmt: skip
    if not options.quiet:
        print(f"{spec.path}: {flow.name} on mixtures of GANs; keeps {out}, {out.stem}.csv and "
              f"{out.stem}.png up to date", flush=True)  # fmt: skip
    there = out.exists() and read_header(out).finished
    with build.placed(spec, "train"):
        run = room.train(game, flow, **given, **how)
    beside(run, last=True)
    if there:
        print(f"{out} is finished; next: meanfield gan show {out}")
    else:
        finished(out, run, clock, options.quiet)
    return 0


def target(options: Any, spec: Spec) -> tuple[Path, float | None]:
    """Where the result goes, and how often."""
    output = spec.section("output")
    named = options.out or output.get("file") or f"{Path(options.file).stem}.h5"
    return checked_path(named), output.get("checkpoint_every")


class _Beside:
    """The table and the picture beside a run's file, from time to time while it trains."""

    def __init__(self, out: Path) -> None:
        self.out, self.drawn = out, -float("inf")

    def __call__(self, run: Any, last: bool = False) -> None:
        if not last and perf_counter() - self.drawn < PICTURES:
            return
        to_csv(run, self.out.with_suffix(".csv"), "curves")
        replace(self.out.with_suffix(".png"), partial(_drawn, run))
        self.drawn = perf_counter()


def _drawn(run: Any, path: Path) -> None:
    run.plot().savefig(path, dpi=120, format="png")


def _loaded(options: Any) -> Any:
    run = load(options.file)
    if not isinstance(run, room.GanRun):
        raise BadInput(f"{options.file} holds no mixture of GANs; meanfield show tells what it is")
    return run


def sample(options: Any) -> int:
    """Write outputs: meanfield gan sample RUN.h5 [--count N] [--seed S]."""
    run = _loaded(options)
    out = Path(options.out or Path(options.file).with_suffix(".npz"))
    if out.suffix != ".npz" or out.exists():
        raise BadInput(f"--out {out} must be a new .npz file")
    outputs, which = run.mixture().sample(options.count, options.seed)

    def fill(path: Path) -> None:
        with path.open("wb") as file:
            np.savez_compressed(file, outputs=outputs, generator=which)

    replace(out, fill)
    print(f"wrote {out}: {options.count} outputs, and the generator of each")
    return 0


def evaluate(options: Any) -> int:
    """Scores: meanfield gan evaluate RUN.h5 [--data FOLDER]."""
    run = _loaded(options)
    mixture, data = run.mixture(), run.game.data
    if isinstance(data, room.Ring):
        if options.data is not None:
            raise BadInput(f"--data is for runs on images; {options.file} was trained on a ring")
        for name, score in room.scores.NAMED.items():
            print(f"{name.replace('_', ' ')}: {score(mixture):.4g}")
        mean, deviation = room.scores.w2_floor(data)
        print(f"w2 of the truth against itself: {mean:.3f} +- {deviation:.3f}")
        print(
            "no bound of the Nikaido-Isoda error: critics are not clipped"
            if run.game.clip is None
            else room.nikaido_isoda(run)
        )
        return 0
    seen, unseen = _images(options.data, data)
    features = room.features.trained(seen)
    count = min(options.count, len(unseen.pixels) // 2)
    found = room.features.distances(mixture, unseen, features, count, options.seed)
    print(f"by {features.name}, {count} images:")
    for name, value in found.items():
        if name != "classes":
            print(f"  {name.replace('_', ' ')}: {np.array2string(np.asarray(value), precision=4)}")
    return 0


def _images(folder: str | None, data: room.Images) -> tuple[room.Images, room.Images]:
    """The images that a run was trained on, and those of the other part of the same data."""
    if folder is None:
        raise BadInput("give --data FOLDER, where the files of the images are")
    read_images = room.cifar10 if data.shape[1] == 3 else room.mnist
    train, test = (read_images(folder, part) for part in ("train", "test"))
    if data.digest not in (train.digest, test.digest):
        raise BadInput(
            f"--data {folder} holds other images than {data.name!r}, which the run was trained on; "
            "give the folder of those"
        )
    return (train, test) if data.digest == train.digest else (test, train)


def show(options: Any) -> int:
    """A summary and the picture: meanfield gan show RUN.h5."""
    run, out = _loaded(options), Path(options.out or Path(options.file).with_suffix(".png"))
    print(run)
    replace(out, partial(_drawn, run))
    print(f"drew {out}")
    return 0


def stop(options: Any, code: int) -> int:
    """Say, after Ctrl-C or SIGTERM, what is there and how to go on."""
    if options.action != "train":
        return stopped(None, code)
    again = ["meanfield", "gan", "train", options.file]
    again += [word for change in options.set for word in ("--set", change)]
    again += ["--out", options.out] if options.out else []
    try:
        out = target(options, read(options.file, options.set))[0]
    except ValueError:
        out = None
    return stopped(out, code, shlex.join(again))
