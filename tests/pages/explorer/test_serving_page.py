"""The examples of docs/serving.md are what its application answers."""

import json
import pathlib
import re

import pytest
from asking import asked

import jaxrec

PAGE = pathlib.Path(jaxrec.__file__).parents[1] / "docs" / "serving.md"
EXAMPLE = re.compile(r"```text\nGET (.*?)\n```\n\n```(json|text)\n(.*?)```", re.DOTALL)


def rounded(value):
    """Numbers as the page shows them."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names(page):
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, PAGE.name, "exec"), names)
    return names


def test_every_example_is_an_answer(page, names):
    examples = EXAMPLE.findall(page)
    assert len(examples) >= 7
    for target, kind, shown in examples:
        answer = asked(names["app"], target)
        assert answer.status == 200
        if kind == "json":
            assert rounded(answer.json) == json.loads(shown), target
        else:
            assert answer.body.decode() == shown


def test_every_endpoint_and_every_parameter_is_on_the_page(page, names):
    places = asked(names["app"], "/nothing").error.partition("the places are /, ")[2].split(", ")
    assert len(places) == 6
    for place in places:
        assert re.search(rf"^### GET (or POST )?{place}$", page, re.MULTILINE), place
    told = asked(names["app"], "/api/recommend?none=1").error.partition("the parameters are ")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(told.split(", "))


def test_it_is_served_as_a_part_of_another_application(names):
    found = asked(names["site"], "/films/api/recommend?user=ann&k=1&run=popular").json
    assert found["lists"][0]["items"][0]["title"] == "Am\u00e9lie (2001)"
    assert asked(names["site"], "/films/api/nothing").status == 404
    assert b"<h1>Explorer of four films</h1>" in asked(names["site"], "/films/").body
