"""Slow float64 versions of the non-negative factorizations: dense matrices, one entry of W or H at a time."""

import numpy as np


def objective(x, w, h, l2):
    """|X - W H|_F^2 + l2 (|W|_F^2 + |H|_F^2), over all entries."""
    return np.sum((x - w @ h) ** 2) + l2 * (np.sum(w**2) + np.sum(h**2))


def masked_objective(x, stored, w, h, l2):
    """Sum over the stored entries of (x - w h)^2 + l2 (|w|^2 + |h|^2)."""
    total = 0.0
    for m, n in zip(*np.nonzero(stored), strict=True):
        total += (x[m, n] - w[m] @ h[:, n]) ** 2 + l2 * (w[m] @ w[m] + h[:, n] @ h[:, n])
    return total


def _sweep(x, w, h, l2):
    """The exact step in each entry of W, one component after the other."""
    for f in range(w.shape[1]):
        for m in range(len(w)):
            gradient = -(x[m] - w[m] @ h) @ h[f] + l2 * w[m, f]
            curvature = h[f] @ h[f] + l2
            if curvature > 0:
                w[m, f] = max(w[m, f] - gradient / curvature, 0.0)


def coordinate_descent(x, w, h, l2, iterations):
    """(W, H, objectives)."""
    w, h = np.array(w, np.float64), np.array(h, np.float64)
    objectives = [objective(x, w, h, l2)]
    for _ in range(iterations):
        _sweep(x, w, h, l2)
        _sweep(x.T, h.T, w.T, l2)
        objectives.append(objective(x, w, h, l2))
    return w, h, objectives


def _multiply(w, above, below):
    return np.where(below > 0, w * above / np.where(below > 0, below, 1), 0)


def multiplicative(x, w, h, l2, iterations):
    """Lee and Seung's updates, with the gradient of the penalty in the denominator: (W, H, objectives)."""
    w, h = np.array(w, np.float64), np.array(h, np.float64)
    objectives = [objective(x, w, h, l2)]
    for _ in range(iterations):
        w = _multiply(w, x @ h.T, w @ h @ h.T + l2 * w)
        h = _multiply(h, w.T @ x, w.T @ w @ h + l2 * h)
        objectives.append(objective(x, w, h, l2))
    return w, h, objectives


def _masked_sweep(x, stored, w, h, l2):
    for f in range(w.shape[1]):
        for m in range(len(w)):
            above = below = 0.0
            for n in np.nonzero(stored[m])[0]:
                without = x[m, n] - w[m] @ h[:, n] + w[m, f] * h[f, n]
                above += without * h[f, n]
                below += h[f, n] ** 2 + l2
            if below > 0:
                w[m, f] = max(above / below, 0.0)


def masked_coordinate_descent(x, stored, w, h, l2, iterations):
    """Steps on the stored entries, each component's scale shared out before each iteration: (W, H, objectives)."""
    w, h = start(stored, w, h)
    rows, columns = stored.sum(axis=1), stored.sum(axis=0)
    objectives = [masked_objective(x, stored, w, h, l2)]
    for _ in range(iterations):
        for f in range(w.shape[1]):
            # The c that minimizes c^2 (sum n w^2) + (sum n h^2) / c^2.
            mine, other = rows @ w[:, f] ** 2, columns @ h[f] ** 2
            if mine > 0 and other > 0:
                scale = (other / mine) ** 0.25
                w[:, f] *= scale
                h[f] /= scale
        _masked_sweep(x, stored, w, h, l2)
        _masked_sweep(x.T, stored.T, h.T, w.T, l2)
        objectives.append(masked_objective(x, stored, w, h, l2))
    return w, h, objectives


def masked_multiplicative(x, stored, w, h, l2, iterations):
    """Luo et al.'s updates on the stored entries: (W, H, objectives)."""
    w, h = start(stored, w, h)
    rows, columns = stored.sum(axis=1)[:, None], stored.sum(axis=0)[None, :]
    objectives = [masked_objective(x, stored, w, h, l2)]
    for _ in range(iterations):
        w = _multiply(w, (stored * x) @ h.T, (stored * (w @ h)) @ h.T + l2 * rows * w)
        h = _multiply(h, w.T @ (stored * x), w.T @ (stored * (w @ h)) + l2 * columns * h)
        objectives.append(masked_objective(x, stored, w, h, l2))
    return w, h, objectives


def start(stored, w, h):
    """The start in float64, with 0 in rows and columns without a stored entry."""
    w = np.where(stored.any(axis=1)[:, None], np.array(w, np.float64), 0)
    return w, np.where(stored.any(axis=0)[None, :], np.array(h, np.float64), 0)


def refit_scales(x, stored, w, h):
    """The factor that fits each row's stored entries and one more of mean size, for rows and then for columns."""
    w, h = np.array(w, np.float64), np.array(h, np.float64)
    for side in ("row", "column"):
        p = w @ h
        extra = np.mean(p[stored] ** 2)
        overall = np.sum(x[stored] * p[stored]) / np.sum(p[stored] ** 2)
        for at in range(len(w) if side == "row" else h.shape[1]):
            mine = (at, stored[at]) if side == "row" else (stored[:, at], at)
            c = (np.sum(x[mine] * p[mine]) + extra * overall) / (np.sum(p[mine] ** 2) + extra)
            if side == "row":
                w[at] *= c
            else:
                h[:, at] *= c
    return w, h


def drawn(seed, rows=6, columns=5, rank=3, share=0.6, dtype=np.float32):
    """A non-negative matrix, where it is stored, and a start; row 0 and column 1 are empty.

    The number of stored entries depends on the shape alone, so that one program serves all seeds.
    """
    rng = np.random.default_rng(seed)
    places = np.argwhere(np.arange(rows)[:, None] * (np.arange(columns) != 1)[None, :])
    stored = np.zeros((rows, columns), bool)
    stored[tuple(rng.permutation(places)[: round(share * len(places))].T)] = True
    x = np.where(stored, rng.integers(1, 6, (rows, columns)), 0).astype(dtype)
    w, h = rng.random((rows, rank)).astype(dtype), rng.random((rank, columns)).astype(dtype)
    return x, stored, w, h
