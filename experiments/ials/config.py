"""The rows: implicit ALS of several widths, and the settings that were tried on a held-out part of train."""

from __future__ import annotations

import jaxrec
from experiments.tables import Row

# The penalty falls with the width: (lambda, exponent of the degree) by data set and width.
CHOSEN = {
    "gowalla": {256: (0.003, 0.15), 1024: (0.003, 0.15)},
    "yelp2018": {1024: (0.01, 0.0)},
}
ITERATIONS = 2


def ials(dim: int, l2: float, degree_exponent: float = 0.0, *, iterations: int = ITERATIONS) -> Row:
    """Return a row; nobody has published figures of implicit ALS on these splits."""
    model = jaxrec.IALS(
        dim=dim, unobserved=0.01, l2=l2, degree_exponent=degree_exponent, iterations=iterations, frequency=1.0
    )
    return Row(model)


ROWS = {
    dataset: {f"{dim} factors": ials(dim, *settings) for dim, settings in chosen.items()}
    for dataset, chosen in CHOSEN.items()
}
# Elsewhere the settings of Gowalla without the exponent.
ROWS[""] = {f"{dim} factors": ials(dim, l2) for dim, (l2, _) in CHOSEN["gowalla"].items()}
GRIDS = {
    f"{dim} factors": {
        f"lambda {l2:g}, exponent {exponent:g}": ials(dim, l2, exponent)
        for l2 in (0.001, 0.002, 0.003, 0.006, 0.01)
        for exponent in (-0.15, 0.0, 0.15)
    }
    for dim in (256, 1024)
}
