"""Formulas in plain text become mathematics on pages and in pictures, and the rest stays."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from validation import suite
from validation.notation import EQUATIONS, equations, html, mathtext, number, paragraphs
from validation.pictures import styled, typeset
from validation.report import statement, title


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("C (gamma/alpha)^((1 - delta)/2)",
         "C (&gamma;/&alpha;)<sup>(1 &minus; &delta;)/2</sup>"),
        ("E W2^2 -> int F dmu_x", "E W<sub>2</sub><sup>2</sup> &rarr; &int; F d&mu;<sub>x</sub>"),
        ("mu^n_y <= -1", "&mu;<sup>n</sup><sub>y</sub> &le; &minus;1"),
        ("eps < 1 & <b>", "&epsilon; &lt; 1 &amp; &lt;b&gt;"),
        ("by (7)", 'by <a href="#equation7">(7)</a>'),
        ("theorem1_fixed_point, internal, part (i)", "theorem1_fixed_point, internal, part (i)"),
    ],
)  # fmt: skip
def test_formulas_are_typeset_on_pages(text: str, page: str) -> None:
    assert html(text) == page


@pytest.mark.parametrize(
    ("label", "typed"),
    [
        ("mean field, beta = 25, a = 3", r"mean field, $\beta = 25$, $a = 3$"),
        ("E $W_2^2$ at t = 0.5", r"$\mathbb{E}$ $W_2^2$ at $t = 0.5$"),
        ("(E sin x, E sin y)", r"($\mathbb{E}\,\sin x$, $\mathbb{E}\,\sin y$)"),
        ("n", "$n$"),
        ("n sup E [W2^2_x]", r"$n\,\sup\,\mathbb{E}$ [$W_{2,x}^2$]"),
        ("sup E |x - copy|^2", r"$\,\sup\,\mathbb{E}$ |x - copy|$^2$"),
        ("slope -0.5 of |NI - NI*|", r"slope $-0.5$ of |$\mathrm{NI} - \mathrm{NI}_*$|"),
        ("steps on T^2", "steps on $T^2$"),
        (r"$\beta = 2$ beta", r"$\beta = 2$ $\beta$"),
        ("a beautiful label", "a beautiful label"),
    ],
)
def test_formulas_are_typeset_in_pictures(label: str, typed: str) -> None:
    assert mathtext(label) == typed
    assert mathtext(typed) == typed
    with styled():
        figure = Figure()
        ax = figure.subplots()
        ax.set(xlabel=label, title=label)
        typeset(figure)
        figure.draw_without_rendering()
    assert (ax.get_xlabel(), ax.get_title()) == (typed, typed)
    assert not ax.spines["top"].get_visible()


class Tags(HTMLParser):
    """The tags that are open; AssertionError where one is closed that was not opened last."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", suite.CLAIMS)
def test_every_claim_is_a_page_that_wraps(name: str) -> None:
    page = html(title(name)) + paragraphs(statement(name))
    tags = Tags()
    tags.feed(page)
    assert tags.open == [] and "<pre>" not in page and "^" not in page


def test_equations_are_written_out_and_numbers_stay_on_a_line() -> None:
    page = equations()
    tags = Tags()
    tags.feed(page)
    assert tags.open == [] and "^" not in page and "mu_" not in page
    assert all(f'id="equation{k}">({k}) &nbsp;' in page for k in EQUATIONS)
    assert number("0.1 +- 0.02") == '<span class="number">0.1 &plusmn; 0.02</span>'
