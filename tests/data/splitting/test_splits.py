"""Every split method: nothing lost, nothing shared, times in order, the same for the same key and any row order."""

import dataclasses
import re
import warnings

import jax
import numpy as np
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from jaxrec import registry
from jaxrec.data._interactions import TEST, TRAIN, VALID, Interactions
from jaxrec.data.splitting import Split, UserKFold, UserTemporal, split, train_core
from jaxrec.errors import DataError, JaxrecError, MismatchError

METHODS = [
    ("user_temporal", {}),
    ("user_temporal", {"ties": "together"}),
    ("user_random", {}),
    ("random", {}),
    ("global_temporal", {}),
    ("global_temporal", {"ties": "together"}),
    ("leave_one_out", {}),
    ("leave_one_out", {"order": "random", "valid": 0}),
    ("leave_one_out", {"ties": "together"}),
    ("user_kfold", {"folds": 2}),
    ("user_kfold", {"folds": 2, "fold": 1, "order": "time", "ties": "together", "test": 0.4, "valid": 0.3}),
    ("predefined", {}),
    ("predefined", {"valid": 0.3}),
]

PAIRS = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 9)),  # a pair of ids, once
    st.tuples(st.integers(1, 5), st.integers(0, 4), st.booleans()),  # rating, time (many ties), whether in test
    min_size=6,
    max_size=40,
)


def make(pairs):
    user, item, rating, time, part = zip(*((*pair, *rest) for pair, rest in pairs), strict=True)
    data = Interactions.from_arrays(user, item, rating, time)
    return dataclasses.replace(data, part=np.where(part, TEST, TRAIN))


