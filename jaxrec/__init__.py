"""A recommender library in JAX."""
