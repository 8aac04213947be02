"""`evaluate`: candidate rules, groups of users and groups of items, and what is wrong with them in one line."""

import json

import pytest

from jaxrec.cli._labels import read_labels

QUICK = ("-k", "3", "--no-distances", "--quiet")


@pytest.fixture(scope="module")
def run(ratings, tmp_path_factory):
    from jaxrec.cli import main

    folder = tmp_path_factory.mktemp("runs") / "popularity"
    words = ["--model", "popularity", "--valid", "0.2", "--out", str(folder), *QUICK, "--json"]
    assert main(["fit", str(ratings), *words]) == 0
    return folder


def test_rules_are_given_as_items_or_as_a_file_of_them(cli, run, tmp_path):
    plain = cli("evaluate", run, *QUICK, "--json").json
    assert (plain["masked"], plain["catalogue"]) == ("train and valid", "24 items")
    (tmp_path / "items.txt").write_text("".join(f"{item}\n" for item in (1, 3, *range(10, 22))))
    words = ("--candidates", f"@{tmp_path}/items.txt", "--exclude", "3", "Alien", "--mask", "nothing")
    ruled = cli("evaluate", run, *QUICK, *words, "--json").json
    assert ruled["catalogue"] == "14 candidates of 24 items, without 2 excluded"
    assert (ruled["masked"], ruled["counts"]["candidate_items"]) == ("nothing", 12)
    assert 0 < ruled["counts"]["test_pairs_not_candidates"] < ruled["counts"]["test_pairs"]
    assert ruled["counts"]["test_pairs"] == plain["counts"]["test_pairs"]
    assert "test pairs not candidates" in cli("evaluate", run, *QUICK, *words).out


def test_groups_of_users(cli, run, tmp_path):
    groups = cli("evaluate", run, *QUICK, "--user-groups", "activity", "--json").json["user_groups"]
    assert {label: group["counts"]["users_evaluated"] for label, group in groups.items()} == {"1-9": 12}
    lines = [f"{user},{'odd' if user % 2 else 'even'}" for user in range(12)]
    (tmp_path / "users.csv").write_text("\n".join(["User,Group", *lines, ""]))
    words = ("evaluate", run, *QUICK, "--user-groups", tmp_path / "users.csv")
    document = cli(*words, "--json").json
    parts = [document["user_groups"][label] for label in ("even", "odd")]
    assert [part["counts"]["users_evaluated"] for part in parts] == [6, 6]
    # Six users each, so the mean of all is the mean of the two.
    assert document["mean"]["ndcg@3"] == pytest.approx(sum(part["mean"]["ndcg@3"] for part in parts) / 2)
    assert "coverage@3" in document["mean"]
    assert "coverage@3" not in parts[0]["mean"]
    told = cli(*words).out
    assert "groups of users; values of all lists together are not defined for them:" in told
    assert [line.split()[0] for line in told.splitlines()[-2:]] == ["even", "odd"]


@pytest.mark.parametrize("header", ["", "item,group\n", "movieId,Group\n", "item_id,groups\n"])
def test_labels_are_read_as_texts_with_and_without_a_header(header, tmp_path):
    (tmp_path / "items.csv").write_text(f"{header}007,old\n7,new\n")
    assert read_labels(str(tmp_path / "items.csv"), "item", "--item-groups") == {"007": "old", "7": "new"}


def test_groups_of_items(cli, run, tmp_path):
    (tmp_path / "items.csv").write_text("".join(f"{item},{'odd' if item % 2 else 'even'}\n" for item in range(24)))
    words = ("evaluate", run, *QUICK, "--item-groups", tmp_path / "items.csv", "--user-groups", "activity")
    document = cli(*words, "--json").json
    shares = [document["mean"][f"exposure@3 [{label}]"] for label in ("even", "odd")]
    assert sum(shares) == pytest.approx(1)
    assert document["mean"]["catalogue_share [odd]"] == 0.5
    told = cli(*words).out
    assert "with the truth restricted to a group of items:" in told
    assert "[odd]" not in told.splitlines()[-2]  # the table of users has the values of all items alone
    popular = cli("evaluate", run, *QUICK, "--item-groups", "popularity", "--json").json["mean"]
    assert popular["training_share [head]"] >= 0.8


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("--user-groups", None, "groups.csv: no such file, as --user-groups asks for"),
        ("--user-groups", "user,group\n1,a\n1,b\n", "groups.csv:3: user '1' is in two groups, 'a' and 'b'"),
        ("--user-groups", "1,a,b\n", "groups.csv:1: expected `user,group`, got '1,a,b'"),
        ("--item-groups", "1,\n", "groups.csv:1: expected `item,group`, got '1,'"),
        ("--item-groups", "\n", "groups.csv: no label; write one `item,group` a line"),
        ("--user-groups", "1,a\n", "11 of 12 users have no group, such as 0"),
        ("--item-groups", "1,a\n", "23 of 24 items have no group, such as 0"),
    ],
)
def test_labels_that_cannot_be_used_are_told_in_one_line(cli, run, tmp_path, flag, text, message):
    path = tmp_path / "groups.csv"
    if text is not None:
        path.write_text(text)
    assert message in cli("evaluate", run, *QUICK, flag, path).error


def test_rules_of_unknown_items_or_for_a_rating_model_are_told_in_one_line(cli, run, ratings, tmp_path):
    assert "unknown item '999'" in cli("evaluate", run, *QUICK, "--exclude", "999").error
    assert "leave no item" in cli("evaluate", run, *QUICK, "--candidates", "3", "--exclude", "3").error
    rated = tmp_path / "rated"
    words = ("--model", "nmf", "--loss", "mse", "--dim", "2", "--valid", "0", "--out", rated, "--quiet")
    assert cli("fit", ratings, *words).status == 0
    assert "predicts ratings and makes no lists" in cli("evaluate", rated, "--candidates", "3", "--quiet").error
    groups = json.loads(cli("evaluate", rated, "--user-groups", "activity", "--json").out)["user_groups"]
    assert groups["1-9"]["mean"]["user_rmse"] > 0


def test_categories_of_items_come_from_a_column_or_a_file(cli, run, tmp_path):
    words = ("evaluate", run, *QUICK, "--metrics", "category_coverage", "--json", "--item-categories")
    assert cli(*words, "genres").json["mean"]["category_coverage@3"] == 1  # all are dramas
    lines = ["item,category", *(f"{item},{'a|b' if item < 12 else 'c'}" for item in range(24)), "0,d"]
    (tmp_path / "categories.csv").write_text("\n".join(lines))
    share = cli(*words, tmp_path / "categories.csv").json["mean"]["category_coverage@3"]
    assert 0 < share < 1
    told = cli(*words, "color").error
    assert "--item-categories 'color' is neither a file nor a column of the items; the columns are genres" in told


def test_groups_of_items_are_in_natural_order(cli, run, tmp_path):
    (tmp_path / "items.csv").write_text("".join(f"{item},{item % 12 + 1}\n" for item in range(24)))
    told = cli("evaluate", run, *QUICK, "--item-groups", tmp_path / "items.csv").out
    rows = told[told.index("with the truth") :].splitlines()[2:14]
    assert [row.split()[0] for row in rows] == [str(label) for label in range(1, 13)]
