"""Planetoid folders: a small one whose content is known in full, the real ones, and every way they can be wrong."""

import collections
import os
import pathlib
import pickle
import re
import shutil

import numpy as np
import pytest
import scipy.sparse

from jaxrec.data.datasets import _catalog as registry
from jaxrec.data.datasets import _download as download
from jaxrec.data.datasets._pickles import CompressedRows
from jaxrec.data.datasets._planetoid import PARTS, PLANETOID, load_planetoid, read_planetoid, row_normalized
from jaxrec.errors import DataError, DownloadError, MissingFileError

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Nodes 0 and 1 train, 2 validates, 3 is in no part, 4 and 6 test, 5 has nothing but its place.
X = np.array([[1, 0, 2], [0, 3, 0], [0, 0, 0], [4, 4, 0]], np.float32)
TX = np.array([[0, 0, 6], [5, 0, 5]], np.float32)
Y = np.array([[1, 0], [0, 1], [1, 0], [0, 0]], np.int32)  # node 3 has features and no label
TY = np.array([[0, 1], [1, 0]], np.int32)
GRAPH = {
    0: [1, 1, 2],  # the edge to 1 twice
    1: [0],
    2: [0, 2],  # itself
    3: [6, 4],
    4: [3],
    5: [],
    6: [],  # the edge to 3 is listed there only
}
TOY = {
    "x": scipy.sparse.csr_matrix(X[:2]),
    "y": Y[:2],
    "tx": scipy.sparse.csr_matrix(TX),
    "ty": TY,
    "allx": scipy.sparse.csr_matrix(X),
    "ally": Y,
    "graph": collections.defaultdict(list, GRAPH),
    "test.index": b"6\n4\n",
}


@pytest.fixture
def folder(tmp_path):
    """A function that writes the toy folder, with some files replaced, or left out where they are None."""

    def write(**changes):
        for part, content in {**TOY, **{name.replace("_", "."): value for name, value in changes.items()}}.items():
            if content is not None:
                content = content if isinstance(content, bytes) else pickle.dumps(content, protocol=4)
                (tmp_path / f"ind.toy.{part}").write_bytes(content)
        return tmp_path

    return write


def dense(rows):
    out = np.zeros(rows.shape, rows.data.dtype)
    np.add.at(out, (rows.rows, rows.columns), rows.data)
    return out


def test_every_node_is_at_its_place(folder):
    data = read_planetoid(folder(), "toy", valid=1)
    # Line 0 of the index names node 6, so the first row of tx is node 6's.
    expected = [[1, 0, 2], [0, 3, 0], [0, 0, 0], [4, 4, 0], [5, 0, 5], [0, 0, 0], [0, 0, 6]]
    np.testing.assert_array_equal(dense(data.features), expected)
    assert data.labels.tolist() == [0, 1, 0, -1, 0, -1, 1]
    assert (data.train.tolist(), data.valid.tolist(), data.test.tolist()) == ([0, 1], [2], [4, 6])
    assert data.edges.tolist() == [[0, 1], [0, 2], [1, 0], [2, 0], [3, 4], [3, 6], [4, 3], [6, 3]]
    assert (data.num_nodes, data.num_classes, data.name) == (7, 2, "toy")
    assert {array.dtype for array in (data.labels, data.edges, data.train, data.valid, data.test)} == {
        np.dtype(np.int32)
    }
    assert data.features.data.dtype == np.float32


def test_what_is_counted_and_left_out_is_told(folder):
    assert read_planetoid(folder(), "toy", valid=1).notes == (
        "toy: 7 nodes with 3 features and 2 classes, 4 edges; 2 nodes to train, 1 to validate, 2 to test",
        "1 listings of an edge were repeats and counted once",
        "1 edges were listed from one end only and are taken both ways",
        "1 self-loops were left out",
        "1 nodes have no edge",
        "1 nodes have neither features nor a label; they keep their place",
    )


def test_a_clean_folder_has_one_note(folder):
    graph = {0: [1], 1: [0], 2: [3], 3: [2], 4: [5], 5: [4]}
    data = read_planetoid(folder(graph=graph, test_index=b"5\n4\n"), "toy", valid=2 - 1)
    assert len(data.notes) == 1


def test_unsorted_and_repeated_entries_of_features_are_put_right(folder):
    entries = (np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), np.array([0, 3, 3, 3, 3]))
    data = read_planetoid(folder(allx=scipy.sparse.csr_matrix(entries, shape=(4, 3))), "toy", valid=1)
    assert data.features.columns[:2].tolist() == [0, 2]
    assert data.features.data[:2].tolist() == [2, 1 + 4]
    np.testing.assert_array_equal(dense(data.features)[4], TX[1])


