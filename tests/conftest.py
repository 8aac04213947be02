"""Settings of the whole test suite: strict dtypes and ranks, deterministic Hypothesis runs, quick compilation."""

import gc
import importlib.metadata
import os
import pathlib
import shutil

# Most of the suite's time is compiling programs that run once, on a few rows. So LLVM optimizes nothing here and gets
# each program in one piece, and the kernels are written by XLA's older emitter, in half the time. What XLA does before
# that, simplification and fusion, is the same. `make test-optimized` sets the flags as users have them. Each program is
# kept for the other workers, the processes that tests start and the next run: its key is made of its text, the flags
# and the versions, so a changed one is compiled anew.
PROGRAMS = pathlib.Path(__file__).parents[1] / ".cache" / "programs"
MOST_BYTES = 500e6
if "XLA_FLAGS" not in os.environ:
    old_emitter = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11)  # the last to have it
    os.environ["XLA_FLAGS"] = (
        "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 "
        "--xla_llvm_disable_expensive_passes=true --xla_cpu_parallel_codegen_split_count=1"
        + (" --xla_cpu_use_fusion_emitters=false" if old_emitter else "")
    )
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(PROGRAMS))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis
import jax
import numpy as np
import pytest
import shapes
from jax._src import core
from jax.extend.core import primitives

shapes.check_from_now_on()


# JAX 0.10 compiles a program for each shape of a NumPy array that becomes a JAX array, and of zeros, ones and the like:
# a tenth of all programs of the suite. They copy bits and compute nothing, so here the bits are copied.
def put_without_a_program(primitive, fits, made):
    """Outside of `jit`, put `made(x, ...)` on the device where `x` fits."""
    compiled = primitive.impl

    def put(x, *rest, **how):
        return jax.device_put(made(x, **how), may_alias=False) if fits(x) else compiled(x, *rest, **how)

    primitive.def_impl(put)


def is_plain_array(x):
    return isinstance(x, np.ndarray) and not getattr(x, "weak_type", False)


def is_plain_scalar(x):
    plain = isinstance(x, jax.Array) and isinstance(x.dtype, np.dtype) and not (x.weak_type or x.committed)
    return plain and x.ndim == 0


if "--xla_backend_optimization_level=0" in os.environ["XLA_FLAGS"]:  # as above, or by the process that started this one
    if hasattr(core, "stage_p"):
        put_without_a_program(core.stage_p, is_plain_array, np.asarray)
    put_without_a_program(
        primitives.broadcast_in_dim_p, is_plain_scalar, lambda x, shape, **how: np.broadcast_to(x, shape)
    )

hypothesis.settings.register_profile("jaxrec", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.load_profile("jaxrec")


def pytest_configure(config):
    """Empty the kept programs once they are too many; JAX's own limit reads the whole folder at every program."""
    kept = PROGRAMS.iterdir() if PROGRAMS.is_dir() and not hasattr(config, "workerinput") else ()
    if sum(file.stat().st_size for file in kept) > MOST_BYTES:
        shutil.rmtree(PROGRAMS, ignore_errors=True)


def pytest_collection_finish(session):
    """Look for garbage seldom, and not among what is there before the first test: that took an eighth of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file stays on one worker, and so does tests/parallel: its programs and its fixtures are made once."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return TOGETHER if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)

    config.option.loadscopereorder = False
    return ByFile(config, log)


TOGETHER = "tests/parallel/"
# The files that take longest while nothing is kept. They go first, so that the workers end together.
LONGEST = [TOGETHER, "test_lowering", "test_conformance", "test_suites", "test_explorer_browser", "test_readme"]
# The tests that take longest; tests/cpu_times.py writes the file.
SLOW = frozenset(pathlib.Path(__file__).with_name("slow.txt").read_text(encoding="utf-8").splitlines())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid in SLOW:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: next((at for at, name in enumerate(LONGEST) if name in item.nodeid), len(LONGEST)))


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(autouse=True)
def _strict():
    """Every test runs under strict dtype promotion and refuses rank promotion; Optax opts out around its own update."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
