"""Eigenvalues of graphs, and what a filter makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.plots._style import COLORS, MARKS, STYLES, finished, legend_beside, panel_in, plain, tidy

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def spectrum(
    eigenvalues: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    y: str = "eigenvalue",
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Eigenvalues, or singular values, in their order, one curve for each matrix.

    Args:
      eigenvalues: [n], as a decomposition gave them; or label to [n], drawn over each other.
      y: what they are.
      title: what stands above.
      ax: a panel of a figure of the caller's; None makes a figure.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: no eigenvalues, an array of another shape, or no matplotlib.

    >>> spectrum([0.0, 0.5, 1.5, 2.0]).axes[0].get_ylabel()
    'eigenvalue'
    """
    curves = eigenvalues if isinstance(eigenvalues, Mapping) else {"": eigenvalues}
    panel = panel_in(ax, (6, 3.4))
    if not curves:
        raise JaxrecError("eigenvalues is empty; pass an array, or a label with an array")
    for at, (label, given) in enumerate(curves.items()):
        values = _line_of(f"eigenvalues{f'[{label!r}]' if label else ''}", given)
        how = {"color": COLORS[at % 7], "marker": MARKS[at % 7], "markersize": 4, "label": plain(label)}
        panel.plot(np.arange(1, len(values) + 1), values, STYLES[at % 4], markevery=max(1, len(values) // 30), **how)
    panel.set_xlabel("place")
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.set_ylabel(y)
    tidy(panel)
    if len(curves) > 1:
        legend_beside(panel)
    return finished(panel, title)


def filter_responses(
    responses: Mapping[str, Callable[[Any], Any]],
    *,
    interval: tuple[float, float] = (0.0, 2.0),
    eigenvalues: Sequence[float] | npt.ArrayLike | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """What filters make of a frequency: the gain h(lambda) over the eigenvalues of a Laplacian.

    Args:
      responses: label to a function from eigenvalues [n] to gains [n], such as those of `jaxrec.spectral`.
      interval: the lowest and the highest eigenvalue; (0, 2) for a normalized Laplacian, (0, 1) for a Gram matrix.
      eigenvalues: of a graph, drawn as ticks at the bottom: where the filter is asked.
      title: what stands above.
      ax: a panel of a figure of the caller's; None makes a figure.

    Returns:
      The figure, which belongs to no window; see `save_figure`.

    Raises:
      JaxrecError: no response, an empty interval, gains of another shape, or no matplotlib.

    >>> figure = filter_responses({"A~": lambda v: 1 - v, "A~ A~": lambda v: (1 - v) ** 2})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['A~', 'A~ A~']
    """
    low, high = interval
    if not responses or not low < high:
        raise JaxrecError(
            f"responses has {len(responses)} function(s) and interval is {interval}; pass a function and low < high"
        )
    panel = panel_in(ax, (6.5, 3.6))
    at_values = np.linspace(low, high, 241, dtype=np.float32)
    for at, (label, response) in enumerate(responses.items()):
        gains = np.asarray(response(at_values))
        if gains.shape != at_values.shape:
            raise JaxrecError(
                f"responses[{label!r}] makes {gains.shape} of {at_values.shape}; return one gain for each"
            )
        how = {"color": COLORS[at % 7], "marker": MARKS[at % 7], "markersize": 4, "markevery": (at * 5 % 24, 24)}
        panel.plot(at_values, gains, STYLES[at % 4], label=plain(label), **how)
    if eigenvalues is not None:
        ticks = _line_of("eigenvalues", eigenvalues)
        panel.plot(ticks, np.zeros(len(ticks)), "|", color="0.3", markersize=10, transform=panel.get_xaxis_transform())
    panel.set_xlabel("eigenvalue")
    panel.set_ylabel("gain")
    tidy(panel)
    legend_beside(panel)
    return finished(panel, title)


def _line_of(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not len(array):
        raise JaxrecError(f"{name} has shape {array.shape}; pass a list of numbers")
    return array
