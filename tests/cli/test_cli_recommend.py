"""`recommend`, `similar` and `predict`: known answers, and every mistake on the way."""

import csv
import json

import jax
import pytest

import jaxrec


def first(result):
    """The first item of each list of a JSON document, by user."""
    return {one["user"]: one["items"][0]["item"] for one in result.json["lists"]}


def withheld(user):
    """What the checkerboard of `conftest.py` leaves out for a user."""
    return 2 * user % 24 + user % 2


def test_the_withheld_item_comes_first(cli, full_run):
    result = cli("recommend", full_run, "--user", "3", "4", "--user", "11", "-k", "2", "--json")
    assert first(result) == {user: withheld(user) for user in (3, 4, 11)}
    assert [len(one["items"]) for one in result.json["lists"]] == [2, 2, 2]
    # Nobody has the second item together with one of the user's.
    assert result.err == "note: 3 of 3 lists end in items of score 0: the model knows nothing of them for that user\n"


def test_text_shows_titles_and_ids(cli, full_run):
    out = cli("recommend", full_run, "--user", "2", "-k", "2").out.splitlines()
    assert out[0] == "user 2"
    assert out[1].split()[:3] == ["1.", "Amélie", "(2001)"]
    assert "[4]" in out[1]


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_all_users_to_a_file(cli, full_run, tmp_path, ending):
    path = tmp_path / f"lists.{ending}"
    result = cli("recommend", full_run, "--all", "-k", "2", "--out", path, "--json")
    assert result.json == {"file": str(path), "users": 12, "notes": []}
    if ending == "csv":
        with path.open(encoding="utf-8") as file:
            found = {int(row["user"]): int(row["item"]) for row in csv.DictReader(file) if row["rank"] == "1"}
    elif ending == "json":
        found = {one["user"]: one["items"][0]["item"] for one in json.loads(path.read_text())["lists"]}
    else:
        columns = pytest.importorskip("pyarrow.parquet").read_table(path).to_pydict()
        rows = zip(columns["user"], columns["rank"], columns["item"], strict=True)
        found = {user: item for user, rank, item in rows if rank == 1}
    assert found == {user: withheld(user) for user in range(12)}


def test_users_and_items_from_a_file(cli, full_run, tmp_path):
    (tmp_path / "users").write_text("2\n4\n")
    (tmp_path / "items").write_text("Amélie (2001)\n8\n", encoding="utf-8")
    files = ["--user", f"@{tmp_path / 'users'}", "--exclude", f"@{tmp_path / 'items'}"]
    result = cli("recommend", full_run, *files, "-k", "24", "--json")
    assert [one["user"] for one in result.json["lists"]] == [2, 4]
    assert {4, 8}.isdisjoint(item["item"] for one in result.json["lists"] for item in one["items"])
    # Of 24 items a user has 11, and one of the two excluded ones is among them.
    assert [len(one["items"]) for one in result.json["lists"]] == [24 - 11 - 1] * 2
    assert "user 2 has only 12 items left to recommend, fewer than k=24" in result.err
    assert "note: 2 of 2 lists end in items of score 0: the model knows nothing of them for that user\n" in result.err
    assert "score 0" not in cli("recommend", full_run, "--user", "2", "-k", "1").err


def test_many_short_lists_are_told_in_one_note(cli, full_run):
    result = cli("recommend", full_run, "--all", "-k", "14", "--exclude", "2", "--json")
    told = [line for line in result.err.splitlines() if "fewer" in line]
    assert told == ["note: 12 of 12 lists are shorter than k=14, since fewer items are left; that of user 1 has 12"]


def test_candidates_exclusions_and_seen_items(cli, full_run):
    words = ["recommend", full_run, "--user", "2", "--json"]
    some = cli(*words, "-k", "2", "--candidates", "Alien (1979)", "4", "--candidates", "6").json["lists"][0]["items"]
    assert [one["item"] for one in some] == [4, 1]  # 6 is one of the user's own
    own = cli(*words, "-k", "2", "--candidates", "4", "6", "--exclude", "4", "--seen").json["lists"][0]["items"]
    assert [one["item"] for one in own] == [6]
    assert "leave no item" in cli(*words, "--candidates", "4", "--exclude", "4").error


