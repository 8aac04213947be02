"""Warm starts: parameters that begin with the rows that another fitted model has for the same users and items."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data._ids import IdMap
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._plan import is_trained
from jaxrec.models._base import initial_params, shapes_of
from jaxrec.parallel._placed import sides_of
from jaxrec.training import TrainData

_SIZES = ("num_users", "num_items", "parent", "name", "mean")  # of a model; the mean is taken from the data


@dataclasses.dataclass(frozen=True, eq=False)
class WarmStart:
    """Rows to copy into the initial parameters of a model.

    Attributes:
      params: of the model that is started from.
      user_rows: int32 [U], the row of each user there, -1 for a new one.
      item_rows: int32 [I], likewise.
      axes: for each parameter, the name of what its rows are of: "users", "items", "nodes" (users first), or "".
      old_users: the number of users there.
      told: what `info` keeps: the model, and counts of known and of new users and items.
    """

    params: Any
    user_rows: np.ndarray
    item_rows: np.ndarray
    axes: Any
    old_users: int
    told: Mapping[str, Any]

    def rows_into(self, params: Any) -> Any:
        """The parameters, with the rows of users and items that are known there; the others stay as drawn."""
        nodes = np.where(self.item_rows < 0, -1, self.item_rows + self.old_users)
        rows = {"users": self.user_rows, "items": self.item_rows, "nodes": np.concatenate([self.user_rows, nodes])}

        def copied(drawn: jax.Array, known: jax.Array, axis: str) -> jax.Array:
            if not axis:
                return jnp.asarray(known, drawn.dtype)
            which = rows[axis].reshape(-1, *[1] * (drawn.ndim - 1))
            return jnp.where(which >= 0, jnp.asarray(known, drawn.dtype)[np.maximum(rows[axis], 0)], drawn)

        return jax.tree.map(copied, params, self.params, self.axes)


def warm_start(init: Any, model: Any, split: Split) -> WarmStart:
    """Check that a model can start from a fitted one, and match their users and items by id.

    Args:
      init: the fitted model to start from.
      model: that is to be trained, with its sizes set.
      split: the data that it is to be trained on.

    Raises:
      JaxrecError: no fitted model, a model that is solved, or no user and no item in common.
      MismatchError: a model of another kind, or parameters of other shapes.

    >>> import jaxrec
    >>> old = jaxrec.fit(jaxrec.MF(dim=2), jaxrec.from_arrays(["u", "v"], ["a", "b"]), epochs=1, key=jax.random.key(0))
    >>> grown = jaxrec.from_arrays(["u", "v", "w"], ["a", "b", "c"])
    >>> new = jaxrec.fit(jaxrec.MF(dim=2), grown, epochs=1, init=old, key=jax.random.key(1))
    >>> new.info["warm_start"]["known"], new.info["warm_start"]["new"]
    ({'users': 2, 'items': 2}, {'users': 1, 'items': 1})
    """
    if not isinstance(init, FittedModel):
        raise JaxrecError(f"init is of type {type(init).__name__}; pass a model that jaxrec.fit or restore gave")
    name = type(model).__name__
    if not is_trained(model):
        raise JaxrecError(f"init is given, and {name} is solved, so a start has no effect; leave it out")
    if type(init.model) is not type(model):
        raise MismatchError(f"init is {type(init.model).__name__} and the model {name}; start from one of its own kind")
    params = init.variables["params"]
    axes = _axes(model)
    _check_shapes(params, model, (init.num_users, init.num_items))
    rows = {"users": _rows(init.users, split.train.users), "items": _rows(init.items, split.train.items)}
    known = {side: int((found >= 0).sum()) for side, found in rows.items()}
    if not any(known.values()):
        first = init.users.ids[:1].tolist(), split.train.users.ids[:1].tolist()
        raise JaxrecError(
            f"init knows none of these users and items (its first user is {first[0][0]!r}, here {first[1][0]!r}); "
            "start from a model of the same ids, or leave init out"
        )
    new = {side: len(found) - known[side] for side, found in rows.items()}
    told = {"model": init.name, "known": known, "new": new, "notes": _notes(init, model, known, new, rows, split)}
    return WarmStart(params, rows["users"], rows["items"], axes, init.num_users, told)


def first_params(model: Any, data: TrainData, key: jax.Array, start: WarmStart | None) -> Any:
    """The parameters before the first step: drawn, made of the data where the model says so, and those of a start.

    Args:
      model: with its sizes set.
      data: what is trained on.
      key: consumed.
      start: or None.

    >>> import jaxrec
    >>> from jaxrec.training import train_data
    >>> data = train_data(jaxrec.from_arrays([0, 1], [0, 1]))
    >>> model = jaxrec.MF(dim=2, num_users=2, num_items=2)
    >>> first_params(model, data, jax.random.key(0), None)["user_embedding"].shape
    (2, 2)
    """
    params = initial_params(model, data, key)
    return params if start is None else start.rows_into(params)


def _rows(old: IdMap, new: IdMap) -> np.ndarray:
    """The row of each new id among the old ones, -1 where it is not there."""
    return np.array([old.find(value) for value in new.ids.tolist()], np.int32).reshape(-1)


def _axes(model: Any) -> Any:
    """What the rows of each parameter are of, found by which sizes make it grow."""
    users, items = model.num_users, model.num_items
    sides = sides_of(functools.partial(shapes_of, model), users, items)
    structure = jax.tree.structure(shapes_of(model, users, items))
    return jax.tree.unflatten(structure, [each[0] if each else "" for each in sides])


def _check_shapes(params: Any, model: Any, sizes: tuple[int, int]) -> None:
    """Refuse parameters that differ from the model's in more than the numbers of users and items."""

    def flat(tree: Any) -> dict[str, tuple[int, ...]]:
        return {jax.tree_util.keystr(path, simple=True): leaf.shape for path, leaf in jax.tree.leaves_with_path(tree)}

    # With the sizes of the old data, what is left to differ are widths and names.
    mine, theirs = flat(shapes_of(model, *sizes)), flat(params)
    for path in sorted({*mine, *theirs}):
        if mine.get(path) != theirs.get(path):
            raise MismatchError(
                f"init has {theirs.get(path, 'no')} for the parameter {path} and the model needs "
                f"{mine.get(path, 'none')}; give the model the options of init, or leave init out"
            )


