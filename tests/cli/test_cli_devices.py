"""Several devices on the command line: plans, and lists and figures that are those of one device."""

import json

import pytest

FIT = ("--model", "mf", "--dim", "4", "--epochs", "2", "--no-validate", "-k", "3", "--no-distances", "--quiet")


@pytest.fixture(scope="module")
def run(ratings, tmp_path_factory):
    """A run folder of MF, with a test part."""
    from jaxrec.cli import main

    folder = tmp_path_factory.mktemp("runs") / "mf"
    assert main(["fit", str(ratings), *FIT, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(("layout", "rows", "columns"), [("rows", 2, 1), ("columns", 1, 2), ("2x1", 2, 1)])
def test_a_plan_states_the_bytes_of_each_layout_and_says_which_was_asked_for(ratings, cli, layout, rows, columns):
    found = cli("plan", ratings, "--dim", "8", "--devices", "2", "--layout", layout, "--json")
    assert found.status == 0
    document = json.loads(found.out)
    assert (document["chosen"]["rows"], document["chosen"]["columns"]) == (rows, columns)
    assert document["why"] == "as asked"
    one, by_rows, by_columns = document["plans"]
    # Tables of 8 columns in float32, with two moments and the step: 4 bytes x 3 x 8 a node.
    nodes = document["users"] + document["items"]
    assert one["state"] == 4 * 3 * 8 * nodes + 4
    assert by_columns["state"] == 4 * 3 * 4 * nodes + 4
    assert one["pairs"] == by_rows["pairs"] == by_columns["pairs"]  # on every device
    assert (one["gathered"], by_columns["gathered"]) == (0, 0)
    assert by_rows["gathered"] > 0
    assert one["communicated"] == {}


def test_a_plan_in_words_marks_the_layout_that_is_chosen(ratings, cli):
    found = cli("plan", ratings, "--dim", "8", "--devices", "2")
    assert found.status == 0
    lines = found.out.splitlines()
    assert lines[1].startswith("MB a device")
    marked = [line for line in lines if " * " in line]
    assert len(marked) == 1
    assert marked[0].split(" * ")[0] in lines[-1]


def test_a_width_that_devices_cannot_share_is_told_by_the_name_of_the_parameter(ratings, cli):
    found = cli("plan", ratings, "--model", "mf", "--dim", "7", "--devices", "2")
    assert found.status == 0
    told = "the parameter user_embedding has 7 columns, which 2 devices cannot share equally; make it a multiple of 2"
    assert told in found.err.replace("item_embedding", "user_embedding")
    assert "--item-embedding" not in found.err
    assert "--user-embedding" not in found.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--devices", "1", "--layout", "rows", "--column-blocks", "2"),
            "no rows are split, got 2; leave --column-blocks out",
        ),
        (("--devices", "2", "--layout", "rows", "--column-blocks", "0"), "--column-blocks must be a whole number"),
        (
            ("--devices", "2", "--column-blocks", "4"),
            "--column-blocks 4 is for --layout rows, or one such as 4x2; name it",
        ),
    ],
)
def test_blocks_that_cannot_be_are_refused_by_their_flag(ratings, cli, words, told):
    assert told in cli("plan", ratings, "--model", "lightgcn", *words).err


# So few users are ranked on one of the devices; parts of the items are ranked on both.
@pytest.mark.parametrize("more", [(), ("--item-parts", "2")])
def test_lists_of_two_devices_are_those_of_one(run, cli, more):
    one = cli("recommend", run, "--all", "-k", "3", "--json")
    two = cli("recommend", run, "--all", "-k", "3", "--json", "--devices", "2", *more)
    assert (one.status, two.status) == (0, 0)
    listed = [json.loads(found.out)["lists"] for found in (one, two)]
    for own, shared in zip(*listed, strict=True):
        assert own["user"] == shared["user"]
        assert [each["item"] for each in own["items"]] == [each["item"] for each in shared["items"]]
        scores = [[each["score"] for each in lists["items"]] for lists in (own, shared)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-5)


@pytest.mark.parametrize("more", [(), ("--item-parts", "2")])
def test_figures_of_two_devices_are_those_of_one(run, cli, more):
    words = ("evaluate", run, "-k", "3", "--no-distances", "--json")
    one, two = cli(*words), cli(*words, "--devices", "2", *more)
    assert (one.status, two.status) == (0, 0)
    told = [{name: value for name, value in json.loads(found.out).items() if name != "seconds"} for found in (one, two)]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--devices", "0"), "--devices must be at least 1, got 0"),
        (("--item-parts", "2"), "--item-parts is for several devices; name their number with --devices"),
        (("--devices", "2", "--item-parts", "3"), "--item-parts must divide the number of devices, 2, got 3"),
    ],
)
def test_devices_that_cannot_be_are_refused(run, cli, words, message):
    found = cli("recommend", run, "--all", *words)
    assert found.status == 2
    assert message in found.err
