"""Settings of the whole test suite: strict dtypes and ranks, deterministic Hypothesis runs, quick compilation."""

import os

# Most of the suite's time is compiling programs that run once, on a few rows. So LLVM optimises nothing here; what
# XLA itself does to a program, fusion and kernels, is the same. `make test-all` sets the flags as users have them.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true",
)

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
