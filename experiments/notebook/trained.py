"""The trained parts of the notebook: MF, LightGCN, SVD++, and a table of models."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxrec
from jaxrec.api import default_space
from jaxrec.errors import NonFiniteLossError
from jaxrec.losses import BPR, Logistic, NormL2, SquaredError, SquaredL2
from jaxrec.reports import Report, comparison_markdown
from jaxrec.sampling import shuffled_batches
from jaxrec.training import SGD, Batch, Objective, init_state, make_step, train_data

RATINGS = np.array([[4, 5, 3, 4], [5, 3, 4, 1], [3, 2, 5, 5], [4, 2, 3, 1]], np.float32)
METRICS = ("recall@10", "recall@20", "precision@10", "ndcg@10", "ndcg@20", "ild@10", "coverage@10")


def train_mf(data: jaxrec.Interactions, scale: float) -> tuple[list[Mapping[str, Any]], str]:
    """Train the notebook's MF: width 128, MSE, SGD 1e-2, one rating per step, sparse updates, at most ten epochs.

    Returns:
      (the records of the epochs, the reason for the end).
    """
    options = jaxrec.TrainingOptions(
        loss=SquaredError(),
        optimizer=SGD(1e-2, sparse=True),
        regularizer=None,
        batch_size=1,
        epochs=10,
        tolerance=1e-3,
    )
    try:
        info = jaxrec.fit(jaxrec.MF(dim=128, scale=scale), data, options, key=jax.random.key(0)).info
    except NonFiniteLossError as error:
        return [], str(error)
    records = info["records"]
    return records, "the 1e-3 rule" if len(records) < options.epochs else "ten epochs; the 1e-3 rule did not fire"


def train_lightgcn(split: jaxrec.Split) -> list[Mapping[str, Any]]:
    """Train the notebook's LightGCN: width 128, averaged layers, BPR and RecBole's L2 of the initial embeddings."""
    options = jaxrec.TrainingOptions(loss=BPR(), regularizer=NormL2(1e-2), epochs=20, validation=None)
    model = jaxrec.fit(jaxrec.LightGCN(dim=128, layers=3), split, options, key=jax.random.key(0))
    return model.info["records"]


def train_svdpp() -> list[str]:
    """Train SVD++ on the 4 x 4 ratings: mean 3, width 10, SGD 0.01 with momentum 0.9, batches of 10 and 6, 30 epochs.

    Returns:
      The lines that the notebook prints: the loss of the last batch of each epoch.
    """
    users, items = (index.ravel() for index in np.indices(RATINGS.shape))
    data = train_data(jaxrec.from_arrays(users, items, RATINGS.ravel()))
    model = jaxrec.SVDPP(dim=10, mean=3.0, num_users=4, num_items=4)
    optimizer = optax.sgd(0.01, momentum=0.9)
    step = make_step(Objective(model, SquaredError()), optimizer)
    init_key, train_key, order_key = jax.random.split(jax.random.key(0), 3)
    state = init_state(model.init(init_key, data.adjacency)["params"], optimizer, train_key)
    assert data.rating is not None
    lines = []
    for epoch, key in enumerate(jax.random.split(order_key, 30), start=1):
        index, where = shuffled_batches(16, 10, key)
        loss = jnp.inf
        for rows, counted in zip(index, where, strict=True):
            batch = Batch(data.user[rows], data.item[rows], data.rating[rows], jnp.zeros((10, 0), jnp.int32), counted)
            state, info = step(state, batch, data)
            loss = info["loss"]
        lines.append(f"Epoch [{epoch}/30], Loss: {loss:.4f}")
    return lines


def compare(split: jaxrec.Split) -> str:
    """Evaluate rankings on real data, as Markdown: ranking models, and rating models used for ranking."""
    implicit = jaxrec.TrainingOptions(loss=BPR(), epochs=100)
    rating = jaxrec.TrainingOptions(
        loss=SquaredError(),
        optimizer=SGD(0.01),
        regularizer=SquaredL2(0.16),
        reduction="sum",
        batch_size=4000,
        epochs=30,
    )
    models = {
        "popularity": (jaxrec.Popularity(), None),
        "item-item (R~^T R~)": (jaxrec.ItemKNN(neighbors=10**6, similarity="normalized"), None),
        "user-user (R~ R~^T)": (jaxrec.UserKNN(neighbors=10**6, similarity="normalized"), None),
        "NMF, all entries": (jaxrec.NMF(dim=20), None),
        "MF, BPR": (jaxrec.MF(dim=64), implicit),
        "LightGCN, BPR": (jaxrec.LightGCN(dim=64, layers=2), implicit),
        "GCN, BPR": (jaxrec.GCN(dim=64, hidden=64), dataclasses.replace(implicit, regularizer=SquaredL2(1e-3))),
        "SVD++, logistic": (jaxrec.SVDPP(dim=64), dataclasses.replace(implicit, loss=Logistic())),
        "MF, MSE on ratings": (jaxrec.MF(dim=64, bias=True), rating),
        "SVD++, MSE on ratings": (jaxrec.SVDPP(dim=50, implicit_l2=0.006, scale=0.03), rating),
        "NMF, observed ratings": (jaxrec.NMF(dim=20, objective="observed"), None),
    }
    space = default_space(split)
    reports: dict[str, Report] = {}
    for name, (model, options) in models.items():
        fitted = jaxrec.fit(model, split, options, key=jax.random.key(0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # lists of equal scores, which popularity may give
            reports[name] = jaxrec.evaluate(fitted, split, space=space)
    return comparison_markdown(reports, METRICS)
