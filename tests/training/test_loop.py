"""The loop over epochs: the best state, when it stops, what it keeps of a loss that is not finite, and its reports."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrec.errors import JaxrecError, NonFiniteLossError
from jaxrec.training import EpochRecord, TrainState, init_state, train
from jaxrec.training._loop import json_lines, progress_bar


def counter(bad_from=10**6):
    """An epoch that adds 1 to the parameters, counted; its loss is not finite from epoch `bad_from` on."""

    def epoch(state, data):
        now = state.params + 1
        loss = jnp.where(now >= bad_from, jnp.nan, data / now)
        state = TrainState(now, state.opt_state, state.key, state.step + 1)
        return state, {"loss": loss, "finite": jnp.isfinite(loss), "skipped": jnp.int32(2)}

    return jax.jit(epoch, donate_argnums=0)


def fresh():
    return init_state(jnp.zeros(()), optax.sgd(0.1), jax.random.key(0))


def run(**options):
    options = {"epochs": 20, "every": 2, "monitor": "score"} | options
    return train(fresh(), jnp.float32(1.0), options.pop("epoch", counter()), **options)


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
    assert all(record.train["skipped"] == 2 for record in result.records)
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


@pytest.mark.parametrize("bad_from", [1, 4])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(bad_from):
    seen = []
    with pytest.raises(NonFiniteLossError, match=f"epoch {bad_from}") as caught:
        run(epoch=counter(bad_from), callbacks=(seen.append,))
    assert caught.value.state.params == bad_from - 1
    assert caught.value.state.step == bad_from - 1
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(caught.value.state))
    assert [record.epoch for record in seen if np.isfinite(record.train["loss"])] == list(range(1, bad_from))


def test_errors_of_ratings_are_minimised():
    result = run(validate=lambda params: {"rmse": float(1 + abs(params - 6))}, monitor="rmse", patience=2)
    assert (result.best_epoch, len(result.records)) == (6, 10)


def test_it_stops_when_the_total_changes_by_less_than_the_tolerance():
    def epoch(state, data):
        state = TrainState(state.params + 1, state.opt_state, state.key, state.step + 1)
        total = data / state.params  # 1, 1/2, 1/3, 1/4, ...: the change from epoch n - 1 to n is 1 / (n (n - 1))
        return state, {"loss": total, "total": total, "finite": True, "skipped": 0}

    assert len(run(epoch=jax.jit(epoch), tolerance=0.06).records) == 5  # 1 / 20 < 0.06 < 1 / 12
    assert len(run(epoch=jax.jit(epoch)).records) == 20


def test_nan_metrics_are_never_the_best():
    scores = iter([0.1, float("nan"), 0.3, float("nan")])
    result = run(epochs=8, validate=lambda params: {"score": next(scores)})
    assert result.best_epoch == 6
    assert result.state.params == 6


def test_one_compilation_serves_all_epochs():
    traces = []
    plain = counter().__wrapped__

    def traced(state, data):
        traces.append(1)
        return plain(state, data)

    run(epochs=12, epoch=jax.jit(traced, donate_argnums=0), validate=peak(3))
    assert len(traces) == 1


def test_callbacks_get_every_record_in_order():
    first, second = [], []
    result = run(epochs=5, callbacks=(first.append, second.append), validate=peak(2))
    assert tuple(first) == tuple(second) == result.records


@pytest.mark.parametrize("name", ["epochs", "every", "patience"])
def test_numbers_below_1_raise(name):
    with pytest.raises(JaxrecError, match=rf"{name}.* 0"):
        run(**{name: 0, "validate": peak(2)})


def test_a_metric_that_validation_does_not_give_raises_and_lists_those_it_gives():
    with pytest.raises(JaxrecError, match=r"'ndcg@7'.*(score.*other|other.*score)"):
        run(validate=peak(2), monitor="ndcg@7")


def test_lines_of_json_are_one_an_epoch_with_constants(tmp_path):
    path = tmp_path / "log.jsonl"
    with json_lines(path, stage="fit", seed=3) as callbacks:
        run(epochs=4, callbacks=callbacks, validate=peak(2))
        during = path.read_text().splitlines()
    with json_lines(path, stage="refit") as callbacks:
        run(epochs=1, callbacks=callbacks)
    assert len(during) == 4  # written as they come, not at the end
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["stage"], line["epoch"]) for line in lines] == [("fit", n) for n in (1, 2, 3, 4)] + [("refit", 1)]
    assert all(line["seed"] == 3 for line in lines[:4])
    assert lines[1]["valid"]["score"] == 1.0
    assert all(isinstance(line["loss"], float) and line["seconds"] >= 0 for line in lines)


def test_what_is_not_finite_is_null_in_the_log(tmp_path):
    path = tmp_path / "log.jsonl"
    with json_lines(path) as callbacks:
        callbacks[0](EpochRecord(1, 0.1, {"loss": 0.5}, {"rmse": float("nan"), "mae": float("inf")}))
    assert "NaN" not in path.read_text()
    assert json.loads(path.read_text())["valid"] == {"rmse": None, "mae": None}


def test_no_path_means_no_log():
    with json_lines(None) as callbacks:
        assert callbacks == ()


def test_a_bar_that_is_off_prints_nothing(capfd):
    with progress_bar(4, "MF", enabled=False) as callbacks:
        run(epochs=4, callbacks=callbacks)
    assert capfd.readouterr() == ("", "")


def test_a_bar_that_is_on_writes_to_standard_error_only(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # standard error is no terminal here
    with progress_bar(4, "MF", enabled=True, monitor="score") as callbacks:
        run(epochs=4, callbacks=callbacks, validate=peak(2))
    out, err = capfd.readouterr()
    assert out == ""
    assert "MF" in err
