"""The report as a whole: its sections, what is text, what is left out, and figures as the library has them."""

import base64
import dataclasses
import html
import itertools
import json
import re

import jax
import numpy as np
import pytest
from hostile import ENDING, MARKUP

import jaxrec
from jaxrec import registry
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.fitting._plan import is_trained
from jaxrec.pages import Entry, OwnSection, measured, report
from jaxrec.pages._data_card import at_least, periods
from jaxrec.pages._item_map import neighbors_alike, projected
from jaxrec.pages._lists import shown
from jaxrec.pages._model_view import shares_of_places, spectrum_of
from jaxrec.pages._results import compared
from jaxrec.pages._training import brief, settings_of
from jaxrec.reports import average_reports

SECTIONS = ["alerts", "data", "results", "training", "recommends", "view", "about"]


def data_of(page):
    """What the script of a page reads."""
    return json.loads(
        page.html.partition('<script type="application/json" id="page-data">')[2].partition("</script>")[0]
    )


def numbers(packed):
    kind = {1: np.uint8, 2: "<u2", 4: "<u4"}[packed["bytes"]]
    read = np.frombuffer(base64.b64decode(packed["data"]), kind).astype(np.int64)
    return np.where(read == np.iinfo(kind).max, -1, read)


def test_all_sections_are_there_in_order_and_in_the_contents(page):
    assert re.findall(r'<section id="(\w+)">', page.html) == SECTIONS
    assert re.findall(r'<li><a href="#(\w+)">', page.html) == SECTIONS
    levels = [int(level) for level in re.findall(r"<h(\d)>", page.html)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for heading in ("Means over users", "Paired differences", "Trade-offs", "Groups", "Learning curves", "Seconds"):
        assert f"<h3>{heading}</h3>" in page.html
    for heading in ("Settings", "Versions", "To repeat the runs", "Similar items", "Map of the items"):
        assert f"<h3>{heading}</h3>" in page.html
    for heading in ("The most and the least served users", "Frequencies of the graph", "Popularity of what is shown"):
        assert f"<h3>{heading}</h3>" in page.html
    assert page.left_out == ()


def test_sections_of_ones_own_stand_before_the_last_with_their_figures_as_text(entries, split):
    own = OwnSection(
        "Loss <b>",
        f"{MARKUP}\n\nA second paragraph.",
        table=[["run", "epochs", "told"], ["mf", 3, MARKUP]],
        lines={"mf": [(1, 0.69), (2, 0.5)], "another": [(1, 0.7)]},
        axes=("epoch", "loss"),
    )
    page = report(entries, split, k=5, sections=[own, OwnSection("Plain", "Text.")])
    assert re.findall(r'<section id="([\w-]+)">', page.html) == [*SECTIONS[:-1], "own-1", "own-2", SECTIONS[-1]]
    section = page.html.partition('<section id="own-1">')[2].partition("</section>")[0]
    assert "<h2>Loss &lt;b&gt;</h2>" in section
    assert MARKUP not in section
    assert section.count(html.escape(MARKUP)) == 2
    assert section.count("<details>") == 1
    assert 's2 d2"' in section  # mf is the third run
    assert 's4 d0"' in section  # the label of no run has a number after those of the runs
    for figure in (".69", ".5", ".7"):
        assert f"0{figure}</td>" in section


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"title": " ", "text": "x"}, "the title of a section is ' '"),
        ({"title": "a"}, "has nothing in it"),
        ({"title": "a", "table": [["head"]]}, r"table has 1 rows"),
        ({"title": "a", "table": [["x", "y"], ["1"]]}, r"2 rows of \[1, 2\] cells"),
        ({"title": "a", "lines": {"b": [(1, float("nan"))]}, "axes": ("x", "y")}, r"line 'b' has the point \(1, nan\)"),
        ({"title": "a", "lines": {"b": []}, "axes": ("x", "y")}, "line 'b' has no point"),
        ({"title": "a", "lines": {"b": [(1, 2)]}}, "say what x and y are"),
    ],
)
def test_a_section_that_could_not_be_shown_is_refused(given, message):
    with pytest.raises(JaxrecError, match=message):
        OwnSection(**given)


