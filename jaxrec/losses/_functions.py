"""Losses as pure functions: pairwise, pointwise and softmax, and the L2 term on the embeddings of a batch.

Every loss is a weighted mean over the batch, sum(w l) / sum(w) over the places where `where` is true. It is 0, with a
gradient of 0, when there is none.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Bool, Float, Integer

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.losses._means import check_positive, counted, masked_mean, reciprocal, same_shape
from jaxrec.types import Array
from jaxrec.vectors import unit


def bpr(
    positive: Float[Array, " B"],
    negative: Float[Array, " B *M"],
    *,
    weights: Float[Array, " B"] | None = None,
    where: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    """Bayesian personalised ranking: the mean of -log sigmoid(positive - negative).

    Args:
      positive: [B], the scores of items that the users have.
      negative: [B] or [B, M], the scores of items that they do not have; M of them are averaged for each positive.
      weights: [B], not negative, or None for ones.
      where: bool [B], the places that count, or None for all.

    Returns:
      A scalar.

    Raises:
      MismatchError: shapes that do not fit each other.

    Source: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.

    >>> print(f"{bpr(jnp.array([2.0]), jnp.array([2.0])):.4f}")  # log 2
    0.6931
    """
    if positive.ndim != 1 or negative.shape[:1] != positive.shape or negative.ndim > 2:
        raise MismatchError(
            f"positive must have shape (B,) and negative (B,) or (B, M), got {positive.shape} and {negative.shape}"
        )
    positive, negative = counted(positive, where), counted(negative, where)
    if negative.ndim == 1:
        negative = negative[:, None]
    each = jnp.mean(jax.nn.softplus(negative - positive[:, None]), axis=1)
    return masked_mean(each, weights, where)


def mse(
    prediction: Float[Array, " B *M"],
    target: Float[Array, " B *M"],
    *,
    weights: Float[Array, " B *M"] | None = None,
    where: Bool[Array, " B *M"] | None = None,
) -> Float[Array, ""]:
    """The mean of (prediction - target)^2.

    Args:
      prediction: [B], or [B, M] with M values for each row; every other array has the same shape.
      target: [B], for example ratings.
      weights: [B], not negative, or None for ones.
      where: bool [B], the places that count, or None for all.

    Returns:
      A scalar.

    Raises:
      MismatchError: shapes that do not fit each other.

    >>> mse(jnp.array([1.0, 3.0]), jnp.array([2.0, 3.0])).item()
    0.5
    """
    same_shape(prediction, target, "target")
    prediction, target = counted(prediction, where), counted(target, where)
    return masked_mean(jnp.square(prediction - target), weights, where)


def logistic(
    scores: Float[Array, " B *M"],
    labels: Float[Array, " B *M"],
    *,
    weights: Float[Array, " B *M"] | None = None,
    where: Bool[Array, " B *M"] | None = None,
) -> Float[Array, ""]:
    """Binary cross-entropy: the mean of softplus(s) - y s.

    Args:
      scores: [B], the log-odds s; or [B, M] with M items for each row, and every other array of the same shape.
      labels: [B], y in [0, 1], of the dtype of the scores.
      weights: [B], not negative, or None for ones.
      where: bool [B], the places that count, or None for all.

    Returns:
      A scalar.

    Raises:
      MismatchError: shapes that do not fit each other.

    >>> print(f"{logistic(jnp.array([0.0]), jnp.array([1.0])):.4f}")  # log 2
    0.6931
    """
    same_shape(scores, labels, "labels")
    scores, labels = counted(scores, where), counted(labels, where)
    return masked_mean(jax.nn.softplus(scores) - labels * scores, weights, where)


def nll(
    log_probabilities: Float[Array, "B C"],
    targets: Integer[Array, " B"],
    *,
    weights: Float[Array, " B"] | None = None,
    where: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    """Negative log likelihood of classes: the mean of -log p[target].

    Args:
      log_probabilities: [B, C], for example a log-softmax.
      targets: whole numbers [B], the class of each row, in 0..C-1.
      weights: [B], not negative, or None for ones.
      where: bool [B], the rows that count, or None for all; the targets of the others may be anything.

    Returns:
      A scalar. Targets that are traced cannot be checked: one outside the classes makes it NaN.

    Raises:
      MismatchError: shapes that do not fit each other.
      JaxrecError: targets that are no whole numbers, or lie outside the classes.

    >>> print(f"{nll(jnp.log(jnp.array([[0.25, 0.75]])), jnp.array([1])):.4f}")  # -log 0.75
    0.2877
    """
    if log_probabilities.ndim != 2 or targets.shape != log_probabilities.shape[:1]:
        raise MismatchError(
            f"log_probabilities must have shape (B, C) and targets (B,), got {log_probabilities.shape} and "
            f"{targets.shape}"
        )
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise JaxrecError(f"targets must be whole numbers, the classes of the rows; got {targets.dtype}")
    classes = log_probabilities.shape[1]
    if where is not None:
        same_shape(targets, where, "where")
    log_probabilities = counted(log_probabilities, where)
    if not isinstance(targets, Tracer) and not isinstance(where, Tracer):
        shown = np.asarray(targets)
        outside = ((shown < 0) | (shown >= classes)) & (True if where is None else np.asarray(where))
        if outside.any():
            row = int(np.argmax(outside))
            raise JaxrecError(
                f"targets[{row}] is {shown[row]}, outside the classes 0..{classes - 1}; mask rows without a label with "
                "where"
            )
    targets = counted(targets, where)
    # A negative index would count from the end; one past the end takes the fill value, which is NaN.
    targets = jnp.where(targets < 0, classes, targets)
    each = -jnp.take_along_axis(log_probabilities, targets[:, None], axis=1, mode="fill")[:, 0]
    return masked_mean(each, weights, where)


def softmax(
    positive: Float[Array, " B"],
    negative: Float[Array, "B M"],
    *,
    temperature: float | Float[Array, ""] = 1.0,
    negative_where: Bool[Array, "B M"] | None = None,
    log_probability: Float[Array, "B M"] | None = None,
    weights: Float[Array, " B"] | None = None,
    where: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    """Softmax cross-entropy of one positive against its negatives, scores divided by a temperature t.

    The mean of -log(exp(p / t) / (exp(p / t) + sum over m of exp(n_m / t))), or of exp(n_m / t) / (M q_m) with the
    probabilities q of M drawn negatives: an estimate without bias of the sum over all items that could be drawn.

    Args:
      positive: [B], the scores of items that the users have.
      negative: [B, M], the scores of the negatives: sampled ones, or the other rows' items.
      temperature: t, positive.
      negative_where: bool [B, M], the negatives that count, or None for all.
      log_probability: [B, M], log q of each negative, or None for no correction.
      weights: [B], not negative, or None for ones.
      where: bool [B], the places that count, or None for all.

    Returns:
      A scalar.

    Raises:
      MismatchError: shapes that do not fit each other.
      JaxrecError: a temperature that is not positive.

    Source: Wu et al., On the Effectiveness of Sampled Softmax Loss for Item Recommendation, TOIS 42(4), 2024; Bengio
    and Senecal, IEEE Transactions on Neural Networks 19(4), 2008, for the correction.

    >>> print(f"{softmax(jnp.array([0.0]), jnp.array([[0.0, 0.0]])):.4f}")  # log 3
    1.0986
    """
    check_positive(temperature)
    if positive.ndim != 1 or negative.ndim != 2 or negative.shape[:1] != positive.shape:
        raise MismatchError(
            f"positive must have shape (B,) and negative (B, M), got {positive.shape} and {negative.shape}"
        )
    positive, negative = counted(positive, where), counted(negative, where)
    scale = reciprocal(temperature, negative.dtype)
    negative = negative * scale
    if log_probability is not None:
        same_shape(negative, log_probability, "log_probability")
        negative = negative - counted(log_probability, where) - math.log(max(negative.shape[1], 1))
    if negative_where is not None:
        same_shape(negative, negative_where, "negative_where")
        negative = jnp.where(negative_where, negative, -jnp.inf)
    logits = jnp.concatenate([positive[:, None] * scale, negative], axis=1)
    return masked_mean(jax.nn.logsumexp(logits, axis=1) - logits[:, 0], weights, where)


def in_batch_softmax(
    users: Float[Array, "B d"],
    items: Float[Array, "B d"],
    *,
    temperature: float | Float[Array, ""] = 0.12,
    cosine: bool = True,
    groups: int = 1,
    log_probability: Float[Array, " B"] | None = None,
    mask: Bool[Array, "B n"] | None = None,
    weights: Float[Array, " B"] | None = None,
    where: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    """Softmax cross-entropy in which the other rows' items are the negatives of each row.

    Row b has logits z_bc = sim(users_b, items_c) / t - log q_c, and the loss is the mean of logsumexp_c z_bc - z_bb.
    Items come into a batch as often as they are popular. Without the correction by log q popular items are pushed down,
    which helps on some data (Gowalla) and falls to the level of popularity on others (MovieLens).

    Args:
      users: [B, d], the embeddings of the users of B positives.
      items: [B, d], the embeddings of their items.
      temperature: t, positive.
      cosine: whether sim is the cosine, or the inner product.
      groups: G, a divisor of B: the batch is cut into G runs of B / G rows, and a row has the items of its own run as
        negatives only. The cost and the memory of the logits, B x B / G, fall with it.
      log_probability: [B], log q of each item to be in the batch, or None for no correction.
      mask: bool [B, B / G], true where the item at place c of the row's run is a negative; use it to leave out
        accidental hits. A row's own item always counts. None for all.
      weights: [B], not negative, or None for ones.
      where: bool [B], the rows that count, as positives and as negatives; or None for all.

    Returns:
      A scalar.

    Raises:
      MismatchError: shapes that do not fit each other.
      JaxrecError: a temperature that is not positive, or groups of unequal size.

    Source: Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations, RecSys 2019,
    equation 5 for the correction; Wu et al., TOIS 42(4), 2024, for the cosine and the temperature.

    >>> users = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> print(f"{in_batch_softmax(users, users, temperature=1.0):.4f}")  # log(1 + 1/e)
    0.3133
    """
    check_positive(temperature)
    same_shape(users, items, "items")
    if users.ndim != 2:
        raise MismatchError(f"users and items must have shape (B, d), got {users.shape}")
    size = users.shape[0]
    if not isinstance(groups, int) or groups < 1 or size % groups:
        raise JaxrecError(f"groups must divide the {size} rows of the batch, got {groups}")
    users, items = counted(users, where), counted(items, where)
    if cosine:
        users, items = unit(users), unit(items)
    run = size // groups

    def in_runs(rows: jax.Array) -> jax.Array:
        return rows.reshape(groups, run, *rows.shape[1:])

    logits = jnp.einsum("gbd,gcd->gbc", in_runs(users), in_runs(items)) * reciprocal(temperature, users.dtype)
    if log_probability is not None:
        same_shape(users[:, 0], log_probability, "log_probability")
        logits = logits - in_runs(counted(log_probability, where))[:, None, :]
    own = jnp.eye(run, dtype=bool)[None]
    positive = jnp.sum(jnp.where(own, logits, 0), axis=2)
    if mask is not None:
        if mask.shape != (size, run):
            raise MismatchError(f"mask must have shape {(size, run)}, got {mask.shape}; nothing is broadcast")
        logits = jnp.where(in_runs(mask) | own, logits, -jnp.inf)
    if where is not None:
        logits = jnp.where(in_runs(where)[:, None, :] | own, logits, -jnp.inf)
    each = (jax.nn.logsumexp(logits, axis=2) - positive).reshape(size)
    return masked_mean(each, weights, where)


def l2(*embeddings: Float[Array, "B ... d"], where: Bool[Array, " B"] | None = None) -> Float[Array, ""]:
    """The L2 term of LightGCN: half the sum of the squared embeddings of a batch, over the batch size.

    Args:
      *embeddings: [B, d] or [B, M, d], rows of the ego embeddings of users, positives and negatives. A row that occurs
        twice counts twice.
      where: bool [B], the places that count, or None for all; the batch size is their number.

    Returns:
      A scalar; multiply it by the coefficient.

    Raises:
      JaxrecError: no embeddings at all.
      MismatchError: shapes that do not fit each other.

    Source: He et al., LightGCN, SIGIR 2020, equation 15, in the form of the authors' code.

    >>> l2(jnp.array([[3.0, 4.0]])).item()
    12.5
    """
    if not embeddings:
        raise JaxrecError("l2 needs at least one array of embeddings")
    _check_rows(embeddings)
    each = [jnp.sum(jnp.square(counted(rows, where)), axis=tuple(range(1, rows.ndim))) for rows in embeddings]
    return masked_mean(0.5 * functools.reduce(jnp.add, each), None, where)


def l2_norms(*embeddings: Float[Array, "B ... d"], where: Bool[Array, " B"] | None = None) -> Float[Array, ""]:
    """The L2 term of RecBole: the sum of the Frobenius norms, not squared, of each table's batch, over the batch size.

    Args:
      *embeddings: [B, d] or [B, M, d], rows of the ego embeddings of users, positives and negatives.
      where: bool [B], the places that count, or None for all; the batch size is their number.

    Returns:
      A scalar; multiply it by the coefficient.

    Raises:
      JaxrecError: no embeddings at all.
      MismatchError: shapes that do not fit each other.

    Source: RecBole 1.2, `EmbLoss`.

    >>> l2_norms(jnp.array([[3.0, 4.0]])).item()
    5.0
    """
    if not embeddings:
        raise JaxrecError("l2_norms needs at least one array of embeddings")
    _check_rows(embeddings)
    total = jnp.zeros((), embeddings[0].dtype)
    for rows in embeddings:
        square = jnp.sum(jnp.square(counted(rows, where)))
        total = total + jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    count = embeddings[0].shape[0] if where is None else jnp.maximum(jnp.sum(where, dtype=total.dtype), 1)
    return total / count


def _check_rows(embeddings: tuple[jax.Array, ...]) -> None:
    if any(rows.ndim < 2 or rows.shape[0] != embeddings[0].shape[0] for rows in embeddings):
        shapes = ", ".join(str(rows.shape) for rows in embeddings)
        raise MismatchError(f"embeddings must have shapes (B, d) or (B, M, d) with the same B, got {shapes}")
