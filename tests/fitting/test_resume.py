"""Fits that are stopped and resumed: the bits of a fit that was never stopped, and what is refused."""

import json
import pathlib
import warnings

import jax
import numpy as np
import pytest
import worlds

import jaxrec
from jaxrec.errors import JaxrecError, MismatchError, RunFolderError
from jaxrec.losses import Logistic
from jaxrec.training import SGD

pytest.importorskip("orbax.checkpoint", reason="checkpoints need Orbax")

KEY = jax.random.key(3)
HOW = {"epochs": 5, "batch_size": 256, "validation": jaxrec.Validation(every=2, patience=2)}


class Stopped(Exception):
    """What a callback raises in place of a kill."""


def stop_after(events):
    """A callback that breaks a fit off while an epoch is told, so the checkpoint after it is not written."""
    left = [events]

    def callback(event):
        left[0] -= 1
        if left[0] < 0:
            raise Stopped

    return callback


def bits(model):
    leaves = jax.tree.leaves((dict(model.variables), model.scorer))
    records = [{k: v for k, v in each.items() if "seconds" not in k} for each in model.info["records"]]
    return [np.asarray(leaf).tobytes() for leaf in leaves], model.info["best_epoch"], model.info["valid"], records


def lines(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]


def fit(**more):
    return jaxrec.fit(jaxrec.MF(dim=4), worlds.middle_split(), key=KEY, **{**HOW, **more})


def stopped(folder, events=3, every=1, **more):
    with pytest.raises(Stopped):
        fit(checkpoint=jaxrec.Checkpoint(folder, every=every), callbacks=[stop_after(events)], **more)
    return folder


def files_of(folder, step):
    return sorted(path for path in (folder / "steps" / str(step)).rglob("*") if path.is_file())


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_fit_that_is_stopped_anywhere_ends_with_the_bits_of_one_that_never_was(tmp_path, every):
    whole = fit(log=tmp_path / "whole.log")
    epochs = len(whole.info["records"])
    assert {row["stage"] for row in lines(tmp_path / "whole.log")} == {"fit", "refit"}
    for events in range(1, epochs):
        folder, log = tmp_path / f"{events}", tmp_path / f"{events}.log"
        stopped(folder, events, every, log=log)
        if events < every:
            with pytest.warns(UserWarning, match="no checkpoint was written yet .* starts anew"):
                resumed = fit(resume=folder, log=log)
        else:
            resumed = fit(resume=folder, log=log)
        assert bits(resumed) == bits(whole)
        assert lines(log) == lines(tmp_path / "whole.log")


def test_a_fit_that_is_over_gives_its_model_again_and_is_stopped_more_than_once(tmp_path):
    whole, folder = fit(), tmp_path / "kept"
    stopped(folder, 1)
    for events in (1, 2):
        with pytest.raises(Stopped):
            fit(resume=folder, callbacks=[stop_after(events)])
    assert bits(fit(resume=folder)) == bits(fit(resume=folder)) == bits(whole)


def test_several_members_resume_together(tmp_path):
    keys = jax.random.split(KEY, 2)
    model, split = jaxrec.LightGCN(dim=4, layers=1), worlds.middle_split()
    whole = jaxrec.fit_many(model, split, keys=keys, log=tmp_path / "whole", **HOW)
    for events in (3, 11):  # of each epoch there is an event a member; the second is in the refit
        folder = tmp_path / f"{events}"
        with pytest.raises(Stopped):
            jaxrec.fit_many(
                model, split, keys=keys, callbacks=[stop_after(events)], checkpoint=jaxrec.Checkpoint(folder), **HOW
            )
        with pytest.warns(UserWarning, match="is unfinished"):
            assert jaxrec.restore(folder).num_users == worlds.USERS
        resumed = jaxrec.fit_many(model, split, keys=keys, log=tmp_path / "log", resume=folder, **HOW)
        assert [bits(each) for each in resumed] == [bits(each) for each in whole]
        assert lines(tmp_path / "log") == lines(tmp_path / "whole")


def test_a_tolerance_goes_on_comparing(tmp_path):
    # The first change of the summed loss is below it, so a resumed fit that forgot the last loss would run on.
    how = {"validation": None, "tolerance": 1e9}
    whole = fit(**how)
    assert whole.info["best_epoch"] == 2
    assert bits(fit(resume=stopped(tmp_path / "kept", 1, **how), **how)) == bits(whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 6}, "is another one: epochs was 5 and is 6; pass what it was started with"),
        ({"optimizer": SGD(0.1)}, r"optimizer was 'Adam' and is 'SGD'"),
        ({"loss": Logistic()}, "loss was 'InBatchSoftmax' and is 'Logistic'"),
        ({"validation": jaxrec.Validation(every=3, patience=2)}, "validation.every was 2 and is 3"),
    ],
)
def test_other_options_are_refused_by_name(tmp_path, changes, message):
    with pytest.raises(MismatchError, match=message):
        fit(resume=stopped(tmp_path / "kept"), **changes)


