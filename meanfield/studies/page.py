"""One HTML page of a check: the equations, what was measured, verdicts and pictures."""

# ruff: noqa: RUF001  (mathematics is written in its own letters)

from __future__ import annotations

import os
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from meanfield.plotting import html
from meanfield.storage.files import as_path, replace
from meanfield.studies.notation import html as typeset
from meanfield.studies.notation import number
from meanfield.studies.verdicts import Verdict

EQUATIONS = """
.eq { margin: .6em 0 .6em 2em; font-family: "STIX Two Math", Cambria, serif; font-size: 17px }
td:first-child { max-width: 34em; overflow-wrap: anywhere }
.limit, .faster, .error, .no { color: #555 }
.kind { color: #666 } td { overflow-wrap: break-word }
.number { white-space: nowrap } sup, sub { line-height: 0 }
"""
X, Y = "<i>μ<sub>x</sub></i>", "<i>μ<sub>y</sub></i>"
SHARED = f"""<p>Two players choose measures {X} and {Y}; the first lowers, the second raises
<i>L</i>({X}, {Y}) = ∬ <i>ℓ</i> d{X} d{Y}. Their potentials are
<i>V<sub>x</sub></i>(x) = ∫ <i>ℓ</i>(x, y) d{Y}(y) and <i>V<sub>y</sub></i>(y) = ∫ <i>ℓ</i>(x, y)
d{X}(x), and NI = max <i>V<sub>y</sub></i> − min <i>V<sub>x</sub></i> is the Nikaido-Isoda error,
zero at equilibria alone.</p>"""
STATEMENTS = {
    "1": f"""<p class=eq>∂<sub>t</sub>{X} = ∇·({X} ∇<i>V<sub>x</sub></i>) + <i>β</i><sup>−1</sup>
Δ{X}, &emsp; ∂<sub>t</sub>{Y} = −∇·({Y} ∇<i>V<sub>y</sub></i>) + <i>β</i><sup>−1</sup> Δ{Y}
&emsp;(7)</p><p class=eq>d{X}/dx ∝ exp(−<i>βV<sub>x</sub></i>), &emsp; d{Y}/dy ∝
exp(<i>βV<sub>y</sub></i>) &emsp;(9)</p>
<p>If (7) converges, then to the one solution of (9), the Gibbs pair; it need not converge, and a
limit cycle is no failure of the theorem. At <i>β</i> ≥ (4/<i>ε</i>) log(2 (1 − <i>V</i>)/<i>V</i>
(2<i>K</i>/<i>ε</i> − 1)) neither player of the Gibbs pair gains more than <i>ε</i> by deviating:
<i>K</i> is the range of <i>ℓ</i>, <i>V</i> the least share of a ball of radius
<i>ε</i>/(2 Lip <i>ℓ</i>). A run has settled when the way that it still goes, at the pace at which
it slows down, is below 10<sup>−6</sup> in total variation; it cycles when two windows of time, one
twice as late, show the same period and size. No run may approach the Gibbs pair more slowly than
the slowest mode of the linearised (7) decays; one that begins at the Gibbs pair moved along that
mode must return at its rate, no faster either.</p>""",
    "2": f"""<p class=eq>∂<sub>t</sub>{X} = <i>γ</i> ∇·({X} ∇<i>V<sub>x</sub></i>) − <i>α</i> {X}
(<i>V<sub>x</sub></i> − <i>L</i>), &emsp; ∂<sub>t</sub>{Y} = −<i>γ</i> ∇·({Y}
∇<i>V<sub>y</sub></i>) + <i>α</i> {Y} (<i>V<sub>y</sub></i> − <i>L</i>) &emsp;(8)</p>
<p>From densities bounded below, the averages of (8) over [0, <i>t</i><sub>0</sub>],
<i>t</i><sub>0</sub> = (<i>αγ</i>)<sup>−1/2</sup>, have NI ≤ <i>C</i>
(<i>γ</i>/<i>α</i>)<sup>(1−<i>δ</i>)/2</sup> for every <i>δ</i> &gt; 0. At every time</p>
<p class=eq>NI ≤ (<i>F<sub>x</sub></i> + <i>F<sub>y</sub></i>)/(<i>αt</i>) + <i>γt</i>
(Lip<sub>x</sub><sup>2</sup> + Lip<sub>y</sub><sup>2</sup>)/2, &emsp; <i>F</i> = −log ∫
exp(−<i>αt</i> (<i>U</i> − min <i>U</i>)) d<i>μ</i>(0),</p>
<p><i>U</i> the cost against the averaged opponent; without transport (<i>γ</i> = 0) both sides are
equal. A bound in constants alone takes <i>F</i> ≤ <i>αt</i> Lip <i>δ</i> − log(<i>m V</i>),
<i>V</i> the share of a ball of radius <i>δ</i> and <i>m</i> the least starting density over the
uniform one. The slope of log NI in log <i>γ</i>/<i>α</i> is judged where transport's part of the
bound, the second, is at most 0.3 times the range of <i>ℓ</i>; where that leaves too few ratios,
the slope is shown and not judged.</p>""",
    "3": """<p>As <i>n</i> grows, sup over [0, <i>T</i>] of E[<i>W</i><sub>2</sub><sup>2</sup>
(<i>μ<sub>x</sub><sup>n</sup></i>, <i>μ<sub>x</sub></i>) + <i>W</i><sub>2</sub><sup>2</sup>
(<i>μ<sub>y</sub><sup>n</sup></i>, <i>μ<sub>y</sub></i>)] and of E|NI − NI*| tends to zero, for
particles with noise, (4) against (7), and with weights, (5) against (8), there for time averages.
The theorem gives no rate; that of independent samples is expected, 1/<i>n</i> on circles, log
<i>n</i>/<i>n</i> in dimension two, <i>n</i><sup>−1/2</sup> for NI. A wrong mean field would leave a
distance that does not fall.</p>""",
}


