"""The comparison of two versions: what counts as a line of code, and the ratio of times in turns."""

import pytest

from experiments.versions.__main__ import HERE, code_lines, lines_of
from experiments.versions.turns import median_ratio

SOURCE = '''"""A module."""

import os  # counted

# not counted
TEXT = """
counted, as every line of a text that is a value
"""
"""What the name above means."""


def one():
    """A docstring
    of two lines."""
    return (
        1,
    )
'''


def test_docstrings_comments_and_blank_lines_are_no_code():
    assert code_lines(SOURCE) == 1 + 3 + 1 + 3


def test_some_files_are_counted_apart():
    assert 0 < lines_of(HERE) - lines_of(HERE, ("testing/",)) < lines_of(HERE)


def test_the_ratio_is_within_the_turns():
    """A machine that slows down changes both times of a turn, and the ratio not at all."""
    before = [1.0, 2.0, 8.0, 4.0]
    assert median_ratio(before, [1.5 * one for one in before]) == pytest.approx((1.5, 1.5, 1.5))
    middle, low, high = median_ratio(before, [1.0, 2.0, 8.0, 8.0])
    assert middle == 1.0
    assert low == 1.0
    assert 1.0 <= high <= 2.0
