"""A regularizer of one's own: embeddings are drawn to the unit sphere, where inner products are cosines.

jaxrec fit movielens-small --model mf --regularizer examples.extending.regularizer:UnitNorm --weight 0.1
"""

import jax.numpy as jnp

from jaxrec.losses import masked_mean
from jaxrec.protocols import Regularizer
from jaxrec.pytrees import options


@options
class UnitNorm(Regularizer):
    """The squared distance of the embeddings of a batch from the unit sphere: weight (|e|^2 - 1)^2.

    Long vectors are those of popular items, so it also takes weight from popularity. The mean over the rows of each
    table counts, and the tables are added.

    Attributes:
      weight: the coefficient.
    """

    weight: float = 0.1

    def __call__(self, embeddings, where):
        """The penalty, a scalar."""
        total = jnp.zeros((), jnp.float32)
        for rows in embeddings:
            excess = jnp.square(jnp.sum(jnp.square(rows), axis=-1) - 1)
            each = jnp.mean(excess.reshape(rows.shape[0], -1), axis=1)
            total = total + masked_mean(each, where=where)
        return self.weight * total
