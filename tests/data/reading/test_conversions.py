"""Interactions from and to scipy matrices and networkx graphs."""

import datetime

import networkx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from jaxrec.data._interactions import Interactions
from jaxrec.data.reading._conversions import from_networkx, from_scipy, to_networkx, to_scipy
from jaxrec.data.reading._frames import from_frame
from jaxrec.errors import DataError

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=4)
pairs = st.dictionaries(
    st.tuples(texts, st.integers(0, 9)), st.tuples(st.integers(1, 10), st.integers(0, 99)), min_size=1
)


def interactions(given_pairs):
    user, item = ([pair[at] for pair in given_pairs] for at in (0, 1))
    rating, timestamp = ([values[at] for values in given_pairs.values()] for at in (0, 1))
    return Interactions.from_arrays(user, item, rating, timestamp)


def triples(data):
    return {
        (data.users.ids[user], data.items.ids[item]): rating
        for user, item, rating in zip(data.user, data.item, data.rating.tolist(), strict=True)
    }


@given(pairs)
def test_a_matrix_and_back(given_pairs):
    data = interactions(given_pairs)
    matrix = to_scipy(data)
    assert matrix.shape == (data.num_users, data.num_items)
    for (user, item), (rating, _) in given_pairs.items():
        assert matrix[data.users.find(user), data.items.find(item)] == rating
    back = from_scipy(matrix, users=data.users.ids, items=data.items.ids, ratings=True)
    assert back.same_catalog(data)
    assert triples(back) == triples(data)


@pytest.mark.parametrize("form", ["csr_array", "csc_matrix", "coo_array", "lil_array", "dok_array", "bsr_array"])
def test_every_sparse_format(form):
    dense = np.array([[5.0, 0, 3], [0, 0, 0], [0, 1, 0]])
    data = from_scipy(getattr(scipy.sparse, form)(dense))
    assert (data.user.tolist(), data.item.tolist(), data.rating.tolist()) == ([0, 0, 2], [0, 2, 1], [5, 3, 1])
    assert data.counts() == {"users": 3, "items": 3, "interactions": 3}
    assert data.notes == ("values taken as ratings",)


def test_ones_are_no_ratings_unless_stated():
    matrix = scipy.sparse.csr_array(np.eye(2, dtype=bool))
    assert from_scipy(matrix).rating is None
    assert from_scipy(matrix).notes == ("all values are 1, so there are no ratings",)
    assert from_scipy(matrix, ratings=True).rating.tolist() == [1, 1]
    assert from_scipy(matrix * 3, ratings=False).rating is None


def test_stored_zeros_are_told_or_kept():
    matrix = scipy.sparse.csr_array(([0.0, 2.0], ([0, 1], [1, 0])), shape=(2, 2))
    data = from_scipy(matrix)
    assert (data.user.tolist(), data.item.tolist()) == ([1], [0])
    assert data.notes[0] == "1 entries stored as 0 are no interactions; keep_zeros=True keeps them"
    assert from_scipy(matrix, keep_zeros=True).rating.tolist() == [0, 2]
    kept = from_scipy(matrix, keep_zeros=True)
    assert to_scipy(kept).nnz == 2


