"""How long compiling took, as JAX reports it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import jax

_EVENTS = ("/jax/core/compile/jaxpr_to_mlir_module_duration", "/jax/core/compile/backend_compile_duration")


@contextlib.contextmanager
def compiling() -> Iterator[Callable[[], float]]:
    """Count the seconds that go into compiling within the block.

    Yields:
      A function that gives the seconds so far.

    >>> with compiling() as seconds:
    ...     _ = jax.jit(lambda x: 5 * x + 3)(7.0)
    ...     print(seconds() > 0)
    True
    """
    total = [0.0]

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event in _EVENTS:
            total[0] += duration_secs

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield lambda: total[0]
    finally:
        # Where a listener cannot be taken back it counts on, for nobody.
        forget = getattr(jax.monitoring, "unregister_event_duration_listener", None)
        if forget is not None:
            forget(listen)
