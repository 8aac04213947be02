"""`Validation`: any metric can be measured and watched, and bad options are refused."""

import dataclasses

import jax
import numpy as np
import pytest
from worlds import middle_split

import jaxrec
from jaxrec import TrainingOptions, Validation
from jaxrec.errors import JaxrecError
from jaxrec.evaluation import higher_is_better
from jaxrec.training import Adam

SPLIT = middle_split()
KINDS = {"kind": np.where(np.arange(SPLIT.train.num_items) % 2, "war", "drama")}
WITH_KINDS = dataclasses.replace(SPLIT, train=dataclasses.replace(SPLIT.train, item_columns=KINDS))


def fit(validation, **rest):
    options = TrainingOptions(epochs=3, batch_size=64, optimizer=Adam(0.02), validation=validation)
    return jaxrec.fit(jaxrec.MF(dim=4), WITH_KINDS, options, key=jax.random.key(0), **rest)


@pytest.mark.parametrize("name", ["ild@5", "miscalibration@5", "category_coverage@5", "gini@5", "auc", "ap@3"])
def test_any_metric_can_be_watched(name):
    fitted = fit(Validation(every=1, monitor=name, item_categories="kind"))
    measured = [record["valid"][name] for record in fitted.info["records"] if record.get("valid")]
    assert len(measured) == 3
    best = (max if higher_is_better(name) else min)(measured)
    assert fitted.info["best_epoch"] == measured.index(best) + 1
    assert fitted.info["valid"][name] == pytest.approx(best, rel=1e-6)


def test_without_categories_what_needs_them_is_refused():
    with pytest.raises(JaxrecError, match=r"miscalibration.*item_categories"):
        fit(Validation(monitor="miscalibration@5"))


def test_categories_of_a_fit_to_ratings_are_refused():
    with pytest.raises(JaxrecError, match=r"item_categories is for lists.*'kind'"):
        jaxrec.fit(
            jaxrec.MF(dim=4),
            middle_split(rated=True),
            loss="mse",
            validation=Validation(item_categories="kind"),
            key=jax.random.key(0),
        )
