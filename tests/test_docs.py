"""The documentation that code carries: every module says what it is, every public name shows an example that runs."""

import importlib
import inspect
import pkgutil

import jaxrec

MODULES = ["jaxrec", *(found.name for found in pkgutil.walk_packages(jaxrec.__path__, "jaxrec."))]


def public(module):
    """The names of a face, which lists them, or of a module of one file, which defines them."""
    defined = [name for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__]
    return getattr(module, "__all__", [name for name in defined if not name.startswith("_")])


def without_example(module):
    """The public functions, jitted ones too, and classes without one; protocols and types of values need none."""
    things = {name: getattr(module, name) for name in public(module)}
    asked = [
        name
        for name, thing in things.items()
        if callable(thing)
        and getattr(thing, "__module__", None) not in ("typing", "collections.abc")
        and not getattr(thing, "_is_protocol", False)
    ]
    return [name for name in asked if ">>>" not in (inspect.getdoc(things[name]) or "")]


def test_every_module_says_what_it_is_and_every_public_name_has_an_example():
    modules = {name: importlib.import_module(name) for name in MODULES if name != "jaxrec.__main__"}
    assert len(modules) > 50
    assert [name for name, module in modules.items() if not module.__doc__] == []
    faces = {name: module for name, module in modules.items() if "._" not in name}
    assert sum(len(public(module)) for module in faces.values()) > 200
    missing = {name: without_example(module) for name, module in faces.items()}
    assert {name: names for name, names in missing.items() if names} == {}


def test_a_name_without_an_example_is_noticed():
    module = type(jaxrec)("made_up")
    text = '''
from typing import Literal, Protocol
Word = Literal["a"]
class Shape(Protocol):
    """Nothing."""
class Bare:
    """Nothing."""
def told():
    """Nothing.

    >>> told()
    """
def silent():
    """Nothing."""
def _inner():
    pass
'''
    exec(text, vars(module))  # its `__name__` is the module of what it defines
    assert without_example(module) == ["Bare", "silent"]
    module.__all__ = ["silent", "told", "Word", "Shape"]
    assert without_example(module) == ["silent"]
