"""Candidate rules by item index: global exclusions, per-user exclusions, and an allow-list, besides the seen items."""

from __future__ import annotations

import dataclasses

import numpy as np

from jaxrec.data._pairs import is_among, pairs_of, union_of
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.ranking._checks import allowed_mask, check_seen


@dataclasses.dataclass(frozen=True, eq=False)
class CandidateRule:
    """Restrict the items that may be recommended, by item index.

    A rule changes the lists, never the relevant items: a test item that it excludes stays in the denominator of every
    metric, and is counted.

    Attributes:
      exclude: int32 [n], items excluded for all users; None for none.
      exclude_for: items excluded for each of the U users; None for none.
      candidates: int32 [n], the allow-list; None for the whole catalog.

    >>> CandidateRule(exclude=np.array([2])).allowed(4).tolist()
    [True, True, False, True]
    """

    exclude: np.ndarray | None = None
    exclude_for: SeenItems | None = None
    candidates: np.ndarray | None = None

    def check(self, num_users: int, num_items: int) -> None:
        """Check that the rule fits these users and items, and leaves at least one item.

        Raises:
          DataError: an item index out of range.
          MismatchError: `exclude_for` belongs to other users or items.
          JaxrecError: no item is left.

        >>> CandidateRule(candidates=np.array([0]), exclude=np.array([0])).check(num_users=1, num_items=2)
        Traceback (most recent call last):
            ...
        jaxrec.errors.JaxrecError: candidates and exclude leave no item that could be recommended; name at least one
        """
        check_seen(self.exclude_for, num_users, num_items)
        if not self.allowed(num_items).any():
            raise JaxrecError("candidates and exclude leave no item that could be recommended; name at least one")

    def allowed(self, num_items: int) -> np.ndarray:
        """Compute the mask bool [I] of the items that may be recommended to some user.

        Raises:
          DataError: an item index out of range.

        >>> CandidateRule(exclude=np.array([1]), candidates=np.array([0, 1])).allowed(3)
        array([ True, False, False])
        """
        return allowed_mask(num_items, self.exclude, self.candidates, ("exclude", "candidates"))

    def with_seen(self, seen: SeenItems, num_items: int) -> SeenItems:
        """Join the seen items of each user with those of `exclude_for`.

        >>> seen = SeenItems(np.array([0, 1]), np.array([2]))
        >>> CandidateRule(exclude_for=SeenItems(np.array([0, 1]), np.array([0]))).with_seen(seen, 3).items
        array([0, 2], dtype=int32)
        """
        return seen if self.exclude_for is None else union_of(seen, self.exclude_for, num_items=num_items)

    def counts(self, relevant: SeenItems, num_items: int) -> dict[str, int | float]:
        """Count the test pairs that each part of the rule excludes; a pair may be in several counts.

        Args:
          relevant: the test items of each user.
          num_items: I.

        Returns:
          `test_pairs_excluded` (by `exclude` or `exclude_for`), and with candidates `test_pairs_not_candidates` and
          `candidate_items` (the number of allowed items). Parts that are not set have no entry.

        >>> CandidateRule(candidates=np.array([0])).counts(SeenItems(np.array([0, 2]), np.array([0, 1])), 2)
        {'test_pairs_not_candidates': 1, 'candidate_items': 1}
        """
        items, counts = np.asarray(relevant.items), {}
        if self.exclude is not None or self.exclude_for is not None:
            excluded = np.zeros(len(items), bool)
            if self.exclude is not None:
                excluded |= np.isin(items, self.exclude)
            if self.exclude_for is not None:
                excluded |= is_among(pairs_of(relevant, num_items), pairs_of(self.exclude_for, num_items))
            counts["test_pairs_excluded"] = int(excluded.sum())
        if self.candidates is not None:
            counts["test_pairs_not_candidates"] = int((~np.isin(items, self.candidates)).sum())
            counts["candidate_items"] = int(self.allowed(num_items).sum())
        return counts

    def masked(self, masked: str) -> str:
        """Describe the masked items, given the description of the seen ones.

        >>> CandidateRule(exclude_for=SeenItems(np.array([0, 1]), np.array([0]))).masked("train")
        'train, and 1 pairs of the caller'
        """
        if self.exclude_for is None:
            return masked
        return ", and ".join(part for part in (masked, f"{len(self.exclude_for.items):,} pairs of the caller") if part)

    def catalogue(self, catalogue: str) -> str:
        """Describe the allowed items, given the description of the whole catalog.

        >>> CandidateRule(candidates=np.array([0, 2])).catalogue("5 items")
        '2 candidates of 5 items'
        """
        if self.candidates is not None:
            catalogue = f"{len(np.unique(self.candidates)):,} candidates of {catalogue}"
        if self.exclude is not None:
            catalogue += f", without {len(np.unique(self.exclude)):,} excluded"
        return catalogue
