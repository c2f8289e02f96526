"""Mixtures of GANs in files and from a terminal: kept, gone on with, looked at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import meanfield as mf
from meanfield import gan
from meanfield.cli import main, parser
from meanfield.cli.gan import stop
from meanfield.cli.schema import TRAIN
from meanfield.describe import same_result

torch = pytest.importorskip("torch", reason="needs PyTorch, the extra gan")

from tests.test_gan_training import (  # noqa: E402
    FLOW,
    GAME,
    HOW,
    LINEAR,
    RELU,
    TANH,
    one_thread,
    sequence,
    training,
)  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent
__all__ = ["one_thread"]  # a fixture of every test here


@pytest.fixture(scope="module")
def whole() -> gan.GanRun:
    torch.set_num_threads(1)
    return gan.train(GAME, FLOW, 12, save_every=3, average=0.9, scores=["modes"], **HOW)


def test_a_run_in_pieces_has_the_bits_of_a_whole_one(whole: Any, tmp_path: Path) -> None:
    """Through files: moments, BatchNorm's buffers, averages, weights, losses since a save."""

    class Stop(Exception):
        pass

    def stop(run: gan.GanRun) -> None:
        if run.diagnostics["step"][-1] == 6:
            raise Stop

    how = {**HOW, "save_every": 3, "average": 0.9, "scores": ["modes"]}
    path = tmp_path / "run.h5"
    with pytest.raises(Stop):
        gan.train(GAME, FLOW, 12, callback=stop, checkpoint=path, checkpoint_every=0, **how)
    assert mf.load(path).state["step"] == 5
    with pytest.raises(ValueError, match="the command meanfield gan train"):
        mf.resume(path)
    done = gan.train(GAME, FLOW, 12, checkpoint=path, **how)
    assert same_result(done, whole) and same_result(mf.load(path), whole)
    longer = gan.train(GAME, FLOW, 12, resume=gan.train(GAME, FLOW, 6, **how), **how)
    assert same_result(longer, whole)
    with pytest.raises(ValueError, match="threads: 1 there, 2 here"):
        gan.train(GAME, FLOW, 12, checkpoint=path, **{**how, "threads": 2})
    with pytest.raises(ValueError, match="other settings"):
        gan.train(GAME, FLOW, 15, resume=whole, **{**how, "threads": 2})
    with pytest.raises(ValueError, match=r"other scores: \['modes'\], not \[\]"):
        gan.train(GAME, FLOW, 15, resume=whole, **{**how, "scores": []})


def test_a_loaded_run_shows_itself_and_samples_as_before(whole: Any, tmp_path: Path) -> None:
    path = whole.save(tmp_path / "a.h5")
    held = mf.load(path)
    assert repr(held) == repr(whole) and "2 generators, 3 critics, 12 steps" in repr(held)
    assert held.plot().axes and "<table>" in held._repr_html_() and "2020" in held.cite()
    a, which = whole.mixture().sample(100, seed=1)
    b, _ = held.mixture().sample(100, seed=1)
    assert a.shape == (100, 2) and np.array_equal(a, b) and set(which) == {0, 1}
    assert not np.array_equal(held.mixture(average=True).each(3), held.mixture().each(3))
    assert np.array_equal(held.outputs, whole.mixture().each(500))
    table = whole.to_csv(tmp_path / "a.csv").read_text()
    assert len(table.splitlines()) == 5 and table.startswith("time,step,losses[0],")
    assert held.to_csv(tmp_path / "b.csv").read_text() == table


def test_networks_of_ones_own_are_given_again(tmp_path: Path) -> None:
    """A file has the names of functions alone; layouts and what networks make are compared."""
    make = sequence(LINEAR, (torch.nn.Dropout, 0.5), RELU)
    critic = sequence((torch.nn.Linear, 2, 1))
    game = gan.GanGame(gan.Ring(), make, critic, 3, clip=0.1)
    path = tmp_path / "own.h5"
    runs = [gan.train(game, FLOW, 3, checkpoint=c, **HOW) for c in (None, path)]
    assert same_result(*runs)
    held = mf.load(path)
    with pytest.raises(ValueError, match=r"given as a function.*generator=\.\.\."):
        held.mixture()
    assert np.array_equal(held.mixture(make).each(2), runs[0].mixture().each(2))
    bent = sequence((torch.nn.Linear, 2, 1), TANH)
    for generator, other, said in (
        (sequence(LINEAR, TANH), critic, "this generator gives other values"),
        (make, bent, "this critic gives other values"),
        (sequence((torch.nn.Linear, 3, 2, False)), critic, r"have 0.bias \(2,\), these"),
    ):
        new = gan.GanGame(gan.Ring(), generator, other, 3, clip=0.1)
        for how in ({"resume": held}, {"checkpoint": path}):
            with pytest.raises(ValueError, match=said):
                gan.train(new, FLOW, 3 if "checkpoint" in how else 6, **HOW, **how)


