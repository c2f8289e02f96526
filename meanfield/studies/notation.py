"""Mathematics in plain text, as it stands in claims and docstrings, as HTML."""

from __future__ import annotations

import re
from html import escape

GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "eps", "kappa", "lambda", "mu", "nu", "pi",
    "rho", "sigma", "tau", "theta", "phi", "psi",
)  # fmt: skip
WORDS = {
    "double int": "&int;&int;", "int": "&int;", "Lap": "&Delta;", "grad": "&nabla;",
    "div": "&nabla;&middot;", "sqrt": "&radic;", "d_t": "&part;_t", "W2": "W_2", "l_a": "&ell;_a",
    "l_b": "&ell;_b",
}  # fmt: skip
SIGNS = {
    "->": "&rarr;", "<=": "&le;", ">=": "&ge;", "+-": "&plusmn;", " - ": " &minus; ",
    " ~ ": " &sim; ", "<": "&lt;", ">": "&gt;",
}  # fmt: skip
GROUP = r"\((?:[^()]|\([^()]*\))*\)"  # parentheses, in them once more


def html(text: str, links: bool = False) -> str:
    """A line of text with its formulas typeset, and `code` as such.

    links: references to equations lead to where they are written.
    """
    parts = text.split("`")
    parts[1::2] = [f"<code>{escape(code)}</code>" for code in parts[1::2]]
    parts[::2] = [_typeset(part) for part in parts[::2]]
    if links:
        there = r'<a href="#equation\1">(\1)</a>'
        parts[::2] = [re.sub(r"\(([3-9])\)", there, part) for part in parts[::2]]
    return "".join(parts)


def _typeset(text: str) -> str:
    text = text.replace("&", "&amp;")
    for plain, sign in SIGNS.items():
        text = text.replace(plain, sign)
    text = re.sub(rf"\b({'|'.join(WORDS)})(?![a-z])", lambda m: WORDS[m[1]], text)
    greek = rf"(?<![A-Za-z&])(d?)({'|'.join(GREEK)})(?![a-z])"
    text = re.sub(greek, lambda m: f"{m[1]}&{m[2].replace('epsilon', 'eps')}ilon;"
                  if m[2].startswith("eps") else f"{m[1]}&{m[2]};", text)  # fmt: skip
    text = re.sub(r"(?<=[=(,\[ ])-(?=[&\w(])", "&minus;", text)
    raised = rf"\^(-?{GROUP}|\{{[^}}]*\}}|-?[A-Za-z0-9]+(?:\.\d+)?)"
    text = re.sub(raised, lambda m: f"<sup>{_bare(m[1])}</sup>", text)
    lowered = r"(?<=[\w\])>;'])_(\{[^}]*\}|&\w+;|[A-Za-z0-9]{1,2})(?![A-Za-z0-9_])"
    return re.sub(lowered, lambda m: f"<sub>{_bare(m[1])}</sub>", text)


def _bare(group: str) -> str:
    """What stands between braces or parentheses, a minus written as one."""
    return re.sub("-(?![a-z]+;)", "&minus;", group[1:-1] if group[0] in "({" else group)


def number(text: str) -> str:
    """A number with its error, kept on one line."""
    return f'<span class="number">{escape(text).replace("+-", "&plusmn;")}</span>'
