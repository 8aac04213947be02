"""Each endpoint gives what the library gives: the same items and scores, distances, reasons and similar items."""

import csv
import io

import jax
import numpy as np
import pytest
from asking import asked

import jaxrec
from jaxrec.metrics import intra_list_distance
from jaxrec.pages import Entry, explorer_app
from jaxrec.ranking import MMR, GreedyDPP, common_space

RUNS = ["popularity", "knn", "mf", "lightgcn"]
KINDS = {"mmr": MMR, "dpp": GreedyDPP}


def pairs_of(lists, name):
    return [(str(one.item), one.title, pytest.approx(one.score, rel=1e-6)) for one in lists[name]]


def pairs_in(one):
    return [(item["id"], item["title"], item["score"]) for item in one["items"]]


def distance_of(model, ids):
    space = common_space(jaxrec.from_arrays(*_pairs(model)))
    places = np.array([model.items.find(name) for name in ids])
    kept = np.array([_compact(model).find(name) for name in ids])
    assert len(places) == len(kept)
    return float(intra_list_distance(space.vectors[kept], space.known[kept]))


def _pairs(model):
    user = np.repeat(np.arange(model.num_users), np.diff(model.seen.indptr))
    return model.users.ids[user], model.items.ids[np.asarray(model.seen.items)]


def _compact(model):
    return jaxrec.from_arrays(*_pairs(model)).items


@pytest.fixture
def users(models):
    return [str(one) for one in models["mf"].users.ids[:12].tolist()]


def test_the_runs_the_counts_and_the_limits_are_said(get, split):
    found = get("/api/runs").json
    assert [run["run"] for run in found["runs"]] == RUNS
    assert (found["users"], found["items"]) == (split.train.num_users, split.train.num_items)
    assert found["categories"] == ["comedy", "drama", "war"]
    assert found["left_out"] == []
    assert found["limits"]["k"] == split.train.num_items


@pytest.mark.parametrize("run", RUNS)
def test_lists_of_users_are_those_of_recommend(get, models, users, run):
    for k in (1, 5):
        lists = jaxrec.recommend(models[run], users, k=k)
        for user in users:
            found = get(f"/api/recommend?user={user}&run={run}&k={k}").json
            assert found["user"] == user
            assert pairs_in(found["lists"][0]) == pairs_of(lists, user)


@pytest.mark.parametrize("run", RUNS)
def test_lists_of_a_basket_are_those_of_recommend_with_a_history(post, models, run):
    basket = [str(one) for one in models[run].items.ids[[1, 4, 9]].tolist()]
    lists = jaxrec.recommend(models[run], history=basket, k=6)
    found = post("/api/recommend", {"history": basket, "run": [run], "k": 6}).json
    assert found["user"] is None
    assert found["history_length"] == 3
    assert pairs_in(found["lists"][0]) == pairs_of(lists, "new")


@pytest.mark.parametrize("word", ["mmr", "dpp"])
@pytest.mark.parametrize("diversity", [0.05, 0.3, 0.75, 1.0])
def test_the_slider_is_the_trade_off_of_a_reranker(get, models, users, word, diversity):
    how = {"reranker": KINDS[word](trade_off=1 - diversity), "rerank_depth": 64}
    for run in ("knn", "lightgcn"):
        for k in (2, 7):
            lists = jaxrec.recommend(models[run], users[:5], k=k, **how)
            for user in users[:5]:
                target = f"/api/recommend?user={user}&run={run}&k={k}&diversity={diversity}&reranker={word}"
                assert pairs_in(get(target).json["lists"][0]) == pairs_of(lists, user)


def test_more_diversity_gives_a_larger_mean_distance(get, users):
    means = []
    for diversity in (0, 0.5, 1):
        found = [get(f"/api/recommend?user={user}&run=lightgcn&k=5&diversity={diversity}").json for user in users]
        means.append(np.mean([one["lists"][0]["distance"] for one in found]))
    assert means[0] < means[1] < means[2]


def test_the_distance_is_that_of_the_metric_in_the_common_space(get, models, users):
    found = get(f"/api/recommend?user={users[0]}&k=4").json
    for one in found["lists"]:
        ids = [item["id"] for item in one["items"]]
        assert one["distance"] == pytest.approx(distance_of(models["popularity"], ids), abs=1e-4)


