"""Named data sets: where they come from, their terms, and how they are loaded."""

from jaxrec.data.datasets._catalog import DataSet, dataset, datasets, load
from jaxrec.data.datasets._download import cache_folder
from jaxrec.data.datasets._pickles import CompressedRows, read_pickle
from jaxrec.data.datasets._planetoid import PLANETOID, Planetoid, load_planetoid, read_planetoid, row_normalized

__all__ = [
    "PLANETOID",
    "CompressedRows",
    "DataSet",
    "Planetoid",
    "cache_folder",
    "dataset",
    "datasets",
    "load",
    "load_planetoid",
    "read_pickle",
    "read_planetoid",
    "row_normalized",
]
