"""A run folder never makes anything be imported, whatever it names."""

import json
import sys

import jax
import pytest
from forging import edit

import jaxrec
from examples.extending.loss import Hinge
from jaxrec.errors import RunFolderError

TRAP = "class Hinge:\n    pass\n"


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """The place of a class in a module that can be imported, and is not imported yet."""
    (tmp_path / "trap_module.py").write_text(TRAP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield "trap_module:Hinge"
    sys.modules.pop("trap_module", None)


def places(value, path=()):
    """The ways to every place of a class in a document."""
    if isinstance(value, dict):
        if ":" in str(value.get("kind")):
            yield (*path, "kind")
        for name, each in value.items():
            yield from places(each, (*path, name))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from places(each, (*path, at))


def test_no_place_in_a_run_folder_is_imported(trap, tmp_path, cli):
    data = jaxrec.from_arrays([0, 0, 1, 1], [0, 1, 1, 2])
    fitted = jaxrec.fit(jaxrec.MF(dim=2), data, loss=Hinge(), epochs=1, key=jax.random.key(0))
    folder = jaxrec.save(fitted, tmp_path / "run")
    plain = (folder / "model.json").read_text()
    found = list(places(json.loads(plain)))
    # The model, the scorer, the seen items, the options and what they carry.
    assert len(found) >= 8
    for way in found:
        document = json.loads(plain)
        at = document
        for name in way[:-1]:
            at = at[name]
        at["kind"] = trap
        edit(folder, **document)
        with pytest.raises(RunFolderError):
            jaxrec.restore(folder)
        with pytest.raises(RunFolderError):
            jaxrec.restore(folder, kinds=[jaxrec.MF])
        assert cli("recommend", folder, "--user", "0").status == 2
    assert "trap_module" not in sys.modules
    # It could have been: what the caller names is imported.
    assert cli("recommend", folder, "--user", "0", "--kind", trap).status == 2
    assert "trap_module" in sys.modules


def test_a_format_that_a_run_folder_names_is_not_imported(trap, ratings, tmp_path, cli):
    run = tmp_path / "run"
    fit = ("--model", "popularity", "--out", run, "-k", "3", "--no-distances")
    assert cli("fit", ratings, *fit).status == 0
    document = json.loads((run / "model.json").read_text())
    document["info"]["source"]["options"]["format"] = trap
    edit(run, **document)
    error = cli("evaluate", run, "-k", "3", "--no-distances").error
    assert trap in error
    assert "--kind" in error
    assert "trap_module" not in sys.modules


def test_kind_wants_a_place(tmp_path, cli):
    assert "package.module:Class" in cli("recommend", tmp_path, "--user", "0", "--kind", "Hinge").error
