"""Slow float64 versions of graph convolution, its loss, and its training, with dense arrays and loops."""

import numpy as np


def renormalized(a, self_loops=True):
    """D^(-1/2) (A + I) D^(-1/2), without the self-loops of A; or without I (Kipf and Welling, 2017, equation 2)."""
    size = len(a)
    a = np.array(a, np.float64)
    for i in range(size):
        a[i, i] = 1.0 if self_loops else 0.0
    degrees = [sum(a[i]) for i in range(size)]
    out = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            if a[i, j]:
                out[i, j] = a[i, j] / np.sqrt(degrees[i] * degrees[j])
    return out


def two_layers(a, x, w0, w1):
    """A relu(A X W0) W1, one node at a time."""
    a, x, w0, w1 = (np.array(array, np.float64) for array in (a, x, w0, w1))
    nodes = range(len(a))
    hidden = [np.maximum(sum(a[i, j] * (x[j] @ w0) for j in nodes), 0) for i in nodes]
    return np.array([sum(a[i, j] * (hidden[j] @ w1) for j in nodes) for i in nodes])


def log_softmax(z):
    """z - log of the sum of e^z, row by row."""
    return np.array([row - np.log(np.sum(np.exp(row - row.max()))) - row.max() for row in z])


def nll(log_probabilities, targets, weights=None, where=None):
    """-sum of w log p[target] over the sum of w, over the rows that count."""
    total = norm = 0.0
    for b, target in enumerate(targets):
        if where is None or where[b]:
            weight = 1.0 if weights is None else weights[b]
            total -= weight * log_probabilities[b][target]
            norm += weight
    return total / norm if norm else 0.0


def adam(gradient, arrays, steps, rate, b1=0.9, b2=0.999, epsilon=1e-8):
    """The arrays after each step of Adam (Kingma and Ba, 2015, algorithm 1)."""
    m, v = [np.zeros_like(array) for array in arrays], [np.zeros_like(array) for array in arrays]
    for step in range(1, steps + 1):
        slopes = gradient(*arrays)
        for i, slope in enumerate(slopes):
            m[i] = b1 * m[i] + (1 - b1) * slope
            v[i] = b2 * v[i] + (1 - b2) * slope**2
            corrected = m[i] / (1 - b1**step), v[i] / (1 - b2**step)
            arrays[i] = arrays[i] - rate * corrected[0] / (np.sqrt(corrected[1]) + epsilon)
        yield [array.copy() for array in arrays]
