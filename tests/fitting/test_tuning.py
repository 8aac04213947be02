"""`tune`: what is tried, what is read, what is kept, and what is refused."""

import dataclasses
import importlib.util
import logging
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import middle, middle_split

import jaxrec
from jaxrec import EASE, MF, FloatRange, IntRange, ItemKNN, Validation
from jaxrec.errors import JaxrecError
from jaxrec.losses import BPR, InBatchSoftmax, Logistic, SquaredError, SquaredL2, masked_mean
from jaxrec.protocols import Callback, Loss
from jaxrec.pytrees import options
from jaxrec.training import SGD, Adam

DATA, SPLIT = middle(), middle_split()
SHORT = {"batch_size": 64, "epochs": 3, "validation": Validation(every=1, patience=0)}
RATES = {"optimizer.learning_rate": FloatRange(1e-3, 1e-1, log=True)}


def tune(space, model=None, *, key=0, how=SHORT, **rest):
    model = MF(dim=4) if model is None else model
    return jaxrec.tune(model, SPLIT, space, key=jax.random.key(key), **{**how, **rest})


def told(study):
    """All of a study but the seconds."""
    return [dataclasses.replace(trial, seconds=0.0) for trial in study.trials]


def test_every_combination_of_lists_has_the_value_that_fit_gives_for_its_key():
    study = tune({"model.dim": [2, 4], "regularizer.weight": [0.0, 0.5]}, refit=True)
    assert [tuple(trial.settings.values()) for trial in study.trials] == [(2, 0.0), (2, 0.5), (4, 0.0), (4, 0.5)]
    for trial in study.trials:
        dim, weight = trial.settings.values()
        fitted = jaxrec.fit(
            MF(dim=dim), SPLIT, regularizer=SquaredL2(weight), refit=False, key=jax.random.key(0), **SHORT
        )
        assert trial.value == fitted.info["valid"]["ndcg@10"]
        assert trial.epochs == (fitted.info["best_epoch"],)
    values = [trial.value for trial in study.trials]
    assert study.best.number == int(np.argmax(values))
    assert (study.model.dim, study.options.regularizer.weight) == tuple(study.best.settings.values())
    # The options are ready for a fit, which refits as it was asked to.
    assert study.options.refit is True
    assert jaxrec.fit(study.model, SPLIT, study.options, key=jax.random.key(1)).info["fitted_on"] == "train and valid"


def test_several_keys_train_a_setting_several_times_and_the_mean_counts():
    keys = [jax.random.key(seed) for seed in (3, 4)]
    (trial,) = jaxrec.tune(MF(dim=4), SPLIT, [{}], key=keys, **SHORT).trials
    alone = [jaxrec.fit(MF(dim=4), SPLIT, refit=False, key=key, **SHORT).info["valid"]["ndcg@10"] for key in keys]
    assert trial.values == tuple(alone)
    assert trial.value == np.mean(alone)


def test_a_list_of_settings_is_tried_in_its_order_and_nothing_else():
    settings = [{"model.l2": 5.0}, {"model.l2": 1.0}, {}]
    study = tune(settings, EASE(l2=2.0), how={})
    assert [trial.settings for trial in study.trials] == settings
    expected = [jaxrec.fit(EASE(l2=l2), SPLIT, refit=False, key=jax.random.key(9)) for l2 in (5.0, 1.0, 2.0)]
    assert [trial.value for trial in study.trials] == [fitted.info["valid"]["ndcg@10"] for fitted in expected]


def test_paths_below_a_whole_object_count_where_the_chosen_object_has_the_option():
    study = tune({"loss.temperature": [0.1, 0.2], "loss": [BPR(), InBatchSoftmax(logit_adjustment=0.5)]})
    assert [trial.settings for trial in study.trials] == [
        {"loss": "BPR()"},
        {"loss": "InBatchSoftmax(logit_adjustment=0.5)", "loss.temperature": 0.1},
        {"loss": "InBatchSoftmax(logit_adjustment=0.5)", "loss.temperature": 0.2},
    ]


