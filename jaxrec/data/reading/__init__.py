"""From files, frames, matrices and graphs to interactions, and back."""

from jaxrec.data.reading._conversions import from_networkx, from_scipy, to_networkx, to_scipy
from jaxrec.data.reading._formats import (
    FORMATS,
    Delimited,
    LightGCNText,
    MovieLensCSV,
    MovieLensDat,
    MovieLensData,
    RecBole,
)
from jaxrec.data.reading._frames import from_frame, to_frame
from jaxrec.data.reading._parquet import Parquet
from jaxrec.data.reading._readers import read, read_split

__all__ = [
    "FORMATS",
    "Delimited",
    "LightGCNText",
    "MovieLensCSV",
    "MovieLensDat",
    "MovieLensData",
    "Parquet",
    "RecBole",
    "from_frame",
    "from_networkx",
    "from_scipy",
    "read",
    "read_split",
    "to_frame",
    "to_networkx",
    "to_scipy",
]
