"""A common space of item vectors, in which the diversity of lists of different models is comparable."""

from __future__ import annotations

import dataclasses
import functools
import hashlib

import jax
import numpy as np
from jaxtyping import Bool, Key, Shaped

from jaxrec._keys import one_key
from jaxrec.data._interactions import Interactions
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.graph import biadjacency
from jaxrec.progress import work
from jaxrec.spectral import truncated_svd
from jaxrec.types import Array

_NO_DIRECTION = 1e-5  # a row of V S this short, relative to the largest singular value, is rounding error


@dataclasses.dataclass(frozen=True, eq=False)
class ItemSpace:
    """Vectors of the items of a catalog, the same for all models in a comparison.

    Attributes:
      vectors: float32 [I, r], 0 for an item without a vector.
      known: bool [I], True for an item with a vector.
      rank: r.
      description: the origin of the vectors, for reports.
      seed: the words of the key that drew the vectors, or None.
      notes: omissions, with counts.

    Raises:
      MismatchError: arrays whose shapes do not fit each other.
      DataError: a vector that is not finite.

    >>> space = ItemSpace(np.eye(3, 2), np.array([True, True, False]), description="two genres")
    >>> space.num_items, space.rank
    (3, 2)
    """

    vectors: np.ndarray
    known: np.ndarray
    description: str = "item features of the caller"
    seed: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        vectors, known = np.array(self.vectors, np.float32), np.array(self.known)
        if vectors.ndim != 2 or known.shape != vectors.shape[:1] or known.dtype != bool:
            raise MismatchError(
                f"vectors has shape {vectors.shape} and known {known.dtype}{list(known.shape)}; "
                "expected [I, r] and bool [I]"
            )
        bad = known & ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            raise DataError(
                f"the vector of item {int(np.argmax(bad))} is not finite ({int(bad.sum()):,} such items); "
                "set known to False for items without features"
            )
        vectors[~known] = 0
        for name, array in (("vectors", vectors), ("known", known)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def num_items(self) -> int:
        """I."""
        return self.vectors.shape[0]

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the vectors."""
        digest = hashlib.blake2b(self.vectors.tobytes(), digest_size=16)
        digest.update(self.known.tobytes())
        return digest.hexdigest()

    @property
    def rank(self) -> int:
        """r, the width of the vectors."""
        return self.vectors.shape[1]


_SPACES: dict[tuple[str, int], ItemSpace] = {}  # the latest few, by the fingerprint of the training part
_MOST_SPACES = 4


def item_space(train: Interactions, key: Key[Array, ""], *, rank: int = 64) -> ItemSpace:
    r"""Make item vectors from interactions: rows of V S of a truncated SVD of the training matrix, scaled to length 1.

    .. math:: R \approx U S V^\top, \qquad x_i = (V S)_i \,/\, \lVert (V S)_i \rVert_2

    R is the binary user-item matrix. Two items with the same users have distance 0; items with nothing in common are
    sqrt(2) apart. Without scaling, the length of a row grows with the popularity of its item, and lists of popular
    items would look the most diverse.

    Items without training data have no vector. Items whose users all lie outside the first r directions (for example a
    small island of the graph) have none either: their rows are rounding errors, and scaling would turn these into
    directions. `notes` counts both.

    Args:
      train: the interactions that the models were fitted on.
      key: consumed.
      rank: r, cut to min(U, I) - 1, where U and I count users and items with data.

    Returns:
      The space, with `seed` the words of the key.

    Raises:
      JaxrecError: rank below 1, or data of fewer than two users or two items.

    >>> data = Interactions.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 2, 3])
    >>> space = item_space(data, jax.random.key(0), rank=2)
    >>> round(float(np.linalg.norm(space.vectors[0] - space.vectors[1])), 3)
    0.0
    >>> round(float(np.linalg.norm(space.vectors[0] - space.vectors[2])), 3)
    1.414
    """
    key = one_key(key)
    if rank < 1:
        raise JaxrecError(f"rank is {rank}; pass a width of at least 1")
    trained = np.bincount(train.item, minlength=train.num_items) > 0
    users, items = len(np.unique(train.user)), int(trained.sum())
    if min(users, items) < 2:
        raise JaxrecError(
            f"train has {users} users and {items} items with data; an item space needs at least two of both"
        )
    wanted, rank = rank, min(rank, min(users, items) - 1)
    seed = tuple(np.asarray(jax.random.key_data(key)).ravel().tolist())
    with work("item vectors, for distances and diversity"):
        _, s, vt = truncated_svd(biadjacency(train), rank, key)
        rows = np.asarray((vt * s[:, None]).T, np.float32)
    length = np.linalg.norm(rows, axis=1)
    known = trained & (length > _NO_DIRECTION * float(s[0]))
    vectors = np.where(known[:, None], rows / np.where(known, length, 1)[:, None], 0)

    notes = []
    if rank < wanted:
        notes.append(f"rank {wanted} cut to {rank}, for {users:,} users and {items:,} items with training data")
    if (missing := int((~trained).sum())) > 0:
        notes.append(f"{missing:,} items without training data have no vector")
    if (islands := int((trained & ~known).sum())) > 0:
        notes.append(f"{islands:,} items outside the first {rank} directions have no vector")
    description = f"rows of V S of a rank-{rank} SVD of the training matrix, scaled to length 1"
    return ItemSpace(vectors, known, description, seed, tuple(notes))


def common_space(train: Interactions, rank: int = 64) -> ItemSpace:
    """The item space in which models of one training part are compared: `item_space` with a fixed key.

    It is made once for each training part: the latest four are kept, by the fingerprint of the data.

    Args:
      train: the training part.
      rank: r, as in `item_space`.

    Raises:
      JaxrecError: see `item_space`.

    >>> common_space(Interactions.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 0, 2])).vectors.shape
    (3, 2)
    """
    name = (train.fingerprint(), rank)
    space = _SPACES.pop(name, None)
    if space is None:
        space = item_space(train, rank=rank, key=jax.random.key(0))
    _SPACES[name] = space  # the latest is the last
    while len(_SPACES) > _MOST_SPACES:
        del _SPACES[next(iter(_SPACES))]
    return space


def feature_space(
    features: Shaped[Array, "I f"],
    *,
    known: Bool[np.ndarray, " I"] | None = None,
    description: str = "item features of the caller",
) -> ItemSpace:
    """Make an item space of given features, unscaled.

    Args:
      features: numbers [I, r], for example one column per genre.
      known: bool [I], the items that have features; all by default.
      description: the origin of the features, for reports.

    Raises:
      MismatchError: `features` is not [I, r], or `known` is not bool [I].
      DataError: a feature of a known item that is not finite.

    >>> feature_space(np.eye(4)).rank
    4

    Categories are such features, with a 1 for each category of an item. The distance of two sets of categories can be a
    function of your own, passed to the evaluator as `distance`; here it is the Jaccard distance:

    >>> import jax.numpy as jnp
    >>> from jaxrec.metrics import intra_list_distance
    >>> categories = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]])
    >>> space = feature_space(categories, known=categories.any(axis=1), description="sets of genres")
    >>> def jaccard(x, y):
    ...     either = jnp.sum(jnp.maximum(x, y))
    ...     return 1 - jnp.sum(jnp.minimum(x, y)) / jnp.where(either > 0, either, 1)
    >>> listed = jnp.array([0, 1, 2, 3])  # distances 1/2, 1 and 1; the last item has no category
    >>> round(float(intra_list_distance(jnp.array(space.vectors)[listed], space.known[listed], distance=jaccard)), 4)
    0.8333
    """
    array = np.asarray(features)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise MismatchError(f"features has shape {array.shape} and dtype {array.dtype}; pass numbers [I, f]")
    known = np.ones(len(array), bool) if known is None else np.asarray(known)
    return ItemSpace(array.astype(np.float32), known, description)
