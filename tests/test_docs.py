"""The documentation: every page's code runs, every picture's script runs, every public name, key
and option has its place, and the site builds without warnings.
"""

from __future__ import annotations

import importlib
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import pytest

import meanfield as mf
from meanfield.cli import build, grid, parser, schema
from meanfield.cli.gan import described
from meanfield.cli.spec import read
from meanfield.games.catalogue import CONSTRUCTORS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SCRIPTS = sorted([*DOCS.glob("tutorials/*.py"), *DOCS.glob("gallery/*.py")])
GENERATED = {DOCS / "reference" / "toml.md", DOCS / "reference" / "command-line.md"}
PAGES = sorted(
    p for p in DOCS.rglob("*.md") if p not in GENERATED and not {"_build", "generated"} & {*p.parts}
)
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "paper" / "paper.md"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    found = re.finditer(
        rf"(<!-- not run[^>]*-->\n)?^```{language}\n(.*?)^```",
        path.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    return [match[2] for match in found if not match[1]]


@pytest.fixture
def quiet_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = matplotlib.get_backend()
    matplotlib.use("agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")
    matplotlib.use(before)


def test_there_is_enough_to_look_at() -> None:
    assert len(list(DOCS.glob("gallery/*.py"))) >= 12
    assert len(list(DOCS.glob("tutorials/*.py"))) == 5


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_a_script_runs_and_draws(script: Path, quiet_pictures: None) -> None:
    """Warnings are errors: what a picture shows is resolved."""
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    with warnings.catch_warnings():
        warnings.simplefilter("error", mf.UnderResolved)
        left = runpy.run_path(str(script))
    figures = [value for value in left.values() if isinstance(value, Figure)]
    figures += [pyplot.figure(number) for number in pyplot.get_fignums()]
    assert figures and all(figure.axes for figure in figures)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=name_of)
def test_the_code_of_a_page_runs(page: Path, quiet_pictures: None) -> None:
    names: dict = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)
    assert names["mf"] is mf  # a page stands by itself


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_commands_are_those_of_the_program(path: Path) -> None:
    for block in blocks(path, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["meanfield"]:
                assert parser().parse_args(words[1:]).command == words[1]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "toml")], ids=name_of)
