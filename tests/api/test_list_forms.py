"""What orders lists from elsewhere: columns by their names, scores in mappings; what may be read wrongly is refused."""

import gzip
import json

import numpy as np
import pandas
import polars
import pytest

import jaxrec
from jaxrec.api._lists import rows_of
from jaxrec.errors import DataError, JaxrecError, UnknownIdError

TRUTH, TRAIN = (["a", "b"], ["z", "x"]), (["a", "b", "a", "b", "a"], ["q", "q", "y", "w", "x"])
ROWS = {"user": ["a", "a", "a", "b", "b", "b"], "item": ["x", "y", "z", "z", "w", "x"]}
BEST_LAST = [0.1, 0.2, 0.9, 0.1, 0.2, 0.9]  # of each user the last, which is the item of the truth
TEXT = "a,x,0.1\na,y,0.2\na,z,0.9\nb,z,0.1\nb,w,0.2\nb,x,0.9\n"


def recall(lists, **options):
    report = jaxrec.evaluate_rankings(lists, TRUTH, train=TRAIN, k=1, metrics=["recall"], **options)
    return report.mean("recall@1"), report.ordered


def frame(**columns):
    return pandas.DataFrame({**ROWS, **columns})


def file(folder, text, name="lists.csv"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["score", "Prediction", "pred", "est", "predicted_rating", "y_hat", "rating"])
def test_a_known_score_orders_the_lists_and_is_named(name, tmp_path):
    told = f"by '{name}', the highest first"
    assert recall(frame(**{name: BEST_LAST})) == (1, told)
    assert recall(file(tmp_path, f"user,item,{name}\n{TEXT}")) == (1, told)
    assert recall(polars.from_pandas(frame(**{name: BEST_LAST})).to_arrow()) == (1, told)
    assert f"lists ordered: {told}" in str(
        jaxrec.evaluate_rankings(frame(**{name: BEST_LAST}), TRUTH, train=TRAIN, k=1)
    )


def test_the_prediction_and_not_the_true_rating_orders():
    wrong = [-score for score in BEST_LAST]
    for truth in ("rating", "r_ui", "label"):
        assert recall(frame(**{truth: BEST_LAST, "prediction": wrong})) == (0, "by 'prediction', the highest first")