def _notes(
    init: FittedModel,
    model: Any,
    known: Mapping[str, int],
    new: Mapping[str, int],
    rows: Mapping[str, np.ndarray],
    split: Split,
) -> list[str]:
    """What a caller should know of the start."""
    counts = " and ".join(f"{known[side]:,} of {known[side] + new[side]:,} {side}" for side in ("users", "items"))
    notes = [f"warm start from {init.name}: the rows of {counts} were copied, the others drawn"]
    fields = [field.name for field in dataclasses.fields(model) if field.init and field.name not in _SIZES]
    changed = [name for name in fields if getattr(model, name) != getattr(init.model, name)]
    if changed:
        given = ", ".join(f"{name} {getattr(init.model, name)} there, {getattr(model, name)} here" for name in changed)
        notes.append(f"warm start from other options: {given}")
    seen = init.seen
    user = np.repeat(np.arange(seen.num_users), np.diff(seen.indptr))
    codes = np.sort(user.astype(np.int64) * init.num_items + np.asarray(seen.items))
    for part_name in ("valid", "test"):
        part = getattr(split, part_name)
        old_user, old_item = rows["users"][part.user], rows["items"][part.item]
        both = (old_user >= 0) & (old_item >= 0)
        pairs = old_user[both].astype(np.int64) * init.num_items + old_item[both]
        leaked = int(np.isin(pairs, codes).sum())
        if leaked:
            notes.append(
                f"warm start: the model that it starts from was fitted on {leaked:,} of the {len(part):,} "
                f"{part_name} interactions, so figures on that part are too good"
            )
    return notes
