"""Programs of the library, noted while they are called, and lowered for accelerators that are not at hand."""

import contextlib
import functools
import importlib
import pkgutil
import re

import jax
import jax.numpy as jnp
import pytest

import jaxrec

PLATFORMS = ("cuda", "tpu")
JITTED = type(jax.jit(lambda: 0))

# What XLA has on the platforms, by the beginning of its name: cuSOLVER, cuBLAS and the random bits of CUDA, the
# decompositions of the TPU compiler, and notes to the compiler, which every platform understands.
KNOWN = (
    *("cusolver_", "cublas_", "cu_", "__cublas$"),
    *("Eigh", "Qr", "LuDecomposition", "ProductOfElementaryHouseholderReflectors", "TopK"),
    *("LayoutConstraint", "Sharding", "annotate_device_placement"),
)


def place(function):
    return f"{function.__wrapped__.__module__}:{function.__wrapped__.__qualname__}"


@functools.cache
def jitted_functions():
    """All functions of the library that are jitted where they are defined, by place, and every name of them."""
    found, names = {}, []
    for module in pkgutil.walk_packages(jaxrec.__path__, "jaxrec."):
        if module.name.endswith("__main__"):
            continue
        space = importlib.import_module(module.name)
        for name, value in vars(space).items():
            if isinstance(value, JITTED) and value.__wrapped__.__module__.startswith("jaxrec."):
                found[place(value)] = value
                names.append((space, name, value))
    return found, names


class Noted:
    """Stands for a jitted function: what it is called with is traced, once for each shape, and kept.

    What is compiled ahead is an epoch, whose program takes longest to compile: it is not compiled, and ends with ones.
    """

    def __init__(self, function, programs):
        self.function, self.programs, self.__wrapped__ = function, programs, function.__wrapped__

    def note(self, *given, **named):
        leaves, tree = jax.tree.flatten((given, named))
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return None  # inside another program, which has it
        kinds = [jax.typeof(leaf) if isinstance(leaf, float) or hasattr(leaf, "dtype") else leaf for leaf in leaves]
        program = place(self.function), str(tree), str(kinds)
        if program not in self.programs:
            self.programs[program] = self.function.trace(*given, **named)
        return self.programs[program]

    def __call__(self, *given, **named):
        self.note(*given, **named)
        return self.function(*given, **named)

    def lower(self, *given, **named):
        traced = self.note(*given, **named)
        return Unrun(jax.tree.map(of_ones, traced.out_info))

    def __getattr__(self, name):
        return getattr(self.function, name)


class Unrun:
    def __init__(self, results):
        self.results = results

    def compile(self):
        return lambda *given: jax.tree.map(jnp.copy, self.results)


def of_ones(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key(0) if not leaf.shape else jax.random.split(jax.random.key(0), leaf.shape)
    whole = jnp.issubdtype(leaf.dtype, jnp.integer)  # counts, such as that of rows without a negative
    return (jnp.zeros if whole else jnp.ones)(leaf.shape, leaf.dtype)


@contextlib.contextmanager
def recording():
    """Collect the programs that are called within the block, with the choices that the host makes on an accelerator."""
    programs, noted = {}, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")
        for space, name, function in jitted_functions()[1]:
            patch.setattr(space, name, noted.setdefault(place(function), Noted(function, programs)))
        yield programs


lowered = {}  # by program: several workloads have some in common


def foreign_calls(program, traced):
    """The custom calls of a program, lowered for both platforms together, that XLA does not have there."""
    if program not in lowered:
        text = traced.lower(lowering_platforms=PLATFORMS).as_text()
        calls = set(re.findall(r"custom_call @\"?([^\s(\"]+)", text))
        lowered[program] = sorted(call for call in calls if not call.startswith(KNOWN))
    return lowered[program]
