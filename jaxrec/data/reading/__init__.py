"""From files, frames, matrices and graphs to interactions, and back."""

from jaxrec.data.reading._conversions import from_networkx, from_scipy, to_networkx, to_scipy
from jaxrec.data.reading._detection import FORMATS
from jaxrec.data.reading._frames import from_frame, to_frame
from jaxrec.data.reading._readers import read, read_split

__all__ = [
    "FORMATS",
    "from_frame",
    "from_networkx",
    "from_scipy",
    "read",
    "read_split",
    "to_frame",
    "to_networkx",
    "to_scipy",
]
