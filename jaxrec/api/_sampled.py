"""`evaluate_sampled`: each test item against a few random items, for comparison with papers that measured so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import jax
import numpy as np

from jaxrec.api._candidates import candidate_rule
from jaxrec.api._evaluate import Mask, measured_part
from jaxrec.data._interactions import Interactions
from jaxrec.data.splitting._parts import Split
from jaxrec.evaluation._catalog import DEFAULT_K, MAIN_METRICS
from jaxrec.evaluation._choice import Metrics
from jaxrec.evaluation._sampled import evaluate_scorer_sampled
from jaxrec.fitting._fitted import FittedModel
from jaxrec.ranking._checks import Lengths
from jaxrec.reports._report import Report


def evaluate_sampled(
    model: FittedModel,
    split: Split,
    key: jax.Array,
    *,
    sampled: int = 100,
    k: Lengths = DEFAULT_K,
    metrics: Metrics = MAIN_METRICS,
    part: Literal["test", "valid"] = "test",
    mask: Mask = "earlier",
    exclude: Iterable[Any] = (),
    exclude_for: Mapping[Any, Iterable[Any]] | Interactions | None = None,
    candidates: Iterable[Any] | None = None,
    memory_mb: int = 256,
) -> Report:
    """Rank each held-out item against `sampled` random items; it always warns, since models may be ordered wrongly.

    The negatives are drawn uniformly, with replacement, from the items that may be recommended to the user and are not
    held out; see `jaxrec.evaluation.evaluate_scorer_sampled` for the formula, ties and counts. Compare such figures
    only with others of the same number of negatives, never with those of `jaxrec.evaluate`.

    Source: Krichene and Rendle, "On Sampled Metrics for Item Recommendation", KDD 2020.

    Args:
      model: a fitted or restored model.
      split: the split that it was fitted on.
      key: consumed; models that are compared get the same one.
      sampled: how many negatives for each held-out item.
      k: lengths, at most `sampled`.
      metrics: as in `jaxrec.evaluate`, functions of hits alone.
      part, mask, exclude, exclude_for, candidates, memory_mb: as in `jaxrec.evaluate`.

    Returns:
      A report whose names say the sampling, like "recall@10 (sampled 100)".

    Raises:
      MismatchError, UnknownIdError, JaxrecError: as `jaxrec.evaluate`; also `sampled` below 1, or a k above it.

    Warns:
      SampledMetricsWarning: always.
      UserWarning: more than half of the lists have one score from first to last.

    >>> import jaxrec, warnings
    >>> data = jaxrec.from_arrays([0] * 10 + [1] * 10, [*range(10), *range(5, 15)])
    >>> split = jaxrec.split(data, "user_random", key=jax.random.key(0))
    >>> model = jaxrec.fit(jaxrec.ItemKNN(), split, key=jax.random.key(1))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", jaxrec.evaluation.SampledMetricsWarning)
    ...     report = evaluate_sampled(model, split, jax.random.key(2), sampled=4, k=2)
    >>> report.names
    ('recall@2 (sampled 4)', 'ndcg@2 (sampled 4)')
    """
    truth, seen, masked = measured_part(model, split, part, mask)
    report = evaluate_scorer_sampled(
        model.scorer,
        truth,
        key,
        seen=seen,
        sampled=sampled,
        k=k,
        metrics=metrics,
        known_users=np.diff(np.asarray(model.seen.indptr)) > 0,
        rule=candidate_rule(model, exclude, exclude_for, candidates),
        memory_mb=memory_mb,
        masked=masked,
        fitted=str(model.info.get("fitted_on", "")),
        catalogue=f"{model.num_items:,} items",
    )
    return dataclasses.replace(report, user_ids=truth.users.ids[report.users])