def test_rules_are_those_of_recommend(post, models, users, split):
    ids = [str(one) for one in models["mf"].items.ids.tolist()]
    rule = {"exclude": ids[:3], "candidates": ids[:10]}
    lists = jaxrec.recommend(models["mf"], users[:1], k=10, **rule)
    found = post("/api/recommend", {"user": users[0], "run": ["mf"], "k": 10, **rule}).json["lists"][0]
    assert pairs_in(found) == pairs_of(lists, users[0])
    assert found["notes"] == [f"{len(found['items'])} items are left to recommend, fewer than k=10"]
    genres = dict(zip(ids, split.train.item_columns["genres"].tolist(), strict=True))
    wars = post("/api/recommend", {"user": users[0], "run": ["mf"], "k": 10, "categories": ["war"]}).json["lists"][0]
    assert wars["items"]
    assert all("war" in genres[item["id"]] for item in wars["items"])
    seen = post("/api/recommend", {"user": users[0], "run": ["mf"], "k": 10, "filter_seen": False}).json["lists"][0]
    assert pairs_in(seen) == pairs_of(jaxrec.recommend(models["mf"], users[:1], k=10, filter_seen=False), users[0])


def test_the_reasons_are_the_most_similar_items_of_the_history(get, models, users):
    model = models["knn"]
    found = get(f"/api/recommend?user={users[0]}&run=knn&k=5&details=true").json
    history = {item["id"] for item in found["history"]}
    assert history == {str(model.items.ids[item]) for item in model.seen.of(model.users.find(users[0]))}
    explained = 0
    for item in found["lists"][0]["items"]:
        near = jaxrec.similar_items(model, [item["id"]], k=model.num_items - 1)[item["id"]]
        best = [str(one.item) for one in near if str(one.item) in history and one.score > 0][:2]
        assert [one["id"] for one in item["why"]] == best
        explained += len(best)
    assert explained
    without = get(f"/api/recommend?user={users[0]}&run=popularity&details=true").json
    assert without["lists"][0]["items"][0]["why"] is None


def test_hits_and_histories_come_from_the_data(get, split, users):
    found = get(f"/api/recommend?user={users[1]}&k=10&details=true").json
    user = split.train.users.find(users[1])
    tested = {str(split.test.items.ids[item]) for item in split.test.item[split.test.user == user]}
    assert {item["id"] for item in found["test_items"]} == tested
    for one in found["lists"]:
        assert all(item["hit"] == (item["id"] in tested) for item in one["items"])
    rows = split.fitted.user == user
    times = dict(
        zip(split.fitted.items.ids[split.fitted.item[rows]].tolist(), split.fitted.timestamp[rows], strict=True)
    )
    order = [times[split.fitted.items.ids[split.fitted.items.find(item["id"])].item()] for item in found["history"]]
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize("run", ["knn", "mf", "lightgcn"])
def test_similar_items_are_those_of_the_library(get, models, run):
    item = str(models[run].items.ids[7])
    found = get(f"/api/similar?item={item}&run={run}&k=8").json
    near = jaxrec.similar_items(models[run], [item], k=8)[item]
    assert found["item"]["id"] == item
    assert [one["similarity"] for one in found["lists"][0]["items"]] == pytest.approx(
        [one.score for one in near], abs=1e-6
    )
    assert [one["id"] for one in found["lists"][0]["items"]][:3] == [str(one.item) for one in near][:3]


def test_a_run_without_similarities_says_so_beside_the_others_and_is_refused_alone(get, models):
    item = str(models["knn"].items.ids[0])
    lists = get(f"/api/similar?item={item}").json["lists"]
    assert [bool(one["items"]) for one in lists] == [False, True, True, True]
    assert lists[0]["notes"] == ["the model has no similarity of items"]
    assert "similarity" in get(f"/api/similar?item={item}&run=popularity").error


def test_users_are_found_by_the_beginning_of_their_id_and_then_by_a_part(get, models):
    ids = sorted(str(one) for one in models["mf"].users.ids.tolist())
    found = [one["id"] for one in get("/api/users?q=1&limit=50").json["users"]]
    begins = [one for one in ids if one.startswith("1")]
    assert found == [*begins, *(one for one in ids if "1" in one[1:] and one not in begins)]
    assert found[0] == "1"
    assert get("/api/users?q=1").json["total"] == len(found)
    assert get("/api/users?limit=3").json["total"] == len(ids)
    assert len(get("/api/users?limit=3").json["users"]) == 3
    assert get("/api/users?q=nobody").json == {"total": 0, "users": []}