def test_values_that_only_go_together_are_put_in_together():
    study = tune(
        [{"batch_size": 48, "loss.chunks": 3}, {"loss": Logistic(), "negatives.num": 2}], loss=InBatchSoftmax()
    )
    assert [trial.state for trial in study.trials] == ["complete", "complete"]


def test_an_object_from_outside_is_searched_like_those_of_the_library():
    @options
    class Hinge(Loss):
        margin: float = 1.0

        def __call__(self, rows, batch, data, key):
            gap = jnp.sum(rows.user[:, None] * (rows.positive[:, None] - rows.negative), axis=2)
            return masked_mean(jnp.maximum(self.margin - gap, 0).mean(axis=1), where=batch.where)

    study = tune({"loss.margin": [0.5, 2.0]}, loss=Hinge())
    assert [trial.state for trial in study.trials] == ["complete", "complete"]
    assert study.options.loss.margin == study.best.settings["loss.margin"]


class _Whole(Callback):
    def __init__(self):
        self.stages = []

    def start(self, stage):
        self.stages.append((stage.name, stage.members))

    def __call__(self, event):
        return None


def test_the_test_part_is_not_read_and_nothing_is_refitted():
    stages = _Whole()
    other = dataclasses.replace(SPLIT, test=SPLIT.test.select(np.arange(1)))
    with_test = tune({"model.dim": [2, 4]}, refit="all", callbacks=[stages])
    without = jaxrec.tune(MF(dim=4), other, {"model.dim": [2, 4]}, key=jax.random.key(0), refit="all", **SHORT)
    assert told(with_test) == told(without)
    assert stages.stages == [("fit", 1), ("fit", 1)]


def test_a_metric_of_which_less_is_better_is_minimized():
    rated = jaxrec.from_arrays(DATA.user, DATA.item, np.random.default_rng(1).integers(1, 6, len(DATA)))
    split = jaxrec.split(rated, "user_random", key=jax.random.key(0))
    study = jaxrec.tune(
        MF(dim=2, bias=True),
        split,
        {"optimizer.learning_rate": [1e-4, 1e-2]},
        loss=SquaredError(),
        optimizer=SGD(),
        key=jax.random.key(0),
        **SHORT,
    )
    assert study.monitor == "rmse"
    assert not study.higher_is_better
    assert study.best.value == min(trial.value for trial in study.trials)


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on():
    seen = []
    study = tune({"optimizer.learning_rate": [0.01, 1e30, -1.0]}, optimizer=SGD(), on_trial=seen.append)
    assert [trial.state for trial in study.trials] == ["complete", "failed", "failed"]
    assert "not finite" in study.trials[1].error
    assert study.trials[2].error == "learning_rate must be positive, got -1.0"
    assert study.best.number == 0
    assert seen == list(study.trials)
    assert study.trials[2].error in str(study)


def test_memory_that_runs_out_fails_a_trial_and_a_defect_does_not():
    class Broken(Callback):
        def __init__(self, error):
            self.error = error

        def __call__(self, event):
            raise self.error

    error = RuntimeError("RESOURCE_EXHAUSTED: out of memory")
    with pytest.raises(JaxrecError, match=r"none of the 1 trials came to an end; the first: RESOURCE_EXHAUSTED"):
        tune([{}], callbacks=[Broken(error)])
    with pytest.raises(RuntimeError, match="defect"):
        tune([{}], callbacks=[Broken(RuntimeError("defect"))])


def test_settings_of_one_shape_go_through_one_program_and_have_the_values_of_each_alone():
    stages = _Whole()
    space = {"loss": ["bpr", "softmax"], "optimizer.learning_rate": [0.01, 0.03]}
    keys = [jax.random.key(0), jax.random.key(1)]
    many = jaxrec.tune(MF(dim=4), SPLIT, space, key=keys, together=4, callbacks=[stages], **SHORT)
    alone = jaxrec.tune(MF(dim=4), SPLIT, space, key=keys, **SHORT)
    assert stages.stages == [("fit", 4), ("fit", 4)]
    for one, other in zip(many.trials, alone.trials, strict=True):
        assert (one.number, one.settings, one.state) == (other.number, other.settings, other.state)
        np.testing.assert_allclose(one.values, other.values, atol=1e-5)


