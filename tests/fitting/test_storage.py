"""Saving and restoring: the same recommendations, no pickle, and a clear word for every kind of damage."""

import io
import json
import pickle
import shutil
import zipfile

import jax
import numpy as np
import pytest
from forging import arrays_file, edit, put_arrays, restate, rewrite

import jaxrec
from jaxrec import registry
from jaxrec.errors import MismatchError, RunFolderError
from jaxrec.losses import SquaredError


def interactions():
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((9, 7)) < 0.4)
    titles = {f"i{n}": f"Film Ä {n} (19{n:02d})" for n in range(7)}
    return jaxrec.from_arrays(
        [f"u{n}" for n in user], [f"i{n}" for n in item], rng.integers(1, 6, len(user)), titles=titles
    )


DATA = interactions()


def fit(name):
    model = registry.make("model", name)
    training = {"loss": SquaredError(), "epochs": 2, "batch_size": 8} if name == "mf" else {}
    return jaxrec.fit(model, DATA, key=jax.random.key(0), **training)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return jaxrec.save(fit("ease"), tmp_path_factory.mktemp("saved") / "run")


@pytest.fixture
def folder(saved, tmp_path):
    """A fresh copy of a saved run, to damage."""
    return shutil.copytree(saved, tmp_path / "run")


@pytest.mark.parametrize("name", ["mf", "ease"])  # the conformance suite does this for every model, without titles
def test_a_model_comes_back_the_same_with_titles_and_scale(name, tmp_path):
    fitted = fit(name)
    restored = jaxrec.restore(jaxrec.save(fitted, tmp_path / "run"))
    assert restored.name == name
    assert restored.model == fitted.model
    assert restored.options == fitted.options
    assert restored.info == fitted.info
    np.testing.assert_array_equal(restored.titles, DATA.titles)
    np.testing.assert_array_equal(restored.users.ids, DATA.users.ids)
    for mine, theirs in zip(restored.seen, fitted.seen, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    first, second = (jaxrec.recommend(model, k=3, exclude=["Film Ä 2"]).to_dict() for model in (fitted, restored))
    assert first == second
    pairs = DATA.users.ids[[0, 5]], DATA.items.ids[[1, 3]]
    np.testing.assert_array_equal(jaxrec.predict(restored, *pairs), jaxrec.predict(fitted, *pairs))
    # What was restored can be saved again, byte for byte the same arrays.
    jaxrec.save(restored, tmp_path / "again")
    with np.load(arrays_file(tmp_path / "run")) as first, np.load(arrays_file(tmp_path / "again")) as second:
        assert set(first) == set(second)
        for array in first:
            np.testing.assert_array_equal(first[array], second[array])


def test_numbers_as_ids_and_columns_come_back(tmp_path):
    data = jaxrec.from_arrays([3, 3, 10], [7, 8, 8], item_columns={"year": {7: 1995, 8: 1972}})
    fitted = jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))
    restored = jaxrec.restore(jaxrec.save(fitted, tmp_path / "run"))
    assert restored.users.ids.dtype == np.int64
    assert restored.titles is None
    np.testing.assert_array_equal(restored.item_columns["year"], [1995, 1972])
    assert [one.item for one in jaxrec.recommend(restored, ["10"], k=1)["10"]] == [7]


def test_saving_again_replaces_the_model_and_leaves_other_files(folder):
    (folder / "notes.txt").write_text("mine")
    jaxrec.save(fit("popularity"), folder)
    assert jaxrec.restore(folder).name == "popularity"
    assert (folder / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == [arrays_file(folder).name, "model.json", "notes.txt"]


def test_a_restored_model_can_be_evaluated_and_refuses_what_it_was_fitted_on(folder):
    split = jaxrec.split(DATA, "user_random", key=jax.random.key(0))
    with pytest.raises(MismatchError, match="was fitted on"):
        jaxrec.evaluate(jaxrec.restore(folder), split)


def test_nothing_in_the_folder_is_a_pickle(folder):
    with zipfile.ZipFile(arrays_file(folder)) as archive:
        for member in archive.namelist():
            content = archive.read(member)
            assert content.startswith(b"\x93NUMPY")
            assert np.load(io.BytesIO(content), allow_pickle=False).dtype.kind in "iufUb"
    json.loads((folder / "model.json").read_text(encoding="utf-8"))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


class Hostile:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return (open, ("owned", "w"))


def put_pickle(folder):
    def change(arrays):
        arrays[next(iter(arrays))] = np.array([Hostile()], dtype=object)

    rewrite(folder, change)


def put_bare_pickle(folder):
    put_arrays(folder, pickle.dumps(Hostile()))


def drop_array(folder):
    rewrite(folder, lambda arrays: arrays.pop(next(iter(arrays))))


def shorten(arrays):
    for name, array in arrays.items():
        if array.ndim:
            arrays[name] = array[:-1]


DAMAGE = {
    "truncated arrays": (lambda f: truncate(arrays_file(f)), "npz is not the file"),
    "a flipped bit": (lambda f: flip(arrays_file(f)), "npz is not the file"),
    "no arrays": (lambda f: arrays_file(f).unlink(), "npz cannot be read .*No such file"),
    "empty arrays": (lambda f: arrays_file(f).write_bytes(b""), "npz is not the file"),
    "truncated model": (lambda f: truncate(f / "model.json"), "model.json' is damaged"),
    "no model": (lambda f: (f / "model.json").unlink(), "no run folder: it has no model.json"),
    "binary model": (lambda f: (f / "model.json").write_bytes(b"\xff\xfe\x00"), "model.json' is damaged"),
    "a list": (lambda f: (f / "model.json").write_text("[1]"), "was not written by jaxrec"),
    "foreign": (lambda f: (f / "model.json").write_text('{"name": "other"}'), "was not written by jaxrec"),
    "newer": (
        lambda f: edit(f, format_version=99),
        "format version 99 and this jaxrec reads 1 to 3; use the jaxrec that",
    ),
    "other model": (lambda f: edit(f, model={"name": "gpt", "options": {}}), "damaged"),
    "other option": (lambda f: edit(f, model={"name": "ease", "options": {"depth": 3}}), "damaged"),
    "no scorer": (lambda f: edit(f, scorer=None), "damaged"),
    "no entry": (lambda f: edit(f, variables={"kind": "array"}), "damaged"),
    "a pickle among the arrays": (put_pickle, "damaged"),
    "a pickle in place of the arrays": (put_bare_pickle, "damaged"),
    "a missing array": (drop_array, "damaged"),
    "arrays cut short": (lambda f: rewrite(f, shorten), r"scorer.history.indptr is <i4 \(9,\), not <i4 \(10,\)"),
    "arrays and sizes cut short": (lambda f: restate(f, shorten), "damaged: the ids are of"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told_and_runs_nothing(name, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damage, message = DAMAGE[name]
    damage(folder)
    with pytest.raises(RunFolderError, match=message):
        jaxrec.restore(folder)
    assert not (tmp_path / "owned").exists()


def test_folders_that_are_none(tmp_path):
    with pytest.raises(RunFolderError, match=r"no run folder at .*nowhere"):
        jaxrec.restore(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFolderError, match=r"is no run folder: it has no model.json"):
        jaxrec.restore(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write the run folder"):
        jaxrec.save(fit("popularity"), tmp_path / "file")
    with pytest.raises(RunFolderError, match="file"):
        jaxrec.restore(tmp_path / "file")
