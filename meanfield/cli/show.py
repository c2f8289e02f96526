"""`meanfield show`: what a file holds, as a tree and as a picture, from the stored data alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.cli.jobs import bytes_of
from meanfield.cli.schema import BadInput
from meanfield.equilibria import Equilibrium, GibbsPoint, Polished
from meanfield.measures import Measure
from meanfield.storage.atomic import replace
from meanfield.storage.files import load, read_header
from meanfield.storage.results import Result
from meanfield.storage.salvage import salvage
from meanfield.studies.replicas import Partial
from meanfield.studies.w2_curve import w2_curve
from meanfield.trajectory import Trajectory

# What is drawn as maps of tori and spheres, or in space.
SEEN = (Trajectory, Measure, Equilibrium, GibbsPoint, Polished)


def show(options: Any) -> int:
    """Print what a file holds, draw it, and film, export and cite it where asked."""
    path = Path(options.file)
    if options.damaged:
        return show_damaged(path, options.export or [])
    header = read_header(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a game that was a function is named in the tree
        result = load(path)
    branch = (header.job or {}).get("call") == "branch"  # of a function, which no file holds
    again = "the call of meanfield.branch that made it" if branch else f"meanfield resume {path}"
    state = "finished" if header.finished else f"unfinished; go on with: {again}"
    print(f"{path}: {bytes_of(path.stat().st_size)}, written by {header.written_by}, {state}")
    print(summary(path, result, header))
    if (options.cite or options.export) and not isinstance(result, Result):
        what = "a comparison under way" if header.kind == "Partial" else "a measure"
        raise BadInput(f"{path} holds {what}: it has nothing to cite or to export, only pictures")
    if options.cite:
        print("cite:", *(f"  {line}" for line in result.cite().splitlines()), sep="\n")
    for target in options.export or []:
        print(f"wrote {export(result, target)}")
    if options.against and not options.html:
        raise BadInput("--against is for the page that --html writes; give both")
    if not options.no_plot:
        print(f"drew {picture(result, path, options.out, options.view)}")
    if options.movie:
        print(f"filmed {movie(result, path, options.movie, options.view)}")
    if options.html:
        print(f"wrote {html(result, path, options.html, options.against)}")
    return 0


def show_damaged(path: Path, targets: list[str]) -> int:
    """List the arrays of a damaged file that still read; keep them in .npz files where asked."""
    for target in targets:
        if Path(target).suffix != ".npz" or Path(target).exists():
            raise BadInput(
                f"--export {target} must be a new .npz file: arrays are all that is kept"
            )
    print(salvage(path))
    for target in targets:
        salvage(path, Path(target))
        print(f"wrote {target}")
    return 0


def summary(path: Path, result: Any, header: Any) -> str:
    """`tree`; BadInput where the parts of a file, each right, do not go together."""
    try:
        return tree(result, header)
    except Exception as error:
        raise BadInput(f"{path} is damaged: its parts do not go together ({error})") from None


def tree(result: Any, header: Any) -> str:
    """The result's own summary, with the first and last value of each recorded diagnostic."""
    if header.kind == "Partial":
        lines = [f"Comparison under way: mean field to t = {result.field.times[-1]:g}"]
        lines += [f"  |-- {name}: {len(rows)} replicas done" for name, rows in result.rows.items()]
        return "\n".join([*lines, f"  '-- of {header.job['options']['replicas']} replicas"])
    lines = repr(result).splitlines()
    for name, values in getattr(result, "diagnostics", {}).items():
        if np.ndim(values) == 1:
            ends = [values[0], values[-1]][: len(values)]
            lines.append(f"      {name}: {' -> '.join(f'{value:.6g}' for value in ends)}")
    return "\n".join(lines)


def export(result: Any, target: str) -> Path:
    """Write a CSV or npz file, by its suffix."""
    if Path(target).exists():
        raise BadInput(f"{target} exists already; choose another name")
    write: dict[str, Callable[[str], Path]] = {".npz": result.to_npz, ".csv": result.to_csv}
    if Path(target).suffix not in write:
        raise BadInput(f"--export {target} must end in .csv or .npz")
    return write[Path(target).suffix](target)


def movie(result: Any, path: Path, out: str | bool, view: str = "map") -> Path:
    """Film a run beside its file or under the name given: .mp4 with ffmpeg, .gif without."""
    from meanfield.plotting.movies import check_target, save_movie, usual_suffix

    run = getattr(result, "field", result)
    if not isinstance(run, Trajectory):
        raise BadInput(f"{path} holds no run over time; --movie films runs and comparisons")
    target = path.with_suffix(usual_suffix()) if isinstance(out, bool) else Path(out)
    check_target(target)

    def fill(partial: Path) -> None:
        # Writers of movies go by a file's ending.
        save_movie(run, partial.with_name(partial.name + target.suffix), view=view).rename(partial)

    replace(target, fill)
    return target


def html(result: Any, path: Path, out: str | bool, against: str | None) -> Path:
    """Write the page of a run beside its file or under the name given."""
    from meanfield.plotting import save_page

    run = result.field if hasattr(result, "rows") else result
    other = None if against is None else load(Path(against))
    if not isinstance(getattr(run, "field", run), Trajectory):
        raise BadInput(f"{path} holds no run over time; --html shows runs and comparisons")
    if not (other is None or isinstance(other, Trajectory)):
        raise BadInput(f"--against {against} holds no run")
    curve = None if other is None else w2_curve(getattr(run, "field", run), other)
    try:
        return save_page(
            run, path.with_suffix(".html") if out is True else str(out), distances=curve
        )
    except ImportError as error:
        raise BadInput(str(error)) from None


def picture(result: Any, path: Path, out: str | None, view: str = "map") -> Path:
    """Draw a result beside its file or under the name given."""
    target = Path(out) if out else path.with_suffix(".png")
    kind = target.suffix[1:].lower()
    if kind not in ("png", "pdf", "svg"):
        raise BadInput(f"--out {target} must end in .png, .pdf or .svg")
    figure = draw(result, view)
    replace(target, lambda partial: figure.savefig(partial, dpi=160, format=kind))
    return target


def draw(result: Any, view: str = "map") -> Any:
    """The result's own picture; that of the mean field for a comparison under way."""
    from meanfield.plotting import plot_pair

    if isinstance(result, Partial):
        if result.field is None:
            raise BadInput("there is nothing to draw yet; look again later, or use --no-plot")
        result = result.field
    if not hasattr(result, "plot"):
        return plot_pair(result, view=view)
    return result.plot(view=view) if isinstance(result, SEEN) else result.plot()
