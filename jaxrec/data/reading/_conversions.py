"""Interactions from and to scipy sparse matrices and networkx bipartite graphs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxrec.data._ids import IdMap, as_ids, factorize
from jaxrec.data._interactions import Interactions, check_dates, check_interactions, check_rating, check_timestamp
from jaxrec.data._pairs import pair_codes
from jaxrec.errors import DataError

_MANY = 1 << 27  # rows or columns whose numbers take 1 GB; most of them without an entry are no catalog


def from_scipy(
    matrix: Any,
    *,
    users: Any = None,
    items: Any = None,
    ratings: bool | None = None,
    keep_zeros: bool = False,
) -> Interactions:
    """Make interactions from a sparse matrix R [U, I]: an entry (u, i) is an interaction of user u with item i.

    Entries at one place are added up, as scipy defines it, in float64: counts of 8 bits do not wrap. Rows and
    columns without an entry stay in the catalog.

    Args:
      matrix: a scipy sparse matrix or array of any format, of real numbers.
      users: U ids of the rows, or None for 0..U-1.
      items: I ids of the columns, or None for 0..I-1.
      ratings: whether the values are ratings; None takes them as ratings unless all are 1.
      keep_zeros: whether an entry that is stored as 0 is an interaction with rating 0. By default it is none; the
        notes count such entries. A table (`from_frame`) keeps its ratings of 0 and counts them.

    Returns:
      The interactions, by row and then by column.

    Raises:
      DataError: no sparse matrix, one of another rank, values that are not finite real numbers, ids that do not fit, or
        more than 134 million rows or columns of which most have no entry, so that they are ids.

    >>> import scipy.sparse
    >>> data = from_scipy(scipy.sparse.csr_array([[5, 0, 3], [0, 0, 0]]), users=["ann", "bo"])
    >>> data.counts(), data.rating
    ({'users': 2, 'items': 3, 'interactions': 2}, array([5., 3.], dtype=float32))
    """
    if not hasattr(matrix, "tocsr") or len(getattr(matrix, "shape", ())) != 2:
        raise DataError(
            f"matrix is of type {type(matrix).__name__} with shape {getattr(matrix, 'shape', None)}; pass a scipy "
            "sparse matrix [users, items], for example scipy.sparse.csr_array(matrix)"
        )
    for side, size, ids in zip(("user", "item"), matrix.shape, (users, items), strict=True):
        why = ""  # told before ids of this size are made
        if size > np.iinfo(np.int32).max:
            why = f"{size:,} {side}s do not fit in int32 indices"
        elif size > _MANY and size > 2 * matrix.nnz and ids is None:
            why = f"most of {size:,} {side}s have none of its {matrix.nnz:,} entries"
        if why:
            raise DataError(
                f"matrix has shape {matrix.shape}, and {why}; where its rows or columns are ids, pass these: "
                "jaxrec.from_arrays(matrix.row, matrix.col, matrix.data) of a COO matrix"
            )
    stored = matrix.nnz
    if matrix.dtype.kind not in "biuf":
        raise DataError(f"matrix has dtype {matrix.dtype}; its values must be real numbers")
    # Rows and columns add entries up on the way, so the values must be wide before it; true and true is true.
    matrix = matrix.astype(bool if matrix.dtype.kind == "b" else np.float64).tocsr(copy=True)
    matrix.sum_duplicates()
    notes = []
    if matrix.nnz < stored:
        notes.append(f"{stored - matrix.nnz:,} entries at the place of another one were added to it")
    user = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    item, values = matrix.indices, matrix.data
    zero = values == 0
    if zero.any() and not keep_zeros:
        user, item, values = user[~zero], item[~zero], values[~zero]
        notes.append(f"{int(zero.sum()):,} entries stored as 0 are no interactions; keep_zeros=True keeps them")
    if ratings is None:
        ratings = not bool((values == 1).all())
        notes.append("values taken as ratings" if ratings else "all values are 1, so there are no ratings")
    elif not ratings and (low := int((values <= 0).sum())):
        notes.append(f"{low:,} of {len(values):,} values are 0 or less, and are interactions like the others")
    return Interactions(
        user,
        item,
        _ids(users, matrix.shape[0], "user"),
        _ids(items, matrix.shape[1], "item"),
        check_rating(values, len(values)) if ratings else None,
        notes=tuple(notes),
    )


def _ids(ids: Any, size: int, name: str) -> IdMap:
    out = IdMap(np.arange(size) if ids is None else ids, name)
    if len(out) != size:
        raise DataError(f"{name}s has {len(out):,} ids and the matrix {size:,} {name}s; pass one id for each")
    return out


def to_scipy(data: Interactions, *, add_repeated: bool = False) -> Any:
    """Make a sparse matrix R [U, I] in CSR format.

    Args:
      data: the interactions.
      add_repeated: whether interactions of the same user and item are added up (of their ratings, or their count);
        by default they are refused.

    Returns:
      A `scipy.sparse.csr_array` of float32 with the ratings, or 1 where there are none. A rating of 0 is stored.

    Raises:
      DataError: interactions of the same user and item.

    >>> to_scipy(Interactions.from_arrays(["ann", "bo"], [3, 4], [5, 1])).toarray()
    array([[5., 0.], [0., 1.]], dtype=float32)
    """
    import scipy.sparse

    check_interactions(data)
    values = np.ones(len(data), dtype=np.float32) if data.rating is None else data.rating
    matrix = scipy.sparse.coo_array((values, (data.user, data.item)), shape=(data.num_users, data.num_items)).tocsr()
    matrix.sum_duplicates()
    repeated = len(data) - matrix.nnz
    if repeated and not add_repeated:
        raise DataError(
            f"{repeated:,} interactions repeat the user and item of another one; keep one of each first "
            "(jaxrec.data.deduplicate), or pass add_repeated=True to add them up"
        )
    return matrix


def from_networkx(
    graph: Any,
    users: Iterable[Any] | None = None,
    items: Iterable[Any] | None = None,
    *,
    rating: str | None = "rating",
    timestamp: str | None = "timestamp",
    title: str | None = "title",
) -> Interactions:
    """Make interactions from a bipartite graph: an edge between a user and an item is an interaction.

    The direction of an edge does not count, and each edge of a multigraph is an interaction. Nodes without an edge stay
    in the catalog. The id of a node is its attribute `id` if every node has one, else the node itself.

    Args:
      graph: a networkx graph.
      users: the nodes that are users; None takes those that are not in `items`, or, where both are None, those whose
        attribute `bipartite` is 0.
      items: the nodes that are items; None takes the others, or those whose attribute `bipartite` is 1.
      rating: the edge attribute with ratings, or None for none. Under its default name it may be absent, and then
        `weight` is taken where edges have that.
      timestamp: the edge attribute with times, or None for none; it may be absent under its default name.
      title: the node attribute with titles of items, or None for none.

    Returns:
      The interactions in the order of the edges.

    Raises:
      DataError: the sides are not known, overlap, or do not hold every node; an edge within a side; an attribute that
        only some edges have; ids of mixed types on one side.

    >>> import networkx
    >>> from_networkx(networkx.davis_southern_women_graph()).counts()
    {'users': 18, 'items': 14, 'interactions': 89}
    """
    if not hasattr(graph, "nodes") or not hasattr(graph, "edges"):
        raise DataError(f"graph is of type {type(graph).__name__}; pass a networkx graph")
    if not graph.number_of_edges():
        raise DataError("graph has no edge, so there is no interaction")
    attributes = dict(graph.nodes(data=True))
    user_nodes, item_nodes = _sides(attributes, users, items)
    users_set, items_set = set(user_nodes), set(item_nodes)
    ends, edges = [], []
    for one, other, values in graph.edges(data=True):
        user, item = (one, other) if one in users_set else (other, one)
        if user not in users_set or item not in items_set:
            side = "users" if item in users_set else "items"
            raise DataError(f"graph has an edge between two {side}, {one!r} and {other!r}, so it is not bipartite")
        ends.append((user, item))
        edges.append(values)
    own = all("id" in values for values in attributes.values())
    ids, place = {}, {}
    for side, nodes in (("user", user_nodes), ("item", item_nodes)):
        ids[side], at = factorize(as_ids([attributes[node]["id"] if own else node for node in nodes], side))
        if len(ids[side]) < len(nodes):
            raise DataError(f"two {side} nodes have the same attribute id; make the ids unique, or take them off")
        place[side] = dict(zip(nodes, at.tolist(), strict=True))
    names = {"rating": rating, "timestamp": timestamp}
    if rating == "rating" and not any("rating" in values for values in edges):
        names["rating"] = "weight"
    columns = {role: _of_edges(edges, name, role, name in (role, "weight")) for role, name in names.items()}
    notes = [f"{role} = edge attribute {names[role]!r}" for role, column in columns.items() if column is not None]
    given = columns["timestamp"]
    dates = given is not None and all(isinstance(time, (datetime.date, np.datetime64)) for time in given)
    times, unit = None, None
    if given is not None and dates:
        times, unit = check_dates(np.array(given, dtype="datetime64[us]"), len(edges))
    elif given is not None:
        times = check_timestamp(given, len(edges))
    titles = None
    if title is not None and any(attributes[node].get(title) for node in item_nodes):
        titles = np.full(len(item_nodes), "", dtype=object)
        for node in item_nodes:
            titles[place["item"][node]] = str(attributes[node].get(title) or "")
    return Interactions(
        np.array([place["user"][user] for user, _ in ends], dtype=np.int32),
        np.array([place["item"][item] for _, item in ends], dtype=np.int32),
        IdMap(ids["user"], "user"),
        IdMap(ids["item"], "item"),
        None if columns["rating"] is None else check_rating(columns["rating"], len(edges)),
        times,
        titles=titles,
        notes=tuple(notes),
        time_unit=unit,
    )


def _sides(
    attributes: dict[Any, dict[str, Any]], users: Iterable[Any] | None, items: Iterable[Any] | None
) -> tuple[list[Any], list[Any]]:
    """The nodes that are users and those that are items."""
    if users is None and items is None:
        side = {node: values.get("bipartite") for node, values in attributes.items()}
        unsure = next((node for node, value in side.items() if value not in (0, 1)), None)
        if unsure is not None:
            raise DataError(
                f"node {unsure!r} has bipartite = {side[unsure]!r}, so its side is not known; pass users or items, or "
                "give every node the attribute bipartite, 0 for users and 1 for items"
            )
        return [node for node, value in side.items() if value == 0], [
            node for node, value in side.items() if value == 1
        ]
    chosen = {}
    for name, nodes in (("users", users), ("items", items)):
        if nodes is not None:
            chosen[name] = dict.fromkeys(nodes)
            strange = next((node for node in chosen[name] if node not in attributes), None)
            if strange is not None:
                raise DataError(f"{name} has {strange!r}, which is no node of the graph")
    chosen.setdefault("users", [node for node in attributes if node not in chosen.get("items", ())])
    chosen.setdefault("items", [node for node in attributes if node not in chosen["users"]])
    user_nodes, item_nodes = chosen["users"], chosen["items"]
    both = next((node for node in user_nodes if node in item_nodes), None)
    if both is not None:
        raise DataError(f"node {both!r} is in both users and items; a node has one side")
    neither = next((node for node in attributes if node not in user_nodes and node not in item_nodes), None)
    if neither is not None:
        raise DataError(f"node {neither!r} is in neither users nor items; name its side, or pass one side only")
    return list(user_nodes), list(item_nodes)


def _of_edges(edges: list[dict[str, Any]], name: str | None, role: str, optional: bool) -> list[Any] | None:
    """The values of an edge attribute, or None where no edge has it."""
    if name is None:
        return None
    have = sum(name in values for values in edges)
    if not have and optional:
        return None
    if have < len(edges):
        raise DataError(
            f"only {have:,} of {len(edges):,} edges have the attribute {name!r} for the {role}; give it to all, or "
            f"pass {role}=None"
        )
    return [values[name] for values in edges]


def to_networkx(data: Interactions) -> Any:
    """Make a bipartite graph of users and items.

    Args:
      data: the interactions.

    Returns:
      A `networkx.Graph`, or a `networkx.MultiGraph` where a user and an item have several interactions. Nodes are the
      caller's ids where no user has the id of an item, else pairs ("user", id) and ("item", id); their attributes are
      `bipartite` (0 for users, 1 for items), `id` and, for items, `title` and the item columns. Edges have `rating` and
      `timestamp` where the data do. `from_networkx` gives the same interactions back.

    >>> graph = to_networkx(Interactions.from_arrays(["ann", "bo"], [3, 4], [5, 1]))
    >>> graph.edges["ann", 3]
    {'rating': 5.0}
    """
    import networkx

    check_interactions(data)
    users, items = data.users.ids.tolist(), data.items.ids.tolist()
    shared = not set(users).isdisjoint(items)
    user_nodes = [("user", user) if shared else user for user in users]
    item_nodes = [("item", item) if shared else item for item in items]
    repeated = len(np.unique(pair_codes(data))) < len(data)
    graph = networkx.MultiGraph() if repeated else networkx.Graph()
    graph.add_nodes_from((node, {"bipartite": 0, "id": user}) for node, user in zip(user_nodes, users, strict=True))
    extra = {name: values.tolist() for name, values in data.item_columns.items()}
    if data.titles is not None:
        extra["title"] = data.titles.tolist()
    for at, (node, item) in enumerate(zip(item_nodes, items, strict=True)):
        graph.add_node(node, **{**{name: values[at] for name, values in extra.items()}, "bipartite": 1, "id": item})
    columns = {"rating": data.rating, "timestamp": data.timestamp}
    columns = {name: values.tolist() for name, values in columns.items() if values is not None}
    for at, (user, item) in enumerate(zip(data.user.tolist(), data.item.tolist(), strict=True)):
        graph.add_edge(user_nodes[user], item_nodes[item], **{name: values[at] for name, values in columns.items()})
    return graph
