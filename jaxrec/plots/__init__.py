"""Figures of graphs, matrices, spectra, trainings, comparisons and items. The only importer of matplotlib.

Every function draws into `ax` where one is given, and returns the figure, which belongs to no window: a notebook shows
it as the value of a cell, and `save_figure` writes it to a file. Colors are those of Okabe and Ito, which differ for
color-blind readers too, and marks or styles of lines differ beside them.
"""

from jaxrec.plots._comparisons import comparison, forest, pareto, pareto_front, trade_off_curves
from jaxrec.plots._graphs import draw_bipartite, draw_matrix
from jaxrec.plots._items import item_map, principal_plane
from jaxrec.plots._spectra import filter_responses, spectrum
from jaxrec.plots._style import save_figure
from jaxrec.plots._training import LearningCurve, learning_curve

__all__ = [
    "LearningCurve",
    "comparison",
    "draw_bipartite",
    "draw_matrix",
    "filter_responses",
    "forest",
    "item_map",
    "learning_curve",
    "pareto",
    "pareto_front",
    "principal_plane",
    "save_figure",
    "spectrum",
    "trade_off_curves",
]
