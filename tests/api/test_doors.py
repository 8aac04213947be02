"""What is refused at the door, with the argument, the value and the remedy, and what goes that looks odd."""

import jax
import numpy as np
import pandas
import pyarrow
import pytest
import scipy.sparse

import jaxrec
from jaxrec.errors import DataError, JaxrecError

KEY = jax.random.key(0)
DATA = jaxrec.from_arrays([0, 0, 1, 1, 2, 2], [1, 2, 1, 3, 2, 3], [5, 4, 3, 4, 5, 1])
SPLIT = jaxrec.split(DATA, "user_random", test=0.34, valid=0.0, key=KEY)
MODEL = jaxrec.fit(jaxrec.ItemKNN(), SPLIT, key=KEY)
LISTS, TRUTH, TRAIN = {1: [2, 1]}, ([1], [2]), ([1], [1])


def ranked(lists=LISTS, **how):
    return jaxrec.evaluate_rankings(lists, TRUTH, train=TRAIN, k=1, **how)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jaxrec.from_arrays([1, 1], [1, 2], [10**400, 1]), "rating must be numbers: int too large"),
        (
            lambda: jaxrec.from_arrays([1, 1], [1, 2], [1e-50, 3]),
            "rating at position 0 is 1e-50, which float32 holds as 0",
        ),
        (lambda: jaxrec.recommend(MODEL, history={1: 10**400}, k=1), "history has a rating that no float holds"),
        (lambda: jaxrec.fit_many(jaxrec.MF(dim=2), DATA, keys=None), "keys is None; pass one key for each member"),
        (lambda: jaxrec.recommend(MODEL, [1], k=1, reranker=5), "reranker is 5; pass a name, such as 'mmr', 'dpp'"),
        (lambda: jaxrec.evaluate(MODEL, SPLIT, k=1, metrics=None), "metrics is None; pass names"),
        (lambda: jaxrec.evaluate(MODEL, SPLIT, k=1, metrics=5), "metrics is 5; pass names"),
        (
            lambda: jaxrec.split(DATA, "user_random", seed=7),
            r"seed is 7; draws come from a key: pass key=jax.random.key",
        ),
        (
            lambda: ranked(pandas.DataFrame({"kunde": [1], "sku": [2], "score": [0.1]})),
            "the columns are 'kunde', 'sku', 'score'; call the columns of the lists user and item",
        ),
        (lambda: ranked(item_features={1: [], 2: []}), "item_features has a vector without numbers for item 1"),
        (lambda: ranked(item_features={}), "item_features is an empty mapping"),
        (lambda: ranked(item_features={1: [1e38], 2: [0.0]}), "the vector of item 1 has a number beyond 1e.18"),
        (
            lambda: jaxrec.add_items(MODEL, {99: [0]}, titles={98: "X"}),
            "titles has 98, which is no new item; the new items are 99",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_remedy(call, message):
    with pytest.raises(JaxrecError, match=message):
        call()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("%d.%m. %H:%M", "has no year; add one, such as %Y"),
        ("%d.%m.%Y %H:%M %p", "with %p hours are of 12, so write %I in place of %H"),
        ("%d.%m.%Y %I:%M", "%I counts to 12 and needs %p, or write %H"),
    ],
)
def test_a_form_of_times_that_loses_a_part_is_refused(form, message, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,timestamp\n1,2,01.05.2024 01:00 PM\n")
    with pytest.raises(DataError, match=message):
        jaxrec.read(path, time_format=form)
    read = jaxrec.read(path, time_format="%d.%m.%Y %I:%M %p")
    assert np.datetime64(int(read.timestamp[0]), read.time_unit) == np.datetime64("2024-05-01T13:00")


def test_words_for_a_missing_value_are_no_ids_of_lists(tmp_path):
    for text in ("user,item,score\nNaN,2,1\n1,2,1\n", "user,item,score\n1,NULL,1\n1,2,1\n", "1,2,1\nNULL,2,1,3\n"):
        (tmp_path / "lists.csv").write_text(text)
        with pytest.raises(DataError, match=r"(user 'NaN'|item 'NULL'|user 'NULL') is a word for a missing value"):
            ranked(tmp_path / "lists.csv")


@pytest.mark.parametrize("implementation", ["rbg", "unsafe_rbg"])
def test_keys_of_other_implementations_serve_every_model(implementation):
    key = jax.random.key(0, impl=implementation)
    for model in (jaxrec.Random(), jaxrec.NMF(dim=2), jaxrec.IALS(dim=2)):
        fitted = jaxrec.fit(model, DATA, key=key)
        assert len(jaxrec.recommend(fitted, k=1)) == 3


def test_lists_of_arrow_are_lists():
    column = pyarrow.table({"item": [2, 1]})["item"]
    for lists in ({1: column}, {1: pyarrow.array([2, 1])}, (pyarrow.array([1]), pyarrow.array([[2, 1]]))):
        assert ranked(lists, metrics="recall").mean("recall@1") == 1


def test_values_of_dislike_that_become_interactions_are_counted():
    matrix = scipy.sparse.csr_array([[-1, 1], [1, 1]])
    assert (
        "1 of 4 values are 0 or less, and are interactions like the others"
        in jaxrec.from_scipy(matrix, ratings=False).notes
    )


def test_numbers_of_the_size_of_times_are_no_items(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("1 10 5 1700000001\n2 11 3 1700000002\n3 12 4\n")
    with pytest.raises(DataError, match="or format='lightgcn' if all numbers after the first of a line are items"):
        jaxrec.read(path)