def test_toml_files_are_read(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        assert tomllib.loads(block)
        file = tmp_path / "shown.toml"
        file.write_text(block)
        spec = read(str(file), [])
        if "train" in spec.content:
            assert described(spec)
            continue
        game, flow = build.game(spec), build.flow(spec)
        assert build.start(spec, game) and flow
        for section in spec.content:
            if section == "sweep":
                assert grid.settings_of(spec) and grid.axes_of(spec)
            elif section not in ("game", "flow", "title"):
                spec.section(section)


def test_equations_have_the_numbers_of_the_paper() -> None:
    labels = [n for page in PAGES for n in re.findall(r"^\$\$ \((\w+)\)", page.read_text(), re.M)]
    assert labels == [f"eq{k}" for k in range(3, 10)]


@pytest.mark.skipif(find_spec("sphinx") is None, reason="needs the docs extra")
def test_numbers_stand_beside_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a row of their own box, not over them; no formula is scrolled up and down."""
    from docutils import nodes

    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    mathml = importlib.import_module("mathml")
    body: list[str] = []
    page = SimpleNamespace(
        body=body, starttag=lambda node, tag, CLASS: f'<{tag} class="{CLASS}">',
        add_permalink_ref=lambda node, title: None,
    )  # fmt: skip
    with pytest.raises(nodes.SkipNode):
        mathml.display(page, nodes.math_block("", "x_i", label="eq7"))
    assert re.sub(r"<math.*</math>", "M", "".join(body), flags=re.S) == (
        '<div class="math"><div class="formula">M</div><span class="eqno">(7)</span></div>\n'
    )
    style = (ROOT / "docs" / "_static" / "site.css").read_text()
    rules = dict(re.findall(r"^(.*) \{ (.*) \}$", style, re.M))
    assert "display: flex" in rules["div.math"] and "auto hidden" in rules["div.formula"]
    assert "position: static" in rules["div.math span.eqno"]  # the theme lays it over the formula


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_named_files_exist(path: Path) -> None:
    """Every file of the project that a text names is there, and every link within it."""
    text = path.read_text()
    named = re.findall(
        r"`((?:meanfield|validation|figures|benchmarks|tests|docs|paper)/[\w./-]*)`", text
    )
    assert [name for name in named if not (ROOT / name).exists()] == []
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)\s#]+)[^)]*\)", text)
    links = [link for link in links if "generated/" not in link and link != "path"]
    places = [(path.parent / link) for link in links]
    written = {page.with_suffix("") for page in GENERATED} | GENERATED
    missing = [
        str(place)
        for place in places
        if not place.exists()
        and not place.with_suffix(".md").exists()
        and place.resolve() not in {p.resolve() for p in written}
    ]
    assert missing == []


def public_names() -> list[str]:
    """What the package and its rooms offer by name."""
    found = [
        f"meanfield.{name}"
        for name in mf.__all__
        if name not in ("gan", "games", "metrics", "plotting")
    ]
    for room in ("gan", "games", "metrics", "equilibria", "studies", "plotting"):
        module = importlib.import_module(f"meanfield.{room}")
        found += [
            f"meanfield.{room}.{name}"
            for name in module.__all__
            if f"meanfield.{name}" not in found
        ]
    return found


def documented() -> set[str]:
    """The names that the reference pages describe."""
    text = "\n".join(p.read_text() for p in DOCS.glob("reference/api/*.md"))
    return set(re.findall(r"\.\. auto\w+:: (meanfield[\w.]+)", text))


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert name in documented()


@pytest.mark.parametrize("name", sorted(documented()))
def test_what_the_reference_describes_is_there_and_says_what_it_is(name: str) -> None:
    home, _, last = name.rpartition(".")
    described = getattr(importlib.import_module(home), last)
    assert (described.__doc__ or "").strip()


@pytest.fixture
def extensions(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    return importlib.import_module


def test_the_page_of_toml_files_has_every_key(extensions) -> None:
    page = extensions("toml_schema").page()
    for section, keys in schema.SECTIONS.items():
        part = page.split(f"\n## [{section}]\n")[1].split("\n## ")[0]
        assert [key for key in keys if f"`{key}`" not in part] == []
    for game in CONSTRUCTORS:
        part = page.split(f"\n### {game}\n")[1].split("\n### ")[0]
        assert [key for key in build.arguments(game) if f"`{key}`" not in part] == []
    assert [flow for flow in build.FLOWS if f"| `{flow}` |" not in page] == []


def test_the_page_of_the_command_line_has_every_option(extensions) -> None:
    line = extensions("command_line")
    page = line.page()
    commands = line.commands(parser())
    assert {"run", "compare", "gibbs", "nash", "resume", "show", "examples"} <= {*commands}
    for name, one in commands.items():
        part = page.split(f"\n## meanfield {name}\n")[1].split("\n## ")[0]
        given = [option for action in one._actions for option in action.option_strings]
        assert [o for o in given if o not in ("-h", "--help") and f"`{o}" not in part] == []


def test_docstrings_as_they_are_written_become_markup(extensions) -> None:
    readable = extensions("plain_docstrings").readable
    lines = ["Of |NI - NI*| and W2^2_x.", "", "    a = b*c", "", "With `name`s, x_ and `other`."]
    assert readable(lines) == [
        r"Of \|NI - NI\*\| and W2^2_x.",
        "",
        "::",
        "",
        "    a = b*c",
        "",
        r"With ``name``\ s, x\_ and ``other``.",
    ]


def test_the_makefile_says_what_it_can_do() -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {"setup", "docs"} <= {*re.findall(r"^make (\w+)", listed, re.MULTILINE)}


@pytest.mark.skipif(find_spec("docutils") is None, reason="needs the docs extra")
@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_formulas_can_be_drawn(path: Path) -> None:
    """As `docs/_ext/mathml.py` draws them when pages are written, which `dummy` below does not."""
    from docutils.utils.math.latex2mathml import tex2mathml

    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(), flags=re.DOTALL)
    for block, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$]+)\$", text, re.DOTALL):
        assert "<math" in tex2mathml(block or inline, as_block=bool(block))


@pytest.mark.skipif(find_spec("sphinx") is None, reason="needs the docs extra")
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    """Every page and every reference, without the runs of the gallery: `make docs` has those."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-b", "dummy"]
    command += ["-D", "plot_gallery=0", "-d", str(tmp_path / "trees")]
    done = subprocess.run(
        [*command, str(DOCS), str(tmp_path / "site")], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