def test_every_chart_has_a_name_and_a_table_behind_it(page):
    charts = re.findall(r"<figure[^>]*>.*?</figure>", page.html, re.DOTALL)
    assert len(charts) >= 12
    for chart in charts:
        assert re.search(r'<(?:svg|canvas)[^>]*role="img"[^>]*aria-label="[^"]{10,}"', chart)
        assert "<table" in chart


def test_titles_with_markup_are_text_everywhere(page):
    assert MARKUP not in page.html
    assert page.html.count("</script>") == 2  # the data and the script
    assert MARKUP in data_of(page)["titles"]
    assert ENDING in data_of(page)["titles"]


def test_nothing_is_loaded_and_nothing_is_run_but_the_page_itself(page):
    assert not re.findall(r'(?:src|href)="(?!#)', page.html)
    assert "default-src 'none'" in html.unescape(page.html)
    assert not re.search(r"\son\w+=", page.html.partition("<body>")[2].partition('<script type="application')[0])


def test_the_same_runs_give_the_same_bytes(entries, split, page):
    again = report(entries, split, name="films", k=5)
    assert again.html == page.html


def test_means_are_those_of_the_evaluation(models, split, page, entries):
    expected = jaxrec.evaluate(models["knn"], split, k=(3, 5), metrics="recall")
    assert entries["knn"].report.mean("recall@3") == pytest.approx(expected.mean("recall@3"))
    shown = f"{expected.mean('recall@3'):.4f}".removeprefix("0")
    row = page.html.partition('<th scope="row" class="text" role="rowheader">knn</th>')[2].partition("</tr>")[0]
    assert shown in row


def test_lists_histories_hits_and_reasons_are_those_of_the_models(models, split, page):
    data = data_of(page)
    k, users, titles = data["k"], data["users"], data["titles"]
    ends, history = numbers(data["history"]["ends"]), numbers(data["history"]["values"])
    test_ends, test = numbers(data["test"]["ends"]), numbers(data["test"]["values"])
    ids = split.train.items.ids
    for run, model in models.items():
        lists = numbers(data["lists"][run]).reshape(len(users), k)
        lists_of = jaxrec.recommend(model, [int(user) for user in users], k=k)
        for at, user in enumerate(users):
            assert [ids[item] for item in lists[at] if item >= 0] == [one.item for one in lists_of[user]]
            fitted = split.fitted.item[split.fitted.user == split.train.users.find(int(user))]
            assert set(history[ends[at] : ends[at + 1]]) == set(fitted)
            held = split.test.item[split.test.user == split.train.users.find(int(user))]
            assert set(test[test_ends[at] : test_ends[at + 1]]) == set(held)
    likeness = np.asarray(models["knn"].scorer.similarities(np.arange(len(titles), dtype=np.int32)))
    reasons = numbers(data["reasons"]["knn"]).reshape(len(users), k, data["reasonCount"])
    lists = numbers(data["lists"]["knn"]).reshape(len(users), k)
    for at in range(len(users)):
        mine = history[ends[at] : ends[at + 1]]
        for place, item in enumerate(lists[at]):
            first = reasons[at, place, 0]
            if item >= 0 and first >= 0:
                assert likeness[item, mine[first]] == likeness[item, mine].max() > 0
    assert set(data["reasons"]) == {"knn", "mf", "lightgcn"}  # popularity has no similarity


def test_histories_show_the_latest_first(split, page):
    data, fitted = data_of(page), split.fitted
    ends, history = numbers(data["history"]["ends"]), numbers(data["history"]["values"])
    mine = fitted.user == split.train.users.find(int(data["users"][0]))
    time_of = dict(zip(fitted.item[mine].tolist(), fitted.timestamp[mine].tolist(), strict=True))
    times = [time_of[item] for item in history[ends[0] : ends[1]]]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) > 1