REFUSED = {
    "unknown score": (
        {"svd": BEST_LAST},
        "'svd' holds numbers and is no known score; pass order='svd', or order='rows'",
    ),
    "numbers as text": ({"svd": list(map(str, BEST_LAST))}, "'svd' holds numbers and is no known score"),
    **{
        f"unknown score, {value!r} in it": ({"svd": [value, "0.2", "0.9", "0.1", "0.2", "0.9"]}, "'svd' holds numbers")
        for value in ("n/a", "?", "", None)
    },
    "percent": ({"svd": ["10%", "20%", "90%"] * 2}, "'svd' holds numbers and is no known score"),
    "comma before decimals": ({"svd": ["0,1", "0,2", "0,9"] * 2}, "'svd' holds numbers and is no known score"),
    "rating beside it": ({"rating": BEST_LAST, "svd": BEST_LAST}, "no known score, beside 'rating'; pass order='svd'"),
    "times alone": ({"timestamp": range(6)}, "'timestamp' holds numbers"),
    "the truth alone": ({"label": [0, 0, 1, 0, 0, 1]}, "'label' is what users gave; pass order='label'"),
    "two scores": (
        {"score": BEST_LAST, "prediction": BEST_LAST},
        "'score' and 'prediction' could both order the lists",
    ),
    "two ranks": ({"rank": range(6), "position": range(6)}, "'rank' and 'position' could both order"),
    "two ratings": ({"rating": BEST_LAST, "stars": BEST_LAST}, "'rating' and 'stars' could both order"),
    "empty rank": ({"rank": [3, 2, np.nan, 3, 2, 1]}, "rank is nan in row 2; every row needs a finite number"),
    "a word": ({"score": [0.1, "n/a", 0.9, 1, 2, 3]}, "score is 'n/a' in row 1"),
    "decimal comma": ({"score": ["0,1"] * 6}, "score is '0,1' in row 0"),
    "missing whole number": ({"score": pandas.array([1, None, 3, 4, 5, 6], dtype="Int64")}, "score is nan in row 1"),
    "switches": ({"score": [True] * 6}, "score is True in row 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_columns_that_could_mislead_are_refused(name):
    columns, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        recall(frame(**columns))


def test_the_caller_decides_by_the_name_of_a_column():
    lists = frame(svd=BEST_LAST, far=[-score for score in BEST_LAST])
    assert recall(lists, order="svd") == (1, "by 'svd', the highest first")
    assert recall(lists, order="far:ascending") == (1, "by 'far', the lowest first")
    assert recall(lists, order="far") == (0, "by 'far', the highest first")
    assert recall(lists, order="rows") == (0, "as the rows stand")
    assert recall(frame(rank=[3, 2, 1, 3, 2, 1]), order="rank")[0] == 1
    with pytest.raises(DataError, match="order is 'svd2', and the columns are 'user', 'item', 'svd', 'far'"):
        recall(lists, order="svd2")
    with pytest.raises(JaxrecError, match="order is 'score', which is for frames and files with columns"):
        recall({"a": ["z"]}, order="score")


def test_row_numbers_and_texts_are_no_scores(tmp_path):
    best_first = pandas.DataFrame({"user": ["a", "b"], "item": ["z", "x"], "title": ["300", "Heat"]})
    assert recall(best_first) == (1, "as the rows stand")
    best_first.to_csv(tmp_path / "lists.csv")  # with the numbers of the rows in a first column without a name
    assert recall(tmp_path / "lists.csv") == (1, "as the rows stand")


def test_ranks_decide_over_scores_and_contradictions_are_counted():
    lists = frame(rank=[3, 2, 1, 1, 2, 3], score=[1, 2, 3, 1, 2, 3])
    report = jaxrec.evaluate_rankings(lists, TRUTH, train=TRAIN, k=1, metrics=["recall"])
    assert report.per_user["recall@1"].tolist() == [1, 0]
    assert report.counts["lists_against_scores"] == 1  # of b, whose scores rise along the ranks


def test_scores_in_mappings_order_the_items(tmp_path):
    expected = (1, "by score, the highest first")
    scores = {"a": {"x": 0.1, "z": 0.9}, "b": {"w": 0.1, "x": 0.9}}
    pairs = {user: list(items.items()) for user, items in scores.items()}
    assert recall(scores) == recall(pairs) == expected
    assert recall(file(tmp_path, json.dumps(scores), "lists.json")) == expected
    assert recall(file(tmp_path, json.dumps(pairs), "lists.json")) == expected
    assert recall({user: list(items) for user, items in scores.items()}) == (0, "as given, the best first")


MAPPINGS = {
    "a text": ({"a": "xyz"}, "the list of user 'a' is 'xyz'; pass a list of items"),
    "one item": ({"a": 7}, "the list of user 'a' is 7"),
    "a set": ({"a": {"z", "x"}}, "the list of user 'a' is a set, which has no order; pass a list, the best first"),
    "some scores": ({"a": ["x"], "b": [("z", 0.1), ("x", 0.9)]}, "items with a score and items without"),
    "no score": ({"a": {"x": None, "z": 0.9}}, "score is None in item 'x' of user 'a'"),
    "series": (
        {"a": pandas.Series([0.1, 0.9], index=["x", "z"])},
        "a series of fractions; pass its items, or series.to",
    ),
    "rows for lists": ((["a", "b"], ["z", "x"]), "the list of user 'a' is 'z'"),
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_mappings_that_could_mislead_are_refused(name):
    lists, message = MAPPINGS[name]
    with pytest.raises(DataError, match=message):
        recall(lists)


FILES = {
    "empty rank": ("user,item,rank\na,x,2\na,z,\n", ":3: rank is missing; every row needs one"),
    "a word": ("user,item,rank,score\na,x,2,5\na,z,n/a,4\n", ":3: rank is 'n/a', no finite number"),
    "NaN": ("user,item,score\na,x,nan\n", ":2: score is 'nan', no finite number"),
    "underscore": ("user,item,score\na,x,1_0\n", ":2: score is '1_0', no finite number"),
    "short line": ("user,item,score\na,x,.1\na,z\n", r":3: 2 cells, expected 3 \(user, item, score\)"),
    "no user": ("user,item,score\n,x,.1\n", ":2: the user is missing"),
    "quotes": ('user,item\na,"x\n', ":2: not valid CSV from here on"),
    "only a header": ("user,item\n", "no row, only a header"),
    "empty": ("", "the file is empty"),
    "one column": ("a\nb\n", ":1: one column only, 'a'"),
    "unknown score": (f"user,item,svd\n{TEXT}", "'svd' holds numbers and is no known score; pass order='svd'"),
    "unknown score, one cell of it": ("user,item,svd\na,x,.1\na,y,n/a\na,z,.9\n", "'svd' holds numbers"),
    "unknown score in percent": ("user,item,svd\na,x,10%\na,y,20%\na,z,90%\n", "'svd' holds numbers"),
    "unknown score, decimal comma": ("user;item;svd\na;x;0,1\na;z;0,9\n", "'svd' holds numbers"),
    "ranks without a header": (
        "a\tx\t2\na\tz\t1\nb\tx\t1\n",
        "counts the rows of each user, as ranks do; pass order='col",
    ),
    "two numbers without a header": ("a,x,.1,7\na,z,.9,8\n", "4 columns and no header; write a first line"),
    "wide or long": ("1,20,30\n2,30,40\n", "a user and 2 items, or a user, an item and a score; pass form='wide' or"),
    "wide or long in words": ("a,z,x\nb,x,w\n", "pass form='wide' or form='long'"),
    "wide with a header": ("user,1,2\na,z,x\n", "no column for the item among 'user', '1', '2'; pass form='wide'"),
    "uneven long": (
        "a,x,.1\na,z\n",
        r":2: another number of cells than in the first line, and user 'a' has a second line",
    ),
    "two delimiters": ("a;x,1\nb;z,2\n", "',' and ';' could both separate the cells of 'a;x,1'"),
    "a user twice": ("a,x,z,w,q\nb,x,z,w,q\na,w\n", "another number of cells"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_could_mislead_are_refused_with_their_line(name, tmp_path):
    text, message = FILES[name]
    path = file(tmp_path, text)
    with pytest.raises(DataError, match=message) as told:
        recall(path)
    assert str(told.value).startswith(str(path))


def test_the_form_of_a_file_is_found_where_one_fits_and_stated_where_two_do(tmp_path):
    wide = (1, "as given, a line a user")
    assert recall(file(tmp_path, "a z x\nb x\n")) == wide  # uneven lines
    assert recall(file(tmp_path, "a,z,x,q,y\nb,x,w,q,z\n")) == wide  # too many columns for one item a line
    assert recall(file(tmp_path, "a,z,x\nb,x,w\n"), form="wide") == wide
    assert recall(file(tmp_path, "user,1st,2nd\na,z,x\nb,x,\n"), form="wide") == wide  # a short list
    assert recall(file(tmp_path, "a\tx\t.1\na\tz\t.9\nb\tx\t.9\n")) == (1, "by 'column 3', the highest first")
    assert recall(file(tmp_path, "a\tx\t1\na\tz\t2\nb\tx\t1\n"), order="column 3")[0] == 1
    assert recall(file(tmp_path, "a\tx\t2\na\tz\t1\nb\tx\t1\n"), order="column 3:ascending")[0] == 1
    assert recall(file(tmp_path, "a\tz\nb\tx\n")) == (1, "as the rows stand")
    with pytest.raises(DataError, match="user 'a' has an earlier line"):
        recall(file(tmp_path, "a,z,x\na,x,w\n"), form="wide")
    with pytest.raises(DataError, match="an empty cell in the list of user 'a'"):
        recall(file(tmp_path, "a,,x\nb,x,w\n"), form="wide")
    with pytest.raises(JaxrecError, match='form must be "long", "wide" or None, got \'both\''):
        recall(file(tmp_path, TEXT), form="both")
    with pytest.raises(JaxrecError, match="form is 'wide', which is for files"):
        recall({"a": ["z"]}, form="wide")


def test_ids_in_files_are_taken_as_they_are_written(tmp_path):
    lists = file(tmp_path, "user,item,score\n1,007,0.9\n1,8,0.5\n")
    assert rows_of(lists).item_ids.tolist() == ["007", "8"]
    truth, train = file(tmp_path, "user,item\n1,007\n", "truth"), file(tmp_path, "user,item\n1,8\n2,9\n", "train")
    # The items of train are all whole numbers and those of truth are not: as texts of files they are one catalog.
    assert jaxrec.evaluate_rankings(lists, truth, train=train, k=1, metrics=["recall"]).mean("recall@1") == 1
    with pytest.raises(UnknownIdError, match="1 of 2 items, such as '007'"):
        jaxrec.evaluate_rankings(lists, ([1, 1], [7, 8]), k=1)


def test_scores_keep_all_their_digits(tmp_path):
    close = file(tmp_path, "user,item,score\na,x,0.12345678901\na,z,0.12345678902\nb,x,1\n")
    report = jaxrec.evaluate_rankings(close, TRUTH, train=TRAIN, k=1, metrics=["recall"])
    assert (report.mean("recall@1"), report.counts["lists_with_ties"]) == (1, 0)


def test_lists_of_other_users_are_refused():
    with pytest.raises(UnknownIdError, match="none of the 1 users, such as 'zoe', is in truth or train"):
        recall({"zoe": ["x"]})


def test_compressed_and_typed_files_are_read(tmp_path):
    typed = "user_id:token\titem_id:token\tscore:float\na\tx\t.1\na\tz\t.9\nb\tx\t1\n"
    path = tmp_path / "lists.inter.gz"
    path.write_bytes(gzip.compress(typed.encode()))
    assert recall(path) == (1, "by 'score', the highest first")
    path.write_bytes(gzip.compress(typed.encode())[:-9])
    with pytest.raises(DataError, match="cannot be read: Compressed file ended"):
        recall(path)


JSON = {
    '{"a": ["x"], "a": ["z"]}': "'a' is twice in one object",
    '{"lists": [{"user": "a", "items": ["x"]}, {"user": "a", "items": ["z"]}]}': "`lists` has the user 'a' twice",
    "[" * 100_000: "JSON that is nested too deep",
    '{"a": "x"}': "expected an object from each user to a list of items",
}


@pytest.mark.parametrize("text", JSON, ids=lambda text: text[:12])
def test_json_that_could_mislead_is_refused(text, tmp_path):
    with pytest.raises(DataError, match=JSON[text]):
        recall(file(tmp_path, text, "lists.json"))


def test_truth_that_lies_in_training_is_counted():
    report = jaxrec.evaluate_rankings({"a": ["z"]}, TRUTH, train=(["a", "b"], ["z", "y"]), k=1, metrics=["recall"])
    assert report.counts["test_pairs_in_training"] == 1


NUMBERS = [
    *(("1.000,5", "9.000,5"), ("−9.5", "−1.5"), ("-inf", "inf"), ("[0.1]", "[0.9]"), ("tensor(0.1)", "tensor(0.9)")),
    *(("0.1±0.01", "0.9±0.01"), ("1.5 pts", "9.5 pts"), ("٠٫١", "٠٫٩"), ("1 000", "9 000"), ("€ 1,50", "€ 9,50")),
    *(("np.float64(0.1)", "np.float64(0.9)"), ("tensor(0.1, device='cuda:0')", "tensor(0.9, device='cuda:0')")),
]


@pytest.mark.parametrize(("low", "high"), NUMBERS)
def test_numbers_in_any_spelling_are_not_passed_over(low, high, tmp_path):
    path = tmp_path / "lists.csv"
    path.write_text(f"user;item;sim\na;x;{low}\na;z;{high}\nb;z;{low}\nb;x;{high}\n", encoding="utf-8")
    truth, train = (["a", "b"], ["z", "x"]), (["a", "b"], ["q", "y"])
    with pytest.raises(DataError, match="'sim' holds numbers and is no known score; pass order='sim'"):
        jaxrec.evaluate_rankings(path, truth, train=train, k=1)
    frame = pandas.DataFrame({"user": ["a", "a"], "item": ["x", "z"], "sim": [low, high]})
    with pytest.raises(DataError, match="'sim' holds numbers and is no known score"):
        jaxrec.evaluate_rankings(frame, truth, train=train, k=1)
    report = jaxrec.evaluate_rankings(path, truth, train=train, k=1, order="rows")
    assert report.ordered == "as the rows stand"


def test_numbers_below_the_first_lines_are_not_passed_over(tmp_path):
    path = tmp_path / "lists.csv"
    lines = [f"u{at},i{at % 7},{'' if at < 150 else at / 7}" for at in range(600)]
    path.write_text("\n".join(["user,item,sim", *lines]))
    with pytest.raises(DataError, match="'sim' holds numbers and is no known score"):
        jaxrec.evaluate_rankings(path, (["u1"], ["i1"]), k=1)


def test_keys_of_items_that_may_order_them_are_refused(tmp_path):
    path = tmp_path / "lists.json"
    for key in ("prediction", "rank", "svd"):
        items = [{"item": "x", key: 1}, {"item": "z", key: 2}]
        path.write_text(json.dumps({"lists": [{"user": "a", "items": items}]}))
        with pytest.raises(DataError, match=f"lists.json: item 'x' of `lists` has '{key}', which may order it"):
            jaxrec.evaluate_rankings(path, (["a"], ["z"]), k=1)
    path.write_text(json.dumps({"lists": [{"user": "a", "items": [{"item": "x", "title": "X"}]}]}))
    assert jaxrec.evaluate_rankings(path, (["a"], ["x"]), k=1, metrics=["recall"]).mean("recall@1") == 1


@pytest.mark.parametrize("name", ["rank", "score"])
def test_an_index_that_may_order_the_rows_is_refused(name):
    frame = pandas.DataFrame({"user": ["a", "a"], "item": ["x", "z"]}, index=pandas.Index([2, 1], name=name))
    with pytest.raises(DataError, match=f"the index is '{name}', and no column is; pass frame.reset_index"):
        jaxrec.evaluate_rankings(frame, (["a"], ["z"]), k=1)
