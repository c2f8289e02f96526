"""The JSON schema of TOML files is the tables' own, and refuses what commands refuse."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

import meanfield as mf
from meanfield.cli import editors, main, schema
from meanfield.cli.examples import shipped

WRONG = [
    'titel = "no section"', "[run]\ntme = 1.0", '[run]\ntime = "long"', "[run]\ncells = [1, 2, 3]",
    '[game]\nname = "oscilator"', '[game]\nname = "oscillator"\ntilt = 1.0', "[game]\n",
    '[flow]\nname = "Langevin"', '[flow]\nname = "Langevin"\nbeta = [1.0, 2.0, 3.0]',
    '[flow]\nname = "Langevin"\nbeta = 1.0\nmemory = {power = 0.0, rate = 1.0}',
    '[start]\nx = "uniformly"', "[start]\nx = {center = 1.0, width = 0.1}",
    '[run]\nengine = "galerkine"', "[compare]\nparticles = 100", '[sweep]\n"flow.beta" = 3.0',
    '[compare]\ncontrol = "perhaps"', "[start]\nx = {points = []}",
]  # fmt: skip
RIGHT = [
    '[sweep]\n"flow.beta" = {logspace = [1, 100, 9]}\nrun.seed = {range = [0, 20]}\n'
    '"run.particles, run.step" = [[100, 0.1]]\ncommand = "run"',
    '[game]\nexpression = "a*cos(x1 - y1)"\nconstants = {a = 2}\nX = {torus = 1, period = 1.0}\n'
    "Y = {sphere = 2}",
    '[flow]\nname = "Flow"\ngamma = [1, 2]\nspeed = {kind = "log"}',
    "[start]\nx = {points = [[0.0], [1]], masses = [0.5, 0.5]}\n"
    'y = {density = "1", constants = {}}',
    '[run]\nlevel = "field"\ncells = [[8, 8], 4]\nrecord = ["ni"]',
]


def test_the_file_in_the_package_is_what_the_tables_give():
    held = Path(mf.__file__).parent / "examples" / editors.NAME
    assert held.read_text(encoding="utf-8") == editors.written(), "python -m meanfield schema > it"


def test_every_section_and_key_is_there():
    found = editors.of_files()["properties"]
    assert set(found) == {"title", *schema.SECTIONS}
    for name, known in schema.SECTIONS.items():
        if known:
            assert set(found[name]["properties"]) == set(known)


def test_a_new_table_shows_up_by_itself(monkeypatch):
    monkeypatch.setitem(schema.SECTIONS, "gan", {"rounds": schema.whole})
    new = editors.of_files()["properties"]["gan"]
    assert new["properties"] == {"rounds": {"type": "integer"}} and not new["additionalProperties"]


def test_it_is_printed_and_stands_beside_copied_examples(tmp_path, capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == editors.of_files()
    assert main(["examples", "oscillator", "--to", str(tmp_path)]) == 0
    assert (tmp_path / editors.NAME).read_text() == editors.written()
    for content in shipped().values():
        assert content.startswith(f"#:schema {editors.NAME}\n# ")


def test_it_takes_the_examples_and_refuses_what_commands_refuse():
    jsonschema = pytest.importorskip("jsonschema")
    found = editors.of_files()
    jsonschema.Draft7Validator.check_schema(found)
    check = jsonschema.Draft7Validator(found)
    for text in (*shipped().values(), *RIGHT):
        assert not list(check.iter_errors(tomllib.loads(text))), text
    for text in WRONG:
        assert list(check.iter_errors(tomllib.loads(text))), text