def test_entries_at_one_place_are_added_and_the_matrix_is_left_alone():
    matrix = scipy.sparse.coo_array(([2.0, 3.0, 4.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    data = from_scipy(matrix)
    assert data.rating.tolist() == [2 + 3, 4]
    assert data.notes[0] == "1 entries at the place of another one were added to it"
    unsorted = scipy.sparse.csr_array(([1.0, 2.0], [1, 0], [0, 2]), shape=(1, 2))
    from_scipy(unsorted)
    assert unsorted.indices.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("matrix", "options", "message"),
    [
        (np.eye(2), {}, r"matrix is of type ndarray with shape \(2, 2\); pass a scipy sparse matrix"),
        (scipy.sparse.coo_array(np.ones(3)), {}, r"matrix is of type coo_array with shape \(3,\)"),
        (scipy.sparse.csr_array(np.eye(2) * 1j), {}, "matrix has dtype complex128; its values must be real"),
        (scipy.sparse.csr_array([[np.nan, 2.0]]), {}, "rating at position 0 is nan"),
        (scipy.sparse.csr_array(np.eye(2)), {"users": ["a"]}, "users has 1 ids and the matrix 2 users"),
        (scipy.sparse.csr_array(np.eye(2)), {"items": [3, 3]}, "item id 3 is listed more than once"),
    ],
)
def test_bad_matrices_are_refused(matrix, options, message):
    with pytest.raises(DataError, match=message):
        from_scipy(matrix, **options)


def test_repeated_interactions_are_no_matrix_unless_added():
    data = Interactions.from_arrays([1, 1, 2], [5, 5, 5], [2, 4, 1])
    with pytest.raises(DataError, match="1 interactions repeat the user and item of another one; keep one of each"):
        to_scipy(data)
    assert to_scipy(data, add_repeated=True).toarray().tolist() == [[2 + 4], [1]]


def test_southern_women():
    data = from_networkx(networkx.davis_southern_women_graph())
    assert data.counts() == {"users": 18, "items": 14, "interactions": 89}
    assert data.users.find("Evelyn Jefferson") >= 0
    assert data.items.ids[data.item[data.user == data.users.find("Flora Price")]].tolist() == ["E9", "E11"]


@given(pairs, st.booleans())
def test_a_graph_and_back(given_pairs, twice):
    data = interactions(given_pairs)
    if twice:  # two edges between the same nodes
        data = data.select(np.repeat(np.arange(len(data)), 2))
    graph = to_networkx(data)
    assert graph.is_multigraph() == twice
    back = from_networkx(graph)
    assert back.same_catalog(data)
    order, back_order = (np.lexsort((some.item, some.user)) for some in (data, back))
    for name in ("user", "item", "rating", "timestamp"):
        np.testing.assert_array_equal(getattr(data, name)[order], getattr(back, name)[back_order])


def test_users_and_items_of_the_same_ids_stay_apart():
    data = Interactions.from_arrays([1, 2], [2, 1], titles={1: "One", 2: "Two"}, item_columns={"year": {1: 90, 2: 91}})
    graph = to_networkx(data)
    assert graph.nodes["item", 1] == {"bipartite": 1, "id": 1, "title": "One", "year": 90}
    assert graph.nodes["user", 1] == {"bipartite": 0, "id": 1}
    back = from_networkx(graph)
    assert back.users.ids.tolist() == [1, 2]
    assert back.titles.tolist() == ["One", "Two"]


def test_sides_from_arguments_weights_and_idle_nodes():
    graph = networkx.DiGraph()
    graph.add_weighted_edges_from([("m", "ann", 3.0), ("bo", "m", 4.0)])
    graph.add_nodes_from(["idle user", "idle item"])
    for sides in (
        {"users": ["ann", "bo", "idle user"]},
        {"items": ["m", "idle item"]},
        {"users": ["bo", "ann", "idle user"], "items": ("idle item", "m")},
    ):
        data = from_networkx(graph, **sides)
        assert data.users.ids.tolist() == ["ann", "bo", "idle user"]
        assert data.items.ids.tolist() == ["idle item", "m"]
        assert data.rating.tolist() == [3.0, 4.0]
        assert data.notes == ("rating = edge attribute 'weight'",)
        assert from_networkx(graph, rating=None, **sides).rating is None


def bipartite(*edges, **attributes):
    graph = networkx.Graph()
    for user, item in edges:
        graph.add_node(user, bipartite=0)
        graph.add_node(item, bipartite=1)
        graph.add_edge(user, item, **attributes)
    return graph


def one_rated():
    graph = bipartite(("a", 1), ("b", 1))
    graph.edges["a", 1]["rating"] = 3
    return graph


def same_id():
    graph = bipartite(("a", 1), ("b", 1))
    networkx.set_node_attributes(graph, {"a": "x", "b": "x", 1: 1}, "id")
    return graph


@pytest.mark.parametrize(
    ("graph", "options", "message"),
    [
        (networkx.path_graph(3), {}, "node 0 has bipartite = None, so its side is not known; pass users or items"),
        (networkx.Graph(), {}, "graph has no edge"),
        ([(1, 2)], {}, "graph is of type list; pass a networkx graph"),
        (bipartite(("a", 1), ("b", 1)), {"users": ["a"]}, "edge between two items, 1 and 'b', so it is not bi"),
        (bipartite(("a", 1)), {"users": ["a", 1]}, "edge between two users, 'a' and 1, so it is not bipartite"),
        (bipartite(("a", 1)), {"users": ["a"], "items": ["a", 1]}, "node 'a' is in both users and items"),
        (bipartite(("a", 1), ("b", 1)), {"users": ["a"], "items": [1]}, "node 'b' is in neither users nor items"),
        (bipartite(("a", 1)), {"users": ["z"]}, "users has 'z', which is no node of the graph"),
        (bipartite(("a", 1), (2, 1)), {}, "user ids are of mixed types"),
        (bipartite(("a", (1, 2))), {}, r"item id \(1, 2\) is of type tuple"),
        (one_rated(), {}, "only 1 of 2 edges have the attribute 'rating' for the rating; give it to all, or pass"),
        (bipartite(("a", 1)), {"rating": "stars"}, "only 0 of 1 edges have the attribute 'stars' for the rating"),
        (bipartite(("a", 1), rating="x"), {}, "rating must be numbers"),
        (bipartite(("a", 1), timestamp=1.5), {}, "timestamp at position 0 is 1.5"),
        (same_id(), {}, "two user nodes have the same attribute id"),
    ],
)
def test_bad_graphs_are_refused(graph, options, message):
    with pytest.raises(DataError, match=message):
        from_networkx(graph, **options)


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        (3_000_000_000, "3,000,000,000 items do not fit in int32 indices"),
        (1_000_000_000, "most of 1,000,000,000 items have none of its 3 entries"),
    ],
)
def test_a_matrix_whose_columns_are_ids_is_told_before_memory_runs_out(columns, why):
    matrix = scipy.sparse.coo_matrix((np.ones(3), ([0, 1, 2], [5, 7, columns - 1])), shape=(3, columns))
    with pytest.raises(DataError, match=rf"{why}; .*from_arrays\(matrix.row, matrix.col"):
        from_scipy(matrix)
    assert Interactions.from_arrays(matrix.row, matrix.col).items.ids.tolist() == [5, 7, columns - 1]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.float32, bool])
