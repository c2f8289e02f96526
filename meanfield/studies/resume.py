"""`resume`: finish the run that a file holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meanfield.checks import real
from meanfield.describe import rebuild
from meanfield.games.base import Game
from meanfield.games.missing import MissingGame
from meanfield.measures import Measure
from meanfield.observables import Diagnostics, Observables
from meanfield.start import Start
from meanfield.storage.files import load, read_header
from meanfield.storage.named import agreed, missing
from meanfield.trajectory import Trajectory


def diagnostics_of(names: Any, game: Game) -> Diagnostics:
    """The diagnostics known by name: "ni", the Nikaido-Isoda error. ValueError for others."""
    if unknown := sorted(set(names) - {"ni"}):
        raise ValueError(
            f"the run records {', '.join(unknown)}, functions that no file holds: "
            "give diagnostics={...}"
        )
    if not names:
        return {}
    from meanfield.metrics import NikaidoIsoda

    error = NikaidoIsoda(game)
    return {"ni": lambda mu_x, mu_y: float(error(mu_x, mu_y).value)}


def resume(
    path: str | os.PathLike[str],
    game: Game | None = None,
    start: Start | None = None,
    diagnostics: Diagnostics | None = None,
    threads: int | None = None,
    progress: bool | None = None,
    checkpoint_every: float | None = None,
    stop: Callable[[float, Measure, Measure], bool] | None = None,
) -> Any:
    """Finish the run that a file holds, to the bits of an uninterrupted one, and return its result.

    A finished run is loaded. For more time, save the result under another name and give it to
    `simulate` or `solve` as resume=... with a later time.

    Parameters
    ----------
    path : path
        A file made by `simulate`, `solve` or `compare` with checkpoint=path, or by a command.
    game, start, diagnostics, stop
        What the run was given as Python functions, of which a file holds the names only.
    threads, progress, checkpoint_every
        As in `compare`.

    Returns
    -------
    Trajectory or Comparison

    Raises
    ------
    ValueError
        For a damaged file, and where a function is missing.
    """
    header = read_header(path)
    if header.finished:
        found = load(path, game=game, start=start)
        if isinstance(found, Trajectory):
            Observables(diagnostics).check(found, str(path))
        return found
    if header.job is None:
        raise ValueError(
            f"{path} is unfinished and does not say what made it; this is a damaged file"
        )
    if header.job.get("call") == "branch":
        raise ValueError(
            f"{path} holds an unfinished branch, whose family is a function: the call of "
            "meanfield.branch that made it goes on from it, with checkpoint=..."
        )
    if header.job.get("call") == "gan":
        raise ValueError(
            f"{path} holds a mixture of GANs; the call of meanfield.gan.train that made it goes on "
            "with it, or the command meanfield gan train"
        )
    try:
        call, options, game, start = _job(header.job, game, start)
    except (KeyError, AttributeError, IndexError) as error:
        raise ValueError(
            f"{path} does not say all of what made it ({error}); this is a damaged file"
        ) from None
    if options.pop("stops", False) != (stop is not None):
        has, do = ("had no", "leave") if stop else ("has a", "give")
        raise ValueError(f"{path}: the run {has} stop, a function: {do} it")
    if call == "compare":
        options["threads"] = threads
    else:
        options["stop"] = stop
        names = options.pop("diagnostics")
        options["diagnostics"] = diagnostics_of(names, game) if diagnostics is None else diagnostics
    how = {"progress": progress, "checkpoint": Path(path), "checkpoint_every": checkpoint_every}
    return _calls()[call](game, rebuild(header.job["flow"]), start, **options, **how)


def _calls() -> dict[str, Any]:
    from meanfield.density.solve import solve
    from meanfield.particles.simulate import simulate
    from meanfield.studies.compare import compare

    return {"simulate": simulate, "solve": solve, "compare": compare}


def _job(
    job: dict[str, Any], game: Game | None, start: Start | None
) -> tuple[str, dict[str, Any], Game, Start]:
    """The call, its options, the game and the start; ValueError when a function is missing."""
    played, law = rebuild(job["game"]), rebuild(job["start"])
    if isinstance(played, MissingGame) and game is None:
        played._refuse()
    if start is None and missing(law):
        raise ValueError(
            "the start holds a function, of which a file has the name only: give it as start=..."
        )
    options, call = rebuild(job["options"]), job["call"]
    real("time", options.get("time"), 0.0)
    if call not in _calls():
        raise ValueError(
            f"the file was made by {call!r}, which this version of meanfield does not know"
        )
    game = played if game is None else agreed(played, game)
    return call, options, game, law if start is None else start
