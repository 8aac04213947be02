"""Ranking, rating and diversity metrics: pure functions of one user, to be lifted by `jax.vmap`."""
