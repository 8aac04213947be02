"""AUC in reports: the same number as a slow count of pairs and as scikit-learn gives, whatever the tiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import metrics as slow
from sklearn.metrics import roc_auc_score

from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_items
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation import _auc_of_users as module
from jaxrec.evaluation import evaluate_scorer
from jaxrec.evaluation._auc_of_users import auc_of_users
from jaxrec.evaluation._catalog import AUC
from jaxrec.scorers import TableScorer

USERS, ITEMS = 60, 50


def interactions(user, item, num_users=USERS, num_items=ITEMS):
    ids = IdMap(np.arange(num_users), "user"), IdMap(np.arange(num_items), "item")
    return Interactions(np.asarray(user, np.int32), np.asarray(item, np.int32), *ids)


@pytest.fixture(scope="module")
def example():
    """Train, test, and scores with many ties; some test items are in train, and two users cannot have an AUC."""
    rng = np.random.default_rng(0)
    train, test = [], []
    for user in range(USERS):
        items = rng.permutation(ITEMS)
        size = 0 if user % 7 == 0 else rng.integers(1, 9)
        train += [(user, item) for item in items[:12]]
        test += [(user, item) for item in items[11 if user % 5 == 0 else 12 :][:size]]  # every fifth has one in both
    test = [pair for pair in test if pair[0] not in (1, 2)]
    train = [pair for pair in train if pair[0] not in (1, 2)]
    train += [(1, item) for item in range(ITEMS)]
    test += [(1, 3)]  # masked, so user 1 has no relevant item that counts
    train += [(2, item) for item in range(ITEMS - 2)]
    test += [(2, ITEMS - 1), (2, ITEMS - 2)]  # everything that is left is relevant
    table = rng.integers(0, 6, (USERS, ITEMS)).astype(np.float32)
    table[3, :20] = -np.inf
    return *(interactions(*zip(*pairs, strict=True)) for pairs in (train, test)), table


def sets(part):
    return [set(part.item[part.user == user].tolist()) for user in range(part.num_users)]


def slow_auc(table, train, test, users, allowed=frozenset(range(ITEMS))):
    seen, relevant, values = sets(train), sets(test), []
    for user in users:
        counted = set(allowed) - seen[user]
        defined = counted & relevant[user] and counted - relevant[user]
        values.append(slow.auc(table[user].tolist(), relevant[user], counted) if defined else np.nan)
    return values


def test_it_is_the_share_of_pairs_and_what_scikit_learn_gives(example):
    train, test, table = example
    report = evaluate_scorer(TableScorer(table), test, seen=seen_items(train), k=5, metrics=["auc"])
    expected = slow_auc(table, train, test, report.users)
    np.testing.assert_allclose(report.per_user["auc"], expected, rtol=1e-6)
    seen, relevant = sets(train), sets(test)
    for row, user in enumerate(report.users.tolist()):
        if user == 3 or np.isnan(expected[row]):  # scikit-learn takes neither infinite scores nor one class alone
            continue
        counted = sorted(set(range(ITEMS)) - seen[user])
        peer = roc_auc_score([item in relevant[user] for item in counted], table[user][counted])
        np.testing.assert_allclose(report.per_user["auc"][row], peer, rtol=1e-6)
    undefined = report.users[np.isnan(report.per_user["auc"])].tolist()
    assert {1, 2} < set(undefined)  # and those whose only test item is in train
    assert report.counts["undefined_auc"] == len(undefined)
    np.testing.assert_allclose(report.mean("auc"), np.nanmean(expected), rtol=1e-6)
    assert set(report.per_user) == {"auc"}


def test_by_hand():
    table = TableScorer(np.array([[4, 3, 2, 2, 1]] * 3, np.float32))
    train, test = interactions([0, 1], [0, 1], 3, 5), interactions([0, 0, 1, 2], [1, 3, 4, 0], 3, 5)
    report = evaluate_scorer(table, test, seen=seen_items(train), k=1, metrics=["auc", "recall"])
    # User 0, without item 0: item 1 beats 2 and 4; item 3 ties with 2 and beats 4. (1 + 1 + 1/2 + 1) / 4.
    # User 1: item 4 is below all. User 2: item 0 is above all.
    np.testing.assert_array_equal(report.per_user["auc"], [3.5 / 4, 0, 1])
    assert report.names[:3] == ("auc", "recall@1", "recall_known@1")


def test_rules_for_candidates_are_those_of_the_lists(example):
    train, test, table = example
    users = np.unique(test.user)
    exclude, candidates = np.arange(5, 15), np.arange(0, 50, 2)
    run = lambda **rules: auc_of_users(  # noqa: E731
        TableScorer(table), users, seen_items(test), seen=seen_items(train), **rules
    )
    for rules, allowed in (
        ({"exclude": exclude}, set(range(ITEMS)) - set(exclude.tolist())),
        ({"candidates": candidates}, set(candidates.tolist())),
        ({"exclude": exclude, "candidates": candidates}, set(candidates.tolist()) - set(exclude.tolist())),
    ):
        np.testing.assert_allclose(run(**rules), slow_auc(table, train, test, users, allowed), rtol=1e-6)
    nothing = interactions([], [])
    everything = auc_of_users(TableScorer(table), users, seen_items(test), seen=None)
    np.testing.assert_allclose(everything, slow_auc(table, nothing, test, users), rtol=1e-6)
    own = test.item[test.user == users[-1]]  # without them the user has no relevant item
    assert np.isnan(run(exclude=own)[-1])


def test_memory_tiles_and_the_lift_change_nothing(example, monkeypatch):
    train, test, table = example
    relevant, seen, users = seen_items(test), seen_items(train), np.unique(test.user)
    run = lambda memory: auc_of_users(TableScorer(table), users, relevant, seen=seen, memory_mb=memory)  # noqa: E731
    whole = run(256)
    np.testing.assert_array_equal(run(0.01), whole)  # tiles of a few users, and the last one not full
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # the users of a tile at once
    np.testing.assert_allclose(run(256), whole, rtol=1e-6)


def test_the_order_of_users_changes_nothing(example):
    train, test, table = example
    order = np.random.default_rng(2).permutation(USERS)  # user u becomes order[u]
    moved = np.empty_like(table)
    moved[order] = table
    parts = [interactions(order[part.user], part.item) for part in (train, test)]
    users = np.unique(test.user)
    before = auc_of_users(TableScorer(table), users, seen_items(test), seen=seen_items(train))
    after = auc_of_users(TableScorer(moved), order[users], seen_items(parts[1]), seen=seen_items(parts[0]))
    np.testing.assert_array_equal(after, before)


def test_the_memory_of_the_program_stays_within_the_statement():
    num_items, memory = 20_000, 24
    tile, calls = module.tile_plan(num_items, 1, memory, 10**6)
    table = TableScorer(jnp.zeros((500, num_items)))
    rows = SeenItems(jnp.arange(501, dtype=jnp.int32), jnp.zeros(500, jnp.int32))
    program = module._measure_scores.lower(
        table,
        np.zeros(tile * calls, np.int32),
        np.int32(1),
        rows,
        rows,
        None,
        metrics=(AUC(),),
        most=1,
        tile=tile,
        one_by_one=True,
        structure=0,
    ).compile()
    needed = program.memory_analysis()
    assert needed.temp_size_in_bytes + needed.output_size_in_bytes <= memory * 2**20
    assert needed.temp_size_in_bytes >= 4 * tile * num_items  # the scores are really in there


def test_nobody_with_a_relevant_item_has_no_auc(example):
    _, _, table = example
    nobody = seen_items(interactions([], []))
    np.testing.assert_array_equal(auc_of_users(TableScorer(table), [0, 4], nobody, seen=None), [np.nan, np.nan])


def test_bad_input_is_refused(example):
    _, test, table = example
    with pytest.raises(MismatchError, match="relevant is of 3 users, the scorer of 60 users and 50 items"):
        auc_of_users(TableScorer(table), [0], seen_items(interactions([0], [0], 3)), seen=None)
    broken = table.copy()
    broken[4, 7] = np.nan
    user_4 = seen_items(interactions([4], [7]))
    with pytest.raises(JaxrecError, match="the scores of user 4 hold NaN, which cannot be ranked"):
        auc_of_users(TableScorer(broken), [3, 4], seen_items(test), seen=None)
    masked = auc_of_users(TableScorer(broken), [4], seen_items(test), seen=user_4)  # a NaN that does not count
    np.testing.assert_allclose(masked, slow_auc(broken, interactions([4], [7]), test, [4]), rtol=1e-6)
    with pytest.raises(JaxrecError, match="raise memory_mb"):
        auc_of_users(TableScorer(table), [4], seen_items(test), seen=None, memory_mb=1e-4)


def test_several_cores_share_the_memory_and_give_the_same_values(monkeypatch):
    rng = np.random.default_rng(5)
    table = rng.integers(0, 9, (1500, 40)).astype(np.float32)
    user = np.repeat(np.arange(1500), 3)
    item = np.concatenate([rng.permutation(40)[:3] for _ in range(1500)])
    relevant, users = seen_items(interactions(user, item, 1500, 40)), np.arange(1500)
    values = {}
    for cores in (1, 3):
        monkeypatch.setattr(module, "_num_cores", lambda cores=cores: cores)
        values[cores] = auc_of_users(TableScorer(jnp.asarray(table)), users, relevant, seen=None, memory_mb=1)
    np.testing.assert_array_equal(values[1], values[3])
    expected = [roc_auc_score(np.isin(np.arange(40), item[user == at]), table[at]) for at in (0, 777, 1499)]
    np.testing.assert_allclose(values[3][[0, 777, 1499]], expected, atol=1e-6)


def test_the_calls_at_a_time_fit_the_memory_together():
    least = 2 * (12 * 1_000_000 + 1024) * 4 / 3 / 2**20  # two users of a million items
    assert module._plan(1_000_000, least * 1.01, 10_000, 2)[0] == 1
    assert module._plan(1_000_000, least * 2.01, 10_000, 2)[0] == 2
    with pytest.raises(JaxrecError, match="memory_mb is"):
        module._plan(1_000_000, least * 0.99, 10_000, 2)


def test_nan_is_told_from_a_worker_too(monkeypatch):
    monkeypatch.setattr(module, "_num_cores", lambda: 2)
    table = np.zeros((2048, 5), np.float32)
    table[2000] = np.nan
    relevant = SeenItems(np.arange(2049, dtype=np.int32), np.zeros(2048, np.int32))
    with pytest.raises(JaxrecError, match="user 2000 hold NaN"):
        auc_of_users(TableScorer(jnp.asarray(table)), np.arange(2048), relevant, seen=None)
