"""Slow float64 versions of the losses, one row and one term at a time, and gradients by central differences."""

import numpy as np


def softplus(x):
    """log(1 + e^x), without overflow."""
    return max(x, 0.0) + np.log1p(np.exp(-abs(x)))


def weighted_mean(each, weights, where):
    """sum(w l) / sum(w) over the rows where `where` is true; 0 if their weights sum to 0. `each` is a function."""
    total = norm = 0.0
    for b in range(len(where)):
        if where[b]:
            total += weights[b] * each(b)
            norm += weights[b]
    return total / norm if norm else 0.0


def bpr(positive, negative, weights, where):
    """-log sigmoid(p - n), the mean over a row's negatives, then over rows (Rendle et al., 2009)."""

    def row(b):
        negatives = np.atleast_1d(negative[b])
        return sum(softplus(-(positive[b] - n)) for n in negatives) / len(negatives)

    return weighted_mean(row, weights, where)


def mse(prediction, target, weights, where):
    """(p - t)^2."""
    return weighted_mean(lambda b: (prediction[b] - target[b]) ** 2, weights, where)


def logistic(scores, labels, weights, where):
    """-y log sigmoid(s) - (1 - y) log(1 - sigmoid(s))."""
    return weighted_mean(
        lambda b: labels[b] * softplus(-scores[b]) + (1 - labels[b]) * softplus(scores[b]), weights, where
    )


def logsumexp(values):
    """log of the sum of e^v."""
    top = max(values)
    return top + np.log(sum(np.exp(v - top) for v in values))


def softmax(positive, negative, weights, where, temperature=1.0, negative_where=None):
    """-log(e^(p/t) / (e^(p/t) + sum of e^(n/t))) over the negatives that count."""

    def row(b):
        others = [n / temperature for m, n in enumerate(negative[b]) if negative_where is None or negative_where[b][m]]
        return logsumexp([positive[b] / temperature, *others]) - positive[b] / temperature

    return weighted_mean(row, weights, where)


def in_batch_softmax(
    users, items, weights, where, temperature=0.12, cosine=True, groups=1, log_probability=None, mask=None
):
    """logsumexp over c of z_bc, minus z_bb, with z_bc = sim(u_b, i_c) / t - log q_c, over the rows c that count.

    With groups, c runs over the rows of b's own run, and mask[b] has a place for each of them.
    """
    run = len(items) // groups
    if cosine:
        users, items = unit(users), unit(items)

    def row(b):
        z = {}
        for c in range(b // run * run, b // run * run + run):
            if c == b or (where[c] and (mask is None or mask[b][c % run])):
                z[c] = users[b] @ items[c] / temperature - (0.0 if log_probability is None else log_probability[c])
        return logsumexp(list(z.values())) - z[b]

    return weighted_mean(row, weights, where)


def unit(vectors):
    """v / |v|; a zero vector stays zero."""
    out = np.zeros(vectors.shape)
    for b, vector in enumerate(vectors):
        length = np.sqrt(vector @ vector)
        if length > 0:
            out[b] = vector / length
    return out


def l2(tables, where):
    """Half the squared entries of the rows that count, over their number (He et al., 2020, equation 15)."""
    total = 0.0
    for table in tables:
        for b in range(len(where)):
            if where[b]:
                total += np.sum(np.square(table[b])) / 2
    return total / sum(where) if any(where) else 0.0


def l2_norms(tables, where):
    """The sum of the tables' Frobenius norms over the rows that count, over the number of rows."""
    if not any(where):
        return 0.0
    return sum(np.sqrt(sum(np.sum(np.square(t[b])) for b in range(len(where)) if where[b])) for t in tables) / sum(
        where
    )


def gradient(function, *arguments, step=1e-6):
    """Central differences of a scalar function in every entry of every argument, in float64."""
    arguments = [np.array(argument, np.float64) for argument in arguments]
    out = []
    for argument in arguments:
        slope = np.zeros(argument.shape)
        for place in np.ndindex(argument.shape):
            old = argument[place]
            argument[place] = old + step
            above = function(*arguments)
            argument[place] = old - step
            below = function(*arguments)
            argument[place] = old
            slope[place] = (above - below) / (2 * step)
        out.append(slope)
    return out
