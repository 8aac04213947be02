"""Several devices and processes: layouts and meshes, placements, the adjacency in parts, bytes, joining others."""

from jaxrec.parallel._bytes import Gathered, MeshStep, communicated_bytes, gathered_bytes
from jaxrec.parallel._data_order import DataOrder
from jaxrec.parallel._ending import guard
from jaxrec.parallel._matrix import ShardedMatrix, matrix_shapes, sharded_matrix
from jaxrec.parallel._mesh import Layout, NodeOrder, as_mesh, devices_for
from jaxrec.parallel._one_device import PlacedOperator, placed_operator
from jaxrec.parallel._operator import ShardedOperator, placement_for, sharded_operator
from jaxrec.parallel._placed import PlacedModel, PlacedStep
from jaxrec.parallel._placement import Placement, contiguous, in_place, place
from jaxrec.parallel._processes import Processes, join, writes

__all__ = [
    "DataOrder",
    "Gathered",
    "Layout",
    "MeshStep",
    "NodeOrder",
    "PlacedModel",
    "PlacedOperator",
    "PlacedStep",
    "Placement",
    "Processes",
    "ShardedMatrix",
    "ShardedOperator",
    "as_mesh",
    "communicated_bytes",
    "contiguous",
    "devices_for",
    "gathered_bytes",
    "guard",
    "in_place",
    "join",
    "matrix_shapes",
    "place",
    "placed_operator",
    "placement_for",
    "sharded_matrix",
    "sharded_operator",
    "writes",
]
