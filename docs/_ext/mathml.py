"""Formulas as MathML, which browsers draw by themselves: no network, no script."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def formula(node: Any, block: bool) -> str:
    """A node's LaTeX as MathML; a warning, and the LaTeX as it stands, where it is not known."""
    try:
        return tex2mathml(node.astext(), as_block=block)
    except MathError as error:
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        return nodes.Text(node.astext()).astext()


def inline(self: Any, node: Any) -> None:
    self.body.append(formula(node, block=False))
    raise nodes.SkipNode


def display(self: Any, node: Any) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(f'<div class="formula">{formula(node, block=True)}</div>')
    if label := node.get("label"):
        # The label eq7 is the paper's equation (7), whatever stands before it on the page.
        number = label.removeprefix("eq")
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
