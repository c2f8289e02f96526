"""`meanfield warm` runs what it says and keeps it."""

from meanfield.cli import main
from meanfield.cli.warm import calls


def test_warm_runs_all_and_says_what_each_took(capsys):
    assert main(["warm"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in said] == list(calls())
