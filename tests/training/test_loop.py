"""The loop over epochs: the best state, when it stops, a loss that is not finite, and callbacks."""

import dataclasses
import itertools
import json
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec.errors import JaxrecError, NonFiniteLossError
from jaxrec.progress import LogLines, _display
from jaxrec.protocols import EpochEvent, StageInfo
from jaxrec.pytrees import options, stack
from jaxrec.training import (
    EarlyStopping,
    EpochRecord,
    JsonLines,
    Monitoring,
    ProgressBar,
    SteadyLoss,
    TrainState,
    init_state,
    train,
    train_data,
)

DATA = train_data(jaxrec.from_arrays([0], [0]))  # one interaction: one step an epoch


@options
class Counter:
    """A step that adds 1 to the only parameter; its loss is 1 / parameter, and NaN from the number `bad` on."""

    bad: float = 1e6

    def init(self, params):
        return ()

    def __call__(self, state, batch, data):
        now = state.params + 1
        loss = jnp.where(now >= self.bad, jnp.nan, 1 / now)
        return TrainState(now, (), state.key, state.step + 1), {"loss": loss, "count": jnp.float32(1)}


def run(*, start=0.0, bad=1e6, epochs=20, every=2, patience=None, monitor="score", lower=False, validate=None,
        callbacks=()):  # fmt: skip
    state = init_state(jnp.float32(start), Counter(), jax.random.key(0))
    monitoring = Monitoring(validate and (lambda member, params: validate(params)), every, monitor, not lower)
    callbacks = [*([EarlyStopping(patience)] if patience else []), *callbacks]
    return train(state, Counter(bad), None, DATA, batch_size=1, epochs=epochs, monitoring=monitoring,
                 callbacks=callbacks)[0]  # fmt: skip


def peak(at):
    """Metrics that rise to 1 at one epoch and fall after it."""
    return lambda params: {"score": float(1 - abs(params - at) / 100), "other": 0.0}


def test_without_validation_it_runs_to_the_end():
    result = run(epochs=7)
    assert result.state.params == 7
    assert result.best_epoch == 7
    assert [record.epoch for record in result.records] == list(range(1, 8))
    assert all(record.valid == {} for record in result.records)
    np.testing.assert_allclose([record.train["loss"] for record in result.records], 1 / np.arange(1, 8), rtol=1e-6)
    assert all(record.train["skipped"] == 0 for record in result.records)
    assert all(record.seconds > 0 for record in result.records)
    assert result.compile_seconds > 0


@pytest.mark.parametrize(("patience", "last"), [(1, 8), (2, 10), (3, 12), (None, 20), (50, 20)])
def test_it_stops_after_so_many_validations_without_a_new_best_and_restores_the_best(patience, last):
    result = run(validate=peak(6), patience=patience)
    assert result.best_epoch == 6
    assert result.state.params == 6
    assert result.state.step == 6
    assert len(result.records) == last
    assert [record.epoch for record in result.records if record.valid] == list(range(2, last + 1, 2))
    assert result.records[5].valid["score"] == 1.0


def test_the_last_epoch_is_validated_too():
    result = run(epochs=7, every=3, validate=peak(7))
    assert [record.epoch for record in result.records if record.valid] == [3, 6, 7]
    assert result.best_epoch == 7
    assert result.state.params == 7


def test_the_first_of_equal_epochs_is_the_best_and_equal_is_no_new_best():
    result = run(validate=lambda params: {"score": 0.5}, patience=2)
    assert result.best_epoch == 2
    assert result.state.params == 2
    assert len(result.records) == 6


def test_the_best_may_be_the_first():
    result = run(validate=peak(0), every=1, patience=3)
    assert (result.best_epoch, len(result.records)) == (1, 4)
    assert result.state.params == 1


def test_validation_sees_the_parameters_of_its_epoch():
    kept = []

    def validate(params):
        kept.append(float(params))
        return {"score": 0.0}

    run(epochs=6, validate=validate)
    assert kept == [2, 4, 6]


@pytest.mark.parametrize("bad", [1, 4])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(bad):
    seen = []
    with pytest.raises(NonFiniteLossError, match=f"epoch {bad}") as caught:
        run(bad=bad, callbacks=[lambda event: seen.append(event.record)])
    assert caught.value.state.params == bad - 1
    assert caught.value.state.step == bad - 1
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(caught.value.state))
    assert [record.epoch for record in seen] == list(range(1, bad))


