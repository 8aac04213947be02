"""Long work says how far it is: fractions of nested work, who hears of it, and what the library says."""

import threading

import jax
import numpy as np
import pytest

import jaxrec
from jaxrec.progress import Work, heard, heard_by, work
from jaxrec.ranking import MMR
from jaxrec.training import ProgressBar


class Listener:
    """Keeps the outermost works with how far each was at its end."""

    def __init__(self):
        self.begun, self.ended = [], []

    def begin(self, work):
        self.begun.append(work.name)

    def end(self, work):
        self.ended.append((work.name, work.fraction))


@pytest.fixture
def listener():
    return Listener()


def test_work_within_counts_by_its_share():
    with heard_by(Listener()), work("evaluating", 4) as outer:
        with work("", share=3), work("ranking", 10, unit="users") as ranking:
            ranking.advance(5)
            assert outer.fraction == pytest.approx(3 * 0.5 / 4)
            assert [one.name for one in outer.path] == ["evaluating", "", "ranking"]
        assert outer.fraction == pytest.approx(3 / 4)
        with work("measuring", 2):  # without a share it counts for nothing
            assert outer.fraction == pytest.approx(3 / 4)


def test_a_second_work_within_a_part_does_not_take_the_first_one_back():
    with heard_by(Listener()), work("tuning", 2) as outer, work("", share=1):
        seen = []
        for _ in range(2):  # two seeds of one trial
            with work("fit", 2) as fit:
                for _ in range(2):
                    fit.advance()
                    seen.append(outer.fraction)
    assert seen == [0.25, 0.5, 0.5, 0.5]


def test_a_work_of_unknown_length_says_so_whatever_is_known_within_it():
    with heard_by(Listener()), work("reading") as outer, work("a file", 2) as inner:
        inner.advance()
        assert (outer.fraction, inner.fraction) == (None, 0.5)


def test_nothing_to_do_is_done():
    assert Work("ranking", 0, "users").fraction == 1.0
    more = Work("ranking", 2)
    more.advance(3)
    assert more.fraction == 1.0


def test_only_the_outermost_work_is_told_and_its_end_also_after_an_error(listener):
    def fail():
        with work("comparing"), work("ranking"):
            raise ValueError("in the middle")

    with heard_by(listener):
        with pytest.raises(ValueError, match="in the middle"):
            fail()
        with work("measuring"):
            pass
    assert listener.begun == ["comparing", "measuring"]
    assert [name for name, _ in listener.ended] == ["comparing", "measuring"]


def test_who_listens_ends_with_the_block_and_none_lets_nobody_hear(listener):
    assert not heard()
    with heard_by(listener):
        assert heard()
        with heard_by(None), work("in silence"):
            assert not heard()
        with work("aloud"):
            pass
    assert not heard()
    with work("afterwards"):
        pass
    assert listener.begun == ["aloud"]


def test_another_thread_is_not_heard(listener):
    def serve():
        with work("an answer"):
            pass

    with heard_by(listener):
        thread = threading.Thread(target=serve)
        thread.start()
        thread.join()
    assert listener.begun == []


@pytest.fixture(scope="module")
def split():
    """Two kinds of users, who like the even and the odd items."""
    pairs = [(user, item) for user in range(12) for item in range(12) if user % 2 == item % 2 and item != user]
    data = jaxrec.from_arrays(*zip(*pairs, strict=True))
    return jaxrec.split(data, "user_random", key=jax.random.key(0))


@pytest.fixture(scope="module")
def model(split):
    return jaxrec.fit(jaxrec.ItemKNN(), split, key=jax.random.key(1))


def test_an_evaluation_is_told_to_its_end_and_measures_the_same(split, model, listener):
    how = {"k": 2, "metrics": ("recall", "auc"), "reranker": MMR(0.5), "rerank_depth": 4}
    silent = jaxrec.evaluate(model, split, **how)
    with heard_by(listener):
        told = jaxrec.evaluate(model, split, **how)
    assert listener.ended[-1] == ("evaluating", 1.0)
    assert {name: values.tolist() for name, values in told.per_user.items()} == {
        name: values.tolist() for name, values in silent.per_user.items()
    }


def test_a_training_tells_its_stages_and_epochs(split, listener):
    with heard_by(listener):
        jaxrec.fit(jaxrec.MF(dim=2), split, epochs=3, validation=None, key=jax.random.key(0))
    assert listener.ended == [("MF, fit, compiling", None), ("MF, fit", 1.0)]


def test_a_solved_model_is_told(split, listener):
    with heard_by(listener):
        jaxrec.fit(jaxrec.EASE(), split, refit=False, key=jax.random.key(0))
    assert listener.begun[0] == "EASE, fit: solving"


def test_lists_for_users_are_told(split, model, listener):
    with heard_by(listener):
        jaxrec.recommend(model, k=2)
    assert ("ranking", 1.0) in listener.ended


def test_a_search_is_one_work_with_its_fits_within(split, listener):
    with heard_by(listener):
        jaxrec.tune(jaxrec.ItemKNN(), split, {"model.shrink": [0.0, 1.0]}, key=jax.random.key(0))
    assert listener.ended == [("tuning", 1.0)]


def test_the_bar_of_a_fit_tells_who_listens_instead_of_the_terminal(listener, capsys):
    from jaxrec.protocols import EpochEvent, StageInfo
    from jaxrec.training import EpochRecord

    with heard_by(listener):
        bar = ProgressBar()
        bar.start(StageInfo("refit", "MF", (4, 4), done=1))
        for epoch in (1, 2):  # the first one was done by an earlier process
            bar(EpochEvent(EpochRecord(epoch, 0.5, {"loss": 0.7}), dict))
        bar.finish()
    assert listener.ended == [("2 x MF, refit", 0.5)]
    assert capsys.readouterr().err == ""


def test_values_of_users_do_not_depend_on_who_listens(split, model, listener):
    users = np.arange(4)
    with heard_by(listener):
        told = jaxrec.recommend(model, users=users, k=3)
    assert told.to_dict() == jaxrec.recommend(model, users=users, k=3).to_dict()
