"""Graphs of labeled nodes in the Planetoid format (Cora, Citeseer, Pubmed), by name or from any folder."""

from __future__ import annotations

import dataclasses
import os
import types
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.data.datasets._download import File, Source, obtain
from jaxrec.data.datasets._pickles import CompressedRows, read_pickle
from jaxrec.errors import DataError, MissingFileError

PARTS = ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index")
"""The files of a data set, each named ind.NAME.PART."""

_ADDRESS = "https://raw.githubusercontent.com/kimiyoung/planetoid/af6abf468a772cc055bec88c52e4d6f51b7c37e3/data/"


def _source(name: str, *hashes: str) -> Source:
    names = [f"ind.{name}.{part}" for part in PARTS]
    files = (File(file, _ADDRESS + file, f"sha256:{hash}") for file, hash in zip(names, hashes, strict=True))
    return Source("planetoid", tuple(files))


PLANETOID = types.MappingProxyType(
    {
        "cora": _source(
            "cora",
            "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
            "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
            "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
            "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
            "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
            "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
            "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
            "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
        ),
        "citeseer": _source(
            "citeseer",
            "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
            "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
            "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
            "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
            "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
            "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
            "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
            "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
        ),
        "pubmed": _source(
            "pubmed",
            "fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
            "e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
            "4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
            "ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
            "508e538e2abdccdd54c4d3e9f49d638b4af7107d85845f66ddea5a5152658b7e",
            "0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e",
            "5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9",
            "b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
        ),
    }
)
"""Where the named data sets come from, with the hashes of their files in the order of `PARTS`."""


@dataclasses.dataclass(frozen=True, eq=False)
class Planetoid:
    """A graph of N nodes with features and, for most of them, labels; and a split of the nodes.

    Attributes:
      name: of the data set.
      features: [N, F] float32, by rows, as they are in the files: no row is normalized.
      edges: int32 [E, 2], every undirected edge twice, from both ends, in ascending order; without self-loops.
      labels: int32 [N], the class of each node, in 0..C-1; -1 where there is none.
      train: int32, the nodes whose labels are learnt from, ascending.
      valid: int32, the nodes that settings are chosen on, ascending.
      test: int32, the nodes that are reported on, ascending.
      num_classes: C.
      notes: what was counted and what was left out, in words.

    >>> nothing = CompressedRows(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(3, np.int32), 5)
    >>> edges, labels, one = np.array([[0, 1], [1, 0]]), np.array([0, 1]), np.array([0])
    >>> Planetoid("toy", nothing, edges, labels, one, one, one, 2).num_nodes
    2
    """

    name: str
    features: CompressedRows
    edges: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    num_classes: int
    notes: tuple[str, ...] = ()

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.labels)


def load_planetoid(
    name: str, *, data_dir: str | os.PathLike[str] | None = None, download: bool = True, valid: int = 500
) -> Planetoid:
    """Read Cora, Citeseer or Pubmed in the public split.

    The files are looked for as `jaxrec.load` does, in a folder named `planetoid`: in `data_dir`, in the folder that the
    environment variable JAXREC_DATA names, in the user's cache folder; they are downloaded into the last otherwise.
    Their hashes are checked.

    Args:
      name: "cora", "citeseer" or "pubmed".
      data_dir: a folder that holds the folder `planetoid`.
      download: False raises instead of using the network.
      valid: how many nodes are for validation.

    Raises:
      DataError: an unknown name; see `read_planetoid`.
      DownloadError, MissingFileError: see `download.obtain`.

    References:
      Yang, Cohen and Salakhutdinov, Revisiting Semi-Supervised Learning with Graph Embeddings, ICML 2016.

    >>> load_planetoid("kora")
    Traceback (most recent call last):
        ...
    jaxrec.errors.DataError: no Planetoid data set is named 'kora'; the names are cora, citeseer, pubmed...
    """
    if name not in PLANETOID:
        raise DataError(
            f"no Planetoid data set is named {name!r}; the names are {', '.join(PLANETOID)}. A folder of your own is "
            "read with read_planetoid(folder, name)"
        )
    return read_planetoid(obtain(PLANETOID[name], data_dir=data_dir, download=download), name, valid=valid)


