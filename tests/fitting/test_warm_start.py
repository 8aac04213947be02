"""Starting from a fitted model: known rows are copied, others drawn as ever; what does not fit is refused."""

import functools

import jax
import numpy as np
import pytest

import jaxrec
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.testing import checkerboard
from jaxrec.training import SGD

KEY = jax.random.key(5)
OLD = checkerboard().select(slice(None, 60)).compact()
# Other ids come first in the sorted order, so known rows move.
GROWN = jaxrec.from_arrays([*OLD.users.ids[OLD.user], -2, -1, -1], [*OLD.items.ids[OLD.item], 100, 102, 7])
STILL = {"epochs": 1, "optimizer": SGD(1e-6), "regularizer": None}  # a training in which next to nothing moves
close = functools.partial(np.testing.assert_allclose, atol=1e-4)  # rows are drawn with deviations of .1
MODELS = [
    jaxrec.MF(dim=3, bias=True),
    jaxrec.LightGCN(dim=3),
    jaxrec.SVDPP(dim=3),
    jaxrec.GCN(dim=3, hidden=4),
]


def params_of(fitted):
    return {name: np.asarray(value) for name, value in fitted.variables["params"].items()}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_rows_of_known_ids_are_copied_and_others_are_drawn(model):
    old = jaxrec.fit(model, OLD, epochs=2, key=jax.random.key(1))
    cold = params_of(jaxrec.fit(model, GROWN, key=KEY, **STILL))
    warm = jaxrec.fit(model, GROWN, key=KEY, init=old, **STILL)
    users = old.users.index(GROWN.users.ids[2:])
    items = old.items.index(GROWN.items.ids[1:])
    for name, value in params_of(warm).items():
        known = params_of(old)[name]
        if value.shape[0] == GROWN.num_users:
            at, drawn, expected = slice(2, None), slice(0, 2), known[users]
        elif value.shape[0] == GROWN.num_items:
            at, drawn, expected = slice(1, None), slice(0, 1), known[items]
        elif value.shape[0] == GROWN.num_users + GROWN.num_items:
            start = GROWN.num_users
            at = np.r_[2:start, start + 1 : value.shape[0]]
            drawn, expected = np.r_[0:2, start], known[np.r_[users, old.num_users + items]]
        else:
            close(value, known)
            continue
        close(value[at], expected)
        close(value[drawn], cold[name][drawn])
    counts = {"known": {"users": 9, "items": OLD.num_items}, "new": {"users": 2, "items": 1}}
    counts["known"]["users"] = OLD.num_users
    assert {name: warm.info["warm_start"][name] for name in ("known", "new")} == counts
    assert warm.info["notes"][-1].startswith("warm start from ")


def test_ids_match_by_text_where_one_side_is_of_strings():
    old = jaxrec.fit(jaxrec.MF(dim=2), OLD, epochs=1, key=jax.random.key(1))
    texts = jaxrec.from_arrays([str(user) for user in OLD.users.ids[OLD.user]], OLD.items.ids[OLD.item])
    warm = jaxrec.fit(jaxrec.MF(dim=2), texts, key=KEY, init=old, **STILL)
    rows = old.users.index(texts.users.ids)
    close(warm.variables["params"]["user_embedding"], np.asarray(old.variables["params"]["user_embedding"])[rows])


def test_equal_numbers_of_users_and_items_are_told_apart():
    data = checkerboard()  # 17 of each
    old = jaxrec.fit(jaxrec.MF(dim=2), data, epochs=1, key=jax.random.key(1))
    reverse = jaxrec.from_arrays(-data.users.ids[data.user] - 1, data.items.ids[data.item])
    warm = jaxrec.fit(jaxrec.MF(dim=2), reverse, key=KEY, init=old, **STILL)
    assert warm.info["warm_start"]["known"] == {"users": 0, "items": 16}
    drawn = jaxrec.fit(jaxrec.MF(dim=2), reverse, key=KEY, **STILL)
    close(*(one.variables["params"]["user_embedding"] for one in (warm, drawn)))


def test_several_members_start_from_one():
    old = jaxrec.fit(jaxrec.MF(dim=2), OLD, epochs=2, key=jax.random.key(1))
    members = jaxrec.fit_many(jaxrec.MF(dim=2), OLD, keys=jax.random.split(KEY, 2), init=old, **STILL)
    for member in members:
        close(member.variables["params"]["item_embedding"], old.variables["params"]["item_embedding"])


def test_a_restored_model_is_a_start(tmp_path):
    old = jaxrec.fit(jaxrec.MF(dim=2), OLD, epochs=2, key=jax.random.key(1))
    restored = jaxrec.restore(jaxrec.save(old, tmp_path / "run"))
    one, other = (jaxrec.fit(jaxrec.MF(dim=2), GROWN, epochs=1, init=init, key=KEY) for init in (old, restored))
    np.testing.assert_array_equal(*(fitted.variables["params"]["item_embedding"] for fitted in (one, other)))


def test_other_options_and_a_fitted_test_part_are_told():
    data = checkerboard()
    old = jaxrec.fit(jaxrec.LightGCN(dim=2, layers=1), data, epochs=1, key=jax.random.key(1))
    split = jaxrec.split(data, "user_random", test=0.2, valid=0.0, key=KEY)
    warm = jaxrec.fit(jaxrec.LightGCN(dim=2, layers=2), split, epochs=1, init=old, key=KEY)
    notes = warm.info["warm_start"]["notes"]
    assert "warm start from other options: layers 1 there, 2 here" in notes
    assert any(f"was fitted on {len(split.test)} of the {len(split.test)} test interactions" in note for note in notes)


@pytest.mark.parametrize(
    ("model", "init", "kind", "message"),
    [
        (jaxrec.MF(dim=4), jaxrec.MF(dim=2), MismatchError, r"init has \(17, 2\) for the parameter item_embedding and"),
        (jaxrec.MF(dim=2, bias=True), jaxrec.MF(dim=2), MismatchError, "init has no for the parameter item_bias"),
        (jaxrec.LightGCN(dim=2), jaxrec.MF(dim=2), MismatchError, "init is MF and the model LightGCN"),
        (jaxrec.EASE(), jaxrec.MF(dim=2), JaxrecError, "init is given, and EASE is solved"),
    ],
)
def test_what_does_not_fit_is_refused(model, init, kind, message):
    old = jaxrec.fit(init, checkerboard(), epochs=1, key=jax.random.key(1))
    with pytest.raises(kind, match=message):
        jaxrec.fit(model, checkerboard(), init=old, key=KEY)


def test_no_model_and_no_common_id_are_refused():
    data = checkerboard()
    with pytest.raises(JaxrecError, match="init is of type str; pass a model"):
        jaxrec.fit(jaxrec.MF(dim=2), data, init="runs/first", key=KEY)
    old = jaxrec.fit(jaxrec.MF(dim=2), jaxrec.from_arrays(["u", "v"], ["a", "b"]), epochs=1, key=KEY)
    with pytest.raises(
        JaxrecError, match=r"init knows none of these users and items \(its first user is 'u', here 0\)"
    ):
        jaxrec.fit(jaxrec.MF(dim=2), data, init=old, key=KEY)
