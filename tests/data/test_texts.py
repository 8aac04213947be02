"""Texts in arrays that one long value does not widen: reading, splitting, fitting, saving and looking up."""

import jax
import numpy as np
import pytest

import jaxrec
from jaxrec.data._texts import as_texts, from_stored, is_text, some, storable, text_array


@pytest.fixture(scope="module")
def wide():
    """Interactions of 20,000 users, of whom one has an id of 1,000 characters: 80 MB as an array of one width."""
    users = [f"u{at}" for at in range(20_000)] + ["z" * 1_000]
    return jaxrec.from_arrays(users, ["tea", "rum"] * 10_000 + ["tea"], titles={"tea": "T" * 9, "rum": "R"})


def test_one_long_text_makes_objects_and_many_make_a_wide_array():
    assert text_array(["a" * 1_000] * 20_000).dtype == np.dtype("<U1000")  # nothing is gained by objects
    objects = text_array(["a"] * 20_000 + ["b" * 1_000])
    assert objects.dtype == object
    assert is_text(objects)
    assert as_texts(objects) is objects
    assert objects[0].item() == "a"
    assert not is_text(np.array([1, "a"], dtype=object))


def test_ids_of_both_layouts_mean_the_same(wide):
    assert wide.users.ids.dtype == object
    assert wide.users.ids.tolist() == sorted([f"u{at}" for at in range(20_000)] + ["z" * 1_000])
    assert wide.users.find("u77") == wide.users.ids.tolist().index("u77")
    narrow = jaxrec.from_arrays(
        *([column.tolist() for column in (wide.users.ids[wide.user], wide.items.ids[wide.item])])
    )
    assert narrow.fingerprint() == wide.fingerprint()
    few = wide.select(np.arange(10)).compact()
    assert jaxrec.from_arrays([f"u{at}" for at in range(10)], ["tea", "rum"] * 5).fingerprint() == few.fingerprint()


def test_a_model_with_such_ids_is_saved_and_gives_the_same_lists(wide, tmp_path):
    model = jaxrec.fit(jaxrec.Popularity(), wide, key=jax.random.key(0))
    jaxrec.save(model, tmp_path / "run")
    back = jaxrec.restore(tmp_path / "run")
    assert back.users.ids.tolist() == wide.users.ids.tolist()
    for user, item in (("u0", "rum"), ("u1", "tea"), ("z" * 1_000, "rum")):  # the one of the two that they lack
        assert [one.item for one in jaxrec.recommend(back, user, k=1)[user]] == [item]


def test_stored_texts_come_back_or_are_refused():
    texts = np.array(["", "ä", "b\ud800"], dtype=object)
    assert from_stored(storable(texts)).tolist() == texts.tolist()
    for ends in ([5, 1, 9], [0, 2, 90], [0, 2, 3]):
        with pytest.raises(ValueError, match="do not fit"):
            from_stored({**storable(texts), "ends": np.array(ends)})


def test_what_is_shown_stays_short():
    assert some(["a" * 100, "b", "c"], 2) == repr("a" * 60 + "...") + ", 'b' and 1 more"
