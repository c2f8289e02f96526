"""Docstrings are written to be read in a terminal: what reStructuredText would misread is escaped.

Stars, bars and trailing underscores are formulas (W2^2_x, |NI - NI*|), single backticks are code,
and an indented block is a formula or a listing that keeps its lines. Sections of numpydoc and
examples with >>> are left to napoleon and Sphinx.
"""

from __future__ import annotations

import re
from typing import Any

SECTIONS = {
    "Parameters", "Other Parameters", "Attributes", "Returns", "Raises", "Warns", "Yields",
    "See Also",
}  # fmt: skip
PROSE = {"Notes", "Examples", "References", "Example"}


def escaped(line: str) -> str:
    """A line of prose, its code in double backticks and its formulas safe from markup."""
    parts = re.split(r"(``[^`]*``|`[^`]*`)", line)
    for k, part in enumerate(parts):
        if k % 2:
            parts[k] = part if part.startswith("``") else f"`{part}`"
            if re.match(r"\w", parts[k + 1]):  # markup needs space or punctuation around it
                parts[k] += "\\ "
        else:
            part = re.sub(r"([\\*|])", r"\\\1", part)
            parts[k] = re.sub(r"(?<=\w)_(?!\w)", r"\\_", part)
    return "".join(parts)


def readable(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText with numpydoc's sections."""
    out: list[str] = []
    fielded = literal = doctest = False
    for i, line in enumerate(lines):
        after = lines[i + 1] if i + 1 < len(lines) else ""
        blank, indent = not line.strip(), len(line) - len(line.lstrip())
        if after.startswith("---") and line.strip() in SECTIONS | PROSE:
            fielded, literal = line.strip() in SECTIONS, False
            out += ["", line]
            continue
        if line.startswith("---"):
            out.append(line)
            continue
        doctest = not blank and (doctest or line.lstrip().startswith(">>>"))
        if doctest:
            out.append(line)
            continue
        if fielded and _is_paragraph(lines, i):
            fielded = False
            out += ["Notes", "-----"]
        if not blank and not fielded:
            begins = indent > 0 and (not out or not out[-1].strip())
            inside_list = _in_list(lines, i)
            if literal and indent == 0:
                literal = False
            if begins and not literal and not inside_list:
                out += ["::", ""]
                literal = True
            if indent > 0 and not (begins or literal or inside_list):
                line = line.lstrip()  # goes on with the line before
        out.append(line if literal or blank else escaped(line))
    return out


def _is_paragraph(lines: list[str], i: int) -> bool:
    """Whether lines[i] begins prose below a section's fields, which napoleon takes for a field."""
    before, line, after = lines[i - 1 : i], lines[i], lines[i + 1 : i + 2]
    alone = bool(line.strip()) and not line.startswith(" ") and " : " not in line
    begins = bool(before) and not before[0].strip()
    return alone and begins and not (after and (after[0].startswith(" ") or "---" in after[0]))


def _in_list(lines: list[str], i: int) -> bool:
    """Whether an indented line goes on with an item of a list, not with a block of its own."""
    for earlier in reversed(lines[:i]):
        if earlier.strip() and not earlier.startswith(" "):
            return bool(re.match(r"[-*] |\d+\. ", earlier))
    return False


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = readable(lines)


def setup(app: Any) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", process, priority=100)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
