"""The two sides of a blend: its members' sides, one after another, where the calibrations are linear for each user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxrec.blending import BlendScorer
from jaxrec.errors import JaxrecError
from jaxrec.serving._sides import Sides, sides

_TILE = 256  # users whose slopes are computed at a time


def blend_sides(scorer: BlendScorer) -> Sides:
    """Take a blend apart: score(u, i) = sum over members of w_m a_mu s_m(u, i) + b_u.

    With vectors alone they are joined, otherwise the rows of all members are: a vector is a weighted sum of the rows of
    the items' vectors, transposed. The last column or row is 1, and stands for b_u.

    Args:
      scorer: of the blend.

    Raises:
      JaxrecError: a calibration that is not linear in the scores of a user, or a member that cannot be exported.

    >>> import jax.numpy as jnp
    >>> from jaxrec.blending import LogSoftmax
    >>> from jaxrec.data import SeenItems
    >>> from jaxrec.scorers import FactorScorer
    >>> member = FactorScorer(jnp.array([[3.0]]), jnp.array([[1.0], [1.0]]), dim=1)
    >>> seen = SeenItems(jnp.array([0, 1]), jnp.array([0]))
    >>> made = blend_sides(BlendScorer((member,), (LogSoftmax(),), jnp.array([2.0]), seen, longest=1))
    >>> made.users["vectors"].tolist(), made.items["vectors"].tolist()  # 6 - 6: log 1 for the only item to be shown
    ([[6.0, -6.0]], [[1.0, 1.0], [1.0, 1.0]])
    """
    parts = []
    for at, (member, calibration) in enumerate(zip(scorer.members, scorer.calibrations, strict=True)):
        if jax.eval_shape(calibration.slope, *_shapes(scorer)) is None:
            raise JaxrecError(
                f"member {at + 1} of the blend is calibrated by {type(calibration).__name__}, which no program of an "
                'artifact computes; blend with calibration="softmax" or "zscore" to export'
            )
        try:
            parts.append(sides(member))
        except JaxrecError as error:
            raise JaxrecError(f"member {at + 1} of the blend cannot be exported: {error}") from None
    slopes, constants = _slopes(scorer)
    if all(part.program == "vectors" for part in parts):
        users = [slope * part.users["vectors"] for slope, part in zip(slopes, parts, strict=True)]
        items = [part.items["vectors"] for part in parts]
        ones = np.ones((scorer.num_items, 1), np.float32)
        return Sides(
            "vectors",
            {"vectors": np.concatenate([*users, constants], axis=1)},
            {"vectors": np.concatenate([*items, ones], axis=1)},
        )
    users = _joined_rows(parts, slopes, constants, scorer.num_items)
    if all(part.program == "sparse_rows" for part in parts):
        return Sides("sparse_rows", users, _joined_sparse(parts, scorer.num_items))
    ones = np.ones((1, scorer.num_items), np.float32)
    return Sides("dense_rows", users, {"values": np.concatenate([*(_dense(part, scorer) for part in parts), ones])})


def _shapes(scorer: BlendScorer, users: int = 2) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    size = (users, scorer.num_items)
    return jax.ShapeDtypeStruct(size, np.float32), jax.ShapeDtypeStruct(size, bool)


def _slopes(scorer: BlendScorer) -> tuple[list[np.ndarray], np.ndarray]:
    """w_m a_mu of each member, and b_u; each [U, 1]."""

    @jax.jit
    def of_tile(scorer: BlendScorer, users: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        where, slopes, linear = scorer.unseen(users), [], 0.0
        for at, (member, calibration) in enumerate(zip(scorer.members, scorer.calibrations, strict=True)):
            scores = member.scores(users)
            slopes.append(scorer.weights[at] * calibration.slope(scores, where))
            linear = linear + slopes[-1] * scores
        return slopes, (scorer.scores(users) - linear).mean(axis=1, keepdims=True)

    total = scorer.num_users
    found = []
    for start in range(0, total, _TILE):
        users = np.arange(start, start + _TILE, dtype=np.int32)
        found.append(jax.device_get(of_tile(scorer, np.minimum(users, total - 1))))
    slopes = [np.concatenate(one)[:total] for one in zip(*(tile[0] for tile in found), strict=True)]
    return slopes, np.concatenate([tile[1] for tile in found])[:total]


def _height(part: Sides) -> int:
    """How many rows a member has."""
    if part.program == "vectors":
        return part.items["vectors"].shape[1]
    return len(part.items["indptr"]) - 1 if "indptr" in part.items else len(part.items["values"])


def _joined_rows(
    parts: Sequence[Sides], slopes: Sequence[np.ndarray], constants: np.ndarray, num_items: int
) -> dict[str, np.ndarray]:
    """The rows of each user among those of all members, and their weights."""
    num_users, first = len(constants), 0
    owners, rows, weights = [], [], []
    for part, slope in zip(parts, slopes, strict=True):
        if part.program == "vectors":
            vectors = part.users["vectors"]
            owner = np.repeat(np.arange(num_users), vectors.shape[1])
            row, weight = np.tile(np.arange(vectors.shape[1]), num_users), vectors.ravel()
        else:
            owner = np.repeat(np.arange(num_users), np.diff(part.users["rows_indptr"]))
            row = part.users["rows"][: len(owner)]
            weight = part.users.get("weights", np.ones(len(owner), np.float32))[: len(owner)]
        owners.append(owner)
        rows.append(first + row)
        weights.append(weight * slope[owner, 0])
        first += _height(part)
    owners.append(np.arange(num_users))
    rows.append(np.full(num_users, first))
    weights.append(constants[:, 0])
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=num_users))])
    return {
        "rows_indptr": ends.astype(np.int32),
        "rows": np.concatenate(rows)[order].astype(np.int32),
        "weights": np.concatenate(weights)[order].astype(np.float32),
    }


def _joined_sparse(parts: Sequence[Sides], num_items: int) -> dict[str, np.ndarray]:
    """The sparse matrices one under another, and the row of ones."""
    lengths = [*(np.diff(part.items["indptr"]) for part in parts), [num_items]]
    values = [*(part.items["values"] for part in parts), np.ones(num_items, np.float32)]
    columns = [*(part.items["columns"] for part in parts), np.arange(num_items, dtype=np.int32)]
    ends = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int32)
    return {"values": np.concatenate(values), "columns": np.concatenate(columns), "indptr": ends}


def _dense(part: Sides, scorer: Any) -> np.ndarray:
    """The rows of a member, dense."""
    if part.program == "vectors":
        return part.items["vectors"].T
    if "indptr" not in part.items:
        return part.items["values"]
    indptr = part.items["indptr"]
    out = np.zeros((len(indptr) - 1, scorer.num_items), np.float32)
    np.add.at(out, (np.repeat(np.arange(len(out)), np.diff(indptr)), part.items["columns"]), part.items["values"])
    return out
