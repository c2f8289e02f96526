"""Pictures of a script: every new matplotlib figure among its values, in pyplot's care or not."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst


def scraper(block: Any, block_vars: Any, gallery_conf: Any) -> str:
    """Save the figures that a block made, and return the text that shows them."""
    from matplotlib import pyplot as plt

    candidates = list(block_vars["example_globals"].values())
    candidates += [plt.figure(number) for number in plt.get_fignums()]
    paths = []
    for figure in candidates:
        if not isinstance(figure, Figure) or getattr(figure, "_shown_on_page", False):
            continue
        figure._shown_on_page = True  # type: ignore[attr-defined]
        path = next(block_vars["image_path_iterator"])
        figure.savefig(path, dpi=140, format="png")
        paths.append(path)
    plt.close("all")
    return figure_rst(paths, gallery_conf["src_dir"])