def test_lower_is_better_where_the_metric_says_so():
    result = run(validate=lambda params: {"rmse": float(1 + abs(params - 6))}, monitor="rmse", lower=True, patience=2)
    assert (result.best_epoch, len(result.records)) == (6, 10)


def test_it_stops_when_the_total_changes_by_less_than_the_tolerance():
    # The loss is 1, 1/2, 1/3, ...: the change from epoch n - 1 to n is 1 / (n (n - 1)), and 1/20 < .06 < 1/12.
    assert len(run(callbacks=[SteadyLoss(0.06)]).records) == 5
    assert len(run().records) == 20


def test_nan_metrics_are_never_the_best():
    scores = iter([0.1, float("nan"), 0.3, float("nan")])
    result = run(epochs=8, validate=lambda params: {"score": next(scores)})
    assert result.best_epoch == 6
    assert result.state.params == 6


def test_callbacks_get_every_event_in_order_and_can_stop():
    first, second = [], []

    def third(event):
        second.append(event)
        return event.record.epoch == 3

    result = run(epochs=5, callbacks=[first.append, third], validate=peak(2))
    assert tuple(event.record for event in first) == tuple(event.record for event in second) == result.records
    assert len(result.records) == 3
    assert [event.best for event in first] == [False, True, False]
    assert result.best_epoch == 2
    assert all(event.member == 0 for event in first)


def test_every_callback_is_told_also_after_one_that_stops():
    told = []
    run(epochs=5, callbacks=[lambda event: True, told.append])
    assert len(told) == 1


def test_the_parameters_of_an_event_are_a_copy_that_is_made_when_it_is_asked_for():
    kept = []
    run(epochs=3, callbacks=[lambda event: kept.append(event.params())])
    assert [float(params) for params in kept] == [1, 2, 3]  # later epochs donate the state, not these


class Recorder:
    def __init__(self):
        self.told = []

    def start(self, stage):
        self.told.append(("start", stage.name, stage.epochs, stage.monitor))

    def __call__(self, event):
        self.told.append(event.record.epoch)

    def finish(self):
        self.told.append("finish")


def test_callbacks_are_told_of_the_start_and_the_end_also_after_an_error():
    recorder = Recorder()
    with pytest.raises(NonFiniteLossError):
        run(bad=2, epochs=3, callbacks=[recorder])
    assert recorder.told == [("start", "fit", (3,), "score"), 1, "finish"]


@pytest.mark.parametrize("name", ["epochs", "every"])
def test_numbers_below_1_raise(name):
    with pytest.raises(JaxrecError, match=rf"{name}.* 0"):
        run(**{name: 0, "validate": peak(2)})


def test_bad_callbacks_raise():
    with pytest.raises(JaxrecError, match=r"patience.* 0"):
        EarlyStopping(0)
    with pytest.raises(JaxrecError, match=r"tolerance.* 0"):
        SteadyLoss(0)


def test_a_metric_that_validation_does_not_give_raises_and_lists_those_it_gives():
    with pytest.raises(JaxrecError, match=r"'ndcg@7'.*(score.*other|other.*score)"):
        run(validate=peak(2), monitor="ndcg@7")


def test_lines_of_json_are_one_an_epoch(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = JsonLines(path)
    during = []
    run(epochs=4, callbacks=[lines, lambda event: during.append(path.read_text().count("\n"))], validate=peak(2))
    run(epochs=1, callbacks=[lines])
    assert during == [1, 2, 3, 4]  # written as they come, not at the end
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["stage"], line["epoch"]) for line in lines] == [("fit", n) for n in (1, 2, 3, 4, 1)]
    assert lines[1]["valid"]["score"] == 1.0
    assert all(isinstance(line["loss"], float) and line["seconds"] >= 0 for line in lines)


def test_what_is_not_finite_is_null_in_the_log(tmp_path):
    lines = JsonLines(tmp_path / "log.jsonl")
    lines.start(StageInfo("fit", "MF", (1,)))
    lines(EpochEvent(EpochRecord(1, 0.1, {"loss": 0.5}, {"rmse": float("nan"), "mae": float("inf")}), dict))
    lines.finish()
    assert "NaN" not in lines.path.read_text()
    assert json.loads(lines.path.read_text())["valid"] == {"rmse": None, "mae": None}


