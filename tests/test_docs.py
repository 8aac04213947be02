"""Every public function outside of the command line has a docstring with an example that runs as a doctest."""

import importlib
import inspect
import pkgutil

import pytest

import jaxrec

MODULES = ["jaxrec"] + [
    found.name
    for found in pkgutil.walk_packages(jaxrec.__path__, "jaxrec.")
    if not found.name.startswith(("jaxrec.cli", "jaxrec.__main__"))
]


def undocumented(module):
    """The public functions of a module, jitted ones too, whose docstring has no example."""
    functions = {
        name: thing
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and getattr(thing, "__module__", None) == module.__name__
        and callable(thing)
        and not inspect.isclass(thing)
    }
    return [name for name, thing in functions.items() if ">>>" not in (inspect.getdoc(thing) or "")]


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_have_an_example(name):
    module = importlib.import_module(name)
    assert undocumented(module) == []
    assert module.__doc__


def test_a_function_without_an_example_is_noticed():
    module = type(jaxrec)("made_up")
    exec('def told():\n    """Nothing.\n\n    >>> told()\n    """\n\ndef silent():\n    """Nothing."""\n', vars(module))
    for function in (module.told, module.silent):
        function.__module__ = "made_up"
    assert undocumented(module) == ["silent"]
