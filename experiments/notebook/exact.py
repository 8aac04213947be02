"""The parts of the notebook with printed values: matrices, spectra, the NLL example and NMF."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import networkx
import numpy as np

from experiments.notebook.checks import Check
from experiments.notebook.graphs import TABLE, Drawn
from jaxrec import graph, losses, spectral
from jaxrec.factorization import nmf
from jaxrec.sparse import BCOO, from_dense, operator, spmm

SECOND_EDGES = [
    *((0, 108), (1, 103), (1, 108), (2, 100), (2, 107)),
    *((3, 100), (3, 109), (5, 100), (5, 108), (6, 104)),
]
R_TILDE = [[0.41, 0, 0, 0.41], [0.33, 0.58, 0, 0.33], [0.41, 0, 0, 0.41]]
LOGITS = [
    [-2.1383, -0.6961, -1.1747, 2.1168, -1.4791],
    [1.8073, 1.5682, 0.5385, 1.5459, -0.0277],
    [1.3852, -1.1378, 0.1540, -0.5693, 1.8205],
]
TARGETS = [1, 0, 4]
NMF_W = [
    [0, 0.340767530],
    [0, 0.417373793],
    [0, 0.340767530],
    [0.583954597, 0],
    [0.337146309, 0],
    [0, 0],
    [0.583954597, 0],
]
NMF_H = [[0.599236855, 0.733912241, 0.599236855, 0, 0, 0, 0], [0, 0, 0, 1.02685282, 0.592873174, 0, 1.02685282]]
NMF_PRODUCT = [
    *([0, 0, 0, 0.35, 0.2, 0, 0.35], [0, 0, 0, 0.43, 0.25, 0, 0.43], [0, 0, 0, 0.35, 0.2, 0, 0.35]),
    *([0.35, 0.43, 0.35, 0, 0, 0, 0], [0.2, 0.25, 0.2, 0, 0, 0, 0], [0] * 7, [0.35, 0.43, 0.35, 0, 0, 0, 0]),
]


def graph_checks(first: Drawn, second: Drawn) -> list[Check]:
    """Check point 1: the drawn graphs and the table."""
    section = "1. Bipartite graph"
    table = from_dense(TABLE)
    return [
        Check(section, "preference matrix R", [[1, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 1]], _dense(first.matrix)),
        Check(section, "edges of the second graph, from the same stream", SECOND_EDGES, second.edges),
        Check(section, "isolated nodes of the second graph", [4, 101, 102, 105, 106], second.isolated),
        Check(section, "the 5 x 4 table as a sparse matrix", TABLE, _dense(table)),
    ]


def matrix_checks(first: Drawn) -> list[Check]:
    """Check point 2: A, L, D, R~ and its products, and the normalized adjacency."""
    section, r = "2. Matrices", first.matrix
    a = _dense(graph.adjacency(r))
    nodes = [*range(3), *range(100, 104)]
    users, items = graph.degrees(r)
    normalized = graph.normalized_biadjacency(r)
    op = operator(normalized)
    wide = np.zeros((7, 7))
    wide[:3, 3:] = R_TILDE
    return [
        Check(section, "A, as networkx gives it", networkx.to_numpy_array(first.graph, nodes), a),
        Check(
            section,
            "L = D - A, as networkx gives it",
            networkx.laplacian_matrix(first.graph, nodes).toarray(),
            _dense(graph.laplacian(r)),
        ),
        Check(
            section,
            "D = L + A",
            networkx.laplacian_matrix(first.graph, nodes).toarray() + networkx.to_numpy_array(first.graph, nodes),
            _dense(graph.degree_matrix(r)),
        ),
        Check(section, "degrees of the users", [2, 3, 2], users),
        Check(section, "degrees of the items", [3, 1, 0, 3], items),
        Check(section, "R~ = D_U^(-1/2) R D_I^(-1/2)", R_TILDE, _dense(normalized), 2),
        Check(
            section,
            "normalized adjacency [[0, R~], [R~^T, 0]]",
            wide + wide.T,
            _dense(graph.normalized_adjacency(r)),
            2,
        ),
        Check(
            section,
            "user-user R~ R~^T",
            [[0.33, 0.27, 0.33], [0.27, 0.56, 0.27], [0.33, 0.27, 0.33]],
            spmm(op, spmm(op.T, jnp.eye(3))),
            2,
        ),
        Check(
            section,
            "item-item R~^T R~",
            [[0.44, 0.19, 0, 0.44], [0.19, 0.33, 0, 0.19], [0, 0, 0, 0], [0.44, 0.19, 0, 0.44]],
            spmm(op.T, spmm(op, jnp.eye(4))),
            2,
        ),
    ]


def spectral_checks(first: Drawn) -> list[Check]:
    """Check point 3: the spectra of both normalized Laplacians, and a ring as the discrete line."""
    section = "3. Spectral theory"
    adjacency = graph.adjacency(first.matrix)
    ours = spectral.fourier_basis(spectral.normalized_laplacian(adjacency)).eigenvalues
    theirs = spectral.fourier_basis(spectral.normalized_laplacian(adjacency, isolated="zero")).eigenvalues
    nodes, wave = 12, 2 * np.pi * 3 / 12
    ring = spectral.combinatorial_laplacian(
        from_dense(networkx.to_numpy_array(networkx.cycle_graph(nodes)).astype(np.float32))
    )
    h = jnp.cos(wave * jnp.arange(nodes, dtype=jnp.float32))
    return [
        Check(section, "eigenvalues of I - A~", [0, 0.529, 1, 1, 1, 1.471, 2], ours, 3),
        Check(section, "of networkx's normalized Laplacian", [0, 0, 0.529, 1, 1, 1.471, 2], theirs, 3),
        Check(
            section, "on a ring, L h = (2 - 2 cos w) h for h = cos(w n)", (2 - 2 * np.cos(wave)) * h, spmm(ring, h), 4
        ),
    ]


def nll_checks() -> list[Check]:
    """Check point 6: the NLL of the log-softmax, and its gradient by the formula (softmax - onehot) / 3."""
    section = "6. Two-layer GCN"
    logits, targets = jnp.array(LOGITS), jnp.array(TARGETS)
    value, gradient = jax.value_and_grad(lambda x: losses.nll(jax.nn.log_softmax(x, axis=1), targets))(logits)
    formula = (jax.nn.softmax(logits, axis=1) - jax.nn.one_hot(targets, 5)) / 3
    return [
        Check(section, "NLL of the example", 1.5746, value, 4),
        Check(section, "its gradient, (softmax - onehot) / 3", formula, gradient, 6),
    ]


def nmf_checks(first: Drawn) -> list[Check]:
    """Check point 8: W, H and their product, from the start that scikit-learn draws with random_state=0."""
    section = "8. NMF"
    with jax.enable_x64(True):
        x = graph.normalized_adjacency(from_dense(_dense(first.matrix).astype(np.float64)))
        stream = np.random.RandomState(0)
        scale = np.sqrt(float(np.asarray(x.data).sum()) / 49 / 2)
        h0 = np.abs(scale * stream.standard_normal((2, 7)))
        w0 = np.abs(scale * stream.standard_normal((7, 2)))
        made = nmf(x, 2, init=(jnp.asarray(w0), jnp.asarray(h0)))
        w, h, dense = np.asarray(made.w), np.asarray(made.h), _dense(x)
    degrees = np.array([2, 3, 2, 3, 1, 0, 3])
    arithmetic = np.sqrt(degrees[:, None] * degrees[None, :]) / 7
    arithmetic[:3, :3] = arithmetic[3:, 3:] = 0
    return [
        Check(section, "W", NMF_W, w, 9),
        Check(section, "H, the first eight digits", NMF_H, h, 8),
        Check(section, "W H", NMF_PRODUCT, w @ h, 2),
        Check(section, "W H by arithmetic, sqrt(d_u d_i) / 7", arithmetic, w @ h, 4),
        Check(section, "squared error by arithmetic, 4 / 9", 4 / 9, np.sum((dense - w @ h) ** 2), 6),
    ]


def _dense(matrix: BCOO) -> np.ndarray:
    return np.asarray(matrix.todense())
