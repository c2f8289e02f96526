"""The package as a whole: light to import, names in their homes, a quickstart that runs."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import meanfield as mf

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("numba", "sympy", "matplotlib", "ot", "joblib", "h5py", "scipy", "tqdm", "llvmlite")


def loaded_by(code: str) -> set[str]:
    script = code + "\nimport sys\nprint(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_import_is_light() -> None:
    assert loaded_by("import meanfield").isdisjoint(HEAVY)


def test_describing_a_problem_compiles_nothing() -> None:
    code = (
        "import meanfield as mf\n"
        "mf.games.trigonometric([((1,), (1,), 1.0, 0.0)]), mf.Langevin(beta=25.0)\n"
        "mf.Start(x=mf.concentrated(1.1, std=0.2)), mf.Torus(2), mf.Sphere(2)"
    )
    assert loaded_by(code).isdisjoint(HEAVY)


def test_the_light_test_can_fail() -> None:
    assert "scipy" in loaded_by("import meanfield, scipy.special")


@pytest.mark.parametrize("name", mf.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(mf, name) is getattr(mf, name)
    assert name in dir(mf)


def test_every_public_name_has_a_docstring() -> None:
    assert [name for name in mf.__all__ if not (getattr(mf, name).__doc__ or "").strip()] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nikaido_isodar'"):
        _ = mf.nikaido_isodar  # type: ignore[attr-defined]


def test_version_is_the_one_installed() -> None:
    assert mf.__version__ == version("meanfield-zerosum")
    for text in ((ROOT / "setup.cfg").read_text(), (ROOT / "CITATION.cff").read_text()):
        assert re.search(rf"^version\s*[=:]\s*{re.escape(mf.__version__)}$", text, re.MULTILINE)


def quickstart() -> str:
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert blocks, "README.md has no python block"
    return blocks[0]


def test_the_quickstart_is_ten_lines() -> None:
    assert len([line for line in quickstart().splitlines() if line.strip()]) <= 10


def test_the_quickstart_runs_and_gives_what_it_says() -> None:
    """Particles and field are sqrt(E W2^2) apart, at most a few times the i.i.d. level (1/n)."""
    names: dict = {}
    exec(quickstart(), names)
    field, swarm = names["field"], names["swarm"]
    assert field.times[-1] == swarm.times[-1]
    assert len(swarm.x[-1]) == len(swarm.y[-1]) == 10_000
    assert 0 < names["distance"] < 0.1
    assert abs(names["distance"] - mf.w2(swarm.x[-1], field.x[-1])) < 1e-15
    assert names["error"].lower <= names["error"].value <= names["error"].upper
    assert names["gibbs"].residual < 1e-12


@pytest.mark.parametrize("engine", ["finite-volume", "galerkin", "splitting", "muscl"])
def test_warnings_point_at_the_line_that_called(engine: str) -> None:
    game = mf.games.oscillator()
    flow = mf.WassersteinFisherRao(1.0, 1.0) if engine == "muscl" else mf.Langevin(60.0)
    with pytest.warns(mf.UnderResolved) as caught:
        mf.solve(
            game, flow, game.answers["start"], time=0.2, cells=32, engine=engine, save_every=0.1
        )
    assert {warning.filename for warning in caught} == {__file__}