def test_similar_items_are_those_of_the_library(models, split, page):
    data = data_of(page)
    whose, count = numbers(data["similarOf"]), data["similarCount"]
    similar = numbers(data["similar"]["knn"]).reshape(len(whose), count)
    ids = split.train.items.ids
    for at in (0, 5, len(whose) - 1):
        expected = jaxrec.similar_items(models["knn"], [ids[whose[at]].item()], k=count)
        positive = [one.item for one in expected[ids[whose[at]].item()] if one.score > 0]
        assert [ids[item] for item in similar[at] if item >= 0] == positive


def test_without_data_what_is_left_out_is_named_and_the_rest_is_there(without_data):
    assert [text.partition(":")[0] for text in without_data.left_out] == ["Data card", "Results", "What it recommends"]
    for text in without_data.left_out:
        assert text in without_data.html
    data = data_of(without_data)
    assert data["test"] is None
    assert len(data["lists"]) == 4
    assert "The data were not found" in without_data.html
    assert "jaxrec fit lightgcn" in without_data.html
    assert "Paired differences" not in without_data.html


def test_stored_figures_stand_in_for_results_that_cannot_be_measured(models):
    figures = {"test": {"recall@3": 0.25, "ndcg@3": None}, "intervals": {"recall@3": [0.2, 0.3]}}
    page = report({"knn": Entry(models["knn"], figures=figures)}, k=3)
    assert "from metrics.json" in page.html
    assert ".2500<small> ±.0500</small>" in page.html


def test_large_data_are_sampled_and_the_page_says_so(entries, split):
    page = report(entries, split, k=3, most_users=12, most_items=6)
    data = data_of(page)
    assert len(data["users"]) == 12
    assert "a sample of 12 of 30 users, with the most and the least served" in page.html
    assert "the 6 most popular of" in page.html
    assert len(numbers(data["map"]["items"])) == 6
    assert len(numbers(data["lists"]["knn"])) == 36
    same = report(entries, split, k=3, most_users=12, most_items=6)
    other = report(entries, split, k=3, most_users=12, most_items=6, seed=1)
    assert data_of(same)["users"] == data["users"] != data_of(other)["users"]


def test_the_spread_over_seeds_comes_from_the_report_or_from_the_run_folder(split, models):
    again = jaxrec.fit(jaxrec.MF(dim=4), split, epochs=3, key=jax.random.key(1))
    both = measured({"a": models["mf"], "b": again}, split, k=3)
    mean = average_reports([entry.report for entry in both.values()])
    averaged = report({"mf": Entry(models["mf"], mean)}, split, k=3).html
    spread = mean.spread("ndcg@3")
    assert "<h3>Spread over seeds</h3>" in averaged
    assert f"{spread.mean:.4f} ({spread.std:.4f})".replace("0.", ".") in averaged
    stored = {"seeds": {"runs": [{}, {}], "test": mean.to_dict()}}
    folder = report({"mf": dataclasses.replace(both["a"], figures=stored)}, split, k=3).html
    assert f"{spread.mean:.4f} ({spread.std:.4f})".replace("0.", ".") in folder
    assert "Spread over seeds" not in report({"mf": both["a"]}, split, k=3).html


def test_no_mean_over_seeds_stands_beside_the_list_of_one_training(split, models):
    """A card with no hit and the mean nDCG of other trainings contradicts itself."""
    again = jaxrec.fit(jaxrec.MF(dim=4), split, epochs=3, key=jax.random.key(1))
    both = measured({"a": models["mf"], "b": again, "knn": models["knn"]}, split, k=3)
    mean = average_reports([both["a"].report, both["b"].report])
    page = report({"mf": Entry(models["mf"], mean), "knn": both["knn"]}, split, k=3)
    assert list(data_of(page)["values"]) == ["knn"]
    assert (
        "Results of mf are means over seeds. Lists, hits and the popularity of what is shown are those of" in page.html
    )
    alone = report({"mf": both["a"], "knn": both["knn"]}, split, k=3)
    assert list(data_of(alone)["values"]) == ["mf", "knn"]
    assert "means over seeds" not in alone.html


def test_marks_of_significance_are_those_of_the_comparisons(entries, split, page):
    rows = compared({label: entry.report for label, entry in entries.items()}, 0)
    forest = [row for row in rows if row.metric == "ndcg@3"]
    significant = sum(row.significant for row in forest)
    assert f"ndcg@3: {significant} of {len(forest)} differences are significant" in page.html
    assert len(rows) == 6 * len({row.metric for row in rows})