def test_another_model_key_or_data_are_refused_by_name(tmp_path):
    folder = stopped(tmp_path / "kept")
    split = worlds.middle_split()
    for model, data, key, message in [
        (jaxrec.MF(dim=8), split, KEY, "model.dim was 4 and is 8"),
        (jaxrec.LightGCN(dim=4), split, KEY, "model was 'jaxrec.models:MF' and is 'jaxrec.models:LightGCN'"),
        (jaxrec.MF(dim=4), split, jax.random.key(4), r"key was \[0, 3\] and is \[0, 4\]"),
        (jaxrec.MF(dim=4), worlds.middle_split(rated=True), KEY, "the train part has other rows"),
    ]:
        with pytest.raises(MismatchError, match=message) as caught:
            jaxrec.fit(model, data, key=key, resume=folder, **HOW)
        assert "\n" not in str(caught.value)


def test_another_machine_is_told_and_refused_unless_asked_for(tmp_path):
    folder = stopped(tmp_path / "kept")
    kept = json.loads((folder / "fit.json").read_text())
    machine = {**kept["machine"], "cores": kept["machine"]["cores"] + 3}
    rest = {name: kept[name] for name in ("every", "keep", "fit")}
    from jaxrec.fitting import _resume

    _resume._write(folder, {**rest, "machine": machine})
    cores = kept["machine"]["cores"]
    told = f"another machine: cores was {cores + 3} and is {cores}"
    with pytest.raises(MismatchError, match=f"{told}; .* pass other_machine=True"):
        fit(resume=folder)
    with pytest.warns(UserWarning, match=f"{told}; equal bits are not promised"):
        assert bits(fit(resume=folder, other_machine=True)) == bits(fit())


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "document"])
def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_is_used(tmp_path, damage):
    folder = stopped(tmp_path / "kept")
    files = files_of(folder, 3)
    largest = max((path for path in files if "meta" not in path.parts), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        largest.write_bytes(content)
    elif damage == "cut":
        largest.write_bytes(content[: len(content) // 2])
    elif damage == "remove":
        largest.unlink()
    else:
        path = next(path for path in files if path.parent.name == "meta" and path.name == "metadata")
        path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.warns(UserWarning, match="checkpoint 3 is damaged .*; checkpoint 2 is used instead"):
        resumed = fit(resume=folder)
    assert bits(resumed) == bits(fit())


def test_every_flipped_byte_of_a_checkpoint_is_harmless_or_found(tmp_path):
    folder = stopped(tmp_path / "kept")
    from jaxrec.training._checkpoint import Store

    store = Store(folder)
    document = store.document(3)
    right = [array.tobytes() for _, array in store.arrays(3, "state", document)]
    rng, found = np.random.default_rng(0), []
    for path in files_of(folder, 3):
        content = path.read_bytes()
        for at in rng.integers(0, len(content), 3) if content else ():
            path.write_bytes(content[:at] + bytes([content[at] ^ (1 << int(rng.integers(8)))]) + content[at + 1 :])
            try:
                again = store.document(3)
                assert again == document
                assert [array.tobytes() for _, array in store.arrays(3, "state", again)] == right
            except RunFolderError as error:
                found.append(str(error))
        path.write_bytes(content)
    assert len(found) > 10
    assert max(map(len, found)) < 250


def test_without_a_whole_checkpoint_it_is_refused_in_a_line(tmp_path):
    folder = stopped(tmp_path / "kept")
    for path in [*files_of(folder, 2), *files_of(folder, 3)]:
        path.write_bytes(b"")
    with pytest.raises(RunFolderError, match=r"checkpoint 3 is damaged .*no other that is whole; fit again"):
        fit(resume=folder)
    (folder / "fit.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"fit.json' is damaged"):
        fit(resume=folder)


def test_the_best_model_so_far_is_restored_from_a_fit_that_was_stopped(tmp_path):
    split = worlds.middle_split()
    kept = {}

    def keep(event):
        if event.best:
            kept[event.record.epoch] = jax.tree.map(np.asarray, event.params())

    stopped(tmp_path / "kept", 5)
    fit(callbacks=[keep])
    with pytest.warns(UserWarning, match=r"is unfinished; this is the model of epoch \d of its fit, the best so far"):
        model = jaxrec.restore(tmp_path / "kept")
    best = kept[model.info["best_epoch"]]
    assert all(np.array_equal(best[name], model.variables["params"][name]) for name in best)
    assert model.info["fitted_on"] == "train"
    assert len(jaxrec.recommend(model, split.train.users.ids[:2].tolist(), k=3)) == 2


def test_before_the_first_validation_the_last_epoch_is_restored(tmp_path):
    stopped(tmp_path / "kept", 1)
    with pytest.warns(UserWarning, match="epoch 1 of its fit, the last that was kept"):
        assert jaxrec.restore(tmp_path / "kept").info["valid"] == {}


def test_folders_that_are_not_to_be_used_are_refused(tmp_path):
    folder = stopped(tmp_path / "kept")
    with pytest.raises(RunFolderError, match="has the checkpoints of a fit; pass resume="):
        fit(checkpoint=jaxrec.Checkpoint(folder))
    with pytest.raises(RunFolderError, match="there is no fit to resume in"):
        fit(resume=tmp_path / "nowhere")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").write_text("precious")
    with pytest.raises(RunFolderError, match=r"is not empty \(it has thesis.tex\)"):
        fit(checkpoint=jaxrec.Checkpoint(tmp_path / "foreign"))
    with pytest.raises(JaxrecError, match="pass one of them, or the same"):
        fit(resume=folder, checkpoint=jaxrec.Checkpoint(tmp_path / "other"))
    with pytest.raises(RunFolderError, match="cannot be"):
        fit(checkpoint=jaxrec.Checkpoint(folder / "fit.json" / "below"))
    assert sorted(path.name for path in (tmp_path / "foreign").iterdir()) == ["thesis.tex"]


def test_what_has_no_use_is_refused(tmp_path):
    with pytest.raises(JaxrecError, match="EASE is solved, not trained, so there is nothing to resume"):
        jaxrec.fit(jaxrec.EASE(), worlds.middle_split(), key=KEY, checkpoint=jaxrec.Checkpoint(tmp_path / "kept"))
    with pytest.raises(JaxrecError, match="other_machine=True goes with resume"):
        fit(other_machine=True)
    with pytest.raises(JaxrecError, match="checkpoint must be a Checkpoint, got 'folder'"):
        fit(checkpoint="folder")
    for given in ({"every": 0}, {"every": True}, {"keep": 1.5}, {"every": "1"}):
        with pytest.raises(JaxrecError, match=f"{next(iter(given))} must be a whole number of at least 1"):
            jaxrec.Checkpoint("folder", **given)
    with pytest.raises(JaxrecError, match="folder must be the path of a folder"):
        jaxrec.Checkpoint(3)


def test_without_orbax_a_line_says_what_to_install(tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name.startswith("orbax") else find(name))
    with pytest.raises(JaxrecError, match=r'checkpoints need Orbax: pip install "jaxrec\[checkpoint\]"'):
        fit(checkpoint=jaxrec.Checkpoint(tmp_path / "kept"))
    assert not (tmp_path / "kept").exists()


def test_a_full_disk_is_told_before_training_and_while_saving(tmp_path, monkeypatch):
    import shutil

    from jaxrec.training import _checkpoint

    full = type("Usage", (), {"free": 10})
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda place: full)
        with pytest.raises(RunFolderError, match="has room for 0 MB, and two checkpoints take up to"):
            fit(checkpoint=jaxrec.Checkpoint(tmp_path / "full"))

    class Failing:
        def save(self, *args, **options):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(_checkpoint.Store, "_opened", lambda self, ocp: Failing())
    with pytest.raises(
        RunFolderError, match=r"cannot write a checkpoint to .*: No space left on device; what was kept"
    ):
        fit(checkpoint=jaxrec.Checkpoint(tmp_path / "kept"))


def test_a_second_process_is_refused(tmp_path):
    import fcntl
    import os

    folder = stopped(tmp_path / "kept")
    other = os.open(folder, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(RunFolderError, match="another process fits into"):
            fit(resume=folder)
    finally:
        os.close(other)


def test_few_checkpoints_stay_with_the_best_parameters(tmp_path):
    whole = fit(checkpoint=jaxrec.Checkpoint(tmp_path / "kept", keep=2))
    last = len(whole.info["records"])
    steps = sorted(int(path.name) for path in (tmp_path / "kept" / "steps").iterdir())
    assert steps[-2:] == [last - 1, last]
    assert len(steps) <= 4


def test_a_relative_folder_and_a_path_with_a_tilde_are_absolute(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert jaxrec.Checkpoint("~/kept").path == pathlib.Path("/somewhere/kept")
    assert jaxrec.Checkpoint("kept").path.is_absolute()


def test_no_warning_of_orbax_comes_out(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(resume=stopped(tmp_path / "kept", 1))