def test_a_member_that_fails_leaves_the_others_of_its_program_alone():
    study = tune({"optimizer.learning_rate": [0.01, 1e30]}, optimizer=SGD(), together=2)
    assert [trial.state for trial in study.trials] == ["complete", "failed"]


def test_another_number_compiles_nothing(caplog):
    tune({"optimizer.learning_rate": [0.01]}, optimizer=Adam())  # what is compiled once
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        tune({"optimizer.learning_rate": [0.02, 0.03]}, optimizer=Adam())
    assert not [line for line in caplog.messages if re.search(r"Compiling .*run_epoch", line)]


def test_the_study_prints_a_table_and_gives_plain_values():
    study = tune({"model.l2": [1.0, 1000.0]}, EASE(), how={})
    assert len(str(study).splitlines()) == 3
    assert str(study).count("the best") == 1
    assert study.to_dict()["trials"][1]["settings"] == {"model.l2": 1000.0}
    frame = study.to_frame()
    assert frame["model.l2"].tolist() == [1.0, 1000.0]
    assert frame["value"].tolist() == [trial.value for trial in study.trials]


optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="optuna is not installed")


@optuna
def test_the_defaults_are_trial_0_and_the_same_key_gives_the_same_study():
    space = {"model.dim": IntRange(2, 8), "loss": [BPR(), InBatchSoftmax()], **RATES}
    study = tune(space, trials=5, loss=BPR())
    # 5e-3, Adam's default, and the size that was given
    assert study.trials[0].settings == {"model.dim": 4, "loss": "BPR()", "optimizer.learning_rate": 5e-3}
    assert told(study) == told(tune(space, trials=5, loss=BPR()))
    assert told(study)[1:] != told(tune(space, trials=5, loss=BPR(), key=1))[1:]
    for trial in study.trials:
        assert trial.settings["model.dim"] in space["model.dim"]
        assert trial.settings["optimizer.learning_rate"] in RATES["optimizer.learning_rate"]


@optuna
def test_defaults_outside_their_ranges_are_trial_0_all_the_same():
    space = {"loss.logit_adjustment": FloatRange(0.5, 1.0), "model.dim": IntRange(8, 9)}
    study = tune(space, trials=2, loss=InBatchSoftmax(logit_adjustment=None))
    assert study.trials[0].settings == {"loss.logit_adjustment": None, "model.dim": 4}
    assert study.trials[1].settings["model.dim"] in (8, 9)


@optuna
def test_a_study_in_a_file_goes_on_as_if_it_had_not_stopped(tmp_path):
    space = {"model.dim": IntRange(2, 8), **RATES}
    whole = tune(space, trials=6)
    first = tune(space, trials=2, file=tmp_path / "study.log")
    assert told(first) == told(whole)[:2]
    seen = []
    second = tune(space, trials=6, file=tmp_path / "study.log", on_trial=seen.append)
    assert [trial.number for trial in seen] == [2, 3, 4, 5]
    assert told(second) == told(whole)
    assert second.trials[:2] == first.trials  # with the seconds that they took
    assert second.model == whole.model
    assert second.options == whole.options


@optuna
def test_a_search_that_was_broken_off_runs_the_trial_again(tmp_path):
    class Interrupt(Callback):
        def __call__(self, event):
            raise KeyboardInterrupt

    file = tmp_path / "study.log"
    tune(RATES, trials=1, file=file)
    with pytest.raises(KeyboardInterrupt):
        tune(RATES, trials=3, file=file, callbacks=[Interrupt()])
    assert told(tune(RATES, trials=3, file=file)) == told(tune(RATES, trials=3))


@optuna
@pytest.mark.parametrize(
    ("changes", "differ"),
    [({"epochs": 4}, "training"), ({"key": 1}, "key"), ({"model": MF(dim=8)}, "model")],
)
def test_a_study_of_another_search_is_not_continued(tmp_path, changes, differ):
    tune(RATES, trials=1, file=tmp_path / "study.log")
    with pytest.raises(JaxrecError, match=f"is of another search: {differ} differ"):
        tune(RATES, trials=2, file=tmp_path / "study.log", **changes)
    with pytest.raises(JaxrecError, match="space differ"):
        tune({"optimizer.learning_rate": FloatRange(1e-3, 1.0)}, trials=2, file=tmp_path / "study.log")
    # Another name is another study in the same file.
    assert len(tune(RATES, trials=1, file=tmp_path / "study.log", name="second", **changes).trials) == 1