def test_frozen_layers_stay_as_they_are(tmp_path: Path) -> None:
    """Through training, clipping, averages, files and a resume."""

    def frozen(*sizes: int) -> Any:
        def make() -> Any:
            net = torch.nn.Sequential(torch.nn.Linear(sizes[0], 4), torch.nn.Linear(4, sizes[1]))
            for t in net[0].parameters():
                t.requires_grad_(False).add_(1.0)
            return net

        return make

    game = gan.GanGame(gan.Ring(), frozen(3, 2), frozen(2, 1), 3, clip=0.1)
    begun, how = training(game), {**HOW, "average": 0.5}
    path = gan.train(game, FLOW, 3, **how).save(tmp_path / "a.h5")
    run = gan.train(game, FLOW, 6, resume=mf.load(path), **how)
    assert same_result(run, gan.train(game, FLOW, 6, save_every=3, **how)) is False  # other saves
    for found, first in (
        (run.mixture(), begun.x), (run.mixture(average=True), begun.x), (run.critics(), begun.y)
    ):  # fmt: skip
        for net, old in zip(found.networks, first.networks, strict=True):
            assert torch.equal(net[0].weight, old[0].weight) and net[0].weight.max() > 0.5
            assert not torch.equal(net[1].weight, old[1].weight)


TOML = """
[generator]
width = 8
[critic]
width = 8
[gan]
noise = 3
clip = 0.5
[flow]
name = "WassersteinFisherRao"
alpha = 10.0
[train]
steps = 20
save_every = 2
generators = 2
batch = 8
threads = 1
scores = ["modes"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    """A folder with a file of settings and the run that the command line made of it."""
    place = tmp_path_factory.mktemp("gan")
    (place / "a.toml").write_text(TOML)
    before = os.getcwd()
    os.chdir(place)
    try:
        assert main(["gan", "train", "a.toml", "--quiet"]) == 0
    finally:
        os.chdir(before)
    return place


def test_the_command_line_from_training_to_scores(
    folder: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(folder)
    assert {p.name for p in folder.iterdir()} == {"a.toml", "a.h5", "a.csv", "a.png"}
    assert main(["gan", "train", "a.toml"]) == 0 and "is finished" in capsys.readouterr().out
    assert main(["gan", "sample", "a.h5", "--count", "5"]) == 0
    assert np.load("a.npz")["outputs"].shape == (5, 2)
    assert main(["gan", "show", "a.h5"]) == 0 and main(["show", "a.h5", "--no-plot"]) == 0
    assert "2 generators, 1 critics" in capsys.readouterr().out
    assert TRAIN["scores"]([]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.rule=lion", "--set train.rule: must be one of extra-adam"),
        ("train.betas=[0.5, 2.0]", "--set train.betas: betas must be below 1"),
        ("train.device='cuda:99'", "--set train.device: device 'cuda:99' is not to be had here"),
        ("train.step=1e300", "--set train.step: step 1e+300 is too large"),
        ("train.threads=100000", "--set train.threads: threads must be at most"),
        ("gan.clip=1e300", "clip must be at most"),
        ("critic.norm=true", "leave norm out of critics"),
    ],
)
def test_wrong_input_is_told_in_a_line(
    folder: Path, monkeypatch: Any, capsys: Any, change: str, said: str
) -> None:
    monkeypatch.chdir(folder)
    assert main(["gan", "train", "a.toml", "--out", "b.h5", "--set", change]) == 2
    assert said in capsys.readouterr().err and not Path("b.h5").exists()


def test_a_killed_command_goes_on_to_the_same_bits(
    folder: Path, monkeypatch: Any, capsys: Any
) -> None:
    """And what is said after Ctrl-C is the whole command."""
    monkeypatch.chdir(folder)
    command = ["gan", "train", "a.toml", "--quiet", "--out", "killed.h5"]
    often = [*command, "--set", "output.checkpoint_every=0"]
    how: Any = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    running = subprocess.Popen([sys.executable, "-m", "meanfield", *often], **how)
    while not Path("killed.h5").exists() and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert 0 < mf.load("killed.h5").state["step"] < 20
    assert stop(parser().parse_args(often), 130) == 130
    again = "meanfield gan train a.toml --set output.checkpoint_every=0 --out killed.h5"
    assert f"Go on with: {again}\n" in capsys.readouterr().err
    assert main(often) == 0 and same_result(mf.load("killed.h5"), mf.load("a.h5"))
