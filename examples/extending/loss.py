"""A loss of one's own: the hinge, max(0, margin - (s+ - s-)), as collaborative metric learning has it.

jaxrec fit movielens-small --model mf --loss examples.extending.loss:Hinge --margin 0.5
"""

import jax.numpy as jnp

from jaxrec.losses import masked_mean
from jaxrec.protocols import Loss
from jaxrec.pytrees import options


@options
class Hinge(Loss):
    """The hinge of the gap between a positive and each of its negatives; pairs far enough apart cost nothing.

    Attributes:
      margin: the gap beyond which a pair costs nothing.

    References:
      Weston, Bengio and Usunier, WSABIE, IJCAI 2011; Hsieh et al., Collaborative Metric Learning, WWW 2017.
    """

    margin: float = 1.0

    def __call__(self, rows, batch, data, key):
        """The mean over the rows that count."""
        gap = jnp.sum(rows.user[:, None] * (rows.positive[:, None] - rows.negative), axis=2)
        return masked_mean(jnp.mean(jnp.maximum(self.margin - gap, 0), axis=1), where=batch.where)