def test_rows_are_divided_by_their_sums(folder):
    features = row_normalized(read_planetoid(folder(), "toy", valid=1).features)
    np.testing.assert_allclose(dense(features)[0], [1 / 3, 0, 2 / 3], rtol=1e-6)
    np.testing.assert_array_equal(dense(features).sum(axis=1).round(6), [1, 1, 0, 1, 1, 0, 1])
    assert features.data.dtype == np.float32


@pytest.fixture
def real(request, monkeypatch):
    """The folder with the real data sets; the test is skipped where it is not there."""
    place = pathlib.Path(os.environ.get(download.ENVIRONMENT) or ROOT.parent / "shared" / "data")
    if not (place / "planetoid").is_dir():
        pytest.skip(f"no planetoid in {place}; set {download.ENVIRONMENT} to a folder that holds it")
    monkeypatch.delenv(download.ENVIRONMENT, raising=False)
    return place


# Nodes, undirected edges, features, classes, training nodes, and the share of edges between nodes of one class, as
# published: 0.81 and 0.74 by Zhu et al., Beyond Homophily in Graph Neural Networks, NeurIPS 2020, table 5.
PUBLISHED = {"cora": (2708, 5278, 1433, 7, 140, 0.81), "citeseer": (3327, 4552, 3703, 6, 120, 0.74)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_real_data_have_the_published_counts(name, real):
    data = load_planetoid(name, data_dir=real, download=False)
    nodes, edges, features, classes, train, homophily = PUBLISHED[name]
    assert (data.num_nodes, len(data.edges)) == (nodes, 2 * edges)
    assert data.features.shape == (nodes, features)
    assert data.num_classes == classes
    assert (len(data.train), len(data.valid), len(data.test)) == (train, 500, 1000)
    assert np.bincount(data.labels[data.train]).tolist() == [20] * classes
    assert set(data.features.data.tolist()) == {1.0}  # bags of words, not normalized
    # Labels at wrong places would bring this down to about 1 / C.
    ends = data.labels[data.edges]
    ends = ends[(ends >= 0).all(axis=1)]
    assert round(float((ends[:, 0] == ends[:, 1]).mean()), 2) == homophily


def test_words_are_shared_across_edges_so_features_are_at_their_places_too(real):
    data = load_planetoid("cora", data_dir=real, download=False)
    words = dense(data.features)
    at_ends = np.array([words[i] @ words[j] for i, j in data.edges if i >= data.test[0] and j >= data.test[0]])
    others = np.random.default_rng(0).choice(data.test, (5000, 2))
    assert at_ends.mean() > 2 * np.mean([words[i] @ words[j] for i, j in others])


def test_the_gaps_of_citeseer_are_kept_and_told(real):
    data = load_planetoid("citeseer", data_dir=real, download=False)
    assert data.notes[2:] == (
        "124 self-loops were left out",
        "48 nodes have no edge",
        "15 nodes have neither features nor a label; they keep their place",
    )
    without = np.flatnonzero(data.labels < 0)
    assert len(without) == 15
    assert not dense(data.features)[without].any()
    assert np.isin(without, data.edges).all()  # the nodes without an edge are others
    assert not set(without) & {*data.train, *data.valid, *data.test}


def test_a_changed_file_is_named(real, tmp_path):
    shutil.copytree(real / "planetoid", tmp_path / "planetoid", copy_function=shutil.copy)
    path = tmp_path / "planetoid" / "ind.cora.test.index"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"1\n")
    with pytest.raises(DownloadError, match=r"ind.cora.test.index is not the published file: .* sha256:297ce89af2b5"):
        load_planetoid("cora", data_dir=tmp_path, download=False)


def test_the_table_is_complete():
    assert list(PLANETOID) == ["cora", "citeseer", "pubmed"]
    for name, source in PLANETOID.items():
        assert [file.name for file in source.files] == [f"ind.{name}.{part}" for part in PARTS]
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", file.hash) for file in source.files)
        assert all(file.address.endswith("/data/" + file.name) for file in source.files)
    assert len({file.hash for source in PLANETOID.values() for file in source.files}) == 24


def test_an_unknown_name_and_a_name_of_the_other_kind_are_told():
    with pytest.raises(
        DataError, match="no Planetoid data set is named 'gowalla'; the names are cora, citeseer, pubmed"
    ):
        load_planetoid("gowalla")
    with pytest.raises(DataError, match=r"cora is a graph of labeled nodes .*datasets.load_planetoid\('cora'\)"):
        registry.load("cora")


def test_missing_files_are_named(folder):
    with pytest.raises(MissingFileError, match=r"lacks ind.toy.tx, ind.toy.graph; pass a folder"):
        read_planetoid(folder(tx=None, graph=None), "toy", valid=1)