def test_a_bar_writes_to_standard_error_only(capfd, monkeypatch):
    shown = threading.Event()

    class AtOnce(LogLines):
        def waits(self):
            return itertools.repeat(0.001)

        def show(self, *what):
            super().show(*what)
            shown.set()

    def wait(event):
        assert shown.wait(60)

    monkeypatch.setattr(_display, "usual_display", AtOnce)
    run(epochs=4, callbacks=[ProgressBar(), wait], validate=peak(2))
    out, err = capfd.readouterr()
    assert out == ""
    assert "progress: fit, " in err
    assert " of 4 epochs" in err
    assert err.splitlines()[-1].startswith("progress: fit: over after ")
    assert "score" in err


def together(starts, epochs, bad=None, **options):
    """Several members, each a counter from its own start."""
    states = stack([init_state(jnp.float32(start), Counter(), jax.random.key(0)) for start in starts])
    steps = stack([Counter(number) for number in bad or [1e6] * len(starts)])
    validate, callbacks = options.pop("validate", None), options.pop("callbacks", ())
    monitoring = Monitoring(validate, 2, "score")
    return train(states, steps, None, DATA, batch_size=1, epochs=epochs, monitoring=monitoring, callbacks=callbacks)


def test_each_member_stops_after_its_own_validations_without_a_new_best():
    """Member m counts from 100 m, and its score is highest after 2, 6 and 4 epochs."""
    best = [2, 6, 4]
    seen, heard = [], []

    def validate(member, params):
        number, epoch = divmod(int(params), 100)
        assert number == member
        seen.append((member, epoch))
        return {"score": -abs(epoch - best[member])}

    def hear(event):
        heard.append((event.member, event.record.epoch, float(event.params())))

    results = together([0, 100, 200], [20] * 3, validate=validate, callbacks=[EarlyStopping(2), hear])
    assert [result.best_epoch for result in results] == best
    assert [float(result.state.params) for result in results] == [2, 106, 204]
    # Validated every 2 epochs, and stopped 2 validations after the best: nobody is looked at after that.
    assert [len(result.records) for result in results] == [6, 10, 8]
    for member, last in enumerate((6, 10, 8)):
        assert [epoch for who, epoch in seen if who == member] == list(range(2, last + 1, 2))
        expected = [(epoch, 100 * member + epoch) for epoch in range(1, last + 1)]
        assert [(epoch, params) for who, epoch, params in heard if who == member] == expected


def test_each_member_is_kept_at_its_own_number_of_epochs():
    results = together([0, 0, 0], [3, 5, 1])
    assert [float(result.state.params) for result in results] == [3, 5, 1]
    assert [result.best_epoch for result in results] == [3, 5, 1]
    np.testing.assert_allclose([record.train["loss"] for record in results[0].records], 1 / np.arange(1, 4), rtol=1e-6)


def test_a_loss_that_is_not_finite_is_told_with_its_member_and_only_while_it_is_trained():
    with pytest.raises(NonFiniteLossError, match="loss of member 1 is not finite in epoch 3") as caught:
        together([0, 0], [5, 5], bad=[9, 3])
    assert caught.value.state.params == 2
    assert [float(result.state.params) for result in together([0, 0], [5, 2], bad=[9, 3])] == [5, 2]


def test_no_member_raises():
    with pytest.raises(JaxrecError, match="epochs is empty"):
        train(None, Counter(), None, DATA, batch_size=1, epochs=[])


def test_other_numbers_of_a_step_compile_nothing():
    def lowered():
        return Counter.traces

    Counter.traces = 0
    plain = Counter.__call__

    def counted(self, state, batch, data):
        Counter.traces += 1
        return plain(self, state, batch, data)

    Counter.__call__ = counted
    data = dataclasses.replace(DATA, user=jnp.array([0, 0]), item=jnp.array([0, 0]))  # a shape of this test's own
    try:
        for bad in (50.0, 60, np.float32(70)):
            state = init_state(jnp.float32(0), Counter(), jax.random.key(0))
            train(state, Counter(bad), None, data, batch_size=1, epochs=2)
    finally:
        Counter.__call__ = plain
    assert lowered() == 1