def rows_of(data):
    columns = [data.users.ids[data.user], data.items.ids[data.item], data.rating, data.timestamp]
    return [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def attempt(data, method, **options):
    """The split, or a rejected example where the random data leave nothing to train on or to hold out."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "global_temporal", UserWarning)
        try:
            return split(data, method, **options)
        except DataError as error:
            if not re.search("nothing to hold out|no test|no training interaction|fewer folds", str(error)):
                raise
            reject()


@pytest.mark.parametrize(("method", "options"), METHODS)
@given(pairs=PAIRS, order=st.randoms())
def test_parts_are_disjoint_and_complete_and_do_not_depend_on_row_order(method, options, pairs, order):
    rows = list(pairs.items())
    data = make(rows)
    parts = attempt(data, method, key=jax.random.key(3), **options)
    found = [row for part in parts.parts().values() for row in rows_of(part)]
    assert sorted(found) == sorted(rows_of(data))
    assert len({row[:2] for row in found}) == len(data)
    assert all(part.same_catalog(data) for part in parts.parts().values())

    order.shuffle(rows)
    again = split_quietly(make(rows), method, key=jax.random.key(3), **options)
    assert {name: rows_of(part) for name, part in again.parts().items()} == {
        name: rows_of(part) for name, part in parts.parts().items()
    }
    assert again.notes == parts.notes


def split_quietly(data, method, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "global_temporal", UserWarning)
        return split(data, method, **options)


@given(PAIRS, st.sampled_from(["shuffle", "together"]))
def test_user_temporal_never_trains_on_a_users_future(pairs, ties):
    parts = attempt(make(pairs.items()), "user_temporal", ties=ties, test=0.3, valid=0.3)
    for user in range(parts.train.num_users):
        train, valid, test = (
            part.timestamp[part.user == user].tolist() for part in (parts.train, parts.valid, parts.test)
        )
        for earlier, later in ((train, valid), (train, test), (valid, test)):
            for one in earlier:
                for other in later:
                    assert one < other if ties == "together" else one <= other


@given(PAIRS, st.sampled_from(["shuffle", "together"]))
def test_global_temporal_never_trains_on_the_future(pairs, ties):
    parts = attempt(make(pairs.items()), "global_temporal", ties=ties)
    latest, earliest = parts.fitted.timestamp.max(), parts.test.timestamp.min()
    assert latest < earliest if ties == "together" else latest <= earliest


@given(PAIRS, st.floats(0.05, 0.6), st.floats(0.0, 0.35), st.sampled_from(["user_temporal", "user_random"]))
def test_sizes_are_the_rounded_fractions_of_each_user(pairs, test, valid, method):
    data = make(pairs.items())
    parts = attempt(data, method, test=test, valid=valid)
    for user in range(data.num_users):
        count = int((data.user == user).sum())
        num_test = min(int(count * test + 0.5), count - 1)
        num_valid = min(int(count * valid + 0.5), count - 1 - num_test)
        assert (parts.test.user == user).sum() == num_test
        assert (parts.valid.user == user).sum() == num_valid


def test_halves_round_up_whatever_the_binary_fraction():
    # 0.29 * 50 is 14.499999999999998 in binary; 14.5 rounds to 15.
    data = Interactions.from_arrays([1] * 50, range(50))
    assert len(split(data, "user_random", test=0.29, valid=0).test) == 15


def test_a_tie_is_shuffled_by_the_key_and_not_by_id():
    # 400 users with two items of the same time: which of the two is held out must be a fair coin.
    data = Interactions.from_arrays(np.repeat(np.arange(400), 2), [7, 9] * 400, timestamp=[1] * 800)
    first = split(data, "user_temporal", test=0.5, valid=0, key=jax.random.key(1)).test
    share = np.mean(first.items.ids[first.item] == 9)
    assert abs(share - 0.5) < 4 * np.sqrt(0.25 / 400)  # four standard deviations
    other = split(data, "user_temporal", test=0.5, valid=0, key=jax.random.key(2)).test
    assert (first.item != other.item).any()
    assert (first.item == split(data, "user_temporal", test=0.5, valid=0, key=jax.random.key(1)).test.item).all()


def test_a_cut_tie_stays_together_on_the_earlier_side():
    data = Interactions.from_arrays([1] * 5, [1, 2, 3, 4, 5], timestamp=[1, 2, 3, 3, 4])
    parts = split(data, "user_temporal", test=0.4, valid=0, ties="together")
    assert parts.test.items.ids[parts.test.item].tolist() == [5]
    parts = split(data, "user_temporal", test=0.2, valid=0.2, ties="together")
    assert len(parts.valid) == 0  # the tie of 3 and 4 does not fit into a validation part of one
    assert parts.train.timestamp.max() == 3


def test_times_that_do_not_fit_beside_the_user_are_ranked_first():
    times = [2**62, -(2**62), 0, 1]
    data = Interactions.from_arrays([1, 1, 2, 2], [5, 6, 5, 6], timestamp=times)
    test = split(data, "user_temporal", test=0.5, valid=0).test
    assert rows_without_rating(test) == [(1, 5, 2**62), (2, 6, 1)]


def rows_without_rating(data):
    return list(
        zip(
            data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), data.timestamp.tolist(), strict=True
        )
    )


def test_leave_one_out_takes_the_last_for_test_and_the_one_before_for_valid():
    data = Interactions.from_arrays([1, 1, 1, 2, 2, 3], [5, 6, 7, 5, 6, 5], timestamp=[3, 1, 2, 1, 2, 1])
    parts = split(data, "leave_one_out")
    assert rows_without_rating(parts.test) == [(1, 5, 3), (2, 6, 2)]
    assert rows_without_rating(parts.valid) == [(1, 7, 2)]
    assert "1 of 3 users have no test interaction" in parts.notes
    assert len(split(data, "leave_one_out", valid=0).valid) == 0


def test_every_user_is_tested_in_exactly_one_fold_and_never_trained_there():
    generator = np.random.default_rng(0)
    pairs = sorted({(int(user), int(item)) for user, item in generator.integers(0, [20, 15], (150, 2))})
    data = Interactions.from_arrays(*zip(*pairs, strict=True))
    tested = []
    for parts in (
        split(data, fold, key=jax.random.key(5)) for fold in UserKFold(folds=4, test=0.5, valid=0.1).rounds()
    ):
        held_out = set(parts.test.user.tolist()) | set(parts.valid.user.tolist())
        assert held_out == set(parts.fold_in.user.tolist())
        assert not held_out & set(parts.train.user.tolist())
        assert len(set(parts.valid.user.tolist())) == round(0.1 * data.num_users)
        assert not set(parts.fitted.user.tolist()) & set(parts.test.user.tolist())
        assert len(parts.fitted) == len(data) - len(parts.test) - np.isin(parts.fold_in.user, parts.test.user).sum()
        tested += sorted(set(parts.test.user.tolist()))
    assert sorted(tested) == sorted(set(data.user[np.bincount(data.user)[data.user] >= 2].tolist()))


def test_predefined_follows_the_parts_and_cuts_valid_from_train_only():
    data = Interactions.from_arrays([1] * 10 + [2] * 10, [*range(10), *range(10)])
    data = dataclasses.replace(data, part=np.array(([TRAIN] * 8 + [TEST] * 2) * 2))
    parts = split(data, "predefined")
    assert [len(part) for part in parts.parts().values()] == [16, 0, 4]
    parts = split(data, "predefined", valid=0.25)
    assert [len(part) for part in parts.parts().values()] == [12, 4, 4]
    assert set(parts.test.items.ids[parts.test.item].tolist()) == {8, 9}
    assert len(parts.fitted) == 16
    own = dataclasses.replace(data, part=np.array([TRAIN, VALID] + [TRAIN] * 17 + [TEST]))
    assert [len(part) for part in split(own, "predefined").parts().values()] == [18, 1, 1]
    with pytest.raises(DataError, match=r"valid is 0\.1 and the data have a validation part of their own"):
        split(own, "predefined", valid=0.1)


ORDERED = Interactions.from_arrays([2, 1, 1, 2, 1, 1, 2], [7, 9, 8, 5, 5, 7, 6])


def ids_of(part):
    return list(zip(part.users.ids[part.user].tolist(), part.items.ids[part.item].tolist(), strict=True))


def test_user_order_holds_out_the_last_rows_of_each_user_as_they_stand():
    parts = split(ORDERED, "user_order", test=0.3, valid=0.3)
    assert ids_of(parts.test) == [(1, 7), (2, 6)]
    assert ids_of(parts.valid) == [(1, 5), (2, 5)]
    assert ids_of(parts.train) == [(1, 8), (1, 9), (2, 7)]
    again = split(ORDERED, "user_order", test=0.3, valid=0.3, key=jax.random.key(7))
    assert ids_of(again.test) == ids_of(parts.test)


@given(PAIRS, st.randoms())
def test_user_order_is_the_slow_one(pairs, order):
    rows = list(pairs.items())
    order.shuffle(rows)
    data = make(rows)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*lost by sorting", UserWarning)
        parts = attempt(data, "user_order", test=0.3, valid=0.2)
    expected = {"train": [], "valid": [], "test": []}
    for user in sorted({pair[0] for pair, _ in rows}):
        mine = [pair for pair, _ in rows if pair[0] == user]
        tested = min(int(len(mine) * 0.3 + 0.5), len(mine) - 1)
        valid = min(int(len(mine) * 0.2 + 0.5), len(mine) - 1 - tested)
        cuts = {"test": mine[len(mine) - tested :], "valid": mine[len(mine) - tested - valid : len(mine) - tested]}
        cuts["train"] = mine[: len(mine) - tested - valid]
        for name, held in cuts.items():
            expected[name] += sorted(held)
    assert {name: ids_of(part) for name, part in parts.parts().items()} == expected


def test_the_order_of_the_data_outlives_splits_and_cores():
    parts = split(ORDERED, "user_random", test=0.0, valid=0.0)
    again = split(parts.train, "user_order", test=0.3, valid=0.0)
    assert ids_of(again.test) == [(1, 7), (2, 6)]
    assert again.train.order.tolist() == [4, 2, 1, 3, 0]
    assert again.fitted.order.tolist() == again.train.order.tolist()
    assert again.whole.order.tolist() == parts.train.order.tolist()
    assert train_core(again, 1).train.order.tolist() == [4, 2, 1, 3, 0]


def test_predefined_can_cut_valid_from_the_end_of_each_user():
    data = dataclasses.replace(ORDERED, part=np.array([TRAIN, TRAIN, TRAIN, TRAIN, TEST, TRAIN, TEST]))
    parts = split(data, "predefined", valid=0.4, valid_order="data")
    assert ids_of(parts.valid) == [(1, 7), (2, 5)]
    assert ids_of(parts.test) == [(1, 5), (2, 6)]
    assert any("the last 0.4, in the order of the data," in note for note in parts.notes)
    with pytest.raises(JaxrecError, match="valid_order is 'data' and valid is 0; pass valid too"):
        split(data, "predefined", valid_order="data")
    with pytest.raises(JaxrecError, match="valid_order is 'time'; pass 'random' or 'data'"):
        split(data, "predefined", valid=0.1, valid_order="time")


def test_an_order_that_was_lost_is_told():
    data = Interactions.from_arrays([1, 1, 1, 2, 2], [5, 6, 7, 5, 6])
    with pytest.warns(UserWarning, match="user_order: the items of every user ascend in the data"):
        parts = split(data, "user_order", test=0.4, valid=0.0)
    assert parts.notes[1].startswith("the items of every user ascend")


def test_predefined_refuses_a_pair_in_both_parts_and_keeps_one_repeated_in_train():
    data = Interactions.from_arrays([1, 1, 1, 2], [5, 5, 6, 6])
    parts = split(dataclasses.replace(data, part=np.array([TRAIN, TRAIN, TRAIN, TEST])), "predefined")
    assert len(parts.train) == 3
    assert "1 interactions repeat a pair of their part and are kept" in parts.notes
    with pytest.raises(MismatchError, match="are in train and in test, for example user 1 with item 5"):
        split(dataclasses.replace(data, part=np.array([TRAIN, TEST, TRAIN, TEST])), "predefined")


def test_users_and_items_without_training_data_are_kept_counted_and_told():
    data = Interactions.from_arrays([1, 1, 1, 1, 2], [5, 6, 7, 8, 9], timestamp=[1, 2, 3, 4, 5])
    with pytest.warns(UserWarning, match="only 0 of 1 test users are known from training"):
        parts = split(data, "global_temporal", test=0.2, valid=0.2)
    assert parts.notes == (
        "global_temporal: 3 train, 1 valid, 1 test interactions",
        "0 of 1 test users are known from train and valid together, 0 of 1 from train alone",
        "1 of 2 users have no training interaction and are kept; 1 of 1 test interactions are theirs",
        "2 of 5 items have no training interaction and are kept; 1 of 1 test interactions are theirs",
        "1 of 2 users have no test interaction",
    )
    assert parts.train.num_users == 2


def test_global_temporal_is_silent_with_enough_known_users():
    users = np.tile(np.arange(250), 3)
    data = Interactions.from_arrays(users, np.repeat([5, 6, 7], 250), timestamp=np.arange(750))
    with warnings.catch_warnings(action="error"):
        parts = split(data, "global_temporal", test=1 / 3, valid=0)
    assert parts.notes[1].startswith("250 of 250 test users are known from train and valid together, 250 of 250")


def test_k_core_on_data_counts_test_interactions_and_on_train_does_not():
    # A 3 by 3 block, and user 4 with items 1 and 2, one of which goes to test.
    user, item = [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4], [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2]
    data = Interactions.from_arrays(user, item, timestamp=[1, 2, 3] * 3 + [1, 2])
    options = {"test": 0.34, "valid": 0, "k_core": 2}
    on_data = split(data, **options)
    assert on_data.train.num_users == 4
    on_train = split(data, **options, k_core_on="train")
    # Each user's last item goes to test: item 3 is never trained on, and user 4 has one training item left.
    assert on_train.train.counts() == {"users": 3, "items": 2, "interactions": 6}
    assert len(on_train.test) == 0
    assert on_train.notes[-1] == (
        "2-core of train: removed 1 of 7 train, 0 of 0 valid, 4 of 4 test interactions, 1 of 4 users, 1 of 3 items"
    )


@given(PAIRS)
def test_train_core_is_the_core_of_train_and_one_catalog(pairs):
    data = make(pairs.items())
    parts = attempt(data, "user_random")
    assume(np.bincount(parts.train.user).min() >= 1)
    try:
        small = train_core(parts, 2)
    except DataError as error:
        if "no interaction left in the 2-core of train" not in str(error):
            raise
        reject()
    assert np.bincount(small.train.user, minlength=small.train.num_users).min() >= 2
    assert np.bincount(small.train.item, minlength=small.train.num_items).min() >= 2
    for name, part in small.parts().items():
        assert set(rows_of(part)) <= set(rows_of(parts.parts()[name]))
        users, items = set(small.train.users.ids.tolist()), set(small.train.items.ids.tolist())
        kept = [row for row in rows_of(parts.parts()[name]) if row[0] in users and row[1] in items]
        assert rows_of(part) == kept


def test_train_core_keeps_the_held_out_users():
    data = Interactions.from_arrays(np.repeat(np.arange(6), 4), [1, 2, 3, 4] * 6)
    parts = split(data, "user_kfold", folds=3, valid=0, test=0.5, k_core=2, k_core_on="train")
    assert parts.train.num_users == 6
    assert len(parts.test) == 4
    with pytest.raises(DataError, match="no interaction left in the 9-core of train"):
        train_core(parts, 9)


def test_fitted_is_train_and_valid_in_canonical_order():
    data = Interactions.from_arrays([2] * 10 + [1] * 10, [*range(10)] * 2, timestamp=[*range(10)] * 2)
    parts = split(data)
    assert len(parts.fitted) == 16
    pairs = list(zip(parts.fitted.user.tolist(), parts.fitted.item.tolist(), strict=True))
    assert pairs == sorted(pairs)
    assert parts.fitted is parts.fitted


DATA = Interactions.from_arrays([1, 1, 1, 2, 2], [5, 6, 7, 5, 6], timestamp=[1, 2, 3, 1, 2])
UNTIMED = Interactions.from_arrays([1, 1, 2, 2], [5, 6, 5, 6])


def test_a_split_by_hand_must_not_leak_or_mix_catalogs():
    for train, valid, test, names in (
        ([0, 1], [2], [1], "train and in test"),
        ([0, 1], [1], [2], "train and in valid"),
        ([0], [1], [1, 2], "valid and in test"),
    ):
        with pytest.raises(MismatchError, match=f"1 .* pairs are in {names}, for example user 1 with item 6"):
            Split(DATA.select(train), DATA.select(valid), DATA.select(test), "by hand")
    with pytest.raises(MismatchError, match="test and train have different catalogs"):
        Split(DATA, DATA.select([]), UNTIMED, "by hand")
    with pytest.raises(MismatchError, match="in test and in fold_in"):
        Split(DATA.select([0]), DATA.select([]), DATA.select([1]), "by hand", fold_in=DATA.select([1]))


@pytest.mark.parametrize(
    ("data", "arguments", "error", "match"),
    [
        (DATA, {"method": "user_tempral"}, JaxrecError, "no splitter is named 'user_tempral'; did you mean user_temp"),
        (DATA, {"test": 1.0}, JaxrecError, "test is 1.0; pass a fraction"),
        (DATA, {"valid": -0.1}, JaxrecError, "valid is -0.1; pass a fraction"),
        (DATA, {"test": "half"}, JaxrecError, "test is 'half'; pass a fraction"),
        (DATA, {"test": 0.6, "valid": 0.4}, JaxrecError, "test is 0.6 and valid is 0.4; together they must leave"),
        (DATA, {"ties": "keep"}, JaxrecError, "ties is 'keep'; pass 'shuffle' or 'together'"),
        (
            DATA,
            {"method": "random", "ties": "shuffle"},
            JaxrecError,
            "the splitter 'random' has no such option; it takes test, valid$",
        ),
        (
            DATA,
            {"method": "leave_one_out", "test": 0.2},
            JaxrecError,
            "test is 0.2, and the splitter 'leave_one_out' has no",
        ),
        (DATA, {"method": "leave_one_out", "valid": 0.1}, JaxrecError, "valid is 0.1; leave_one_out takes 1"),
        (DATA, {"method": "leave_one_out", "order": "id"}, JaxrecError, "order is 'id'; pass 'time' or 'random'"),
        (DATA, {"key": 7}, JaxrecError, r"key must be one key of jax.random, got 7; pass jax.random.key\(7\)"),
        (DATA, {"key": jax.random.split(jax.random.key(0))}, JaxrecError, "pass one of them"),
        (DATA, {"k_core_on": "train"}, JaxrecError, "k_core is not given; pass the bound too"),
        (DATA, {"k_core_on": "test"}, JaxrecError, "k_core_on is 'test'; pass 'data' or 'train'"),
        (DATA, {"k_core": 2.5, "k_core_on": "train"}, JaxrecError, "k_core k is 2.5; pass a whole number"),
        (DATA, {"method": "user_kfold", "folds": 1}, JaxrecError, "folds is 1; pass a whole number of at least 2"),
        (DATA, {"method": "user_kfold", "fold": 5}, JaxrecError, r"fold is 5; pass a whole number in 0\.\.4"),
        (DATA, {"method": "user_kfold", "test": 0.0}, JaxrecError, "test is 0; user_kfold needs a part"),
        (DATA, {"method": "user_kfold"}, DataError, "folds is 5 and only 2 users have two interactions; pass fewer"),
        (DATA, {"method": "predefined"}, DataError, "no published parts; read a train and a test file"),
        (DATA, {"test": 0.1}, DataError, "nothing to hold out: too few interactions for a test part"),
        (UNTIMED, {}, DataError, "'user_temporal' needs timestamps and the data have none; pass method='user_random'$"),
        (
            UNTIMED,
            {"method": "leave_one_out"},
            DataError,
            "needs timestamps and the data have none; pass order='random'",
        ),
        (UNTIMED.select([]), {"method": "random"}, DataError, "no interaction to split"),
        (
            UNTIMED.select([0, 0, 1]),
            {"method": "random"},
            DataError,
            "2 of 3 interactions repeat a .* pair.*deduplicate",
        ),
        (
            dataclasses.replace(UNTIMED, part=np.array([TRAIN, TEST, TRAIN, TEST])),
            {},
            DataError,
            "or method='predefined' for the published parts",
        ),
        (
            dataclasses.replace(UNTIMED, part=np.full(4, TEST)),
            {"method": "predefined"},
            DataError,
            "no training interact",
        ),
        (
            dataclasses.replace(UNTIMED, part=np.full(4, TRAIN)),
            {"method": "predefined"},
            DataError,
            "published parts hold no test interaction",
        ),
    ],
)
def test_bad_input_is_told(data, arguments, error, match):
    with pytest.raises(error, match=match):
        split(data, **arguments)


def test_a_split_that_sets_published_parts_aside_says_so():
    data = dataclasses.replace(DATA, part=np.array([TRAIN, TRAIN, TEST, TRAIN, TEST]))
    parts = split(data, test=0.4)
    assert parts.notes[-1].startswith("the published parts of the data were left aside")
    assert parts.train.part is None


def test_a_splitter_and_its_name_give_the_same_split():
    key = jax.random.key(3)
    by_name, by_object = split(DATA, "user_temporal", test=0.4, key=key), split(DATA, UserTemporal(test=0.4), key=key)
    assert rows_of_ids(by_name.test) == rows_of_ids(by_object.test)
    assert by_name.notes == by_object.notes


@dataclasses.dataclass(frozen=True)
class FirstRows:
    """From outside, without a base class."""

    test: int = 1

    def __call__(self, data, key):
        return Split(data.select(slice(self.test, None)), data.select([]), data.select(slice(0, self.test)), "first")


def test_a_splitter_from_outside_is_an_object_or_a_registered_name():
    assert len(split(DATA, FirstRows(2)).test) == 2
    assert len(split(DATA, FirstRows).test) == 1
    registry.register("splitter", "first_rows", FirstRows)
    try:
        assert len(split(DATA, "first_rows", test=3).test) == 3
        with pytest.raises(JaxrecError, match="ties is 'shuffle', and the splitter 'first_rows' has no such option"):
            split(DATA, "first_rows", ties="shuffle")
    finally:
        registry.unregister("splitter", "first_rows")


def test_an_object_takes_no_options_beside_it():
    with pytest.raises(JaxrecError, match=r"test is 0\.1, and UserTemporal\(.*\) carries its own options"):
        split(DATA, UserTemporal(), test=0.1)
    with pytest.raises(JaxrecError, match="method is 3; pass the name of a splitter"):
        split(DATA, 3)
    with pytest.raises(DataError, match="data is of type list; pass Interactions"):
        split([1, 2], "random")
    with pytest.raises(TypeError, match="order"):
        UserTemporal(order="time")


def test_a_key_is_checked_for_every_splitter():
    with pytest.raises(JaxrecError, match=r"key must be one key of jax.random, got 0; pass jax.random.key\(0\)"):
        split(DATA, FirstRows(), key=0)


def test_the_functions_of_the_first_release_work_and_tell_the_new_names():
    with pytest.warns(DeprecationWarning, match=r"user_temporal is a name of 0.1 .*use jaxrec.split\(data, UserTemp"):
        from jaxrec.data.splitting import user_temporal
    assert rows_of_ids(user_temporal(DATA, test=0.4).test) == rows_of_ids(split(DATA, test=0.4).test)
    data = Interactions.from_arrays([1, 1, 2, 2, 3, 3, 4, 4], [5, 6] * 4)
    with pytest.warns(DeprecationWarning, match="UserKFold"):
        from jaxrec.data.splitting import user_kfold, user_kfolds
    assert rows_of_ids(user_kfold(data, 1, folds=2).test) == rows_of_ids(split(data, UserKFold(1, folds=2)).test)
    assert sum(len(parts.test) for parts in user_kfolds(data, folds=2)) == 4


def rows_of_ids(data):
    return list(zip(data.user.tolist(), data.item.tolist(), strict=True))
