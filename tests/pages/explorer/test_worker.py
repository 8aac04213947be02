"""The thread of the models: what waits together is one call, and one request's fault is its own."""

import asyncio
import threading

import jax
import numpy as np
import pytest

import jaxrec
from jaxrec.data.splitting import Split
from jaxrec.pages.explorer._engine import Engine, Job
from jaxrec.pages.explorer._limits import Refused
from jaxrec.pages.explorer._worker import Worker


def job(user, **how):
    return Job("mf", user, np.zeros(1, np.int32), k=3, **how)


@pytest.fixture
def blocked():
    """A worker whose thread waits in its first call until the gate opens, and what it was asked."""
    calls, gate, entered = [], threading.Event(), threading.Event()

    def answer(jobs):
        calls.append([one.user for one in jobs])
        if any(one.user == 13 for one in jobs):
            raise ValueError("unlucky")
        return [one.user * 10 for one in jobs]

    worker = Worker(answer, waiting=4)

    def wait():
        entered.set()
        assert gate.wait(10)

    first = worker.submit_call(wait)
    assert entered.wait(10)
    yield worker, calls, gate
    gate.set()
    first.result(10)
    worker.close()


def test_what_waits_with_one_key_is_one_call(blocked):
    worker, calls, gate = blocked
    one, two = worker._put([job(1), job(5, filter_seen=False)], None), worker._put([job(2)], None)
    gate.set()
    assert one.result(10) == [10, 50]
    assert two.result(10) == [20]
    assert calls == [[1, 2], [5]]


def test_a_fault_is_that_of_its_own_requests(blocked):
    worker, _, gate = blocked
    bad, good = worker._put([job(13)], None), worker._put([job(2, filter_seen=False)], None)
    gate.set()
    with pytest.raises(ValueError, match="unlucky"):
        bad.result(10)
    assert good.result(10) == [20]


def test_what_was_given_up_is_not_computed(blocked):
    worker, calls, gate = blocked
    given_up, kept = worker._put([job(1)], None), worker._put([job(2)], None)
    assert given_up.cancel()
    gate.set()
    assert kept.result(10) == [20]
    assert calls == [[2]]


def test_too_many_that_wait_are_told_to_come_again(blocked):
    worker, _, _ = blocked
    for user in range(4):
        worker._put([job(user)], None)
    with pytest.raises(Refused, match="4 requests wait already") as caught:
        asyncio.run(worker.lists([job(9)]))
    assert caught.value.status == 503


def test_an_end_refuses_what_waits_and_what_comes(blocked):
    worker, _, gate = blocked
    waiting = worker._put([job(1)], None)
    threading.Timer(0.2, gate.set).start()
    worker.close(5)
    assert waiting.done()
    with pytest.raises(Refused, match="about to end"):
        worker.submit_call(lambda: 1)


@pytest.mark.parametrize("user", [True, False])
def test_lists_do_not_depend_on_who_waits_beside(models, user):
    """Of one, 3, 9 and 70 jobs in a call, 70 being more than a call of few users has."""
    engine = Engine({"lightgcn": models["lightgcn"]})
    seen = models["lightgcn"].seen

    def made(at):
        who = at % 20
        history = np.asarray(seen.of(who)) if user else np.arange(who % 7 + 1, dtype=np.int32)
        how = {"diversity": (0.4, 0.0, 0.8)[at % 3], "reranker": ("mmr", "dpp")[at % 2], "why": True}
        return Job("lightgcn", who if user else None, history, k=2 + at % 3, **how)

    jobs = [made(at) for at in range(70)]
    alone = [engine.answered([one])[0] for one in jobs]
    for count in (3, 9, 70):
        for one, together in zip(alone, engine.answered(jobs[:count]), strict=False):
            np.testing.assert_array_equal(one.items, together.items)
            np.testing.assert_array_equal(one.scores, together.scores)
            assert one.distance == together.distance
            assert [near.tolist() for near in one.reasons] == [near.tolist() for near in together.reasons]


def test_nothing_is_compiled_for_a_request(models):
    """After the start: other users, baskets, lengths, rules, trade-offs and numbers of jobs."""
    engine = Engine({"mf": models["mf"]})
    engine.warm()
    compiled = []

    def listen(name, seconds, **how):
        compiled.extend([name] if name.endswith("backend_compile_duration") else [])

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for count in (1, 2, 9, 17):
            for k in (1, 7, 20):
                for diversity, word in ((0.0, "mmr"), (0.31, "mmr"), (0.77, "dpp")):
                    how = {"k": k, "diversity": diversity, "reranker": word, "why": True}
                    among = np.arange(models["mf"].num_items) % (count + 1) > 0
                    basket = np.arange(k, dtype=np.int32)
                    engine.answered([Job("mf", at, np.arange(3, dtype=np.int32), **how) for at in range(count)])
                    engine.answered([Job("mf", None, basket, among=among, **how) for _ in range(count)])
        engine.similar("mf", 3, 5)
        assert compiled == []
        jax.jit(lambda x: x * 3 + count)(np.float32(1))
        assert compiled  # it would have been seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_a_user_without_data_is_refused_and_a_basket_without_data_too():
    data = jaxrec.from_arrays([0, 0, 1, 1, 2], ["a", "b", "a", "c", "d"])
    split = Split(data.select([0, 1, 2]), data.select([]), data.select([3, 4]), "by hand")
    model = jaxrec.fit(jaxrec.Popularity(), split, key=jax.random.key(0))
    engine = Engine({"p": model})
    strange = model.users.find(2)
    refused = engine.answered([Job("p", strange, np.zeros(0, np.int32), k=1)])[0]
    assert isinstance(refused, Refused)
    assert refused.status == 404
    assert "has no interaction in the fitted part of p" in str(refused)
    idle = np.array([model.items.find("d")], np.int32)
    told = engine.answered([Job("p", None, idle, k=1)])[0]
    assert "no item of the history has an interaction" in str(told)
    both = np.array([model.items.find("d"), model.items.find("a")], np.int32)
    mixed = engine.answered([Job("p", None, both, k=1)])[0]
    assert mixed.notes == ("1 item of the history has no interaction in the fitted part, and so no say",)
