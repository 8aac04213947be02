"""Slow float64 versions of the graph's matrices, of LightGCN's propagation, and of its training objective.

Written from the papers' formulas with dense NumPy arrays and loops: nothing here is shared with the library.
"""

import numpy as np


def biadjacency(pairs, num_users, num_items):
    """R [U, I]: 1 where a pair (user, item) occurs, however often."""
    r = np.zeros((num_users, num_items))
    for user, item in pairs:
        r[user, item] = 1.0
    return r


def adjacency(r):
    """A [N, N] = [[0, R], [R^T, 0]], users first."""
    users, items = r.shape
    a = np.zeros((users + items, users + items))
    for u in range(users):
        for i in range(items):
            a[u, users + i] = r[u, i]
            a[users + i, u] = r[u, i]
    return a


def normalized(matrix):
    """m_ij / (sqrt(row sum i) sqrt(column sum j)), and 0 where a sum is 0."""
    rows, columns = matrix.sum(axis=1), matrix.sum(axis=0)
    out = np.zeros(matrix.shape)
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            if rows[i] > 0 and columns[j] > 0:
                out[i, j] = matrix[i, j] / (np.sqrt(rows[i]) * np.sqrt(columns[j]))
    return out


def normalized_adjacency(r):
    """A~ [N, N], from the blocks R~ (He et al., LightGCN, equations 7 and 8)."""
    return adjacency(normalized(r))


def laplacian(r):
    """L = D - A, D the diagonal of A's row sums."""
    a = adjacency(r)
    return np.diag(a.sum(axis=1)) - a


def propagate(normal, ego, layer_weights):
    """sum over l of a_l A~^l E, one node and one layer at a time."""
    layer, total = np.array(ego, np.float64), np.zeros(ego.shape)
    for depth, weight in enumerate(layer_weights):
        if depth:
            following = np.zeros(ego.shape)
            for node in range(len(ego)):
                for neighbour in range(len(ego)):
                    following[node] += normal[node, neighbour] * layer[neighbour]
            layer = following
        total += weight * layer
    return total


def bpr_objective(ego, num_users, normal, layer_weights, batch, l2):
    """BPR with LightGCN's L2 term, and its gradient in the ego embeddings, by the chain rule on paper.

    loss = 1/B sum over (u, i, j) of [log(1 + exp(-x)) + l2 / 2 (|e_u|^2 + |e_i|^2 + |e_j|^2)], with
    x = <f_u, f_i - f_j>, f = M e, M = sum of a_l A~^l. Then d/df_u = -sigmoid(-x) (f_i - f_j) / B and so on, and
    d/de = M^T d/df + l2 e / B for each time that a row is in the batch.

    Args:
      ego: [N, d], users first.
      num_users: U.
      normal: A~ [N, N].
      layer_weights: a_0, ..., a_L.
      batch: the triples (user, positive, negative) that count.
      l2: the coefficient.

    Returns:
      (loss, gradient [N, d]).
    """
    ego = np.array(ego, np.float64)
    final = propagate(normal, ego, layer_weights)
    loss, in_final, in_ego = 0.0, np.zeros(ego.shape), np.zeros(ego.shape)
    for user, positive, negative in batch:
        u, i, j = user, num_users + positive, num_users + negative
        x = final[u] @ (final[i] - final[j])
        loss += np.log1p(np.exp(-x)) / len(batch)
        slope = -1.0 / (1.0 + np.exp(x)) / len(batch)
        in_final[u] += slope * (final[i] - final[j])
        in_final[i] += slope * final[u]
        in_final[j] -= slope * final[u]
        for row in (u, i, j):
            loss += l2 / 2 * (ego[row] @ ego[row]) / len(batch)
            in_ego[row] += l2 * ego[row] / len(batch)
    return loss, in_ego + propagate(normal.T, in_final, layer_weights)