def write(result: Any, path: str | os.PathLike[str]) -> Path:
    """The page, whole or not at all; a file of that name is replaced."""
    target = as_path(path)
    if target.suffix != ".html":
        raise ValueError(f"{target} must end in .html")
    body = [f"<style>{EQUATIONS}</style>", f"<h1>{escape(result.game.name)}</h1>", about(result)]
    body += [SHARED, *(section(result, theorem) for theorem in STATEMENTS)]
    spent = [(part, f"{seconds:.1f} s") for part, seconds in result.seconds.items()]
    body.append(f"<details><summary>times of the parts</summary>{html.rows(spent)}</details>")
    text = html.page(f"Check of {result.game.name}", body)

    def fill(partial: Path) -> None:
        partial.write_text(text, encoding="utf-8")

    replace(target, fill)
    return target


def about(result: Any) -> str:
    """Game, flow, sizes, versions."""
    made = ", ".join(f"{k} {v}" for k, v in result.provenance["versions"].items())
    pairs = [
        ("spaces", f"{result.game.X} and {result.game.Y}"), ("flow", repr(result.flow)),
        ("start", f"x: {result.start.x}, y: {result.start.y}"[:300]),
        ("run at", result.provenance["sizes"]), ("seed", result.provenance["seed"]),
        ("versions", made),
    ]  # fmt: skip
    told = f"<p>{typeset(result.game.statement)}</p>" if result.game.statement else ""
    rule = (
        "<p>A check holds when its whole 95% interval lies within what is allowed, fails when all "
        "of it lies beyond, and is inconclusive in between.</p>"
    )
    return told + html.rows(pairs) + rule


def section(result: Any, theorem: str) -> str:
    """One theorem: its equations, its table, its picture."""
    from meanfield.studies.check import THEOREMS

    head = f"<h2>{typeset(THEOREMS[theorem].TITLE)}</h2>"
    if theorem in result.refused:
        reason = escape(result.refused[theorem])
        return head + f"<p class=not>does not apply to this flow and game: {reason}</p>"
    if theorem not in result.rows:
        return ""
    lines = [[typeset(r.claim), number(r.found), number(_allowed(r)), html.word(r.outcome)]
             for r in result.rows[theorem]]  # fmt: skip
    left = [f"<p class=not>{escape(part)}: {escape(why)}</p>"
            for part, why in {**result.missing, **result.failed}.items()
            if part.startswith(f"theorem {theorem},")]  # fmt: skip
    drawn = _drawn(result, theorem) if result.data.get(theorem) else ""
    table = html.grid(["check", "measured", "allowed", "verdict"], lines)
    outcome = f"<p>{html.word(result.outcome(theorem))}</p>"
    return "\n".join([head, outcome, STATEMENTS[theorem], table, *left, drawn])


def _allowed(row: Any) -> str:
    return row.allowed if isinstance(row, Verdict) else ""


def _drawn(result: Any, theorem: str) -> str:
    held = BytesIO()
    result.plot(theorem).savefig(held, format="png", dpi=140)
    return html.picture(held.getvalue(), f"theorem {theorem}")
