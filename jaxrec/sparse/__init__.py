"""Sparse matrices and their products with dense tables: the only room that imports `jax.experimental.sparse`."""

from typing import TYPE_CHECKING

from jaxrec._lazy import lazy_names
from jaxrec.sparse._matrices import (
    SparseMatrix,
    SparseOperator,
    bcoo,
    check_entries,
    from_dense,
    from_entries,
    operator,
    reads_rows,
)
from jaxrec.sparse._nodes import (
    Multiplies,
    NodeOperator,
    count_nodes,
    degrees_of,
    item_nodes,
    join_nodes,
    part_nodes,
    spread_nodes,
    user_nodes,
)
from jaxrec.sparse._products import Moved, gram, map_gram_columns, spmm
from jaxrec.sparse._row_products import spmm_rows

if TYPE_CHECKING:
    from jax.experimental.sparse import BCOO

__getattr__ = lazy_names(__name__, {"jax.experimental.sparse": "BCOO"})

__all__ = [
    "BCOO",
    "Moved",
    "Multiplies",
    "NodeOperator",
    "SparseMatrix",
    "SparseOperator",
    "bcoo",
    "check_entries",
    "count_nodes",
    "degrees_of",
    "from_dense",
    "from_entries",
    "gram",
    "item_nodes",
    "join_nodes",
    "map_gram_columns",
    "operator",
    "part_nodes",
    "reads_rows",
    "spmm",
    "spmm_rows",
    "spread_nodes",
    "user_nodes",
]
