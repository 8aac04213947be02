"""Trainings of this version with fixed keys, written to a file: python bits.py OUT.npz, PYTHONPATH at the version.

ML-100K, three epochs, by BPR, in-batch softmax with logit adjustment, logistic loss and squared error; dense and
row-sparse steps; one seed and three; MF and, where steps are dense, LightGCN. Both versions know FitOptions.
"""

from __future__ import annotations

import dataclasses
import sys
import warnings
from typing import Any

import jax
import numpy as np

import jaxrec


def main(out: str) -> None:
    """Train, and write every array to `out`."""
    warnings.simplefilter("ignore")
    data = jaxrec.load("ml-100k", raw=True)
    liked = jaxrec.split(jaxrec.prepare(data, min_rating=4), "user_random", key=jax.random.key(7))
    rated = jaxrec.split(data, "user_random", key=jax.random.key(7))
    shared = {"epochs": 3, "batch_size": 4096, "eval_every": 3, "refit": False, "optimizer": "adam"}
    settings = {
        "bpr": (liked, {}),
        "softmax": (liked, {"loss": "softmax", "negatives": 0, "popularity_prior": 0.8}),
        "logistic": (liked, {"loss": "logistic", "negatives": 2}),
        "mse": (rated, {"loss": "mse"}),
    }
    arrays = {}
    for name, (split, own) in settings.items():
        options = jaxrec.FitOptions(**shared, **own)
        for sparse in (False, True):
            models: dict[str, Any] = {"mf": jaxrec.MF(dim=16, bias=name == "mse")}
            if not sparse and name != "mse":
                models["lightgcn"] = jaxrec.LightGCN(dim=16, layers=2)
            for kind, model in models.items():
                how = dataclasses.replace(options, sparse=sparse)
                one = jaxrec.fit(model, split, how, key=jax.random.key(3))
                many = jaxrec.fit_many(model, split, how, keys=jax.random.split(jax.random.key(5), 3))
                for member, fitted in enumerate([one, *many]):
                    tag = f"{name}/{kind}/{'rows' if sparse else 'dense'}/{member}"
                    for at, leaf in enumerate(jax.tree.leaves(fitted.variables)):
                        arrays[f"{tag}/{at}"] = np.asarray(leaf)
                    arrays[f"{tag}/valid"] = np.array(
                        [fitted.info["valid"][key] for key in sorted(fitted.info["valid"])]
                    )
                    arrays[f"{tag}/loss"] = np.array([record["loss"] for record in fitted.info["records"]])
    np.savez(out, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
