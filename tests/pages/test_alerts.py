"""Each alert on a case where it fires and on one where it does not; the docstrings have the sentences."""

import dataclasses
import time

import numpy as np
import pytest

import jaxrec
from jaxrec.data.splitting import Split
from jaxrec.pages import CHECKS, report
from jaxrec.pages import _alerts as alerts
from jaxrec.pages._published import Published
from jaxrec.reports import Report


def pairs(users, items, **columns):
    return jaxrec.from_arrays(users, items, **columns)


def test_repeated_pairs():
    once = pairs([1, 1, 2], [5, 6, 5])
    assert alerts.repeated_pairs({"train": once, "test": once}) is None
    twice = pairs([1, 1, 2, 2, 2], [5, 5, 6, 6, 6])
    assert alerts.repeated_pairs({"train": once, "test": twice}).startswith("5 interactions of test repeat")


def test_pairs_that_the_user_had_before_are_told_of_held_out_parts_only():
    data = dataclasses.replace(pairs([1, 1, 2], [5, 6, 5]), seen_before=np.array([True, False, False]))
    assert alerts.repeated_pairs({"train": data}) is None
    assert "1 pair of test had occurred earlier" in alerts.repeated_pairs({"test": data})


@pytest.mark.parametrize("told", [alerts.lone_users, alerts.lone_items])
def test_lone_users_and_items(told):
    assert told(pairs([1, 1, 2, 2], [5, 6, 5, 6])) is None
    assert told(pairs([1, 2, 2, 3], [5, 5, 6, 7])).startswith("2 of 3 ")


def test_users_without_any_interaction_are_not_counted_as_lone():
    data = pairs([1, 1, 2, 2, 3], [5, 6, 5, 6, 5])
    assert alerts.lone_users(data.select(data.user < 2)) is None


def test_unknown_test_users():
    data = pairs([1, 2, 3], [5, 5, 5])
    assert alerts.unknown_test_users(data, data) is None
    assert alerts.unknown_test_users(data.select([0]), data.select([1, 2])).startswith("2 of 2 test users (100%) are")


@pytest.mark.parametrize(("tied", "fires"), [(0, False), (4, False), (10, True)])
def test_tied_times_count_from_a_twentieth_on(tied, fires):
    stamps = np.arange(100)
    stamps[:tied] = 7 if tied else 0
    stamps[tied:] += 1000
    told = alerts.tied_times(pairs(np.zeros(100, int), np.arange(100), timestamp=stamps))
    assert (told is not None) == fires
    assert told is None or told.startswith("10% of the interactions")


def test_equal_times_of_different_users_are_no_tie():
    assert alerts.tied_times(pairs([1, 2, 3], [5, 5, 5], timestamp=[9, 9, 9])) is None
    assert alerts.tied_times(pairs([1, 1], [5, 6])) is None  # no times at all


def test_constant_scores():
    assert alerts.constant_scores("mf", np.array([[3.0, 2.0, 1.0], [1.0, 1.0, 0.0]])) is None
    assert alerts.constant_scores("mf", np.array([[3.0, 2.0], [4.0, 4.0]])).startswith("1 of 2 lists of mf (50%) has")
    padded = np.array([[2.0, 2.0, -np.inf], [2.0, -np.inf, -np.inf], [-np.inf] * 3])
    assert alerts.constant_scores("mf", padded).startswith("1 of 3 lists")  # one place, or none, is no list of ties


def test_short_lists():
    assert alerts.short_lists("mf", np.array([[1, 2], [3, 4]])) is None
    assert alerts.short_lists("mf", np.array([[1, -1], [-1, -1]])).startswith("2 of 2 lists of mf (100%) have")


def test_popular_places_are_those_of_the_most_popular_hundredth():
    popularity = np.arange(1000)[::-1]  # ten items are a hundredth
    head, tail = np.arange(10).reshape(2, 5), np.arange(500, 510).reshape(2, 5)
    assert alerts.popular_places("mf", tail, popularity) is None
    assert alerts.popular_places("mf", head, popularity).startswith(
        "100% of the places of mf go to the 10 most popular"
    )
    half = np.array([[0, 1, 500, 501], [2, 600, 3, 601]])
    assert alerts.popular_places("mf", half, popularity).startswith("50% of the places")


def test_figures_are_unlike_published_ones_beyond_their_interval_and_a_hundredth():
    spread = Report(np.arange(4), {"recall@20": np.array([0.0, 0.5, 0.5, 1.0])})  # interval .1 to .9
    exact = Report(np.arange(4), {"recall@20": np.full(4, 0.5)})
    assert alerts.unlike_published("a", spread, Published({"recall@20": 0.2}, "x")) is None
    assert alerts.unlike_published("a", exact, Published({"recall@20": 0.502}, "x")) is None
    assert ".5000 and the published figure is .6000" in alerts.unlike_published(
        "a", exact, Published({"recall@20": 0.6}, "x")
    )
    assert alerts.unlike_published("a", exact, Published({"ndcg@20": 0.6}, "x")) is None


def test_a_page_tells_what_fired_and_what_did_not(page):
    fired = {alert.check for alert in page.alerts}
    assert {"tied times"} <= fired
    assert "repeated pairs" not in fired
    assert [alert.severity for alert in page.alerts] == sorted(
        (alert.severity for alert in page.alerts), key=["warning", "note"].index
    )
    quiet = page.html.partition("Nothing found: ")[2].partition("</p>")[0]
    assert all((check.name in quiet) != (check.name in fired) for check in CHECKS)


def test_repeats_that_were_kept_are_an_alert_of_the_page(models, split):
    twice = np.concatenate([[0, 0], np.arange(len(split.train))])
    repeated = Split(split.train.select(np.sort(twice)), split.valid, split.test, split.method)
    before = time.perf_counter()
    told = report({"popularity": models["popularity"]}, repeated, k=3).alerts
    assert time.perf_counter() - before < 60
    assert told[0].check == "repeated pairs"
    assert told[0].severity == "warning"
