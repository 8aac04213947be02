"""The BPR step of LightGCN in PyTorch and PyTorch Geometric: the usual implementation, and the fastest that we found.

All minimize mean softplus(s_neg - s_pos) + l2 (|e_u|^2 + |e_pos|^2 + |e_neg|^2) / (2 B) over the batch, with the
embeddings e before propagation, by Adam on the whole tables. A step is a function of the index of a batch, and
returns its loss.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from experiments.bench.config import StepPeer
from experiments.bench.peers import find

Step = Callable[[int], float]


class Arrays(NamedTuple):
    """A problem as NumPy arrays.

    Attributes:
      data: float32 [2E], the entries of the normalized adjacency, row by row.
      rows: int32 [2E].
      columns: int32 [2E].
      indptr: int32 [N + 1].
      users: float32 [U, d], the start.
      items: float32 [I, d].
      batches: (user, item, negative), each int32 [B].
    """

    data: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    indptr: np.ndarray
    users: np.ndarray
    items: np.ndarray
    batches: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]

    @property
    def nodes(self) -> int:
        """N."""
        return len(self.users) + len(self.items)


class Contender(NamedTuple):
    """An implementation of the step.

    Attributes:
      name: its name in the tables.
      make: (arrays, layers, rate, l2) -> the step.
      package: the package that it needs besides PyTorch, or "".
    """

    name: str
    make: Callable[[Arrays, int, float, float], Step]
    package: str = ""


def coo(given: Arrays, layers: int, rate: float, l2: float) -> Step:
    """COO `torch.sparse.mm`, stacked and averaged layers, indexed rows: the way of LightGCN-PyTorch and RecBole."""
    torch = find("torch")
    adjacency = _coo_matrix(torch, given)

    def propagate(table: Any) -> Any:
        kept = [table]
        for _ in range(layers):
            kept.append(torch.sparse.mm(adjacency, kept[-1]))
        return torch.stack(kept, dim=1).mean(dim=1)

    return _plain_step(torch, given, propagate, lambda table, at: table[at], rate, l2, fused=False)


def csr(given: Arrays, layers: int, rate: float, l2: float) -> Step:
    """CSR products whose gradient is the same product, since A equals its transpose; fused Adam, a running sum."""
    torch = find("torch")
    adjacency = _csr_matrix(torch, given)

    class Product(torch.autograd.Function):
        """y = A x; the gradient is A^T g = A g."""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            """Compute the product."""
            del ctx
            return adjacency @ x

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            """Multiply the gradient in the same way."""
            del ctx
            return adjacency @ gradients[0].contiguous()

    def propagate(table: Any) -> Any:
        x = total = table
        for _ in range(layers):
            x = Product.apply(x)
            total = total + x
        return total / (layers + 1)

    def rows(table: Any, at: Any) -> Any:
        return torch.nn.functional.embedding(at, table)

    return _plain_step(torch, given, propagate, rows, rate, l2, fused=True)


def geometric_csr(given: Arrays, layers: int, rate: float, l2: float) -> Step:
    """PyTorch Geometric's LightGCN on a normalized CSR adjacency."""
    return _geometric_step(given, layers, rate, l2, sparse=True)


def geometric_edges(given: Arrays, layers: int, rate: float, l2: float) -> Step:
    """PyTorch Geometric's LightGCN on an edge list with the weights of the normalized adjacency."""
    return _geometric_step(given, layers, rate, l2, sparse=False)


CONTENDERS: dict[StepPeer, Contender] = {
    "coo": Contender("PyTorch, COO", coo),
    "csr": Contender("PyTorch, CSR and its own backward", csr),
    "geometric-csr": Contender("PyTorch Geometric, CSR adj_t", geometric_csr, "torch_geometric"),
    "geometric-edges": Contender("PyTorch Geometric, edge_index", geometric_edges, "torch_geometric"),
}


def _plain_step(
    torch: Any,
    given: Arrays,
    propagate: Callable[[Any], Any],
    rows: Callable[[Any, Any], Any],
    rate: float,
    l2: float,
    *,
    fused: bool,
) -> Step:
    users, items = (torch.nn.Parameter(torch.tensor(start)) for start in (given.users, given.items))
    adam = torch.optim.Adam([users, items], lr=rate, fused=fused)
    batches = [tuple(torch.tensor(part, dtype=torch.int64) for part in batch) for batch in given.batches]

    def step(at: int) -> float:
        user, item, negative = batches[at]
        vectors = propagate(torch.cat([users, items]))
        of_users, of_items = torch.split(vectors, [len(users), len(items)])
        mine = rows(of_users, user)
        positive, drawn = (mine * rows(of_items, item)).sum(dim=1), (mine * rows(of_items, negative)).sum(dim=1)
        ego = (rows(users, user), rows(items, item), rows(items, negative))
        penalty = sum(part.pow(2).sum() for part in ego) / (2 * len(user))
        loss = torch.nn.functional.softplus(drawn - positive).mean() + l2 * penalty
        adam.zero_grad()
        loss.backward()
        adam.step()
        return float(loss.detach())

    return step


def _geometric_step(given: Arrays, layers: int, rate: float, l2: float, *, sparse: bool) -> Step:
    torch, nn = find("torch"), find("torch_geometric.nn")
    model = nn.LightGCN(given.nodes, given.users.shape[1], layers, normalize=False)
    with torch.no_grad():
        model.embedding.weight.copy_(torch.tensor(np.concatenate([given.users, given.items])))
    weights: dict[str, Any] = {}
    if sparse:
        edges = _csr_matrix(torch, given)
    else:
        edges = torch.tensor(np.stack([given.columns, given.rows]), dtype=torch.int64)  # from source to target
        weights["edge_weight"] = torch.tensor(given.data)
    shift = len(given.users)
    batches = []
    for user, item, negative in given.batches:
        both = np.stack([np.concatenate([user, user]), np.concatenate([item, negative]) + shift])
        ego = np.concatenate([user, item + shift, negative + shift])
        batches.append((torch.tensor(both, dtype=torch.int64), torch.tensor(ego, dtype=torch.int64)))
    adam = torch.optim.Adam(model.parameters(), lr=rate, fused=True)

    def step(at: int) -> float:
        pairs, ego = batches[at]
        positive, drawn = model(edges, pairs, **weights).chunk(2)
        # Its term is the coefficient times the squared norm of the rows over the batch; ours has half of that.
        loss = model.recommendation_loss(positive, drawn, node_id=ego, lambda_reg=l2 / 2)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return float(loss.detach())

    return step


def _coo_matrix(torch: Any, given: Arrays) -> Any:
    places = torch.tensor(np.stack([given.rows, given.columns]), dtype=torch.int64)
    shape = (given.nodes, given.nodes)
    return torch.sparse_coo_tensor(places, torch.tensor(given.data), shape, check_invariants=False).coalesce()


def _csr_matrix(torch: Any, given: Arrays) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(
            torch.tensor(given.indptr, dtype=torch.int64),
            torch.tensor(given.columns, dtype=torch.int64),
            torch.tensor(given.data),
            (given.nodes, given.nodes),
            check_invariants=False,
        )
