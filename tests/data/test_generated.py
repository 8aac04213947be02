"""Made-up interactions: the stated law, and the same rows whatever the chunks."""

import jax
import numpy as np
import pyarrow.parquet
import pytest

import jaxrec
from jaxrec.data import PowerLaw, generate
from jaxrec.data._power_law import Side
from jaxrec.errors import DataError, JaxrecError

KEY = jax.random.key(0)
USERS, ITEMS, ROWS = 700, 301, 150_000  # more than two blocks of draws
LAW = PowerLaw(communities=4, mixing=0.25, user_exponent=3.0, item_exponent=2.0)


@pytest.fixture(scope="module")
def drawn():
    return generate(USERS, ITEMS, ROWS, KEY, law=LAW)


def user_communities(data):
    """By the items that a user has most of."""
    table = np.zeros((data.num_users, LAW.communities))
    np.add.at(table, (data.user, data.item_columns["community"][data.item]), 1)
    return table.argmax(axis=1)


def test_a_file_has_the_rows_that_memory_has_whatever_its_groups(tmp_path, drawn):
    for group, text_ids in ((1 << 20, False), (9_999, True)):
        path = generate(USERS, ITEMS, ROWS, KEY, law=LAW, path=tmp_path / "x.parquet", group=group, text_ids=text_ids)
        assert pyarrow.parquet.ParquetFile(path).num_row_groups == -(-ROWS // group)
        expected = generate(USERS, ITEMS, ROWS, KEY, law=LAW, text_ids=text_ids).compact()
        assert jaxrec.read(path).fingerprint() == expected.fingerprint()
        assert np.array_equal(expected.user, drawn.compact().user)  # texts sort as the numbers do
    assert jaxrec.read(path).users.ids[0] == "user-00000000"


def test_a_shorter_draw_begins_a_longer_one(drawn):
    short = generate(USERS, ITEMS, 70_000, KEY, law=LAW, timestamps=False)
    assert short.timestamp is None
    for name in ("user", "item", "rating"):
        assert np.array_equal(getattr(short, name), getattr(drawn, name)[:70_000])
    other = generate(USERS, ITEMS, 70_000, jax.random.key(1), law=LAW, ratings=False)
    assert other.rating is None
    assert not np.array_equal(other.user, short.user)


def test_interactions_cross_communities_as_often_as_the_law_says(drawn):
    inside = user_communities(drawn)[drawn.user] == drawn.item_columns["community"][drawn.item]
    share = 1 - LAW.mixing + LAW.mixing / LAW.communities
    assert abs(inside.mean() - share) < 5 * np.sqrt(share * (1 - share) / ROWS)
    # Ratings tell the two apart as well: at home 3 to 5, elsewhere 1 to 5.
    assert sorted(set(drawn.rating[inside].tolist())) == [3, 4, 5]
    assert abs((drawn.rating[~inside] < 3).mean() - 2 / 5) < 0.02
    everywhere = generate(USERS, ITEMS, 20_000, KEY, law=PowerLaw(communities=4, mixing=1.0))
    table = np.zeros((4, 4))
    community = Side("user", USERS, 4, 2.5, 0).communities_of
    shift = np.array([community(np.array([at]))[0] for at in range(USERS)])
    np.add.at(table, (shift[everywhere.user], everywhere.item_columns["community"][everywhere.item]), 1)
    assert table.std() / table.mean() < 0.1  # 1,250 a cell, 3% by chance


@pytest.mark.parametrize(("side", "nodes", "exponent"), [("user", USERS, 3.0), ("item", ITEMS, 2.0)])
def test_the_most_active_have_the_shares_of_the_law(drawn, side, nodes, exponent):
    counts = -np.sort(-np.bincount(getattr(drawn, side), minlength=nodes))
    # The integral of (1 + 1000 x)^(-1 / (exponent - 1)), by the trapezoid rule within each node.
    own = (nodes - 1) // LAW.communities + 1  # of the first community; the last may have one fewer
    x = np.linspace(0, 1, own * 200 + 1)
    g = (1 + 1000 * x) ** (-1 / (exponent - 1))
    integral = np.concatenate([[0], np.cumsum((g[1:] + g[:-1]) / 2)])[::200]
    theta = np.diff(integral) / integral[-1]
    expected = ROWS / LAW.communities * theta
    top = counts[: 4 * LAW.communities].reshape(4, LAW.communities).mean(axis=1)
    assert np.allclose(top, expected[:4], rtol=0.06)
    assert theta[0] * own > 5  # far above the mean


@pytest.mark.parametrize("nodes", [1, 2, 9, 30])
def test_ids_are_shuffled_without_loss(nodes):
    side = Side("item", nodes, 1, 2.5, 12_345)
    share = np.linspace(0, 1, 100_000, endpoint=False)
    assert set(side.drawn(np.zeros(len(share), np.int64), share).tolist()) == set(range(nodes))


def test_wrong_numbers_are_refused(monkeypatch, tmp_path):
    for arguments, options, words in (
        ((0, 5, 10), {}, "users must be a whole number of at least 1, got 0"),
        ((5, 5, 10.5), {}, "interactions must be a whole number"),
        ((5, 3, 10), {"law": PowerLaw(communities=4)}, "communities must be at most 3, got 4"),
        ((5, 3, 10), {"law": PowerLaw(communities=1), "group": 0}, "group must be a whole number of at least 1"),
    ):
        with pytest.raises(JaxrecError, match=words):
            generate(*arguments, KEY, **options)
    for options in ({"mixing": 1.5}, {"communities": 0}, {"user_exponent": 1.0}):
        with pytest.raises(JaxrecError, match=f"{next(iter(options))} must be"):
            PowerLaw(**options)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match="writing Parquet needs pyarrow; install it"):
        generate(5, 5, 10, KEY, law=PowerLaw(communities=1), path=tmp_path / "x.parquet")


def test_a_few_users_or_items_have_as_many_communities_at_the_most():
    assert len(generate(3, 5, 6, jax.random.key(0))) <= 6
    with pytest.raises(JaxrecError, match="communities must be at most 3, got 16"):
        generate(3, 5, 6, jax.random.key(0), law=PowerLaw())
