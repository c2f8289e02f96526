"""Images: readers of the standard files, distances between features, figures 2 and 3."""

from __future__ import annotations

import gzip
import struct
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import linalg

import meanfield as mf
from figures import figure2, figure3
from figures.__main__ import NEEDS
from figures.__main__ import main as draw_figures
from figures.store import stored
from meanfield import gan
from meanfield.gan.features import frechet, kid

there = find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not there, reason="needs PyTorch, the extra gan")


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    if not there:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def idx_bytes(array: Any) -> bytes:
    array = np.asarray(array, np.uint8)
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def mnist_files(folder: Path, count: int = 40, packed: bool = False) -> Path:
    """Files of MNIST's format with synthetic images: bright on the left for even labels."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for stem in ("train", "t10k"):
        labels = rng.integers(4, size=count)
        pixels = rng.integers(0, 60, (count, 28, 28))
        for row, label in zip(pixels, labels, strict=True):
            row[:, 7 * label : 7 * label + 7] += 150
        for what, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            data, name = idx_bytes(array), f"{stem}-{what}-ubyte"
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(data) if packed else data)
    return folder


def cifar_files(folder: Path, count: int = 16) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for name in (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"):
        records = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (folder / name).write_bytes(records.tobytes())
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_files_are_read(tmp_path: Path, packed: bool) -> None:
    data = gan.mnist(mnist_files(tmp_path / "m", packed=packed), "test", "mine")
    assert data.shape == data.pixels.shape == (40, 1, 28, 28) and data.name == "mine test"
    bright = data.pixels[:, 0].reshape(40, 28, 4, 7).mean(axis=(1, 3)).argmax(axis=1)
    assert np.array_equal(bright, data.labels)


def test_cifar_files_are_read_channel_by_channel(tmp_path: Path) -> None:
    folder = cifar_files(tmp_path / "c")
    data = gan.cifar10(folder)
    assert data.shape == (80, 3, 32, 32)
    record = np.frombuffer((folder / "data_batch_2.bin").read_bytes(), np.uint8)[:3073]
    assert data.labels[16] == record[0] and data.pixels[16, 2, 31, 30] == record[3071]


def test_files_that_are_not_what_they_should_be_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a"
    good = idx_bytes(np.zeros((2, 3)))
    for content, said in (
        (b"", "no IDX file"), (b"\x00\x00\x0d\x01" + good[4:], "no IDX file"),
        (good[:-1], r"should hold 6 bytes of shape \(2, 3\), not 5"),
        (struct.pack(">I3I", 0x803, *[2**31] * 3), "should hold"),
    ):  # fmt: skip
        file.write_bytes(content)
        with pytest.raises(ValueError, match=said):
            gan.idx(file)
    (tmp_path / "a.gz").write_bytes(good)
    with pytest.raises(ValueError, match="cannot be unpacked"):
        gan.idx(tmp_path / "a.gz")
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte or train"):
        gan.mnist(tmp_path)
    with pytest.raises(ValueError, match='"train" or "test"'):
        gan.mnist(tmp_path, "validation")
    (cifar_files(tmp_path / "c") / "test_batch.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ValueError, match="not the Python one"):
        gan.cifar10(tmp_path / "c", "test")


def test_the_frechet_distance_is_that_of_the_root_of_the_product() -> None:
    rng = np.random.default_rng(0)
    a, b = (
        rng.standard_normal((400, 6)),
        1 + rng.standard_normal((300, 6)) @ np.diag([1, 2, 3, 1, 1, 0.5]),
    )
    one, two = (np.cov(f, rowvar=False) for f in (a, b))
    gap = a.mean(axis=0) - b.mean(axis=0)
    wanted = gap @ gap + np.trace(one + two - 2 * linalg.sqrtm(one @ two).real)
    assert frechet(a, b) == pytest.approx(wanted, rel=1e-6) and abs(frechet(a, a)) < 1e-9
    assert frechet(a, a + np.array([3.0, 4, 0, 0, 0, 0])) == pytest.approx(25, rel=1e-9)


def test_kid_is_unbiased_and_sees_a_shift() -> None:
    rng = np.random.default_rng(0)
    same = [kid(*rng.standard_normal((2, 60, 3))) for _ in range(200)]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(200)
    a, b = rng.standard_normal((2, 500, 3))
    assert kid(a, b + 0.5) > 10 * abs(np.mean(same)) + 0.1


@needs_torch
def test_features_are_learned_and_distances_stand_beside_their_floor(tmp_path: Path) -> None:
    folder = mnist_files(tmp_path / "m", 200)
    data, test = gan.mnist(folder), gan.mnist(folder, "test")
    features = gan.features.trained(data, epochs=20, width=4)
    seen = test.pixels / np.float32(127.5) - 1
    assert (features.classes(seen) == test.labels).mean() > 0.9
    assert features.of(seen).shape == (200, 16)

    class Halves:
        """Two generators that know the data: of the labels 0 and 1, and of 2 and 3."""

        game = SimpleNamespace(point=(1, 28, 28))
        weights = np.array([0.5, 0.5])
        rows = [seen[test.labels // 2 == i] for i in (0, 1)]

        def sample(self, count: int, seed: int) -> Any:
            return np.concatenate([row[: count // 2] for row in self.rows]), None

        def each(self, count: int, seed: int) -> Any:
            return np.stack([row[: count // 2] for row in self.rows])

    found = gan.features.distances(Halves(), test, features, count=100)  # type: ignore[arg-type]
    assert found["frechet"] < 3 * found["floor"] < min(found["frechet_each"])
    assert found["information"] > 0.7
    with pytest.raises(ValueError, match="take a smaller count"):
        gan.features.distances(Halves(), test, features, count=101)  # type: ignore[arg-type]


@needs_torch
def test_the_certificate_gives_the_truth_nothing_and_collapse_its_price() -> None:
    """Against the data's own law no critic gains; against one mode alone many do."""
    from meanfield.gan.certificate import critic_gain

    ring, critic = gan.Ring(), gan.mlp(2, 1, 16, 2)
    small: Any = {"samples": 2000, "restarts": 2, "steps": 60}

    def truth(count: int, seed: int) -> Any:
        return ring.sample(count, np.random.default_rng(seed))

    gain, error = critic_gain(ring, critic, 0.3, truth, **small)
    assert abs(gain) < 4 * error
    alone = gan.Ring(1)
    gain, error = critic_gain(
        ring, critic, 0.3, lambda n, seed: alone.sample(n, np.random.default_rng(seed)), **small
    )
    assert gain > 20 * error
    game = gan.GanGame(ring, gan.mlp(2, 2, 4), critic, 2, clip=0.3)
    run = gan.train(game, mf.Wasserstein(), 2, batch=8, threads=1, progress=False)
    found = gan.nikaido_isoda(run, **small)
    assert found.lower == found.best_critic - found.best_generator - 2 * found.standard_error
    assert found.lower > 0 and "two standard errors" in repr(found)


