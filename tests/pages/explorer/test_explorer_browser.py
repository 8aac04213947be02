"""The explorer in a browser: a basket changes the lists, the slider raises the distance, nothing leaves the server."""

import csv

import numpy as np
import pytest
from browsing import PHONE
from hostile import ENDING, MARKUP


@pytest.fixture
def opened(browser, address):
    """A function that opens the page; at the end no error was logged and nothing was asked of another server."""
    contexts, faults = [], []

    def open_page(refusals=False, **how):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        contexts.append(context)
        context.set_default_timeout(10_000)
        tab = context.new_page()

        def logged(message):
            expected = refusals and message.text.startswith("Failed to load resource: the server responded with")
            if message.type in ("error", "warning") and not expected:
                faults.append(message.text)

        tab.on("console", logged)
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("dialog", lambda dialog: (faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
        tab.on("request", lambda one: one.url.startswith((address, "blob:")) or faults.append(f"request {one.url}"))
        tab.goto(address)
        if how.get("java_script_enabled", True):
            tab.locator("#view .card").first.wait_for()  # the lists of the first user
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def titles_of(tab, run):
    return tab.locator(f'#view .card[data-run="{run}"] li .title').all_inner_texts()


def told(tab, words):
    """Wait until the live region says some words."""
    tab.locator("#told", has_text=words).wait_for()


def take(tab, name, words):
    """Search for something and take the first match by the keyboard."""
    tab.fill(f"#{name}-search", words)
    tab.locator(f"#{name}-matches button").first.wait_for()
    tab.press(f"#{name}-search", "Enter")


def test_a_user_is_found_by_the_keyboard_and_shown_beside_all_runs(opened):
    tab = opened()
    take(tab, "user", "12")
    told(tab, "4 lists for user 12:")
    headings = tab.locator("#view h3").all_inner_texts()
    assert headings == ["History of user 12", "popularity", "knn", "mf", "lightgcn", "Test items"]
    knn = tab.locator('#view .card[data-run="knn"]')
    assert knn.locator("li").count() == 10
    assert "near Film" in knn.inner_text()
    hits = knn.locator("li.hit").count()
    assert f"{hits} hit{'' if hits == 1 else 's'} in 10" in knn.locator("p").inner_text()
    tab.fill("#user-search", "nobody")
    tab.locator("#user-hint", has_text="No match.").wait_for()
    tab.press("#user-search", "Escape")
    assert tab.locator("#user-search").input_value() == ""


def test_a_basket_changes_the_lists(opened):
    tab = opened()
    take(tab, "basket", "film 4")
    told(tab, "for a basket of 1 item:")
    one = titles_of(tab, "knn")
    take(tab, "basket", "film 19")
    told(tab, "for a basket of 2 items:")
    two = titles_of(tab, "knn")
    assert len(one) == len(two) == 10
    assert one != two
    assert not {"Film 4", "Film 19"} & set(two)
    tab.get_by_role("button", name="Remove from the basket: Film 19").click()
    told(tab, "for a basket of 1 item:")
    assert titles_of(tab, "knn") == one
    tab.locator('#view .card[data-run="knn"] button', has_text="+").first.click()
    told(tab, "for a basket of 2 items:")
    assert one[0] in tab.locator("#basket").inner_text()
    assert tab.locator("#whose").inner_text() == "Basket of 2 items"


def test_a_history_becomes_a_basket_and_an_empty_one_gives_way_to_its_user(opened):
    tab = opened()
    take(tab, "user", "12")
    told(tab, "for user 12:")
    length = tab.locator("#view .card.history li").first.evaluate("line => line.parentElement.children.length")
    tab.click("#basket-copy")
    told(tab, f"for a basket of {length} items:")
    assert tab.locator("#basket li").count() == length
    assert tab.locator("#whose").inner_text() == f"Basket of {length} items"
    tab.click("#user-back")
    told(tab, "for user 12:")
    tab.click("#basket-back")
    told(tab, f"for a basket of {length} items:")
    tab.click("#basket-empty")
    told(tab, "for user 12:")
    assert tab.locator("#whose").inner_text() == f"User 12, {length} items in the history"
    assert not tab.locator("#basket").is_visible()


def test_a_long_history_shows_its_first_items_until_it_is_asked_for_the_rest(opened, models):
    tab = opened()
    sizes = np.diff(models["mf"].seen.indptr)
    tab.fill("#length", "5")
    take(tab, "user", str(models["mf"].users.ids[sizes.argmax()]))
    history = tab.locator("#view .card.past")
    more = history.get_by_role("button", name=f"Show all {sizes.max()}")
    more.wait_for()
    assert sizes.max() > 5
    assert history.locator("li:visible").count() == 5
    more.click()
    assert history.locator("li:visible").count() == sizes.max()
    tab.press("#diversity", "End")  # the lists are made anew
    tab.locator("#diversity-value", has_text="1.00").wait_for()
    history.get_by_role("button", name="Show the first 5").wait_for()
    assert history.evaluate("card => card.scrollHeight <= card.clientHeight + 1")


def test_who_is_shown_stands_below_the_fields_and_the_lists_begin_above_the_fold(opened):
    tab = opened(viewport={"width": 1366, "height": 900})
    take(tab, "user", "12")
    told(tab, "for user 12:")
    assert tab.locator("#whose").inner_text().startswith("User 12, ")
    field, whose = tab.locator("#user-search").bounding_box(), tab.locator("#whose").bounding_box()
    assert 0 < whose["y"] - (field["y"] + field["height"]) < 80
    for box in (place.bounding_box() for place in tab.locator("#view h3").all()[:4]):
        assert box["y"] + box["height"] < 900


def test_without_a_run_there_are_no_lists(opened):
    tab = opened()
    for name in ("popularity", "knn", "mf", "lightgcn"):
        tab.get_by_role("checkbox", name=name).uncheck()
    told(tab, "Choose a run: none is checked.")
    assert tab.locator("#view .card").count() == 0
    assert tab.locator("#save").is_disabled()
    tab.get_by_role("checkbox", name="mf").check()
    told(tab, "1 list for user")
    assert [one.get_attribute("data-run") for one in tab.locator("#view .card[data-run]").all()] == ["mf"]


@pytest.mark.parametrize("size", [{"width": 1366, "height": 900}, PHONE])
def test_controls_of_one_row_stand_at_one_height_and_can_be_touched(opened, size):
    tab = opened(viewport=size)
    tops = {}
    for place in tab.locator(".controls > label").all():
        box = place.bounding_box()
        inner = place.locator("input, select").bounding_box()
        tops.setdefault(box["y"], set()).add((inner["y"], inner["height"]))
    assert len(tops) == (1 if size["width"] > 1000 else 2)
    assert all(len(inner) == 1 for inner in tops.values())
    tab.click("#rules summary")
    small = tab.evaluate(
        """() => [...document.querySelectorAll("button, fieldset label, summary, select, #explore input")]
            .filter((one) => one.checkVisibility() && one.type !== "checkbox")  // whose label is touched
            .filter((one) => Math.min(one.getBoundingClientRect().width, one.getBoundingClientRect().height) < 28)
            .map((one) => one.outerHTML)"""
    )
    assert small == []


def test_titles_have_the_whole_width_of_a_card(opened):
    tab = opened(viewport={"width": 1366, "height": 900})
    take(tab, "user", "12")
    told(tab, "for user 12:")
    line = tab.locator('#view .card[data-run="knn"] li').first
    title, acts = line.locator(".title").bounding_box(), line.locator(".acts").bounding_box()
    assert title["y"] + title["height"] <= acts["y"] + 1
    assert acts["y"] + acts["height"] <= line.bounding_box()["y"] + line.bounding_box()["height"]


@pytest.mark.parametrize("word", ["mmr", "dpp"])
def test_the_slider_raises_the_measured_distance(opened, word):
    tab = opened()
    take(tab, "user", "12")
    told(tab, "for user 12:")
    card = tab.locator('#view .card[data-run="lightgcn"]')
    before = float(card.get_attribute("data-distance"))
    assert f"distance {before:.3f}" in card.inner_text()
    tab.select_option("#reranker", word)
    tab.focus("#diversity")
    with tab.expect_response(
        lambda one: one.url.endswith("api/recommend") and '"diversity":1,' in one.request.post_data
    ):
        tab.keyboard.press("End")
    tab.locator(f'#view .card[data-run="lightgcn"]:not([data-distance="{before}"])').wait_for()
    after = float(card.get_attribute("data-distance"))
    assert after > before
    assert tab.locator("#diversity-value").inner_text() == "1.00"
    told(tab, f"lightgcn distance {after:.3f}")


def test_rules_keep_items_out_and_let_them_in_again(opened):
    tab = opened()
    take(tab, "user", "12")
    told(tab, "for user 12:")
    first = titles_of(tab, "mf")
    out = first[0].removeprefix("✓ ")
    tab.click("#rules summary")
    tab.get_by_role("button", name=f"Exclude: {out}").first.click()
    tab.locator("#excluded button").wait_for()
    tab.locator('#view .card[data-run="mf"] li:first-child', has_text=first[1]).wait_for()
    assert first[0] not in titles_of(tab, "mf")
    tab.locator("#excluded button").click()
    tab.locator('#view .card[data-run="mf"] li:first-child', has_text=out).wait_for()
    tab.get_by_role("checkbox", name="war").check()
    tab.locator('#view .card[data-run="mf"] .note', has_text="items are left to recommend").wait_for()
    tab.get_by_role("checkbox", name="war").uncheck()
    tab.get_by_role("checkbox", name="popularity").uncheck()
    told(tab, "3 lists for user 12:")
    tab.fill("#length", "3")
    tab.locator('#view .card[data-run="mf"] li:nth-child(3):last-child').wait_for()


def test_rules_name_items_one_a_line_and_their_number_is_seen_when_they_are_folded(opened):
    tab = opened()
    take(tab, "user", "12")
    told(tab, "for user 12:")
    inner = tab.locator("#rules summary")
    assert inner.inner_text() == "Candidate rules"
    allowed = [one.removeprefix("✓ ") for one in titles_of(tab, "mf")[:4]]
    inner.click()
    tab.fill("#only", "\n".join([*map(str.upper, allowed[:3]), "", f"  {allowed[3].removeprefix('Film ')} "]))
    tab.locator('#view .card[data-run="mf"] li:nth-child(4):last-child').wait_for()
    assert {one.removeprefix("✓ ") for one in titles_of(tab, "mf")} == set(allowed)
    tab.fill("#without", allowed[0])
    tab.locator('#view .card[data-run="mf"] li:nth-child(3):last-child').wait_for()
    inner.click()
    assert inner.inner_text() == "Candidate rules (5 active)"
    inner.click()
    tab.click("#rules-clear")
    tab.locator('#view .card[data-run="mf"] li:nth-child(10)').wait_for()
    assert inner.inner_text() == "Candidate rules"


def test_what_is_wrong_is_said_in_a_sentence(opened):
    tab = opened(refusals=True)
    tab.click("#rules summary")
    tab.fill("#only", "none, such")
    told(tab, "Error: there is no item with the id or title 'none, such'.")
    assert tab.locator("#rules-hint").inner_text() == tab.locator("#told").inner_text()
    tab.fill("#only", "ilm 7")
    told(tab, "Error: there is no item with the id or title 'ilm 7'; did you mean 'Film 7' [7]?")
    tab.fill("#only", "")
    told(tab, "lists for user")
    tab.fill("#length", "500")
    told(tab, "Error: k is 500; pass a whole number")


def test_similar_items_are_one_click_from_a_list(opened):
    tab = opened()
    tab.locator('#view .card[data-run="knn"] button', has_text="≈").first.click()
    tab.locator("#similar-view .card").first.wait_for()
    assert tab.locator("#similar-view h3").all_inner_texts() == ["popularity", "knn", "mf", "lightgcn"]
    assert "the model has no similarity of items" in tab.locator("#similar-view .card").first.inner_text()
    take(tab, "similar", "film 7")
    tab.locator("#similar-view p", has_text="Film 7").first.wait_for()


def test_the_lists_are_saved_as_rows(opened, tmp_path):
    tab = opened()
    take(tab, "user", "12")
    told(tab, "for user 12:")
    with tab.expect_download() as waited:
        tab.click("#save")
    path = tmp_path / "lists.csv"
    waited.value.save_as(path)
    assert waited.value.suggested_filename == "lists.csv"
    told(tab, "4 lists for user 12:")
    assert tab.locator("#told").inner_text().endswith(". Saved as lists.csv.")
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["user", "run", "rank", "item", "title", "score"]
    assert [row[4] for row in rows if row[1] == "knn"] == [one.removeprefix("✓ ") for one in titles_of(tab, "knn")]


def test_titles_with_markup_are_shown_as_text(opened):
    tab = opened()
    for title in (MARKUP, ENDING):
        take(tab, "similar", title[:9])
        tab.locator("#similar-view p", has_text=title).first.wait_for()
    assert tab.locator("img").count() == 0
    assert tab.locator("script").count() == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_sideways_scrolling(opened, scheme):
    tab = opened(viewport=PHONE, color_scheme=scheme)
    take(tab, "basket", "film 4")
    told(tab, "for a basket")
    tab.click("#rules summary")
    wide = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, PHONE])
def test_axe_finds_no_serious_fault(opened, size, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason='pip install "jaxrec[browser]"')
    tab = opened(viewport=size, color_scheme=scheme)
    take(tab, "basket", "film 4")
    told(tab, "for a basket")
    tab.click("#rules summary")
    tab.locator('#view .card[data-run="knn"] button', has_text="−").first.click()
    tab.locator("#excluded button").wait_for()
    take(tab, "similar", "film 7")
    tab.locator("#similar-view .card").first.wait_for()
    found = axe.Axe().run(tab).response["violations"]
    assert {one["id"]: [node["html"][:200] for node in one["nodes"][:3]] for one in found} == {}


def test_a_page_without_its_script_says_what_is_missing(opened):
    tab = opened(java_script_enabled=False)
    assert "This page needs its script" in tab.locator("noscript").inner_text()
