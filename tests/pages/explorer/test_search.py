"""The search of texts gives what looking at one text after another gives, in the order that is promised."""

import numpy as np
import pytest

from jaxrec.pages.explorer._search import Index, folded

WORDS = ["Tee", "grüner", "Kaffee", "Nr. 4", "ÄÄ", "aa", "a", "日本", "naïve", "e"]


@pytest.fixture(scope="module")
def world():
    """Titles of a few words each, ids, and which place is before another."""
    rng = np.random.default_rng(0)
    titles = [" ".join(rng.choice(WORDS, rng.integers(0, 4))) for _ in range(300)]
    return titles, [f"kunde-{at:03d}" for at in range(300)], rng.permutation(300)


def graded(title, name, wanted):
    """0 for the whole title or id, 1 for a beginning, 2 and 3 for a part of the title or the id; None for no match."""
    if wanted in (title, name):
        return 0
    if title.startswith(wanted) or name.startswith(wanted):
        return 1
    return 2 if wanted in title else 3 if wanted in name else None


@pytest.mark.parametrize(
    "words", ["tee", "TÉE", "a", "aa", "e", "nr. 4", "gruner kaffee", "056", "kunde-056", "kunde", "本", "x", "ee t"]
)
@pytest.mark.parametrize("most", [1, 12, 300])
def test_matches_are_those_of_a_plain_search(world, words, most):
    titles, ids, before = world
    found = Index([titles, ids], before).find(words, most)
    grades = [graded(folded(title), name, folded(words)) for title, name in zip(titles, ids, strict=True)]
    matches = [at for at, grade in enumerate(grades) if grade is not None]
    assert found.total == len(matches)
    assert found.places == sorted(matches, key=lambda at: (grades[at], before[at]))[:most]


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("kafee", [1, 0]),
        ("KUNDE-99x", [2]),
        ("grüner tea", [2]),
        ("ka", []),
        ("", []),
        ("zzz", []),
        ("\ud800\ud800\ud800", []),
    ],
)
def test_a_name_that_nothing_has_leads_to_its_longest_known_beginning(name, places):
    index = Index([["Kaffee (1)", "Kaffee", "Grüner Tee"], ["a", "b", "kunde-99"]], np.array([1, 0, 2]))
    assert index.nearest(name, 3) == places


def test_without_words_all_match_in_their_order(world):
    titles, ids, before = world
    assert Index([titles, ids], before).find("  ", 5) == (np.argsort(before)[:5].tolist(), 300)


@pytest.mark.parametrize("title", ["x", "a\0b", "\ud800"])
def test_odd_texts_are_texts(title):
    index = Index([[title, "other"]], np.arange(2))
    assert index.find("other", 5).places == [1]
    assert index.find(title, 5).places == [0]
    assert index.find(f"{title}\0other", 5).total == 0