@pytest.mark.parametrize("form", ["coo", "csr", "csc"])
def test_entries_at_one_place_are_added_without_wrapping(dtype, form):
    most = 1 if dtype is bool else 2.0**100 if dtype is np.float32 else np.iinfo(dtype).max
    values, rows, columns = np.array([most, most, 1], dtype), [0, 0, 1], [1, 1, 0]
    matrix = scipy.sparse.coo_matrix((values, (rows, columns)), shape=(2, 2))
    if form != "coo":  # their constructors keep entries at one place apart
        kind, order, indptr = (
            (scipy.sparse.csr_matrix, columns, [0, 2, 3])
            if form == "csr"
            else (scipy.sparse.csc_matrix, [1, 0, 0], [0, 1, 3])
        )
        matrix = kind((values if form == "csr" else values[[2, 0, 1]], order, indptr), shape=(2, 2))
    data = from_scipy(matrix, ratings=True)
    # True and true is true; all other sums are those of arithmetic, rounded to float32 once.
    assert data.rating.tolist() == [np.float32(1.0 if dtype is bool else 2.0 * float(most)), 1.0]
    assert "1 entries at the place of another one were added to it" in data.notes


def test_float16_sums_do_not_become_infinite():
    matrix = scipy.sparse.coo_matrix((np.array([60_000, 60_000], np.float32), ([0, 0], [0, 0])), shape=(1, 1))
    assert from_scipy(matrix).rating.tolist() == [120_000]


def test_zeros_are_told_by_matrix_and_table():
    matrix = scipy.sparse.csr_array((np.array([0.0, 5.0]), [0, 1], [0, 2]), shape=(1, 2))
    assert "1 entries stored as 0 are no interactions; keep_zeros=True keeps them" in from_scipy(matrix).notes
    table = from_frame({"user": [0, 0], "item": [0, 1], "rating": [0.0, 5.0]})
    assert "1 of 2 ratings are 0 or less and are kept as interactions; min_rating leaves them out" in table.notes
    assert from_scipy(matrix, keep_zeros=True).rating.tolist() == table.rating.tolist()


def test_dates_of_edges_keep_their_unit():
    graph = networkx.Graph()
    graph.add_node("ann", bipartite=0)
    graph.add_node("tea", bipartite=1)
    graph.add_edge("ann", "tea", timestamp=datetime.datetime(1970, 1, 1, 0, 0, 1, 500_000))
    data = from_networkx(graph)
    assert (data.timestamp.tolist(), data.time_unit) == ([1_500], "ms")