class _AfterTheFirstEpoch:
    """A pruner of Optuna's kind that stops every trial that has reported a value."""

    def prune(self, study, trial):
        return trial.last_step is not None


@optuna
def test_a_pruned_trial_stops_early_and_is_never_the_best():
    optuna = pytest.importorskip("optuna")

    class Always(_AfterTheFirstEpoch, optuna.pruners.BasePruner):
        pass

    epochs = []

    def count(event):
        epochs.append(event.record.epoch)

    study = tune(RATES, trials=3, prune=Always(), callbacks=[count])
    assert [trial.state for trial in study.trials] == ["complete", "pruned", "pruned"]
    assert epochs == [1, 2, 3, 1, 1]
    assert study.best.number == 0
    together = tune(RATES, trials=3, prune=Always(), together=3)
    assert [trial.state for trial in together.trials] == ["complete", "pruned", "pruned"]


@optuna
def test_the_median_rule_stops_what_is_worse_than_the_median_of_five_and_can_be_left_out():
    # Trials 1 to 5 are always run, so the sixth draw is the first that can be stopped.
    space = {"optimizer.learning_rate": FloatRange(1e-7, 1e-1, log=True)}
    pruned = [trial.number for trial in tune(space, trials=14).trials if trial.state == "pruned"]
    assert pruned
    assert min(pruned) > 4
    assert not [trial for trial in tune(space, trials=14, prune=False).trials if trial.state == "pruned"]


@optuna
def test_solved_models_are_searched_too():
    study = tune({"model.neighbors": IntRange(2, 8)}, ItemKNN(), trials=3, how={})
    assert [trial.state for trial in study.trials] == ["complete"] * 3
    assert study.trials[0].settings == {"model.neighbors": ItemKNN().neighbors}


def test_without_optuna_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(JaxrecError, match=r'needs Optuna: pip install "jaxrec\[tune\]"'):
        tune(RATES, trials=2)


@pytest.mark.parametrize(
    ("space", "how", "message"),
    [
        ({}, {}, "space must map paths to ranges"),
        ({"loss.margin": [1.0]}, {"loss": BPR()}, r"which BPR\(\) has not; its options are none"),
        ({"model.width": [1]}, {}, r"which MF\(dim=4\) has not; its options are dim,"),
        ({"dim": [1, 2]}, {}, "paths start with model, loss, regularizer"),
        ({"validation.every": [1]}, {}, "paths start with"),
        ({"model.dim": []}, {}, "the choices of model.dim"),
        ({"model.dim": [2, 2]}, {}, "pass different ones"),
        ({"model.dim": "24"}, {}, "the range of model.dim is '24'"),
        ({"model.dim": IntRange(2, 4)}, {}, "model.dim has no end of values"),
        (RATES, {"trials": 0}, "trials must be a whole number of at least 1"),
        ([{}], {"trials": 2}, "space is a list of settings; leave trials out"),
        ([], {}, "or be a list of settings"),
        ([{}], {"together": 0}, "together must be"),
        ([{}], {"prune": True}, "prune goes with trials=N"),
        ([{}], {"validation": None}, "options without validation"),
        ([{}], {"validation": Validation(monitor="recal@10")}, "recal"),
        ({"model": [MF(), EASE()]}, {}, "trained and solved ones"),
        (RATES, {"trials": 2, "file": "no/such/folder/study.log"}, "folder that does not exist"),
    ],
)
def test_bad_calls_raise(space, how, message):
    with pytest.raises(JaxrecError, match=message):
        tune(space, **how)


def test_what_a_solved_model_has_no_use_for_is_refused():
    with pytest.raises(JaxrecError, match=r"EASE is solved, not trained, and has no use for epochs"):
        tune({"epochs": [1, 2]}, EASE(), how={})