TALL = scipy.sparse.csr_matrix(np.ones((5, 3), np.float32))
WIDE = scipy.sparse.csr_matrix(np.ones((2, 4), np.float32))
NAN = scipy.sparse.csr_matrix(np.array([[np.nan, 0, 0], [0, 1, 0]]))
BAD = {
    "x of others": ({"x": TALL}, r"ind.toy.x has 5, expected 2 nodes, as y has; the files are not of one data set"),
    "allx too long": ({"allx": TALL}, r"ind.toy.ally has 4, expected 5 nodes, as allx has"),
    "tx too wide": ({"tx": WIDE}, r"ind.toy.tx has 4, expected 3 columns, as allx has"),
    "tx too long": ({"tx": TALL}, r"ind.toy.tx has 5, expected 2 nodes, as test.index has"),
    "ty too short": ({"ty": TY[:1]}, r"ind.toy.ty has 1, expected 2 nodes, as test.index has"),
    "ty of other classes": ({"ty": np.eye(3)[:2]}, r"ind.toy.ty has 3, expected 2 classes, as ally has"),
    "y of others": ({"y": Y[1:3]}, r"ind.toy.y differs from the first 2 rows of ally"),
    "two labels": (
        {"ty": np.array([[1, 1], [1, 0]])},
        r"ind.toy.ty: row 0 is \[1, 1\], expected one 1 at the node's class",
    ),
    "a label of 2": ({"ty": np.array([[0, 1], [2, 0]])}, r"ind.toy.ty: row 1 is \[2, 0\], expected one 1"),
    "labels as numbers": (
        {"ty": np.array([0, 1])},
        r"ind.toy.ty holds a ndarray, expected an array of nodes by at least",
    ),
    "no label to learn": ({"y": 0 * Y[:2], "ally": 0 * Y}, r"node 0 of the train part of toy has no label"),
    "no label to test": ({"ty": np.array([[0, 1], [0, 0]])}, r"node 4 of the test part of toy has no label"),
    "dense features": ({"tx": TX}, r"ind.toy.tx holds a ndarray, expected a sparse matrix by rows"),
    "infinite features": ({"tx": NAN}, r"ind.toy.tx has features that are not finite"),
    "a graph too small": ({"graph": {0: [1], 1: [0]}}, r"ind.toy.graph has 2 nodes, but there are features .* for 7"),
    "a graph too large": (
        {"graph": {**GRAPH, 7: []}},
        r"ind.toy.graph names the node 7, expected whole numbers in 0..6",
    ),
    "an end outside": ({"graph": {**GRAPH, 5: [-1]}}, r"ind.toy.graph names the node -1, expected"),
    "a node by name": ({"graph": {**GRAPH, 5: ["a"]}}, r"ind.toy.graph names the node 'a', expected"),
    "a graph of sets": (
        {"graph": {**GRAPH, 5: 6}},
        r"ind.toy.graph holds a dict, expected a dict from each node to the list",
    ),
    "a graph as a list": ({"graph": [[1], [0]]}, r"ind.toy.graph holds a list, expected a dict"),
    "an index by name": (
        {"test_index": b"6\nfour\n"},
        r"ind.toy.test.index:2: expected the number of a node, got 'four'",
    ),
    "an index twice": ({"test_index": b"4\n6\n4\n"}, r"ind.toy.test.index:3: the node 4 is listed already in line 1"),
    "an empty index": ({"test_index": b""}, r"ind.toy.test.index is empty"),
    "an index too early": ({"test_index": b"6\n3\n"}, r"test.index names the node 3, but the test nodes come after 3"),
    "an index far off": ({"test_index": b"6\n999999999\n"}, r"graph has 7 nodes, but there are .* for 1,000,000,000"),
}


@pytest.mark.parametrize("case", BAD)
def test_folders_that_make_no_sense_are_told(case, folder):
    changes, match = BAD[case]
    with pytest.raises(DataError, match=match):
        read_planetoid(folder(**changes), "toy", valid=1)


@pytest.mark.parametrize("valid", [3, -1])
def test_more_nodes_to_validate_than_there_are_are_told(valid, folder):
    with pytest.raises(DataError, match=f"valid is {valid}, but ind.toy.allx has 2 nodes after the training nodes"):
        read_planetoid(folder(), "toy", valid=valid)


def test_a_hostile_file_in_a_folder_is_refused(folder, tmp_path):
    trap = tmp_path / "trap"
    hostile = b"\x80\x02cos\nmkdir\n" + pickle.dumps((str(trap),), protocol=2)[2:-1] + b"R."
    with pytest.raises(DataError, match=r"ind.toy.graph names os.mkdir, .* refused and nothing was called"):
        read_planetoid(folder(graph=hostile), "toy", valid=1)
    assert not trap.exists()


def test_rows_know_their_shape():
    rows = CompressedRows(np.ones(3), np.array([0, 1, 0]), np.array([0, 2, 2, 3]), 4)
    assert rows.shape == (3, 4)
    assert rows.rows.tolist() == [0, 0, 2]
