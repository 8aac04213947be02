"""The rows, the settings that were tried for each, and what papers report."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import jaxrec
from experiments.tables import Row
from jaxrec.models import RP3Beta

PUBLISHED = {"EASE": {"gowalla": (0.1765, 0.1467), "yelp2018": (0.0657, 0.0552)}}
"""recall@20 and nDCG@20, with settings that were chosen on the test part."""

SOURCE = "chosen on test"

# Chosen on a random tenth of train, see README.md.
CHOSEN: dict[str, dict[str, Any]] = {
    "gowalla": {
        "popularity": jaxrec.Popularity(),
        "item-kNN": jaxrec.ItemKNN(),
        "user-kNN": jaxrec.UserKNN(),
        "RP3beta": RP3Beta(),
        "SANSA": jaxrec.SANSA(l2=30.0, dropout=0.5, relax=1.0, user_exponent=0.5, neighbors=100),
        "EASE": jaxrec.EASE(l2=300.0),
        "EDLAE": jaxrec.EASE(l2=150.0, dropout=0.5),
        "RLAE": jaxrec.EASE(l2=300.0, relax=0.3),
        "EASE, DAN": jaxrec.EASE(l2=30.0, dropout=0.5, user_exponent=0.5),
        "LAE, DAN": jaxrec.EASE(l2=30.0, dropout=0.7, relax=1.0, item_exponent=0.1, user_exponent=0.5),
    },
    "yelp2018": {
        "popularity": jaxrec.Popularity(),
        "item-kNN": jaxrec.ItemKNN(),
        "user-kNN": jaxrec.UserKNN(),
        "RP3beta": RP3Beta(),
        "SANSA": jaxrec.SANSA(l2=150.0, dropout=0.5, relax=1.0, neighbors=100),
        "EASE": jaxrec.EASE(l2=300.0),
        "EDLAE": jaxrec.EASE(l2=150.0, dropout=0.5),
        "RLAE": jaxrec.EASE(l2=300.0, relax=0.3),
        "EASE, DAN": jaxrec.EASE(l2=40.0, dropout=0.5, user_exponent=0.5),
        "LAE, DAN": jaxrec.EASE(l2=150.0, dropout=0.5, relax=1.0),
    },
}
CHOSEN[""] = CHOSEN["gowalla"]  # any other data set

ROWS = {
    dataset: {name: Row(model, published=PUBLISHED.get(name, {}), source=SOURCE) for name, model in models.items()}
    for dataset, models in CHOSEN.items()
}


def varied(model: Any, **values: Sequence[Any]) -> dict[str, Row]:
    """Return a row for each combination of values of options."""
    combinations = [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
    return {
        ", ".join(f"{name} {value}" for name, value in each.items()): Row(dataclasses.replace(model, **each))
        for each in combinations
    }


GRIDS = {
    "item-kNN": varied(jaxrec.ItemKNN(), neighbors=(50, 200), similarity=("cosine", "normalized")),
    "user-kNN": varied(jaxrec.UserKNN(), neighbors=(100, 300), similarity=("cosine", "normalized")),
    "RP3beta": varied(RP3Beta(), neighbors=(100, 300), alpha=(0.7, 1.0), beta=(0.2, 0.4, 0.6)),
    "SANSA": varied(
        jaxrec.SANSA(), l2=(3.0, 10.0, 30.0), user_exponent=(0.5,), item_exponent=(0.0, 0.2), neighbors=(100, 200)
    ),
}