def test_data_without_a_validation_part_are_refused():
    for data in (DATA, jaxrec.split(DATA, "user_random", valid=0.0)):
        with pytest.raises(JaxrecError, match="there are no such part; pass a split such as"):
            jaxrec.tune(MF(), data, [{}], key=jax.random.key(0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IntRange(4, 2), "low must not be above high"),
        (lambda: IntRange(0, 2, log=True), "needs a low end above 0"),
        (lambda: IntRange(1, 9, log=True, step=2), "step must be at least 1, and 1 with log"),
        (lambda: IntRange(0.5, 2), "low must be a whole number"),
        (lambda: FloatRange(0.0, 1.0, log=True), "needs a low end above 0"),
        (lambda: FloatRange(float("nan"), 1.0), "low must not be above high"),
    ],
)
def test_ranges_without_sense_are_refused(make, message):
    with pytest.raises(JaxrecError, match=message):
        make()


@pytest.mark.parametrize("together", [1, 2])
def test_a_search_that_is_killed_anywhere_ends_with_the_same_trials(tmp_path, together):
    """What a kill leaves is the file as it was at some moment, perhaps with half of an entry."""
    pytest.importorskip("optuna")
    whole, file = tmp_path / "whole.log", tmp_path / "study.log"
    expected = told(tune(RATES, trials=5, file=whole, together=together))
    assert expected == told(tune(RATES, trials=5, together=together))
    entries = whole.read_bytes().splitlines(keepends=True)
    for kept in range(2, len(entries)):
        file.write_bytes(b"".join(entries[:kept]))
        assert told(tune(RATES, trials=5, file=file, together=together)) == expected
        assert len(file.read_bytes().splitlines()) >= len(entries)
    file.write_bytes(b"".join(entries[:4]) + entries[4][:20])
    with pytest.warns(UserWarning, match="was not finished when its process ended; its trial runs again"):
        again = tune(RATES, trials=5, file=file, together=together)
    assert told(again) == expected


@pytest.mark.parametrize("space", [{"model.dim": [2, 3], "epochs": [1, 2]}, [{"model.dim": 2}, {}, {"epochs": 1}]])
def test_all_of_a_grid_or_list_is_kept_in_a_file_and_goes_on_after_a_kill(tmp_path, space):
    pytest.importorskip("optuna")
    whole, file = tmp_path / "whole.log", tmp_path / "study.log"
    expected = tune(space, file=whole)
    assert told(expected) == told(tune(space))
    entries = whole.read_bytes().splitlines(keepends=True)
    for kept in range(2, len(entries) + 1):
        file.write_bytes(b"".join(entries[:kept]))
        seen = []
        again = tune(space, file=file, on_trial=seen.append)
        assert told(again) == told(expected)
        assert len(seen) == len(entries) - kept
        assert again.trials[: len(again.trials) - len(seen)] == expected.trials[: len(again.trials) - len(seen)]
    assert (again.model, again.options) == (expected.model, expected.options)


def test_a_study_of_another_list_is_not_continued(tmp_path):
    pytest.importorskip("optuna")
    file = tmp_path / "study.log"
    tune([{"model.dim": 2}], file=file)
    with pytest.raises(JaxrecError, match="is of another search: settings differ"):
        tune([{"model.dim": 3}], file=file)
    with pytest.raises(JaxrecError, match="is of another search"):
        tune(RATES, trials=1, file=file)
    with pytest.raises(JaxrecError, match="is of another search: key differ"):
        tune([{"model.dim": 2}], file=file, key=1)


def test_a_study_is_held_by_one_process_and_other_files_are_left_alone(tmp_path):
    import fcntl
    import os

    pytest.importorskip("optuna")
    file = tmp_path / "study.log"
    tune(RATES, trials=1, file=file)
    other = os.open(file, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(JaxrecError, match="another process goes on with the study"):
        tune(RATES, trials=2, file=file)
    os.close(other)
    for content in (b"user,item\n1,2\n", b"precious", b"\0\0", b'{"a": 1}\n'):
        file.write_bytes(content)
        with pytest.raises(JaxrecError, match="is no study"):
            tune(RATES, trials=2, file=file)
        assert file.read_bytes() == content
