"""Shapes and dtypes as jaxtyping annotations give them, checked at every call of an annotated function in the suite.

jaxtyping's own hook checks the arguments before a call, so that a function's own errors, which name the argument and
the remedy, would never be seen. Here they are checked after it: whatever a function accepts and returns is as its
signature says, with one size for each letter.
"""

import ast
import functools
import importlib.machinery
import inspect
import re
import sys

import jax
import jaxtyping
import numpy as np
import typeguard

ROOMS = (
    *("jaxrec.vectors", "jaxrec.graph"),
    *(f"jaxrec.{room}." for room in ("metrics", "losses", "sparse", "spectral", "ranking")),
    *(f"jaxrec.{room}." for room in ("sampling", "factorization", "evaluation")),
)


def speaks_of_shapes(annotation):
    return isinstance(annotation, str) and re.search(r"\[(Array|np\.ndarray), ['\"]", annotation)


def checked(function):
    """The function, whose calls must fit its annotations; those without a shape are the type checker's."""
    texts = {name: text for name, text in function.__annotations__.items() if speaks_of_shapes(text)}
    signature, hints = inspect.signature(function), {}

    @functools.wraps(function)
    def call(*args, **kwargs):
        result = function(*args, **kwargs)
        if not hints:  # once, and not while its module is made
            hints.update({name: eval(text, function.__globals__) for name, text in texts.items()})
        given = {**signature.bind(*args, **kwargs).arguments, "return": result}
        with jaxtyping.jaxtyped("context"):
            for name, size in given.items():
                if type(size) is int and size >= 0:  # from here on the letter k in a shape is the argument k
                    assert isinstance(np.broadcast_to(np.int8(0), (size,)), jaxtyping.Shaped[np.ndarray, name])
            for name in hints.keys() & given.keys():
                several = name in signature.parameters and str(signature.parameters[name]).startswith("*")
                try:
                    for one in given[name] if several else (given[name],):
                        typeguard.check_type(one, hints[name])
                except typeguard.TypeCheckError as error:
                    what = jax.tree.map(jax.typeof, given[name])
                    raise AssertionError(f"{function.__name__}: {name} is {what}, not {texts[name]}") from error
        return result

    return call


class Loader(importlib.machinery.SourceFileLoader):
    """Decorates functions where they are defined, before anything can refer to them, and keeps no bytecode of it."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and speaks_of_shapes(ast.unparse(node).partition('"""')[0]):
                # Innermost, so that jax.jit and the like stay what a caller sees.
                node.decorator_list.append(ast.parse("__import__('shapes').checked", mode="eval").body)
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        spec = super().find_spec(name, path, target) if name.startswith(ROOMS) else None
        if spec:
            spec.loader = Loader(name, spec.origin)
        return spec


def check_from_now_on():
    assert not [name for name in sys.modules if name.startswith(ROOMS)], "too late: the functions are there already"
    sys.meta_path.insert(0, Finder)
