"""What a ranking is asked for, checked at the door: lengths of lists, seen items, rules of items, and scorers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxrec.data._interactions import check_index
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.types import Scorer

Lengths = int | Sequence[int] | np.ndarray
"""One length of lists, or several."""


def check_k(k: Lengths, num_items: int) -> tuple[int, ...]:
    """The lengths of lists that are meant, ascending and each once.

    Args:
      k: a whole number, or several in a sequence or an array.
      num_items: I.

    Raises:
      JaxrecError: no length, or one that is not whole or lies outside 1..I.

    >>> check_k(np.array([20, 10, 10]), 100)
    (10, 20)
    """
    several = isinstance(k, (Iterable, np.ndarray)) and not isinstance(k, (str, bytes)) and np.ndim(k) > 0
    lengths: tuple[Any, ...] = tuple(k) if several else (k,)  # pyright: ignore[reportArgumentType]
    if not lengths:
        raise JaxrecError("k is empty; pass at least one length, for example (10, 20)")
    for one in lengths:
        check_list_length(one, num_items)
    return tuple(sorted({int(one) for one in lengths}))


def check_list_length(k: object, num_items: int) -> None:
    """Check one length of lists.

    Raises:
      JaxrecError: it is not whole or lies outside 1..I.

    >>> check_list_length(10, 100)
    """
    whole = isinstance(k, (int, np.integer)) or (isinstance(k, np.ndarray) and k.ndim == 0 and k.dtype.kind in "iu")
    if isinstance(k, bool) or not whole or k < 1:  # pyright: ignore[reportOperatorIssue]
        raise JaxrecError(f"k is {k}; pass a whole number of at least 1")
    if k > num_items:  # pyright: ignore[reportOperatorIssue]
        raise JaxrecError(f"k is {k}, but the catalog has only {num_items:,} items; pass k <= {num_items}")


def check_seen(seen: SeenItems | None, num_users: int, num_items: int) -> None:
    """Check that the seen items belong to the users and items of the scorer.

    Raises:
      MismatchError: they do not.

    >>> check_seen(SeenItems(np.array([0, 1]), np.array([4])), num_users=2, num_items=9)
    Traceback (most recent call last):
        ...
    jaxrec.errors.MismatchError: seen has 1 users and the scorer 2; take both from one split
    """
    if seen is None:
        return
    if not hasattr(seen, "indptr"):
        raise MismatchError(
            f"seen is of type {type(seen).__name__}; pass SeenItems, which "
            "jaxrec.data.seen_items(split.fitted) makes of Interactions"
        )
    if seen.num_users != num_users:
        raise MismatchError(f"seen has {seen.num_users:,} users and the scorer {num_users:,}; take both from one split")
    if len(seen.items) and int(np.max(seen.items)) >= num_items:
        raise MismatchError(
            f"seen names item {int(np.max(seen.items))}, but the scorer has {num_items:,} items; "
            "take both from one split"
        )


def allowed_items(num_items: int, exclude: npt.ArrayLike | None, candidates: npt.ArrayLike | None) -> jax.Array | None:
    """Compute the mask bool [I] of the items that may be recommended, or None if all may.

    >>> allowed_items(3, exclude=[0], candidates=None).tolist()
    [False, True, True]
    """
    if exclude is None and candidates is None:
        return None
    allowed = allowed_mask(num_items, exclude, candidates)
    if not allowed.any():
        raise JaxrecError("candidates and exclude leave no item that could be recommended; name at least one candidate")
    return jnp.asarray(allowed)


def allowed_mask(
    num_items: int,
    exclude: npt.ArrayLike | None,
    candidates: npt.ArrayLike | None,
    names: tuple[str, str] = ("item", "item"),
) -> np.ndarray:
    """Compute the mask bool [I] of the items that may be recommended.

    Args:
      num_items: I.
      exclude, candidates: item indices; None for no such rule.
      names: what messages call an index of the two.

    Raises:
      DataError: an item index out of range.

    >>> allowed_mask(3, exclude=[1], candidates=[0, 1])
    array([ True, False, False])
    """
    allowed = np.full(num_items, candidates is None)
    if candidates is not None:
        allowed[check_index(candidates, num_items, names[1])] = True
    if exclude is not None:
        allowed[check_index(exclude, num_items, names[0])] = False
    return allowed


def on_device(scorer: Scorer, tile: int, num_items: int) -> Scorer:
    """The scorer with JAX's arrays, once it can be an argument of a compiled program and returns float32 [tile, I].

    Raises:
      MismatchError: it is not a pytree, or returns something else.

    >>> from jaxrec.scorers import TableScorer
    >>> on_device(TableScorer(jnp.zeros((2, 3))), 2, 4)
    Traceback (most recent call last):
        ...
    jaxrec.errors.MismatchError: scorer gives float32[2, 3] for 2 users, expected float32[2, 4]; ...
    """
    check_scores(scorer, tile, num_items)
    return jax.tree.map(lambda leaf: jax.device_put(leaf) if isinstance(leaf, np.ndarray) else leaf, scorer)


def check_scores(scorer: Scorer, tile: int, num_items: int) -> None:
    """Refuse what is no pytree, or returns something else than float32 [tile, I]; nothing is computed or moved.

    Raises:
      MismatchError: it is such a thing.

    >>> from jaxrec.scorers import TableScorer
    >>> check_scores(TableScorer(jnp.zeros((2, 3))), 2, 3)
    """
    if any(leaf is scorer for leaf in jax.tree.leaves(scorer)):
        raise MismatchError(
            f"scorer {type(scorer).__name__} is no pytree, so it cannot be passed to a compiled program; register its "
            "class with jaxrec.pytrees.register"
        )
    out: Any = jax.eval_shape(
        lambda scorer, users: scorer.scores(users), scorer, jax.ShapeDtypeStruct((tile,), np.int32)
    )
    if getattr(out, "shape", None) != (tile, num_items) or out.dtype != np.float32:
        told = f"{out.dtype}{list(out.shape)}" if hasattr(out, "shape") else type(out).__name__
        raise MismatchError(
            f"scorer gives {told} for {tile} users, expected float32[{tile}, {num_items}]; "
            "return one float32 score for each item, and keep num_items true to it"
        )


def check_finite(users: np.ndarray, bad: np.ndarray) -> None:
    """Refuse scores that cannot be ranked.

    Args:
      users: int32 [n].
      bad: bool [n], True if a score of the user is NaN or +inf.

    Raises:
      JaxrecError: a score is NaN or +inf.

    >>> check_finite(np.array([3]), np.array([True]))
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: the scores of user 3 hold NaN or +inf, which cannot be ranked; ...
    """
    if bad.any():
        whose = f"user {users[np.argmax(bad)]}" + (f" and {bad.sum() - 1:,} more" if bad.sum() > 1 else "")
        raise JaxrecError(
            f"the scores of {whose} hold NaN or +inf, which cannot be ranked; check that training stayed finite "
            "(-inf is allowed: never recommend)"
        )