def test_unknown_users(cli, full_run):
    words = ["recommend", full_run, "--user", "2", "99", "-k", "2"]
    assert "unknown user '99': not among the 12 user ids" in cli(*words).error
    skipped = cli(*words, "--unknown", "skip", "--json")
    assert first(skipped) == {2: 4}
    assert "note: 1 user without an interaction in the fitted part left out: '99'" in skipped.err
    popular = cli(*words, "--unknown", "popular", "--json")
    assert list(first(popular)) == [2, "99"]
    assert "given the most popular items" in popular.err
    assert cli(*words, "--unknown", "popular", "--quiet").err == ""


def test_similar_items_by_id_and_title(cli, full_run):
    result = cli("similar", full_run, "--item", "alien", "--item", "4", "-k", "3", "--json")
    assert [one["item"] for one in result.json["lists"]] == [1, 4]
    # Only items of the same color have users in common.
    for one in result.json["lists"]:
        assert all((other["item"] - one["item"]) % 2 == 0 for other in one["items"])
    assert cli("similar", full_run, "--item", "1", "4", "-k", "3").out.startswith("item Alien (1979)  [1]\n   1. ")


def test_an_ambiguous_title_lists_its_candidates(cli, full_run):
    error = cli("similar", full_run, "--item", "Heat").error
    assert error == "2 items are titled 'Heat': 0 (Heat (1995)), 2 (Heat (1986)); name one by its id"
    assert cli("similar", full_run, "--item", "Heat (1986)", "--json").json["lists"][0]["item"] == 2


def test_predict_scores_pairs_in_order(cli, full_run):
    pairs = cli("predict", full_run, "--user", "2", "2", "--item", "Amélie", "1", "--json").json["pairs"]
    assert [(one["user"], one["item"], one["title"]) for one in pairs] == [
        (2, 4, "Amélie (2001)"),
        (2, 1, "Alien (1979)"),
    ]
    assert pairs[0]["score"] > pairs[1]["score"] == 0.0
    lines = cli("predict", full_run, "--user", "2", "--item", "4").out.splitlines()
    assert lines[0].split() == ["user", "item", "title", "score"]
    assert lines[1].split()[:4] == ["2", "4", "Amélie", "(2001)"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("recommend RUN", "name users with --user, --all, --history or --new-users, one of the four; got none of them"),
        ("recommend RUN --all --user 1", "one of the four; got --user and --all"),
        ("recommend RUN --user 1 -k 25", "k must lie in 1..24 (the number of items), got 25"),
        ("recommend RUN --user 1 -k 0", "k must lie in 1..24 (the number of items), got 0"),
        ("recommend RUN --user 1 --exclude 99", "unknown item '99'"),
        ("recommend RUN --user 1 --memory-mb 0", "--memory-mb is 0, but two users of 24 items"),
        ("recommend RUN --user @nowhere", "nowhere: no such file, as --user @nowhere asks for"),
        ("recommend RUN --user 1 --out lists.txt", "--out 'lists.txt' must end in .csv, .json, .parquet"),
        ("recommend RUN --user 1 --out no/lists.csv", "is in a folder that does not exist; make 'no' first"),
        ("recommend RUN --user 1 --unknown guess", "--unknown is 'guess'; pass raise, skip or popular"),
        ("similar RUN", "name an item with --item, by its id or its title"),
        ("similar RUN --item Jaws", "unknown item 'Jaws': neither an id nor a title of the 24 items"),
        ("similar RUN --item 1 -k 24", "k must lie in 1..23 (the number of other items), got 24"),
        ("predict RUN --user 1", "name pairs with --user and --item, as many of one as of the other"),
        ("predict RUN --user 1 --item 1 2", "--user names 1 and --item names 2; name as many of one"),
        ("predict RUN --user 99 --item 1", "unknown user '99'"),
    ],
)
def test_mistakes_are_told_in_one_line(cli, full_run, words, message):
    assert message in cli(*words.replace("RUN", str(full_run)).split()).error