def read_planetoid(folder: str | os.PathLike[str], name: str, *, valid: int = 500) -> Planetoid:
    """Read the files ind.NAME.{x, y, tx, ty, allx, ally, graph, test.index} of a folder.

    The first nodes are those of `allx`: the training nodes, which `y` counts, then `valid` nodes for validation, then
    nodes of no part. Row i of `tx` is the node that line i of `test.index` names. A node that neither has (Citeseer has
    15) keeps its place, without features and without label. The graph is undirected: an edge that is listed from one
    end only is taken both ways. Self-loops are left out. The notes count all of this.

    Args:
      folder: the folder.
      name: the NAME in the names of the files.
      valid: how many nodes are for validation.

    Raises:
      MissingFileError: no such folder, or files that it lacks.
      DataError: a file that is not in the format, names objects that the format does not need, or does not fit the
        others: features and nodes that differ in number, labels that are not one class a node.

    >>> read_planetoid("nowhere", "cora")
    Traceback (most recent call last):
        ...
    jaxrec.errors.MissingFileError: nowhere lacks ind.cora.x, ...
    """
    paths = {part: Path(folder) / f"ind.{name}.{part}" for part in PARTS}
    if missing := [path.name for path in paths.values() if not path.is_file()]:
        raise MissingFileError(
            f"{folder} lacks {', '.join(missing)}; pass a folder in the Planetoid format and its name"
        )
    listed = _test_index(paths["test.index"])
    x, tx, allx = (_features(paths[part]) for part in ("x", "tx", "allx"))
    y, ty, ally = (_one_hot(paths[part]) for part in ("y", "ty", "ally"))
    first = allx.shape[0]  # of the test nodes
    for part, found, expected, what in (
        ("x", x.shape[1], allx.shape[1], "columns, as allx has"),
        ("tx", tx.shape[1], allx.shape[1], "columns, as allx has"),
        ("y", y.shape[1], ally.shape[1], "classes, as ally has"),
        ("ty", ty.shape[1], ally.shape[1], "classes, as ally has"),
        ("x", x.shape[0], len(y), "nodes, as y has"),
        ("ally", len(ally), first, "nodes, as allx has"),
        ("tx", tx.shape[0], len(listed), "nodes, as test.index has"),
        ("ty", len(ty), len(listed), "nodes, as test.index has"),
    ):
        if found != expected:
            raise DataError(f"{paths[part]} has {found}, expected {expected} {what}; the files are not of one data set")
    if not np.array_equal(y, ally[: len(y)]):
        raise DataError(f"{paths['y']} differs from the first {len(y)} rows of ally; the files are not of one data set")
    if listed.min() < first:
        raise DataError(
            f"{paths['test.index']} names the node {listed.min()}, but the test nodes come after {first - 1}"
        )
    if not 0 <= valid <= first - len(y):
        raise DataError(
            f"valid is {valid}, but {paths['allx'].name} has {first - len(y)} nodes after the training nodes; pass "
            "that many at the most"
        )
    num_nodes = int(listed.max()) + 1
    edges, notes = _edges(paths["graph"], num_nodes)  # this checks the number, so that no huge array is made below
    labels = np.full(num_nodes, -1, np.int32)
    labels[:first], labels[listed] = _classes(ally), _classes(ty)
    train = np.arange(len(y), dtype=np.int32)
    data = Planetoid(
        name=name,
        features=_stack(allx, tx, listed, num_nodes),
        edges=edges,
        labels=labels,
        train=train,
        valid=np.arange(len(y), len(y) + valid, dtype=np.int32),
        test=np.sort(listed).astype(np.int32),
        num_classes=ally.shape[1],
    )
    for part in ("train", "valid", "test"):
        nodes = getattr(data, part)
        if (labels[nodes] < 0).any():
            raise DataError(f"node {nodes[np.argmin(labels[nodes])]} of the {part} part of {name} has no label")
    lost = num_nodes - first - len(listed)
    counts = [
        f"{name}: {num_nodes:,} nodes with {data.features.num_columns:,} features and {data.num_classes} classes, "
        f"{len(edges) // 2:,} edges; {len(train):,} nodes to train, {valid:,} to validate, {len(listed):,} to test",
        *notes,
        *([f"{lost:,} nodes have neither features nor a label; they keep their place"] if lost else []),
    ]
    return dataclasses.replace(data, notes=tuple(counts))


def row_normalized(features: CompressedRows) -> CompressedRows:
    """Divide every row of the features by its sum; a row of sum 0 stays as it is.

    References:
      Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, ICLR 2017, section 5.2.

    >>> rows = CompressedRows(np.array([1.0, 3.0]), np.array([0, 1]), np.array([0, 2, 2]), 2)
    >>> row_normalized(rows).data.tolist()
    [0.25, 0.75]
    """
    sums = np.bincount(features.rows, weights=features.data, minlength=features.shape[0])
    scale = 1 / np.where(sums != 0, sums, 1)
    return features._replace(data=(features.data * scale[features.rows]).astype(features.data.dtype))


