"""Slow, obvious versions of the spectral functions: loops over nodes, and full decompositions in float64."""

import numpy as np


def combinatorial_laplacian(a):
    """L = D - A: each edge pulls its two ends together."""
    size = len(a)
    out = np.zeros((size, size))
    for n in range(size):
        for m in range(size):
            out[n, n] += a[n, m]
            out[n, m] -= a[n, m]
    return out


def normalized_laplacian(a, isolated):
    """I - A~, with the diagonal of nodes without edges as it is asked for."""
    size = len(a)
    out = np.zeros((size, size))
    for n in range(size):
        out[n, n] = 1.0 if a[n].sum() > 0 or isolated == "one" else 0.0
        for m in range(size):
            if a[n, m] > 0:
                out[n, m] -= a[n, m] / np.sqrt(a[n].sum() * a[m].sum())
    return out


def filtered(laplacian, h, x):
    """U diag(h(lambda)) U^T x."""
    eigenvalues, u = np.linalg.eigh(np.asarray(laplacian, np.float64))
    return u @ np.diag(h(eigenvalues)) @ u.T @ x


def chebyshev(j, t):
    """T_j(t) = cos(j arccos t)."""
    return np.cos(j * np.arccos(np.clip(t, -1, 1)))


def bipartite(seed, users=5, items=6, edges=14):
    """The adjacency of a random bipartite graph with a fixed number of edges, so that shapes repeat; dense [N, N]."""
    rng = np.random.default_rng(seed)
    r = np.zeros(users * items)
    r[rng.choice(users * items, edges, replace=False)] = 1
    r = r.reshape(users, items)
    return np.block([[np.zeros((users, users)), r], [r.T, np.zeros((items, items))]])