def test_a_single_run_has_no_comparisons_and_all_else(entries, split):
    page = report({"knn": entries["knn"]}, split, k=3)
    assert "Paired differences" not in page.html
    assert re.findall(r'<section id="(\w+)">', page.html) == SECTIONS


def test_refusals(models, entries, split):
    with pytest.raises(JaxrecError, match="entries is empty"):
        report({})
    with pytest.raises(JaxrecError, match=r"main is 'recal@3', and 'popularity' has recall@3"):
        report(entries, split, main="recal@3")
    other = jaxrec.fit(jaxrec.Popularity(), jaxrec.from_arrays([0], [0]), key=jax.random.key(0))
    with pytest.raises(MismatchError, match="'other' has other users or items than 'knn'"):
        report({"knn": models["knn"], "other": other})


def test_what_each_filter_kept_is_a_table(models, split, page):
    kept = [note for note in split.train.notes if note.startswith("2-core: kept ")]
    found = re.fullmatch(r"2-core: kept (\d+ of \d+) interactions, (\d+ of \d+) users, (\d+ of \d+) items .*", kept[0])
    row = page.html.partition("What each filter kept")[2].partition("</table>")[0]
    assert re.findall(r'<td class="figure" role="cell">([^<]*)</td>', row)[-3:] == list(found.groups())


def test_periods_count_all_interactions_once():
    stamps = np.array(["2000-01-31", "2000-02-01", "2003-07-09"], "datetime64[s]")
    data = jaxrec.from_arrays([0, 0, 0], [0, 1, 2], timestamp=stamps)
    found = periods(data)
    assert found.labels[0] == "2000-01"
    assert found.of(data).sum() == 3
    assert len(found.labels) <= 40
    unknown = periods(jaxrec.from_arrays([0, 0], [0, 1], timestamp=[3, 9]))
    assert "no known unit" in unknown.told
    assert unknown.of(jaxrec.from_arrays([0, 0], [0, 1], timestamp=[3, 9])).tolist()[0] == 1
    assert periods(jaxrec.from_arrays([0], [0])) is None


def test_the_share_with_at_least_so_many_falls_from_all_to_the_largest():
    points = at_least(np.arange(1, 1001))
    assert points[0] == (1.0, 1.0)
    assert points[-1] == (1000.0, 0.001)
    assert len(points) <= 121
    assert all(share == pytest.approx((1001 - x) / 1000) for x, share in points)


def test_a_projection_keeps_distances_of_points_in_a_plane():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(20, 2)) @ np.linalg.qr(rng.normal(size=(5, 5)))[0][:2]
    found = projected(plane)
    distances = lambda x: np.linalg.norm(x[:, None] - x[None], axis=2)  # noqa: E731
    np.testing.assert_allclose(distances(found.places), distances(plane), atol=1e-9)
    assert found.explained == pytest.approx(1.0)
    assert np.var(found.places[:, 0]) >= np.var(found.places[:, 1])


def test_neighbors_alike_is_chance_for_vectors_that_know_nothing_of_colors():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 8))
    nearest, chance = neighbors_alike(vectors, rng.integers(0, 2, 600))
    assert abs(nearest - chance) < 0.03
    assert chance == pytest.approx(0.5, abs=0.01)


def test_the_spectrum_is_that_of_the_adjacency(entries, split):
    from jaxrec import graph
    from jaxrec.pages._evidence import gather

    evidence = gather(entries, split, k=3, main=None, item_categories=None, most_users=99, most_items=99, seed=0)
    found = spectrum_of(evidence)
    adjacency = graph.normalized_adjacency(graph.biadjacency(split.fitted)).todense()
    expected = np.linalg.eigvalsh(np.asarray(adjacency, np.float64))[::-1]
    known = found.eigenvalues()
    zeros = np.zeros(len(expected) - len(known))
    np.testing.assert_allclose(np.sort(np.concatenate([known, zeros]))[::-1], expected, atol=1e-5)
    assert found.values[0] == pytest.approx(1.0, abs=1e-5)
    assert shown(evidence).place.tolist() == list(range(split.train.num_items))


