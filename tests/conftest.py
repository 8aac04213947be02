"""Settings of the whole test suite: strict dtypes and ranks, and deterministic Hypothesis runs."""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

import hypothesis
import jax
import pytest

hypothesis.settings.register_profile("jaxrec", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.load_profile("jaxrec")


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(autouse=True)
def _strict():
    """Every test runs under strict dtype promotion and refuses rank promotion; Optax opts out around its own update."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