def _features(path: Path) -> CompressedRows:
    """A matrix of features; the entries of a row in ascending order, added up where they share a place."""
    matrix: Any = read_pickle(path)
    if not isinstance(matrix, CompressedRows):
        raise DataError(f"{path} holds a {type(matrix).__name__}, expected a sparse matrix by rows")
    if not np.isfinite(matrix.data).all():
        raise DataError(f"{path} has features that are not finite")
    places = matrix.rows * np.int64(matrix.num_columns) + matrix.columns
    if (np.diff(places) > 0).all():
        return matrix._replace(data=matrix.data.astype(np.float32))
    places, which = np.unique(places, return_inverse=True)
    rows, columns = np.divmod(places, max(matrix.num_columns, 1))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))]).astype(np.int32)
    data = np.bincount(which, weights=matrix.data).astype(np.float32)
    return CompressedRows(data, columns.astype(np.int32), indptr, matrix.num_columns)


def _stack(allx: CompressedRows, tx: CompressedRows, listed: np.ndarray, num_nodes: int) -> CompressedRows:
    """The rows of `allx`, and those of `tx` at the places that the test index lists."""
    lengths = np.zeros(num_nodes, np.int64)
    lengths[: allx.shape[0]], lengths[listed] = np.diff(allx.indptr), np.diff(tx.indptr)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    order = np.argsort(listed[tx.rows], kind="stable")  # the entries of tx, by the place of their node
    data = np.concatenate([allx.data, tx.data[order]])
    return CompressedRows(data, np.concatenate([allx.columns, tx.columns[order]]), indptr, allx.num_columns)


def _one_hot(path: Path) -> np.ndarray:
    labels: Any = read_pickle(path)
    if not isinstance(labels, np.ndarray) or labels.ndim != 2 or labels.shape[1] < 2:
        raise DataError(f"{path} holds a {type(labels).__name__}, expected an array of nodes by at least two classes")
    wrong = ~np.isin(labels, (0, 1)).all(axis=1) | (labels.sum(axis=1) > 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{path}: row {row} is {labels[row].tolist()}, expected one 1 at the node's class and 0 elsewhere"
        )
    return labels


def _classes(one_hot: np.ndarray) -> np.ndarray:
    return np.where(one_hot.any(axis=1), one_hot.argmax(axis=1), -1)


def _test_index(path: Path) -> np.ndarray:
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip().isdecimal() or len(line) > 10:
            raise DataError(f"{path}:{number}: expected the number of a node, got {line[:40]!r}")
    listed = np.array([int(line) for line in lines], np.int64)
    if listed.size == 0:
        raise DataError(f"{path} is empty; expected the number of a test node on every line")
    nodes, first, counts = np.unique(listed, return_index=True, return_counts=True)
    if (counts > 1).any():
        node = nodes[counts > 1][0]
        again = int(np.flatnonzero(listed == node)[1]) + 1
        raise DataError(f"{path}:{again}: the node {node} is listed already in line {first[counts > 1][0] + 1}")
    return listed


def _edges(path: Path, num_nodes: int) -> tuple[np.ndarray, list[str]]:
    """Every edge from both ends, and what was counted on the way."""
    graph: Any = read_pickle(path)
    if not isinstance(graph, dict) or not all(type(ends) is list for ends in graph.values()):
        raise DataError(
            f"{path} holds a {type(graph).__name__}, expected a dict from each node to the list of its nodes"
        )
    nodes = [*graph, *(end for ends in graph.values() for end in ends)]
    if not all(type(node) is int and 0 <= node < num_nodes for node in nodes):
        bad = next(node for node in nodes if type(node) is not int or not 0 <= node < num_nodes)
        raise DataError(f"{path} names the node {bad!r}, expected whole numbers in 0..{num_nodes - 1}")
    if len(graph) != num_nodes:
        raise DataError(
            f"{path} has {len(graph):,} nodes, but there are features or places for {num_nodes:,}; a node without an "
            "edge has an empty list"
        )
    starts = np.repeat(np.array(list(graph), np.int64), [len(ends) for ends in graph.values()])
    ends = np.array(nodes[len(graph) :], np.int64)
    loops = np.unique(starts[starts == ends])
    listed = (starts * num_nodes + ends)[starts != ends]
    once = np.unique(listed)
    mirrored = np.unique(once % num_nodes * num_nodes + once // num_nodes)
    both = np.union1d(once, mirrored)
    edges = np.stack(np.divmod(both, num_nodes), axis=1).astype(np.int32)
    isolated = num_nodes - len(np.unique(edges))
    counted = (
        (len(listed) - len(once), "listings of an edge were repeats and counted once"),
        (len(both) - len(once), "edges were listed from one end only and are taken both ways"),
        (len(loops), "self-loops were left out"),
        (isolated, "nodes have no edge"),
    )
    return edges, [f"{count:,} {what}" for count, what in counted if count]
