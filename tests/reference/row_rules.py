"""Slow float64 versions of the row rules: gradients are summed in a dictionary, then rows move one by one."""

import numpy as np


def summed(index, gradient, where):
    """{row: the sum of the gradients of its places that count}."""
    total = {}
    for row, each, counts in zip(index, gradient, where, strict=True):
        if counts:
            total[int(row)] = total.get(int(row), 0.0) + np.asarray(each, np.float64)
    return total


def sgd(table, slots, index, gradient, where, rate, count):
    """row - rate g."""
    del slots, count
    for row, g in summed(index, gradient, where).items():
        table[row] -= rate * g


def adagrad(table, slots, index, gradient, where, rate, count, eps=1e-7):
    """s += g^2, row - rate g / sqrt(s + eps) (Duchi et al., 2011)."""
    del count
    for row, g in summed(index, gradient, where).items():
        slots[0][row] += g**2
        table[row] -= rate * g / np.sqrt(slots[0][row] + eps)


def adam(table, slots, index, gradient, where, rate, count, b1=0.9, b2=0.999, eps=1e-8):
    """Algorithm 1 of Kingma and Ba (2015) on the rows of the batch; other rows keep their moments."""
    first, second = slots
    for row, g in summed(index, gradient, where).items():
        first[row] = b1 * first[row] + (1 - b1) * g
        second[row] = b2 * second[row] + (1 - b2) * g**2
        table[row] -= rate * (first[row] / (1 - b1**count)) / (np.sqrt(second[row] / (1 - b2**count)) + eps)
