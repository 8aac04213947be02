"""A small report with everything in it, made once: titles with markup, times, categories, four runs."""

import dataclasses

import jax
import numpy as np
import pytest
from browsing import chromium
from hostile import ENDING, MARKUP
from worlds import middle

import jaxrec
from jaxrec.pages import Entry, measured, report
from jaxrec.training import Adam


@pytest.fixture(scope="module")
def browser():
    """Chromium, or the test is skipped."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def split():
    """The middle world with times of which a tenth is tied, titles and genres; a fifth of each user for the test."""
    data = middle(rated=True, timed=True)
    titles = [f"Film {item}" for item in range(data.num_items)]
    titles[0], titles[1], titles[2] = MARKUP, ENDING, 'R & D "quoted"'
    genres = ["war|drama" if item % 3 == 0 else "comedy" if item % 3 == 1 else "" for item in range(data.num_items)]
    named = dataclasses.replace(
        data, titles=np.array(titles), item_columns={"genres": np.array(genres)}, timestamp=data.timestamp // 4 + 10**9
    )
    named = jaxrec.prepare(named, k_core=2)
    return jaxrec.split(named, "user_random", test=0.2, valid=0.2, key=jax.random.key(0))


@pytest.fixture(scope="session")
def models(split):
    """Four runs: one without vectors, one without similarities, and two that were trained."""
    fit = lambda model, **how: jaxrec.fit(model, split, key=jax.random.key(0), **how)  # noqa: E731
    return {
        "popularity": fit(jaxrec.Popularity()),
        "knn": fit(jaxrec.ItemKNN()),
        "mf": fit(jaxrec.MF(dim=4), epochs=3, optimizer=Adam(1e-2)),
        "lightgcn": fit(jaxrec.LightGCN(dim=4, layers=2), epochs=3, optimizer=Adam(1e-2)),
    }


@pytest.fixture(scope="session")
def entries(models, split):
    return measured(models, split, k=(3, 5))


@pytest.fixture(scope="session")
def page(entries, split):
    return report(entries, split, name="films", k=5)


@pytest.fixture(scope="session")
def without_data(models):
    return report({label: Entry(model, command=f"jaxrec fit {label}") for label, model in models.items()}, k=5)
