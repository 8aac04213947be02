"""`auto`: tries models of a list within a stated time, and keeps the best of them or their blend."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax

from jaxrec._checks import check_kinds, number
from jaxrec._keys import one_key
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.evaluation import DEFAULT_K
from jaxrec.fitting._auto_list import CANDIDATES, Candidate, built
from jaxrec.fitting._auto_search import Search
from jaxrec.fitting._auto_table import Try
from jaxrec.fitting._compiling import compiling
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._plan import is_trained
from jaxrec.fitting._validation import Validation
from jaxrec.progress import work

CLOCK = time.monotonic


@dataclasses.dataclass(frozen=True, kw_only=True)
class Auto:
    """Try closed forms, filters, factorizations and graph models within a stated time, and keep the best or the blend.

    It is what `jaxrec fit --model auto` runs; in Python `jaxrec.auto` is the same.

    Attributes:
      seconds: for all of it: trying, blending, and fitting again what is kept. A model that is solved cannot be
        stopped, so it may take longer where one takes longer than was estimated.
      monitor: the validation metric that decides; by default recall@20.
      blend: whether the blend of the best of each kind is tried too.

    >>> Auto(seconds=60).blend
    True
    """

    seconds: float = 300.0
    monitor: str | None = None
    blend: bool = True

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        object.__setattr__(self, "seconds", number("seconds", self.seconds, 0, above=True))

    def __call__(
        self,
        split: Split,
        *,
        key: jax.Array,
        refit: Literal["fitted", "all"] | bool = True,
        on_try: Callable[[Try], None] | None = None,
        callbacks: Sequence[Any] = (),
    ) -> FittedModel:
        """The fitted model; see `jaxrec.auto`."""
        how: dict[str, Any] = {"seconds": self.seconds, "monitor": self.monitor, "blend": self.blend}
        return auto(split, **how, refit=refit, on_try=on_try, callbacks=callbacks, key=key)


def auto(
    split: Split,
    *,
    seconds: float = 300.0,
    monitor: str | None = None,
    blend: bool = True,
    refit: Literal["fitted", "all"] | bool = True,
    candidates: Sequence[Candidate] | None = None,
    on_try: Callable[[Try], None] | None = None,
    callbacks: Sequence[Any] = (),
    key: jax.Array,
) -> FittedModel:
    """Try models within a stated time on the validation part, and keep the best one or the blend.

    The list is `jaxrec.fitting.CANDIDATES`, cheapest first. Each candidate is fitted on the training part and
    measured on the validation part. One that is expected not to leave the time for its refit is skipped; trainings
    share the time that is left, and are stopped at their part of it. Then the best candidates of each kind are
    blended (`jaxrec.blend`, with weights of at least 0). Blend and best single model are compared by cross-fitting
    over two halves of the users: each half is measured with the calibrations and weights that were learnt on the
    other half, and with the single model that is the best there. So neither is measured on users that it was chosen
    on. The blend is kept unless the single model is better by more than a standard error of their paired difference
    over users: an average of models varies less than one of them. What is kept is fitted again as `fit` does. The
    test part is not read, but by `refit="all"`.

    Args:
      split: with a validation part.
      seconds: for all of it; see `Auto`.
      monitor: the validation metric that decides; None takes "recall@20", or shorter lists of a tenth of the catalog.
      blend: whether the blend is tried.
      refit: as in `jaxrec.fit`; where the time is over, the model of the training part is kept, and `info` says so.
      candidates: what is tried, in this order; None takes the list.
      on_try: told of each candidate.
      callbacks: of the trainings, see `jaxrec.protocols.Callback`.
      key: consumed.

    Returns:
      The fitted model. `info["auto"]` has the table, what was kept and why; `jaxrec.fitting.auto_table` shows it.

    Raises:
      JaxrecError: no validation part, options out of range, or no candidate that could be fitted.

    >>> import jaxrec
    >>> from jaxrec.fitting import Candidate
    >>> pairs = [(user, item) for user in range(12) for item in range(12) if (user * item) % 3]
    >>> split = jaxrec.split(jaxrec.from_arrays(*zip(*pairs)), "user_random", key=jax.random.key(0))
    >>> some = [Candidate("itemknn"), Candidate("ease", {"l2": 5.0}), Candidate("no_such_model")]
    >>> model = auto(split, seconds=60, candidates=some, key=jax.random.key(0))
    >>> [row["state"] for row in model.info["auto"]["table"]]
    ['tried', 'tried', 'skipped']
    """
    key = one_key(key)
    if not isinstance(split, Split) or not len(split.valid):
        raise JaxrecError("auto compares models on the validation part, and there is none; pass a split with valid=0.1")
    seconds = number("seconds", seconds, 0, above=True)
    # Of long lists in a small catalog all recalls are near 1.
    longest = max(min(max(DEFAULT_K), split.train.num_items // 10), 1)
    monitor = f"recall@{longest}" if monitor is None else monitor
    candidates = CANDIDATES if candidates is None else candidates
    validation = Validation(every=2, patience=5, monitor=monitor, metrics=("recall", "ndcg"), k=longest)
    fit_key, blend_key, fold_key = jax.random.split(key, 3)
    search = Search(split, validation, seconds, fold_key, blend=blend, refit=refit, clock=CLOCK)
    made = [built(candidate) for candidate in candidates]
    with work(f"auto, {seconds:g} seconds", len(candidates), unit="models"):
        for at, candidate in enumerate(candidates):
            later = sum(not isinstance(model, str) and is_trained(model) for model in made[at + 1 :])
            with compiling() as compiled, work(candidate.name, share=1):
                own_key = jax.random.fold_in(fit_key, at)
                row = search.consider(candidate, made[at], later, callbacks, compiled, key=own_key)
                row = dataclasses.replace(row, settings=candidate.described())
            search.table.append(row)
            if on_try is not None:
                on_try(row)
    if not search.kept:
        reasons = "; ".join(f"{row.model}: {row.why}" for row in search.table[:3])
        raise JaxrecError(f"no candidate could be fitted in {seconds:g} seconds ({reasons}); give it more time")
    return search.finish(blend_key)