def test_a_file_without_a_line_names_no_user(cli, full_run, tmp_path):
    (tmp_path / "users").write_text("\n")
    assert "names no user" in cli("recommend", full_run, "--user", f"@{tmp_path / 'users'}").error


def test_a_cache_folder_that_cannot_be_used_is_a_warning(cli, full_run, tmp_path):
    (tmp_path / "file").write_text("")
    result = cli("recommend", full_run, "--user", "3", "-k", "1", "--json", "--cache-dir", tmp_path / "file")
    assert (result.status, len(result.json["lists"])) == (0, 1)
    assert result.err.count("\n") == 1
    assert result.err.startswith("jaxrec: warning: the cache folder")


def test_unknown_users_are_told_with_ids_that_are_near(cli, full_run):
    assert cli("recommend", full_run, "--user", "12").error.endswith("did you mean 11?")
    assert "did you mean" not in cli("recommend", full_run, "--user", "99").error


def test_a_way_with_unknown_users_is_named_by_its_flag(cli, tmp_path):
    import jax

    import jaxrec

    data = jaxrec.from_arrays([0, 0, 1], [0, 1, 1]).select([0, 1])  # user 1 stays without an interaction
    jaxrec.save(jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0)), tmp_path / "run")
    error = cli("recommend", tmp_path / "run", "--user", "1", "-k", "1").error
    assert "ask for --unknown popular to get the most popular items, or --unknown skip" in error


EVEN = [item for item in range(0, 24, 2) if item != 4]  # what user 2 has


def test_a_history_of_a_new_user(cli, full_run, tmp_path):
    words = ["recommend", full_run, "-k", "2", "--json"]
    assert first(cli(*words, "--history", *EVEN)) == {"new": 4}
    titled = ["Heat (1995)", "heat (1986)", *EVEN[2:]]
    assert first(cli(*words, "--history", *titled)) == {"new": 4}
    (tmp_path / "items").write_text("\n".join(map(str, EVEN)) + "\n")
    assert first(cli(*words, "--history", f"@{tmp_path / 'items'}")) == {"new": 4}
    result = cli(*words, "--history", *EVEN, "999", "--unknown", "skip")
    assert first(result) == {"new": 4}
    assert "note: 1 of the new users' items is unknown to the model and left out: '999'" in result.err


def test_new_users_from_a_file(cli, full_run, tmp_path):
    path = tmp_path / "new.csv"
    odd = [item for item in range(1, 24, 2) if item != 7]
    rows = [("ann", item) for item in EVEN] + [("bo", item) for item in odd]
    path.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in rows))
    out = tmp_path / "lists.csv"
    assert first(cli("recommend", full_run, "-k", "2", "--new-users", path, "--json")) == {"ann": 4, "bo": 7}
    assert cli("recommend", full_run, "-k", "2", "--new-users", path, "--out", out, "--json").json["users"] == 2
    with out.open(encoding="utf-8") as file:
        assert [row["user"] for row in csv.DictReader(file)] == ["ann", "ann", "bo", "bo"]


