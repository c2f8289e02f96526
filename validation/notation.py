"""Mathematics in plain text, as it stands in docstrings and labels, typeset for pages and pictures.

Pages get HTML with Unicode letters, which needs no network; pictures matplotlib's mathematical
text. A formula is written once, as text.
"""

from __future__ import annotations

import re

from meanfield.studies import notation
from meanfield.studies.notation import number as number

# The paper's equations; V_x[mu_y](x) = int l(x, y) dmu_y(y), V_y[mu_x](y) = int l(x, y) dmu_x(x).
EQUATIONS = {
    3: "dx_i/dt = -grad V_x[mu^n_y](x_i),   dy_i/dt = grad V_y[mu^n_x](y_i)",
    4: "dx_i = -grad V_x[mu^n_y](x_i) dt + sqrt(2/beta) dw_i,   "
       "dy_i = grad V_y[mu^n_x](y_i) dt + sqrt(2/beta) dw'_i",
    5: "(3) at rate gamma, and weights dlog w_i/dt = -alpha (V_x[mu^n_y](x_i) - mean), "
       "dlog w'_i/dt = alpha (V_y[mu^n_x](y_i) - mean)",
    6: "d_t mu_x = div(mu_x grad V_x[mu_y]),   d_t mu_y = -div(mu_y grad V_y[mu_x])",
    7: "d_t mu_x = div(mu_x grad V_x[mu_y]) + beta^(-1) Lap mu_x,   "
       "d_t mu_y = -div(mu_y grad V_y[mu_x]) + beta^(-1) Lap mu_y",
    8: "d_t mu_x = gamma div(mu_x grad V_x[mu_y]) - alpha mu_x (V_x[mu_y] - int V_x[mu_y] dmu_x),"
       "   d_t mu_y = -gamma div(mu_y grad V_y[mu_x]) + alpha mu_y (V_y[mu_x] - "
       "int V_y[mu_x] dmu_y)",
    9: "mu_x = exp(-beta V_x[mu_y])/Z_x,   mu_y = exp(beta V_y[mu_x])/Z_y",
}  # fmt: skip


def html(text: str) -> str:
    """A line of text with its formulas typeset; references to equations say what they are."""
    return notation.html(text, links=True)


def paragraphs(text: str) -> str:
    """A docstring's paragraphs and lists, wrapped by the page; indented lines are formulas."""
    made = []
    for block in text.strip().split("\n\n"):
        lines = block.splitlines()
        if all(line.startswith("    ") for line in lines):
            made += [f'<p class="formula">{html(line.strip())}</p>' for line in lines]
            continue
        joined = " ".join(line.strip() for line in lines)
        first, *items = (
            re.split(r"(?:^| )- (?=[a-z])", joined) if "\n- " in f"\n{block}" else [joined]
        )
        made.append(f"<p>{html(first)}</p>" if first else "")
        if items:
            made.append("<ul>" + "".join(f"<li>{html(item)}</li>" for item in items) + "</ul>")
    return "\n".join(made)


def equations() -> str:
    """The paper's equations, each where references to it lead."""
    lines = [
        f'<p class="formula" id="equation{k}">({k}) &nbsp; {html(said)}</p>'.replace(
            f'<a href="#equation{k}">({k})</a>', f"({k})"
        )
        for k, said in EQUATIONS.items()
    ]
    return (
        "<details open><summary>The paper's equations</summary>" + "\n".join(lines) + "</details>"
    )


# Labels of pictures: what is matched outside of dollar signs, and what it becomes.
LABELS = (
    (r"^a, beta$", r"$a, \\beta$"),
    (r"\bE sin ([xy])\b", r"$\\mathbb{E}\\,\\sin \1$"),
    (r"\b(?:(n) )?sup E(?= [\[|])", r"$\1\\,\\sup\\,\\mathbb{E}$"),
    (r"\bW2\^2_([xy])", r"$W_{2,\1}^2$"),
    (r"\bW2\^2", r"$W_2^2$"),
    (r"\bW2\b", r"$W_2$"),
    (r"\b([ST])\^(\d)", r"$\1^\2$"),
    (r"\bL1\b", r"$L^1$"),
    (r"\bl_([ab])\b", r"$\\ell_\1$"),
    (r"\b(alpha|beta|gamma|lambda|mu)(_[xy])?( = [-+\d.e]+)?(?![a-z_])", r"$\\\1\2\3$"),
    (r"\beps(?:ilon)?\b", r"$\\epsilon$"),
    (r"\b([tndsa]) = ([-+\d.e]+)", r"$\1 = \2$"),
    (r"\bt\^\{?([-\d.]+)\}?", r"$t^{\1}$"),
    (r"^t / t\*$", r"$t/t_*$"),
    (r"\|([^|$]+)\|\^2", r"|\1|$^2$"),
    (r"NI - NI\*", r"$\\mathrm{NI} - \\mathrm{NI}_*$"),
    (r"(?<= )-(\d[\d.]*)", r"$-\1$"),
    (r"^([tndsaxyk])$", r"$\1$"),
)


def mathtext(text: str) -> str:
    """A label with its formulas in matplotlib's mathematical text; what is typeset stays."""
    text = re.sub(r"\bE (?=W2|\$W_2)", r"$\\mathbb{E}$ ", text)
    for pattern, typeset in LABELS:
        parts = re.split(r"(\$[^$]*\$)", text)  # those of odd numbers are typeset
        parts[::2] = [re.sub(pattern, typeset, part) for part in parts[::2]]
        text = "".join(parts)
    return text
