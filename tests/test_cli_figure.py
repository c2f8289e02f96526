"""`meanfield figure`: the paper's pages for a file's game, drawn with their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import meanfield as mf
from meanfield.cli import main
from meanfield.studies import figures

FILE = """\
[game]
name = "uniform_equilibrium"

[flow]
name = "Langevin"
beta = 3.0

[start]
x = {center = 1.0, std = 0.3}

[run]
time = 0.5

[figure]
sizes = [20, 40]
replicas = 3
"""
SMALL = ["--set", "figure.particles=500", "--set", "figure.compare_time=0.2"]


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(FILE)
    return "mine.toml"


def test_a_page_is_drawn_as_pdf_and_png_with_a_caption(file, capsys):
    assert main(["figure", file, *SMALL]) == 0
    folder = Path("mine-figure")
    assert (folder / "page.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "page.png").read_bytes().startswith(b"\x89PNG")
    told = (folder / "page.txt").read_text()
    assert (
        "500 particles" in told and "n = 20, 40" in told and "page.pdf" in capsys.readouterr().out
    )


def test_players_on_spheres_are_drawn_as_maps():
    game = mf.games.benchmark("sphere")
    how = {"particles": 50, "sizes": (150,), "replicas": 2, "compare_time": 0.1, "progress": False}
    figure, caption = figures.page(game, mf.Langevin(3.0), mf.Start(), 0.2, **how)
    assert figure._suptitle.get_text().endswith(r"Langevin, $\beta=3$, $\gamma=1$")
    assert "Langevin, beta=3, gamma=1, t up to 0.2" in caption
    assert len(figure.subfigs[0].axes) >= 12


def test_figure_1_holds_errors_of_averages_and_last_iterates():
    game = mf.games.polynomial("a", dim=6, seed=0)
    how = {"time": 0.2, "step": 0.02, "sizes": (10, 20), "betas": (10.0, 20.0), "replicas": 2}
    figure, caption = figures.figure1(game, mf.Start(), saves=2, progress=False, **how)
    assert len(figure.axes) == 4 and "2 replicas" in caption
    run = mf.simulate(
        game, mf.WassersteinFisherRao(), mf.Start(), 0.2, step=0.02, particles=10, save_every=0.1
    )
    found = figures.errors(mf.NikaidoIsoda(game), run)
    averaged = mf.nikaido_isoda(game, *run.average("weights")).value
    np.testing.assert_allclose(found[:, -1], [averaged, mf.nikaido_isoda(game, *run[-1]).value])


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ("figure.betas=[1.0]", "page", "there is no such key"),
        ("figure.compare_time=1.0", "figure1", "there is no such key"),
        ("figure.size=[3]", "page", "did you mean 'sizes'?"),
        ('game={name="polynomial", kind="a", dim=9, seed=0}', "page", "must look like"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(file, change, kind, says, capsys):
    assert main(["figure", file, "--kind", kind, "--set", change]) == 2
    assert says in capsys.readouterr().err and not Path("mine-figure").exists()


def test_a_page_without_a_mesh_says_what_can_be_drawn():
    game = mf.games.polynomial("a", dim=9, seed=0)
    with pytest.raises(ValueError, match='give kind = "figure1"'):
        figures.page(game, mf.Langevin(3.0), mf.Start(), 0.2)


def test_help_teaches_both_kinds(capsys):
    with pytest.raises(SystemExit):
        main(["figure", "--help"])
    told = capsys.readouterr().out
    assert "--kind figure1" in told and "exit codes" in told and "compare_time" in told