def test_items_are_found_by_title_and_id(get, models, split):
    found = get("/api/items?q=FILM%201").json
    titles = [one["title"] for one in found["items"]]
    assert titles
    assert all("film 1" in title.lower() for title in titles)
    item = str(models["mf"].items.ids[5])
    by_id = get(f"/api/items?q={item}").json["items"][0]
    assert by_id["id"] == item
    assert by_id["popularity"] == int((split.fitted.item == 5).sum())


def test_items_are_named_by_id_or_by_title_wherever_they_are_named(get, post, models, users):
    ids = [str(one) for one in models["mf"].items.ids.tolist()]
    titles = [f"film {one}" for one in ids[3:9]]
    by_id = {"user": users[0], "exclude": ids[3:5], "candidates": ids[3:9], "k": 4}
    by_title = {**by_id, "exclude": titles[:2], "candidates": titles}
    assert post("/api/recommend", by_title).json == post("/api/recommend", by_id).json
    baskets = [post("/api/recommend", {"history": one, "k": 4}).json["lists"] for one in (ids[3:5], titles[:2])]
    assert baskets[0] == baskets[1]
    assert get(f"/api/similar?item=Film%20{ids[3]}&run=knn").json == get(f"/api/similar?item={ids[3]}&run=knn").json


def test_ids_with_blanks_and_commas_and_titles_with_accents():
    ids, titles = ["a b", "a, b", "c"], ["Kaffee (Größe 1)", "Grüner Tee", "Grüner Tee"]
    data = jaxrec.from_arrays(["u", "v", "v", "w"], ["c", *ids], titles=dict(zip(ids, titles, strict=True)))
    app = explorer_app({"all": Entry(jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0)))})

    def only(name):
        return asked(app, f"/api/recommend?user=u&candidates={name}&k=1")

    for name in ("a%20b", "a,%20b", "KAFFEE%20(Gr%C3%B6%C3%9Fe%201)"):
        assert len(only(name).json["lists"][0]["items"]) == 1
    assert only("Gr%C3%BCner%20Tee").error == (
        "2 items are titled 'Grüner Tee': 'Grüner Tee' [a, b], 'Grüner Tee' [c]; name one by its id"
    )
    assert only("gruner").error.endswith("did you mean 'Grüner Tee' [c] or 'Grüner Tee' [a, b]?")
    assert [one["id"] for one in asked(app, "/api/items?q=grosse").json["items"]] == ["a b"]
    assert "did you mean" not in only("tea").error


def test_the_rows_are_those_of_the_lists(get, post, users):
    found = get(f"/api/recommend?user={users[0]}&k=3").json
    answer = get(f"/api/list.csv?user={users[0]}&k=3")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="lists.csv"'
    rows = list(csv.reader(io.StringIO(answer.body.decode())))
    assert rows[0] == ["user", "run", "rank", "item", "title", "score"]
    expected = [
        [users[0], one["run"], str(item["rank"]), item["id"], item["title"], str(item["score"])]
        for one in found["lists"]
        for item in one["items"]
    ]
    assert rows[1:] == expected
    assert post("/api/list.csv", {"user": users[0], "k": 3}).body == answer.body


def test_formulas_among_the_titles_are_quoted_where_asked():
    data = jaxrec.from_arrays(["u", "u", "v"], ["a", "b", "b"], titles={"a": '=cmd|" /C calc"!A0', "b": "B"})
    model = jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))
    app = explorer_app({"all": Entry(model)})
    plain, safe = (asked(app, f"/api/list.csv?user=v&k=1&spreadsheet_safe={word}").body for word in ("false", "true"))
    assert b'"=cmd' in plain
    assert b"\"'=cmd" in safe


def test_without_the_data_it_goes_by_what_the_models_know(models):
    app = explorer_app({"knn": Entry(models["knn"])}, left_out=["the data: gone"])
    told = asked(app, "/api/runs").json["left_out"]
    assert told[0] == "the data: gone"
    assert "test items" in told[1]
    user = str(models["knn"].users.ids[0])
    found = asked(app, f"/api/recommend?user={user}&k=3&details=true").json
    assert found["test_items"] is None
    assert [item["hit"] for item in found["lists"][0]["items"]] == [None] * 3
    assert pairs_in(found["lists"][0]) == pairs_of(jaxrec.recommend(models["knn"], [user], k=3), user)


def test_the_page_allows_no_request_but_to_its_own_server(get):
    answer = get("/")
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"<h1>Explorer of films</h1>" in answer.body