def test_figures_of_gans_are_left_out_without_what_they_need(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    for name in ("figure2", "figure3"):
        monkeypatch.setitem(NEEDS, name, ("nothing_of_this_name", "it needs this"))
    assert draw_figures(["figure2", "figure3", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("left out: it needs this") == 2
    monkeypatch.setitem(NEEDS, "figure3", ("", ""))
    monkeypatch.setenv("MEANFIELD_IMAGES", str(tmp_path))
    assert draw_figures(["figure3", "--out", str(tmp_path)]) == 0
    assert "MEANFIELD_IMAGES names a folder" in capsys.readouterr().out


def test_figure_2_is_drawn_from_what_is_stored_with_its_verdicts(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """A mixture that is ahead early and behind at the end is said to be so."""
    monkeypatch.setattr(gan.scores, "w2_floor", lambda ring: (0.124, 0.024))
    s = figure2.settings(True)
    held: dict[str, Any] = {}
    rng = np.random.default_rng(0)
    for k, seed in np.ndindex(len(s["panels"]), s["seeds"]):
        for r, (n, _) in enumerate(figure2.runs_of(s)):
            slow = np.where(np.arange(20) < 10, -9.0, -1.0) if n == 1 else np.full(20, -3.0)
            found = {
                "step": np.arange(1, 21), "log_likelihood": slow + 0.01 * rng.standard_normal(20),
                "weights": np.full((20, n), 1 / n), "modes": 8, "w2": 0.2, "information": 1.9,
                "modes_each": np.full(n, 2), "outputs": rng.standard_normal((n, 50, 2)),
                "wall_time": 1.0,
            }  # fmt: skip
            held |= {f"{k}/{seed}/{r}/{name}": np.asarray(v) for name, v in found.items()}
    picture = figure2.draw(stored(tmp_path / "figure2.npz", s, lambda: held))
    said = picture.with_suffix(".txt").read_text()
    assert picture.read_bytes().startswith(b"\x89PNG") and "after a quarter yes (+6.0" in said
    assert "at the end no, slower (-2.0" in said and "1.90 bits of at most 2.32" in said


@needs_torch
def test_figure_2_trains_what_it_draws(tmp_path: Path) -> None:
    s = figure2.settings(True) | {"updates": 5, "saves": 1, "sizes": [1, 5], "rates": [0.0, 0.05]}
    run = figure2.trained(s, "three hidden layers, BatchNorm", 5, 0.05, 0, tmp_path / "a.h5")
    assert run.flow.alpha[0] * run.settings["step"] == pytest.approx(0.05)
    assert run.diagnostics["step"][-1] == 1 and len(run.outputs) == 5


@needs_torch
def test_figure_3_goes_from_files_to_the_picture(tmp_path: Path, monkeypatch: Any) -> None:
    """On synthetic files of MNIST's and CIFAR-10's formats."""
    monkeypatch.setenv("MEANFIELD_IMAGES", str(tmp_path))
    mnist_files(tmp_path / "mnist")
    cifar_files(tmp_path / "cifar-10")
    s = figure3.settings(True) | {
        "steps": 2, "width": 2, "batch": 4, "saves": 1, "samples": 8, "cifar_width": 2,
        "cifar_steps": 5,
    }  # fmt: skip
    assert s["data"] == ["MNIST", "CIFAR-10"]
    parts = figure3.parts(s, tmp_path)
    assert len(parts) == 6
    chosen = ["2 generators on MNIST", "5 generators, 2 critics on CIFAR-10, WFR"]
    held = figure3.joined(s, {name: dict(parts[name]()) for name in chosen})  # type: ignore[arg-type]
    assert held["CIFAR-10 5 2 0.002/outputs"].shape == (5, 64, 3, 32, 32)
    picture = figure3.draw(stored(tmp_path / "figure3.npz", s, lambda: held))
    assert "It is not FID" in " ".join(picture.with_suffix(".txt").read_text().split())
