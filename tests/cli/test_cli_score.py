"""`score`: lists in a file against a file of what was chosen later."""

import math

import pandas
import pytest


@pytest.fixture
def files(tmp_path):
    texts = {
        "lists.csv": "user,item,rank\nann,2,2\nann,5,1\nbob,3,1\n",
        "truth.csv": "user,item\nann,1\nann,2\nbob,3\neve,4\n",
        "train.csv": "user,item\nann,5\nbob,1\n",
        "features.csv": "item,x,y\n2,0,0\n5,3,4\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def words(files):
    return ("score", files / "lists.csv", "--truth", files / "truth.csv", "--train", files / "train.csv")


def test_lists_are_scored(cli, files):
    more = ("--item-features", files / "features.csv", "--per-user", files / "users.csv")
    document = cli(*words(files), "--k", "1", "2", *more, "--json").json
    assert document["mean"]["recall@1"] == pytest.approx(1 / 3)
    assert document["mean"]["recall@2"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert document["mean"]["ild@2"] == 5  # of Ann's list; those of Bob and Eve have no two items
    assert document["counts"]["undefined_ild@2"] == 2
    assert document["counts"]["users_without_list"] == 1
    assert pandas.read_csv(files / "users.csv")["recall@2"].tolist() == [0.5, 1, 0]
    told = cli(*words(files), "-k", "2")
    assert "recall@2" in told.out
    assert "users without list: 1" in told.out


def test_the_cache_of_compiled_programs_is_used(cli, files):
    (files / "file").write_text("")
    told = cli(*words(files), "-k", "1", "--cache-dir", files / "file")
    assert told.status == 0
    assert "cannot be used" in told.err


def test_ratings_of_the_truth_are_gains(cli, files):
    (files / "truth.csv").write_text("user,item,rating\nann,1,4\nann,2,3\nbob,3,2\neve,4,5\n")
    names = ("graded_ndcg", "r_precision", "serendipity")
    document = cli(*words(files), "-k", "2", "--metrics", *names, "--json").json
    # Ann's list is 5, 2, which is worth 0 and 3 of the best 4 and 3; Bob's is his item; Eve has no list.
    second = 1 / math.log2(3)
    assert document["mean"]["graded_ndcg@2"] == pytest.approx((3 * second / (4 + 3 * second) + 1 + 0) / 3, rel=1e-6)
    assert document["mean"]["r_precision"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert document["counts"]["short_lists_r_precision"] == 1
    # Each item of train has one user, the rest none: 1 and 2 are the popular two of Ann, who has 5; 5 and 2 of Bob.
    assert document["mean"]["serendipity@2"] == pytest.approx((0 + 1 / 2 + 0) / 3)
    assert "r_precision" in cli(*words(files), "-k", "2", "--metrics", *names).out


def test_mistakes_are_one_line(cli, files):
    assert "no such file" in cli(*words(files)[:-1], files / "nothing.csv", "-k", "1").error
    assert "k is 50, but the catalog has only 5 items" in cli(*words(files), "-k", "50").error
    assert "no such file, as --item-features" in cli(*words(files), "-k", "1", "--item-features", "none.csv").error
    (files / "broken.csv").write_text('item,x\n"2')
    assert "truth has no ratings" in cli(*words(files), "-k", "1", "--metrics", "graded_ndcg").error
    assert "lists have none" in cli(*words(files), "-k", "1", "--metrics", "auc").error
    error = cli(*words(files), "-k", "1", "--item-features", files / "broken.csv").error
    assert "broken.csv:2: not valid CSV from here on" in error


def test_without_the_training_part_a_note_says_what_that_means(cli, files):
    (files / "lists.csv").write_text("user,item\nann,2\n")
    result = cli("score", files / "lists.csv", "--truth", files / "truth.csv", "-k", "1")
    assert result.status == 0
    assert "note: without --train every item counts as trained" in result.err


def test_an_id_with_leading_zeros_is_no_number(cli, tmp_path):
    texts = {
        "lists.csv": "user,item,score\n1,007,0.9\n1,008,0.5\n",
        "truth.csv": "user,item\n1,007\n",
        "train.csv": "user,item\n1,009\n2,008\n",
        "features.csv": "item,year,genre\n007,1990,0\n008,2000,1\n009,1995,1\n7,0,0\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    words = [*("score", tmp_path / "lists.csv", "--truth", tmp_path / "truth.csv", "--train", tmp_path / "train.csv")]
    document = cli(*words, "--item-features", tmp_path / "features.csv", "-k", "2", "--json").json
    assert document["mean"]["ild@2"] == pytest.approx(math.hypot(10, 1))
    assert document["space"] == "euclidean distance in item features year, genre"


def test_the_column_and_the_form_are_stated_by_flags(cli, files):
    (files / "lists.csv").write_text("user,item,svd\nann,2,.1\nann,5,.2\nbob,3,.1\n")
    refused = cli(*words(files), "-k", "1").error
    assert "'svd' holds numbers and is no known score; pass --order svd, or --order rows" in refused
    document = cli(*words(files), "-k", "1", "--order", "svd:ascending", "--json").json
    assert document["ordered"] == "by 'svd', the lowest first"
    assert document["mean"]["recall@1"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    (files / "lists.csv").write_text("ann,2,5\nbob,3,1\n")
    assert "pass --form wide or --form long" in cli(*words(files), "-k", "1").error
    assert cli(*words(files), "-k", "1", "--form", "wide", "--json").json["ordered"] == "as given, a line a user"


def test_ids_that_a_spreadsheet_would_run_are_quoted_on_request(cli, files):
    for name in ("lists.csv", "truth.csv"):
        (files / name).write_text((files / name).read_text().replace("ann", "=1+1"))
    per_user = files / "users.csv"
    assert cli(*words(files), "-k", "1", "--per-user", per_user).status == 0
    assert "\n=1+1," in per_user.read_text()
    assert cli(*words(files), "-k", "1", "--per-user", per_user, "--spreadsheet-safe").status == 0
    assert "\n'=1+1," in per_user.read_text()


def test_columns_of_truth_and_train_are_said(cli, files):
    plain = cli(*words(files), "-k", "1", "2", "--json").json["mean"]
    for name in ("truth", "train"):
        header, *rows = (files / f"{name}.csv").read_text().split("\n")
        (files / f"{name}.csv").write_text(
            "\n".join([header.replace("user", "Kunde").replace("item", "Artikel"), *rows])
        )
    error = cli(*words(files), "-k", "1", "2").error
    assert "--columns" in error
    assert cli(*words(files), "-k", "1", "2", "--columns", "user=Kunde", "item=Artikel", "--json").json["mean"] == plain