def test_columns_of_new_users_by_name_and_by_place(cli, full_run, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("price,sku,customer\n" + "".join(f"3.5,{item},ann\n" for item in EVEN))
    words = ["recommend", full_run, "-k", "2", "--json", "--new-users", path, "--columns"]
    assert first(cli(*words, "user=customer", "item=sku", "rating=-")) == {"ann": 4}
    assert first(cli(*words, "-", "item", "user")) == {"ann": 4}
    assert "no column 'shop'" in cli(*words, "user=shop", "item=sku").error
    alone = ["recommend", full_run, "--history", "4", "--columns", "user", "item"]
    assert "--columns is for the files of --new-users and --new-items" in cli(*alone).error


def test_new_items_from_a_file(cli, full_run, trained_run, tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("buyer,sku\n" + "".join(f"{user},100\n" for user in (0, 2, 4, 6, 8)))
    more = ["--new-items", path, "--columns", "user=buyer", "item=sku", "--json"]
    for run in (full_run, trained_run):
        result = cli("recommend", run, "--user", "10", "1", "-k", "2", *more)
        has = {one["user"]: {item["item"] for item in one["items"]} for one in result.json["lists"]}
        assert 100 in has[10] or run is trained_run
        assert 100 not in has[1]
        assert "note: 1 items added to the model, by who has them" in result.err
    path.write_text("user,item\n2,4\n")
    words = ("recommend", full_run, "--all", "--quiet", "--new-items", path)
    assert "item 4 is known to the model already" in cli(*words).error
    path.write_text("user,item\n999,100\n")
    assert "unknown user 999" in cli(*words).error


def test_mistakes_with_new_users(cli, full_run, tmp_path):
    words = ["recommend", full_run, "-k", "2"]
    assert "one of the four; got none of them" in cli(*words).error
    assert "got --user and --history" in cli(*words, "--user", "2", "--history", "4").error
    assert "unknown item 'Ronin'" in cli(*words, "--history", "Ronin").error
    assert "no such file" in cli(*words, "--new-users", tmp_path / "nowhere.csv").error
    (tmp_path / "empty").write_text("\n")
    assert "--history names no item" in cli(*words, "--history", f"@{tmp_path / 'empty'}").error


@pytest.fixture
def odd_titles(tmp_path):
    """A run folder whose titles move a terminal, forge a line, and start like formulas."""
    titles = {0: "=1+1", 1: "\x1b[2J\x1b[31mred", 2: "a\nuser 9\n   1. Forged  [9]  9.999", 3: "\u202eexe.fdp", 4: "2"}
    user, item = zip(*[(user, item) for user in range(6) for item in range(5) if (user + item) % 3], strict=True)
    data = jaxrec.from_arrays(user, item, titles=titles)
    jaxrec.save(jaxrec.fit(jaxrec.ItemKNN(), data, key=jax.random.key(0)), tmp_path / "run")
    return tmp_path / "run"


def test_titles_do_not_reach_the_terminal_as_they_are(cli, odd_titles):
    for words in (("recommend", "--all", "-k", "5", "--seen"), ("similar", "--item", "0", "-k", "4")):
        out = cli(words[0], odd_titles, *words[1:]).out
        assert not set("\x1b\u202e") & set(out)
        assert out.count("\n   1. Forged") == 0
        assert r"\x1b[2J\x1b[31mred" in out
        assert r"a\nuser 9\n   1. Forged" in out
        assert r"\u202eexe.fdp" in out
    pairs = cli("predict", odd_titles, "--user", "0", "1", "--item", "1", "3").out
    assert not set("\x1b\u202e") & set(pairs)
    assert "\x1b" not in cli("similar", odd_titles, "--item", "\x1b[31mnone", "-k", "1").err
    assert "\x1b" not in cli("recommend", odd_titles, "--user", "\x1b[31mnone", "-k", "1").err


def test_formulas_are_quoted_on_request(cli, odd_titles, tmp_path):
    out = tmp_path / "lists.csv"
    words = ("recommend", odd_titles, "--all", "-k", "5", "--seen", "--out", out)
    assert cli(*words).status == 0
    assert ",=1+1," in out.read_text()
    assert cli(*words, "--spreadsheet-safe").status == 0
    assert ",'=1+1," in out.read_text()
    assert "--spreadsheet-safe is for a .csv file" in cli(*words[:-2], "--spreadsheet-safe").error


def test_an_id_that_is_also_a_title_is_told_once(cli, odd_titles):
    told = "'2' is taken for the id of 2"
    for words in (("similar", "--item", "2", "-k", "1"), ("predict", "--user", "0", "--item", "2")):
        result = cli(words[0], odd_titles, *words[1:])
        assert (result.status, result.err.count(told)) == (0, 1)
        assert "and is also the title of 4 (2)" in result.err
