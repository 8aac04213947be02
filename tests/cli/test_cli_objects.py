"""Objects in words, `low_pass(rank=64)`: what a text makes, that texts and objects are each other's, and mistakes."""

import json

import pytest

import jaxrec
from jaxrec import registry
from jaxrec.cli._choices import Choices
from jaxrec.cli._help import Guide
from jaxrec.cli._objects import object_of, text_of
from jaxrec.cli._parsing import OutputOptions, parse
from jaxrec.errors import JaxrecError
from jaxrec.models import (
    Bands,
    ChebyshevSeries,
    GraphFilter,
    Hop,
    LearntFilter,
    LowPass,
    OneHop,
    Plateau,
    Sharpened,
    UserLowPass,
)

# Texts as a user may write them, beside the calls that they stand for.
WRITTEN = {
    "one_hop": OneHop(),
    "one_hop()": OneHop(),
    " low_pass( rank = 64 , weight=.3 ) ": LowPass(rank=64, weight=0.3),
    "low_pass(0.3, 64)": LowPass(0.3, 64),
    "one_hop(scored=-0.5)": OneHop(scored=-0.5),
    "user_low_pass(rank=8)": UserLowPass(rank=8),
    "bands(gains=(1, 0.5), ends=(2, 8))": Bands(gains=(1, 0.5), ends=(2, 8)),
    "chebyshev(response=plateau, order=2)": ChebyshevSeries(response=Plateau(), order=2),
    "chebyshev(response=sharpened(0.5))": ChebyshevSeries(response=Sharpened(0.5)),
    "jaxrec.models:LowPass(rank=4)": LowPass(rank=4),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_text_makes_what_the_call_makes(text):
    assert object_of("term", text) == WRITTEN[text]


@pytest.mark.parametrize("thing", WRITTEN.values(), ids=repr)
def test_the_text_of_an_object_makes_an_equal_one(thing):
    assert object_of("term", text_of("term", thing)) == thing


def test_the_text_of_an_object_has_what_differs_from_the_defaults():
    assert text_of("term", OneHop()) == "one_hop"
    assert text_of("term", ChebyshevSeries(response=Sharpened(0.5))) == "chebyshev(response=sharpened(amount=0.5))"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("low_pas", "no term is named 'low_pas'; did you mean low_pass"),
        ("low_pass(rank=0)", "rank must be at least 1, got 0"),
        ("low_pass(rank=2.5)", "rank must be a whole number, got 2.5"),
        ("low_pass(rank=", r"'low_pass\(rank=' is no term; write for example one_hop$"),
        ("low_pass()(1)", "is no term; write for example"),
        ("low_pass() or 1", "is no term; write for example"),
        ("low_pass(width=3)", "low_pass has no option width; it takes weight, rank, own, scored"),
        ("low_pass(**{'rank': 3})", r"low_pass has no option \*\*; it takes"),
        ("low_pass(1, 2, 3, 4, 5)", "low_pass takes 4 values, weight, rank, own, scored; got 5"),
        ("low_pass(0.3, weight=0.3)", "weight is given twice"),
        ("low_pass(rank=rank)", "rank is rank, which is no value"),
        ("low_pass(rank=__import__('os').getpid())", "which is no value"),
        ("one_hop(scored='a')", "scored must be a finite number, got 'a'"),
        ("one_hop(scored=1e999)", "scored must be finite, got inf"),
        ("bands(gains=('a',))", "gains has 'a'; pass a finite number for each band"),
        ("chebyshev(response=2.0)", "response is 2.0; write one of plateau, sharpened, with values in brackets"),
        ("chebyshev(response=flat)", "no response is named 'flat'"),
        ("os:getcwd", "is no class with options"),
        ("", "no term is named ''"),
    ],
)
def test_a_mistake_is_named(text, message):
    with pytest.raises(JaxrecError, match=message):
        object_of("term", text)


def test_every_term_of_the_registry_has_a_text():
    for name in registry.names("term"):
        assert text_of("term", object_of("term", name)) == name


@pytest.mark.parametrize("wrong", [OneHop(scored="a"), LowPass(weight=None)], ids=repr)
def test_a_filter_refuses_a_term_whose_number_is_none(wrong):
    with pytest.raises(JaxrecError, match="must be a finite number"):
        GraphFilter(terms=(wrong,))


def test_a_filter_by_words_is_the_filter_by_objects(ratings, cli, tmp_path):
    out = tmp_path / "run"
    words = ("--terms", "one_hop(scored=0.5)", "low_pass(rank=3)", "--valid", "0", "-k", "3", "--no-distances")
    assert cli("fit", ratings, "--model", "filter", *words, "--out", out).status == 0
    assert jaxrec.restore(out).model.terms == (OneHop(scored=0.5), LowPass(rank=3))
    told = json.loads((out / "metrics.json").read_text())["config"]["model"]["terms"]
    assert told == ["one_hop(scored=0.5)", "low_pass(rank=3)"]


def test_a_flag_without_a_word_says_what_to_write(ratings, cli):
    told = cli("fit", ratings, "--model", "filter", "--terms").error
    assert told == "--terms has nothing after it; write for example --terms one_hop"


def test_tune_has_no_range_of_objects(ratings, cli):
    told = cli("tune", ratings, "--model", "filter", "--search", "terms=one_hop,low_pass", "--trials", "2").error
    assert "--search terms: the flag is none; there are tolerance" in told


def test_the_hops_of_a_head_are_words_too():
    choices = Choices(["--model", "spectral", "--head", "filter"])
    hops = ("hop(1.0)", "hop(0.5, power=2.0)")
    command = parse(choices.command(OutputOptions), ["--hops", *hops, "--epochs", "3"], "fit", Guide(""))
    model, flags = choices.made(command)
    assert model.head == LearntFilter(hops=(Hop(1.0), Hop(0.5, power=2.0)), epochs=3)
    assert flags["hops"] == hops
    nothing = parse(choices.command(OutputOptions), ["--hops"], "fit", Guide(""))
    with pytest.raises(JaxrecError, match="--hops has nothing after it; write for example --hops hop"):
        choices.made(nothing)
