"""Sparse matrices and their products with dense tables: the only room that imports `jax.experimental.sparse`."""

from jax.experimental.sparse import BCOO

from jaxrec.sparse._matrices import SparseMatrix, SparseOperator, from_dense, from_entries, operator
from jaxrec.sparse._products import gram, map_gram_columns, spmm
from jaxrec.sparse._row_products import spmm_rows

__all__ = [
    "BCOO",
    "SparseMatrix",
    "SparseOperator",
    "from_dense",
    "from_entries",
    "gram",
    "map_gram_columns",
    "operator",
    "spmm",
    "spmm_rows",
]
