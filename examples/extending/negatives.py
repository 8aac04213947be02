"""A sampler of one's own: negatives in proportion to a power of their popularity.

jaxrec fit movielens-small --model mf --negatives examples.extending.negatives:PopularityPower --exponent 0.5
"""

import jax
import jax.numpy as jnp

from jaxrec.protocols import Negatives
from jaxrec.pytrees import options, static
from jaxrec.sampling import contains


@options
class PopularityPower(Negatives):
    """Items that the user lacks, drawn with probabilities proportional to (their interactions)^exponent.

    An item without interactions counts as one that has as few as the rarest. The scores of all items are made for each
    row, B x I numbers, which suits catalogs of some thousand items.

    Attributes:
      exponent: 0 draws uniformly, 1 by popularity; .75 is that of word2vec.
      num: M, how many for each positive.

    References:
      Mikolov et al., Distributed Representations of Words and Phrases, NeurIPS 2013, section 2.2.
    """

    exponent: float = 0.75
    num: int = static(default=1)

    def __call__(self, data, user, item, key):
        """(items int32 [B, M], bool [B]: whether the user lacks any item)."""
        known = jnp.isfinite(data.log_probability)
        rarest = jnp.min(data.log_probability, where=known, initial=0)
        logits = self.exponent * jnp.where(known, data.log_probability, rarest)
        every = jnp.arange(data.num_items, dtype=jnp.int32)
        lacking = ~contains(data.seen, user[:, None], every[None, :])
        logits = jnp.where(lacking, logits[None, :], -jnp.inf)
        drawn = jax.random.categorical(key, logits, axis=1, shape=(self.num, user.shape[0]))
        return drawn.T.astype(jnp.int32), jnp.any(lacking, axis=1)
