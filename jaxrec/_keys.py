"""Keys: the check of those that callers give, and keys from their data."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._checks import shown
from jaxrec.errors import JaxrecError

_IMPLEMENTATIONS = {2: "threefry2x32", 4: "rbg"}  # by the words of the data of a key


def key_from_data(data: Any) -> jax.Array:
    """The key of what `jax.random.key_data` gave, whatever the default implementation is.

    >>> key_from_data(jax.random.key_data(jax.random.key(3, impl="rbg")))
    Array((), dtype=key<rbg>) overlaying:
    [0 3 0 3]
    """
    words = data.shape[-1] if data.ndim else 0
    return jax.random.wrap_key_data(data, impl=_IMPLEMENTATIONS.get(words))


def one_key(value: Any, name: str = "key") -> jax.Array:
    """Check that it is one key of `jax.random`, and give it as `jax.random.key` does.

    Raw keys of `jax.random.PRNGKey` go, with the numbers that they always gave; under `jit` a tracer of a key goes.

    Args:
      value: what the caller gave.
      name: of the argument, for the message.

    Raises:
      JaxrecError: something else, such as a seed, or an array of keys.

    >>> one_key(jax.random.key(1)) == one_key(jax.random.PRNGKey(1))
    Array(True, dtype=bool)
    >>> one_key(7)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: key must be one key of jax.random, got 7; pass jax.random.key(7)
    """
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            if value.ndim == 0:
                return value
            raise JaxrecError(
                f"{name} must be one key of jax.random, got an array of shape {value.shape}; pass one of them"
            )
        width = jax.random.key_data(jax.random.key(0)).shape
        if value.dtype == jnp.uint32 and value.shape == width:
            return jax.random.wrap_key_data(value)
    known = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 0
    seed = int(value) if known else 0
    raise JaxrecError(f"{name} must be one key of jax.random, got {shown(value)}; pass jax.random.key({seed})")
