"""`auto`: what is tried in the time that there is, by a clock of the test's own, and what is kept."""

import contextlib
import dataclasses
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import middle, middle_split

import jaxrec
from jaxrec import registry
from jaxrec.errors import JaxrecError
from jaxrec.fitting import CANDIDATES, Candidate, _auto, _auto_search, auto_table
from jaxrec.fitting._auto_list import built
from jaxrec.fitting._learnt_blend import equal_of_best
from jaxrec.models import SolvedModel
from jaxrec.protocols import Solution
from jaxrec.scorers import TableScorer
from jaxrec.training import Deadline

KEY = jax.random.key(0)


class Clock:
    """Time goes on where a test says so."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(_auto, "CLOCK", made)
    monkeypatch.setattr(_auto, "compiling", lambda: contextlib.nullcontext(lambda: 0.0))
    return made


def truth(noise, seed=0):
    """Scores that know what is held out, but for noise."""
    split, rng = middle_split(), np.random.default_rng(seed)
    table = np.zeros((30, 24), np.float32)
    for part in (split.valid, split.test):
        table[part.user, part.item] = 1
    return table + noise * rng.normal(size=table.shape).astype(np.float32)


@pytest.fixture
def model(clock):
    """A function that registers a solved model which takes some seconds and has some scores."""
    made = []

    def register(word, seconds, table, **more):
        @dataclasses.dataclass(frozen=True)
        class Known(SolvedModel):
            by: float = 1.0
            num_users: int | None = None
            num_items: int | None = None

            def solve(self, data, key):
                clock.now += seconds * self.by
                return Solution(TableScorer(jnp.asarray(table)))

        Known.__name__ = word
        registry.register("model", word, Known)
        made.append(word)
        return Candidate(word, **more)

    yield register
    for word in made:
        registry.unregister("model", word)


def states(model):
    return [(row["model"].split()[0], row["state"]) for row in model.info["auto"]["table"]]


def test_the_best_single_model_is_kept_and_fitted_again(clock, model):
    some = [model("rough", 1, truth(3.0)), model("fine", 1, truth(0.5)), Candidate("no_such_model")]
    found = jaxrec.auto(middle_split(), seconds=100, blend=False, candidates=some, key=KEY)
    assert states(found) == [("rough", "tried"), ("fine", "tried"), ("no_such_model", "skipped")]
    assert found.name == "fine"
    assert found.info["auto"]["kept"] == "fine"
    assert found.info["fitted_on"] == "train and valid"
    assert clock.now == 3  # two fits, and one again
    assert found.info["auto"]["blend"] == {"tried": False, "why": "it was not asked for"}
    assert found.info["auto"]["took"] == 3
    shown = auto_table(found)
    assert "fine (kept)" in shown
    assert "no model of this name is registered" in shown


def test_a_blend_is_kept_where_it_is_better_on_users_that_it_was_not_learnt_on(model):
    knows = np.arange(30)[:, None] % 4 < 2
    noise = np.random.default_rng(3).normal(size=(2, 30, 24)).astype(np.float32)
    halves = [np.where(which, 3 * truth(0) + one, one) for which, one in zip((knows, ~knows), noise, strict=True)]
    some = [model(f"half{at}", 1, table) for at, table in enumerate(halves)]
    found = jaxrec.auto(middle_split(), seconds=100, candidates=some, key=KEY)
    told = found.info["auto"]
    assert told["kept"] == "blend"
    assert sorted(told["members"]) == ["half0", "half1"]
    monitor = told["monitor"]
    assert told["blend"]["valid"][monitor] > max(row["valid"][monitor] for row in told["table"])
    assert found.info["valid"] == told["blend"]["valid"]
    assert found.info["fitted_on"] == "train and valid"
    assert "blend of 2 (kept)" in auto_table(found)
    # What two copies of one model say together is nothing new.
    again = [model(f"copy{at}", 1, np.exp(halves[0])) for at in range(2)]
    same = jaxrec.auto(middle_split(), seconds=100, candidates=again, key=KEY)
    assert same.info["auto"]["kept"] == "copy0"
    assert same.info["auto"]["blend"]["why"] == "copy0 is as good"


def test_what_would_take_too_long_is_skipped_by_what_the_word_took_before(clock, model):
    slow = model("slow", 20, truth(1.0))
    some = [slow, dataclasses.replace(slow, settings={"by": 2.0}), model("quick", 1, truth(3.0))]
    found = jaxrec.auto(middle_split(), seconds=70, blend=False, candidates=some, key=KEY)
    assert states(found) == [("slow", "tried"), ("slow", "skipped"), ("quick", "tried")]
    assert "it takes about 20 s and as much again to refit, and" in found.info["auto"]["table"][1]["why"]
    assert found.info["auto"]["kept"] == "slow"
    assert clock.now == 41 <= 70


def test_what_would_take_too_long_is_skipped_by_its_operations(model, monkeypatch):
    monkeypatch.setattr(_auto_search, "_rate", lambda: 1e9)
    large = model("large", 50, truth(0.0), operations=lambda users, items, pairs: 1e9 * (users + items + pairs))
    found = jaxrec.auto(
        middle_split(), seconds=100, blend=False, candidates=[large, model("quick", 1, truth(3.0))], key=KEY
    )
    assert states(found) == [("large", "skipped"), ("quick", "tried")]
    assert "it takes about 203 s" in found.info["auto"]["table"][0]["why"]  # 30 users, 24 items, 149 pairs


def test_without_time_for_the_refit_the_model_of_the_training_part_is_kept(clock, model):
    found = jaxrec.auto(middle_split(), seconds=30, candidates=[model("slow", 25, truth(1.0))], key=KEY)
    assert found.info["fitted_on"] == "train"
    assert found.info["auto"]["why"].startswith("no time was left for the refit")
    assert clock.now == 25
    with pytest.raises(JaxrecError, match=r"no candidate could be fitted in 0.5 seconds .*no model of this name"):
        jaxrec.auto(middle_split(), seconds=0.5, candidates=[Candidate("no_such_model")], key=KEY)


def test_a_model_that_fails_is_told_and_the_others_go_on(model):
    some = [Candidate("ease", {"max_items": 3}), Candidate("ease", {"l": 3}), model("fine", 1, truth(1.0))]
    rows = []
    found = jaxrec.auto(middle_split(), seconds=100, candidates=some, on_try=rows.append, refit=False, key=KEY)
    assert [row.state for row in rows] == ["failed", "skipped", "tried"]
    assert "max_items=3" in rows[0].why
    assert "has no such option" in rows[1].why
    assert found.info["auto"]["blend"]["why"] == "there are no two models that there is time to blend"
    assert found.info["fitted_on"] == "train"
    assert "fine: tried" in str(rows[2])


def test_a_model_that_memory_is_short_for_is_told_and_a_defect_is_raised(model, monkeypatch):
    def run_out(*args, **how):
        raise MemoryError

    some = [model("fine", 1, truth(1.0))]
    monkeypatch.setattr(_auto_search, "fit", run_out)
    with pytest.raises(JaxrecError, match=r"no candidate could be fitted .*fine: out of memory"):
        jaxrec.auto(middle_split(), seconds=100, candidates=some, key=KEY)

    def broken(*args, **how):
        raise RuntimeError("a defect")

    monkeypatch.setattr(_auto_search, "fit", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        jaxrec.auto(middle_split(), seconds=100, candidates=some, key=KEY)


def test_trainings_share_the_time_and_are_stopped_in_it(clock):
    class Tick:
        """Every epoch takes ten seconds of the clock."""

        def start(self, stage):
            pass

        def __call__(self, event):
            clock.now += 10

        def finish(self):
            pass

    words = {"batch_size": 64, "epochs": 50}
    some = [Candidate("mf", {"dim": 4}, words), Candidate("mf", {"dim": 2}, words)]
    found = jaxrec.auto(middle_split(), seconds=200, blend=False, candidates=some, callbacks=[Tick()], key=KEY)
    first, second = found.info["auto"]["table"]
    assert (first["state"], second["state"]) == ("stopped", "stopped")
    assert "its time was over after 4 epochs" in first["why"]  # half of 200 s, over 1 and 196 / 149 for its refit
    assert first["seconds"] == 40
    assert second["seconds"] <= 80
    assert found.info["best_epoch"] <= 4
    assert found.info["fitted_on"] == "train and valid"


def test_the_deadline_goes_on_from_a_checkpoint_and_leaves_a_refit_alone():
    from jaxrec.protocols import EpochEvent, StageInfo
    from jaxrec.training import EpochRecord

    times = itertools.count(0.0, 4.0)
    stop = Deadline(10, clock=lambda: next(times))
    event = EpochEvent(EpochRecord(1, 1.0, {}), dict)
    stop.start(StageInfo("fit", "MF", (9,)))
    assert [stop(event), stop(event), stop(event)] == [False, True, True]
    assert stop.reached
    stop.start(StageInfo("refit", "MF", (9,)))
    assert not stop(event)
    again = Deadline(10, clock=lambda: 100.0)
    again.start(StageInfo("fit", "MF", (9,)))
    again.resume_from(9.5)
    assert again.checkpoint_state() == 9.5
    assert again(event)
    with pytest.raises(JaxrecError, match="seconds must be"):
        Deadline(0)


def test_the_list_is_of_models_that_can_be_made_where_they_are_registered():
    words = [candidate.model for candidate in CANDIDATES]
    assert {"itemknn", "ease", "mf", "lightgcn", "filter", "ials"} <= set(words)
    for candidate in CANDIDATES:
        if candidate.model in registry.names("model"):
            made = built(candidate)
            assert not isinstance(made, str), made
            candidate.options(made, validation=None)
    assert CANDIDATES[0].name == "popularity"
    assert all(word in candidate.name for candidate in CANDIDATES for word in candidate.settings)


def test_what_cannot_be_searched_is_refused():
    bare = jaxrec.split(middle(), "user_random", test=0.2, valid=0.0, key=KEY)
    for data in (bare, middle()):
        with pytest.raises(JaxrecError, match=r"there is none; pass a split with valid=0.1"):
            jaxrec.auto(data, key=KEY)
    with pytest.raises(JaxrecError, match="seconds must be a finite number above 0"):
        jaxrec.auto(middle_split(), seconds=-1, key=KEY)
    with pytest.raises(JaxrecError, match="was not chosen by auto"):
        auto_table(jaxrec.fit(jaxrec.Popularity(), middle(), key=KEY))


def test_what_was_kept_is_saved_with_its_table(tmp_path):
    some = [Candidate("itemknn"), Candidate("ease", {"l2": 5.0}), Candidate("popularity")]
    found = jaxrec.auto(middle_split(), seconds=1000, candidates=some, key=KEY)
    restored = jaxrec.restore(jaxrec.save(found, tmp_path / "run"))
    assert restored.info["auto"] == found.info["auto"]
    assert auto_table(restored) == auto_table(found)
    again = jaxrec.auto(middle_split(), seconds=1000, candidates=some, key=KEY)
    assert [row["valid"] for row in again.info["auto"]["table"]] == [
        row["valid"] for row in found.info["auto"]["table"]
    ]
    assert again.info["auto"]["kept"] == found.info["auto"]["kept"]


def test_the_best_single_model_is_measured_where_it_was_not_chosen():
    validation = jaxrec.Validation(monitor="recall@2", k=2)
    search = _auto_search.Search(middle_split(), validation, 10, KEY, blend=True, refit=True, clock=Clock())
    assert not set(search.halves[0].user) & set(search.halves[1].user)
    sizes = [len(np.unique(half.user)) for half in search.halves]
    assert abs(sizes[0] - sizes[1]) <= 1
    values = [[0.9, 0.1], [0.2, 0.8], [0.5, 0.55]]
    search.values = [np.asarray(each)[search.fold] for each in values]
    search.figures = [[{"ndcg@2": value / 2} for value in each] for each in values]
    # The first is the best in the first half and gives .1 in the second; the second, the best there, gives .2.
    best, figures = search.best_single()
    assert best.tolist() == np.array([0.2, 0.1])[search.fold].tolist()
    users = np.bincount(search.fold)
    assert figures == {"ndcg@2": pytest.approx((users[0] * 0.1 + users[1] * 0.05) / users.sum())}


def test_the_gap_of_pairs_has_the_error_of_their_mean():
    values, others = np.array([1.0, 0.0, 0.5, np.nan]), np.array([0.5, 0.25, 0.5, 1.0])
    differences = [0.5, -0.25, 0.0]
    mean = sum(differences) / 3
    variance = sum((each - mean) ** 2 for each in differences) / 2
    assert _auto_search.paired_gap(values, others) == pytest.approx((mean, (variance / 3) ** 0.5))


def test_a_blend_is_kept_where_the_best_single_model_is_better_by_less_than_its_error(model, monkeypatch):
    tables = [np.exp(truth(0.5) + shift) for shift in (0.0, 0.3 * np.random.default_rng(0).normal(size=(30, 24)))]
    some = [model(f"known{at}", 1, table.astype(np.float32)) for at, table in enumerate(tables)]
    for gap, kept in ((-0.01, "blend"), (-0.03, "known0"), (0.0, "blend")):
        monkeypatch.setattr(_auto_search, "paired_gap", lambda values, others, gap=gap: (gap, 0.02))
        found = jaxrec.auto(middle_split(), seconds=100, candidates=some, key=KEY)
        told = found.info["auto"]
        assert told["kept"].startswith(kept[:5]), (gap, told["kept"])
        assert told["blend"]["difference"]["standard error"] == 0.02
        shown = {line.partition("  ")[0]: line for line in auto_table(found).splitlines()}
        single = told["blend"]["single"]
        assert {told["monitor"], told["monitor"].replace("recall", "ndcg")} <= set(single)
        assert all(
            f"{value:.4f}" in shown["the best single model"] for name, value in single.items() if "kn" not in name
        )
        assert auto_table(found).endswith(told["blend"]["why"])  # the last row is of the blend
    assert "less than a standard error" in told["blend"]["why"]


def test_what_is_kept_for_the_end_is_told_where_nothing_is_left(clock, model):
    some = [model("slow", 30, truth(1.0)), model("late", 1, truth(1.0))]
    found = jaxrec.auto(middle_split(), seconds=75, candidates=some, key=KEY)
    assert states(found) == [("slow", "tried"), ("late", "skipped")]
    # A fit again on 196 of 149 pairs takes 39.5 s, and 1.2 times that is kept.
    why = found.info["auto"]["table"][1]["why"]
    assert re.fullmatch(r"0 s are left, as 47\.\d s are kept for the blend and the refit", why), why
    alone = jaxrec.auto(middle_split(), seconds=75, candidates=some, blend=False, key=KEY)
    assert alone.info["auto"]["table"][1]["why"].endswith(" s are kept for the refit")
    assert alone.info["fitted_on"] == "train and valid"


def test_members_that_are_slow_to_fit_again_do_not_keep_others_from_being_tried(clock, model):
    # The end takes 1.2 (29 + 29) s of three members, and a third of the time is kept for it: 30 s of 90.
    some = [model("best", 1, truth(0.5)), model("slow", 22, truth(2.0)), model("other", 22, truth(2.0, seed=1))]
    found = jaxrec.auto(middle_split(), seconds=90, candidates=[*some, model("late", 1, truth(0.1))], key=KEY)
    assert states(found) == [(word, "tried") for word in ("best", "slow", "other", "late")]
    assert found.info["auto"]["kept"] in ("late", "blend")
    assert clock.now <= 90


def test_the_blend_is_asked_for_weights_of_at_least_0(model, monkeypatch):
    asked, plain = [], _auto_search.learnt_blends

    def learnt(members, split, how, *words, **more):
        asked.append(how.nonnegative)
        return plain(members, split, how, *words, **more)

    monkeypatch.setattr(_auto_search, "learnt_blends", learnt)
    some = [model("good", 1, truth(1.0)), model("wrong", 1, truth(1.0) - truth(0.0))]
    told = jaxrec.auto(middle_split(), seconds=100, candidates=some, key=KEY).info["auto"]["blend"]
    assert asked == [True]
    assert min(told["weights"]) >= 0


def test_equal_weights_are_of_the_better_half_of_the_users_that_may_be_looked_at():
    values = np.array([[0.0, 1.0, np.nan], [1.0, 0.0, 0.5], [0.5, 0.5, 0.0], [0.4, 0.4, 0.4], [0.0, 0.0, 0.0]])
    weigh = equal_of_best(values)
    assert weigh(np.array([True, False, False])).tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 0])
    assert weigh(np.array([False, True, False])).tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3, 0])
    assert equal_of_best(values[:2])(np.ones(3, bool)).tolist() == [0.5, 0.5]
    assert equal_of_best(values[:1])(np.ones(3, bool)).tolist() == [1.0]


def test_the_blend_is_the_better_one_of_learnt_and_equal_weights_and_of_members_that_count(model, monkeypatch):
    some = [model(f"part{at}", 1, truth(1.0, seed=at)) for at in range(4)]
    plain, shift, given = _auto_search.learnt_blends, [0.0], []

    def learnt(*args, **more):
        found = plain(*args, **more)
        without = found[0].weights * (np.arange(4) != 2)
        given.append([found[0]._replace(of_users=found[0].of_users + shift[0], weights=without), found[1]])
        return given[-1]

    monkeypatch.setattr(_auto_search, "learnt_blends", learnt)
    monkeypatch.setattr(_auto_search, "paired_gap", lambda values, others: (0.01, 0.02))
    for shift[0], weighed in ((1.0, "learnt"), (-1.0, "equal, of the better half")):
        found = jaxrec.auto(middle_split(), seconds=100, candidates=some, key=KEY)
        told = found.info["auto"]["blend"]
        assert told["weighed"] == weighed == found.info["blend"]["weighed"]
        both = [float(np.nanmean(one.of_users)) for one in given[-1]]
        assert [next(iter(way.values())) for way in told["ways"].values()] == both
        weights = given[-1][weighed != "learnt"].weights
        assert len(weights) == 4
        assert told["weights"] == pytest.approx(weights[weights != 0], abs=1e-6)
        assert len(found.scorer.members) == len(told["members"]) == np.count_nonzero(weights) < 4
        assert f"weights {weighed}" in auto_table(found)
    assert told["weights"] == [0.5, 0.5]


def test_a_fit_again_is_not_validated_and_compiles_less():
    fitted = jaxrec.fit(jaxrec.Popularity(), middle_split(), key=KEY)
    seconds = {"evaluate": 3.0, "compile": 0.0, "fit": 10.0, "epochs": []}
    search = _auto_search.Search(
        middle_split(), jaxrec.Validation(monitor="recall@2", k=2), 99, KEY, blend=True, refit=True, clock=Clock()
    )
    search.values.append(np.full(30, 0.5))
    how = {"valid": {"recall@2": 0.5}, "measure": 1.0, "took": 10.0, "compiled": 5.0}
    search.keep(Candidate("solved"), dataclasses.replace(fitted, info={**fitted.info, "seconds": seconds}), **how)
    # Of 10 s 3 measured; of the others 2 compiled, half of which is compiled again, and 5 ran.
    assert search.kept["solved"].refit == pytest.approx(1 + 5 * search.again)
    trained = {**fitted.info, "seconds": {**seconds, "epochs": [1.0] * 5}, "best_epoch": 2}
    search.keep(Candidate("trained"), dataclasses.replace(fitted, info=trained), **how)
    assert search.kept["trained"].refit == pytest.approx(1 + 5 * search.again * 2 / 5)


def test_what_a_blend_compiles_is_judged_by_what_measuring_compiled():
    search = _auto_search.Search(
        middle_split(), jaxrec.Validation(monitor="recall@2", k=2), 99, KEY, blend=True, refit=True, clock=Clock()
    )
    fitted, compiled = jaxrec.fit(jaxrec.Popularity(), middle_split(), key=KEY), iter([4.0, 6.0, 6.0, 13.0])
    for _ in range(2):  # the first counts; a second one may be of a larger program of its own
        search.measured(fitted, lambda: next(compiled))
    one = _auto_search.Kept(fitted, "one", 0.5, np.full(30, 0.5), 0.0, 0.0)
    assert search.blending([one]) == 0
    assert search.blending([one, one]) == 6 * 2
    search.seconds = 20.0
    assert search.blending([one, one]) == 20 / 4  # models are to be tried too
