"""`cross_validate`: what is fitted on which split, and what the one report of all says."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from worlds import middle

import jaxrec
from jaxrec.data.splitting import TimeWindows
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.losses import SquaredError

MEASURE = functools.partial(jaxrec.evaluate, k=5, metrics=("recall", "ndcg"), space=None)


DATA = middle(rated=True, timed=True)


@dataclasses.dataclass(frozen=True)
class Halves:
    """Whole users for the test, the even or the odd ones; the others are in train."""

    odd: int = 0

    def rounds(self):
        return (Halves(0), Halves(1))

    def __call__(self, data, key):
        asked = (data.user % 2 == self.odd) & (data.item % 3 == 0)
        empty = data.select(np.zeros(len(data), bool))
        return jaxrec.Split(data.select(~asked), empty, data.select(asked), "halves")


def test_folds_over_users_are_one_report_of_all_users_side_by_side():
    found = jaxrec.cross_validate(jaxrec.EASE(l2=5.0), DATA, Halves(), key=jax.random.key(0), measure=MEASURE)
    expected = {}
    for odd in (0, 1):
        split = Halves(odd)(DATA, None)
        report = MEASURE(jaxrec.fit(jaxrec.EASE(l2=5.0), split, key=jax.random.key(9)), split)
        expected |= dict(zip(report.users.tolist(), report.per_user["ndcg@5"].tolist(), strict=True))
    assert dict(zip(found.report.users.tolist(), found.report.per_user["ndcg@5"].tolist(), strict=True)) == expected
    assert found.report.mean("ndcg@5") == pytest.approx(np.mean(list(expected.values())))
    assert sum(len(fold.users) for fold in found.folds) == len(found.report.users)
    assert found.report.counts["test_pairs"] == sum(fold.counts["test_pairs"] for fold in found.folds)
    assert found.report.user_ids.tolist() == DATA.users.ids[found.report.users].tolist()
    assert len(str(found).splitlines()) > 4


def test_users_of_several_windows_count_once_with_their_mean():
    found = jaxrec.cross_validate(jaxrec.Popularity(), DATA, "time_windows", key=jax.random.key(0), measure=MEASURE)
    first, second, third = found.folds
    assert len(found.report.users) < sum(len(fold.users) for fold in found.folds)
    for at, user in enumerate(found.report.users):
        values = [fold.per_user["recall@5"][fold.users == user] for fold in (first, second, third)]
        assert found.report.per_user["recall@5"][at] == pytest.approx(np.concatenate(values).mean())


def test_every_fold_has_a_key_of_its_own_and_one_key_deals_them_all():
    keys = []

    def splitter(data, key):
        for odd in (0, 1):
            keys.append(np.asarray(jax.random.key_data(key)).tolist())
            yield Halves(odd)(data, key)

    options = jaxrec.TrainingOptions(epochs=1)
    fitted = []
    measure = lambda model, split: fitted.append(model) or MEASURE(model, split)  # noqa: E731
    found = jaxrec.cross_validate(jaxrec.MF(dim=2), DATA, splitter, options, key=jax.random.key(0), measure=measure)
    assert keys[0] == keys[1]
    assert fitted[0].info["key"] != fitted[1].info["key"]
    assert found.epochs == (1, 1)
    again = jaxrec.cross_validate(jaxrec.MF(dim=2), DATA, splitter, options, key=jax.random.key(0), measure=MEASURE)
    assert np.array_equal(found.report.per_user["ndcg@5"], again.report.per_user["ndcg@5"])


def test_splits_of_ones_own_and_a_model_of_ratings():
    splits = [Halves(odd)(DATA, None) for odd in (0, 1)]
    options = jaxrec.TrainingOptions(loss=SquaredError(), epochs=1)
    found = jaxrec.cross_validate(jaxrec.MF(dim=2, bias=True), splits, options=options, key=jax.random.key(0))
    assert found.report.mean("rmse") == pytest.approx(np.mean([fold.mean("rmse") for fold in found.folds]))


@pytest.mark.parametrize(
    ("data", "splitter", "message"),
    [
        (DATA, None, "interactions need a splitter"),
        (DATA, lambda data, key: Halves()(data, key), "gives 1 split; use one with several rounds"),
        ([Halves()(DATA, None)], None, "gives 1 split"),
        (Halves()(DATA, None), None, "data must be Interactions with a splitter, or splits without one, got Split"),
        ([Halves()(DATA, None)], Halves(), "or splits without one, got list"),
        (DATA, "no_such", "no splitter is named 'no_such'"),
    ],
)
def test_bad_calls_raise(data, splitter, message):
    with pytest.raises(JaxrecError, match=message):
        jaxrec.cross_validate(jaxrec.Popularity(), data, splitter, key=jax.random.key(0), measure=MEASURE)


def test_splits_of_other_data_and_reports_of_other_values_are_refused():
    other = jaxrec.from_arrays([0, 0, 1, 1, 2], [0, 1, 1, 2, 0])
    splits = [Halves()(DATA, None), Halves()(other, None)]
    with pytest.raises(MismatchError, match="split 1 has other users or items"):
        jaxrec.cross_validate(jaxrec.Popularity(), splits, key=jax.random.key(0), measure=MEASURE)
    names = iter(["recall", "ndcg"])
    differ = lambda model, split: jaxrec.evaluate(model, split, k=5, metrics=next(names), space=None)  # noqa: E731
    with pytest.raises(MismatchError, match=r"differ in what was measured \(ndcg@5, recall@5, "):
        jaxrec.cross_validate(jaxrec.EASE(), DATA, Halves(), key=jax.random.key(0), measure=differ)


def test_windows_follow_one_another_and_see_the_past_only():
    splits = [splitter(DATA) for splitter in TimeWindows(windows=3, test=0.1, valid=0.1).rounds()]
    size = round(0.1 * len(DATA))
    tested = [set(split.test.timestamp.tolist()) for split in splits]
    # The times are 0 to E - 1, each once, so the windows are the last three tenths.
    start = len(DATA) - 3 * size
    assert tested == [set(range(start + at * size, start + (at + 1) * size)) for at in range(3)]
    for split, times in zip(splits, tested, strict=True):
        assert split.valid.timestamp.max() < min(times)
        assert split.train.timestamp.max() < split.valid.timestamp.min()
        assert len(split.train) + len(split.valid) == min(times)


def test_a_tie_at_the_edge_of_a_window_goes_to_the_earlier_one():
    data = jaxrec.from_arrays([1] * 8, range(8), timestamp=[0, 1, 2, 3, 3, 4, 5, 6])
    together = [splitter(data).test.item.tolist() for splitter in TimeWindows(0, 2, 0.25, 0.0, "together").rounds()]
    assert together == [[5], [6, 7]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": 1}, "windows must be a whole number of at least 2"),
        ({"window": 3}, r"window must lie in 0\.\.2"),
        ({"windows": 5, "test": 0.2}, "must leave a part for train"),
        ({"test": 0.0}, "must leave a part for train"),
        ({"ties": "first"}, "ties"),
    ],
)
def test_windows_without_sense_are_refused(options, message):
    with pytest.raises(JaxrecError, match=message):
        TimeWindows(**options)


def test_windows_need_timestamps():
    with pytest.raises(DataError, match="time_windows needs timestamps"):
        TimeWindows()(jaxrec.from_arrays([0, 1], [0, 1]))
