"""A text as a file that is read."""

import pytest

import jaxrec


@pytest.fixture
def reading(tmp_path):
    """A function that writes a text to a file and reads it."""

    def read(text, name="ratings.csv", **options):
        (tmp_path / name).write_text(text)
        return jaxrec.read(tmp_path / name, **options)

    return read