def test_shares_of_places_are_those_of_consumption_for_lists_drawn_by_it():
    popularity = np.array([4, 3, 2, 1])
    lists = np.repeat(np.arange(4), popularity)[:, None]
    np.testing.assert_allclose(shares_of_places(lists, popularity), [0.4, 0.7, 0.9, 1.0])


def test_settings_name_the_options_that_a_run_had(entries):
    found = settings_of(entries["lightgcn"])
    assert found["model"] == "LightGCN"
    assert found["layers"] == "2"
    assert found["optimizer.learning_rate"] == "0.01"
    assert "num_users" not in found


@pytest.fixture(scope="module")
def blended(split):
    """A page over a blend of a solved and a trained member."""
    own = jaxrec.MF(dim=3)
    members = [
        jaxrec.fit(jaxrec.EASE(l2=12.5), split, refit=False, key=jax.random.key(0)),
        jaxrec.fit(own, split, refit=False, epochs=1, key=jax.random.key(0)),
    ]
    return Entry(jaxrec.blend(members, split, weights=[0.75, 0.25], refit=False, key=jax.random.key(0)))


def test_the_members_of_a_blend_have_their_weights_and_the_options_that_were_set(blended, split):
    assert settings_of(blended)["members"] == "EASE (l2 12.5), MF (dim 3)"
    assert "options" not in settings_of(blended)
    told = report({"both": blended}, split, k=3).html
    rows = told.partition("Members of both")[2].partition("</table>")[0]
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", rows.partition("<tbody")[2])
    assert cells[:5] == ["ease", ".7500", "LogSoftmax", "EASE (l2 12.5)", "–"]
    assert cells[5:9] == ["mf", ".2500", "LogSoftmax", "MF (dim 3)"]
    assert "epochs 1" in cells[9]
    assert "num_users" not in told.partition("<h3>Settings</h3>")[2].partition("<h3>Versions</h3>")[0]


def test_options_of_a_class_that_is_not_known_are_all_named():
    described = {
        "kind": "mine:Loss",
        "fields": {"margin": 0.123456, "inner": {"kind": "jaxrec.losses:BPR", "fields": {}}},
    }
    assert brief(described) == "Loss (margin 0.1235, inner BPR)"


def test_the_legend_of_the_map_names_the_categories_that_points_have(page):
    color = numbers(data_of(page)["map"]["color"])
    names = data_of(page)["map"]["colors"]
    legend = page.html.partition('id="map"')[2].partition("</ul>")[0]
    assert re.findall(r"<span>([^<]*)</span>", legend) == [names[at] for at in np.unique(color)]
    assert len(np.unique(color)) < len(names)


def test_the_lists_are_said_to_be_chosen_from_the_catalog(page, split):
    assert f"Each list is chosen from {split.train.num_items} items, without those that its user has" in page.html


def test_a_page_is_written_whole_and_says_its_size(page, tmp_path):
    size = page.write(tmp_path / "a.html")
    assert size == (tmp_path / "a.html").stat().st_size
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == page.html
    assert f"{size:,} bytes" in page._repr_html_()


@pytest.mark.slow
def test_every_model_of_the_library_has_a_report(split):
    made = {}
    for name in registry.BUILT_IN["model"]:
        model = registry.make("model", name) if name != "nmf" else jaxrec.NMF(dim=4)
        how = {"epochs": 2} if is_trained(model) else {}
        made[name] = jaxrec.fit(model, split, key=jax.random.key(0), **how)
    members = [
        jaxrec.fit(each, split, refit=False, key=jax.random.key(0)) for each in (jaxrec.ItemKNN(), jaxrec.EASE())
    ]
    made["blend"] = jaxrec.blend(members, split, key=jax.random.key(0))
    page = report(measured(made, split, k=3), split, k=3)
    assert data_of(page)["runs"] == list(made)
    assert {"itemknn", "ease", "mf", "blend"} <= set(data_of(page)["similar"])
