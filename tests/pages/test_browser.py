"""The report in a browser: it renders, its search and map work, nothing leaves the page, and axe-core finds no fault.

Skipped where there is no Chromium or no Playwright; `.ci/run` tries to install the first.
"""

import numpy as np
import pytest
from browsing import PHONE
from hostile import ENDING, MARKUP


@pytest.fixture(scope="module")
def files(page, without_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    page.write(folder / "report.html")
    without_data.write(folder / "without.html")
    return folder


@pytest.fixture
def opened(browser, files):
    """A function that opens a page from the disk; at the end no error was logged and no request left the page."""
    contexts, faults = [], []

    def open_page(name="report.html", **how):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        contexts.append(context)
        context.set_default_timeout(5000)
        tab = context.new_page()
        tab.on("console", lambda message: message.type in ("error", "warning") and faults.append(message.text))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("dialog", lambda dialog: (faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
        tab.on("requestfailed", lambda request: faults.append(f"failed {request.url}"))
        tab.on("request", lambda one: one.url.startswith("file:") or faults.append(f"request {one.url}"))
        tab.goto((files / name).as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.mark.parametrize("name", ["report.html", "without.html"])
def test_the_page_renders_without_an_error_or_a_request(opened, name):
    tab = opened(name)
    assert tab.locator("section").count() == 7
    assert tab.locator("svg.chart").count() >= (12 if name == "report.html" else 5)
    assert tab.locator("#user-view .card").count() >= 5
    assert tab.title() == tab.locator("h1").inner_text()


def test_titles_with_markup_are_shown_as_text(opened):
    tab = opened()
    assert tab.locator("img").count() == 0
    for title in (MARKUP, ENDING):
        tab.fill("#item-search", title[:9])
        tab.locator("#item-matches button").first.click()
        assert title in tab.locator("#item-view").inner_text()
    assert tab.locator("script").count() == 2


def test_a_user_is_found_by_id_and_shown_beside_the_lists_of_all_runs(opened):
    tab = opened()
    tab.fill("#user-search", "1")
    matches = tab.locator("#user-matches button").all_inner_texts()
    assert matches[0] == "1"
    assert all("1" in match for match in matches)
    tab.press("#user-search", "Enter")
    view = tab.locator("#user-view")
    assert "User 1:" in view.inner_text()
    headings = view.locator("h4").all_inner_texts()
    assert headings == ["History", "popularity", "knn", "mf", "lightgcn", "Test items"]
    told = view.locator(".card", has_text="knn").first
    hits = told.locator("li.hit").count()
    assert told.locator("p").inner_text().startswith(f"{hits} hit{'' if hits == 1 else 's'} in 5")
    assert "near Film" in told.inner_text()
    tab.fill("#user-search", "nobody")
    assert tab.locator("#user-hint").inner_text() == "No match."
    tab.press("#user-search", "Escape")
    assert tab.locator("#user-search").input_value() == ""


def test_a_long_history_shows_its_first_items_until_it_is_asked_for_the_rest(opened, models):
    tab = opened()
    sizes = np.diff(models["mf"].seen.indptr)
    tab.fill("#user-search", str(models["mf"].users.ids[sizes.argmax()]))
    tab.press("#user-search", "Enter")
    history = tab.locator("#user-view .card", has_text="History")
    assert history.locator("li:visible").count() == 5
    history.get_by_role("button", name=f"Show all {sizes.max()}: History").click()
    assert history.locator("li:visible").count() == sizes.max() > 5
    history.get_by_role("button", name="Show the first 5: History").click()
    assert history.locator("li:visible").count() == 5


@pytest.mark.parametrize(("name", "words"), [("user", "1"), ("item", "ÍLM 1"), ("item", "film [2")])
def test_searches_find_parts_without_case_and_accents_and_beginnings_first(opened, name, words):
    tab = opened()
    tab.fill(f"#{name}-search", words)
    matches = tab.locator(f"#{name}-matches button").all_inner_texts()
    plain = words.lower().replace("í", "i")
    begins = [one.lower().startswith(plain) for one in matches]
    assert all(plain in one.lower() for one in matches)
    assert begins == sorted(begins, reverse=True)
    assert bool(matches) == (words != "film [2")
    if name == "user":
        assert begins[0] != begins[-1]


def test_the_label_on_the_map_covers_no_point_and_the_fields_above_it_are_of_one_height(opened):
    tab = opened()
    canvas = tab.locator("#map")
    canvas.focus()
    covered = []
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "ArrowDown"):
        tab.keyboard.press(key)
        covered.append(canvas.get_attribute("data-covered"))
    assert covered == ["0"] * 5
    inner = tab.evaluate(
        """() => ["map-space", "map-search"].map((name) => document.getElementById(name).getBoundingClientRect())
            .map((box) => [box.top, box.height])"""
    )
    assert inner[0] == inner[1]


def test_the_most_served_user_is_one_click_away(opened):
    tab = opened()
    button = tab.locator("button[data-user]").last
    name = button.inner_text()
    button.click()
    assert f"User {name}:" in tab.locator("#user-view").inner_text()
    assert button.get_attribute("aria-pressed") == "true"


def test_similar_items_are_shown_for_each_run_that_has_some(opened):
    tab = opened()
    tab.fill("#item-search", "film 7")
    tab.locator("#item-matches button").first.click()
    assert tab.locator("#item-view h4").all_inner_texts() == ["knn", "mf", "lightgcn"]
    assert tab.locator("#item-view").inner_text().startswith("Film 7")


def test_the_map_answers_pointer_keyboard_and_search(opened):
    tab = opened()
    canvas, told = tab.locator("#map"), tab.locator("#map-told")
    canvas.scroll_into_view_if_needed()
    hint = told.inner_text()
    box = canvas.bounding_box()
    seen = set()
    for right in range(20, int(box["width"]), 25):  # somewhere on the way there is an item
        for down in (0.25, 0.5, 0.75):
            tab.mouse.move(box["x"] + right, box["y"] + down * box["height"])
            seen.add(told.inner_text())
    assert len(seen - {hint}) >= 2
    canvas.focus()
    before = told.inner_text()
    moved = set()
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowDown"):
        tab.keyboard.press(key)
        moved.add(told.inner_text())
    assert moved - {before}
    tab.fill("#map-search", "Film 7")
    assert told.inner_text() == "Film 7 [7]"
    options = tab.locator("#map-space option").all_inner_texts()
    assert options[1:] == ["mf", "lightgcn"]
    tab.select_option("#map-space", "mf")
    tab.fill("#map-search", "")
    assert told.inner_text() == hint


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report.html", "without.html"])
def test_a_phone_shows_it_without_sideways_scrolling(opened, name, scheme):
    tab = opened(name, viewport=PHONE, color_scheme=scheme)
    for details in tab.locator("summary").all():
        details.click()
    wide = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]


@pytest.mark.parametrize(("how", "count"), [({}, 4), ({"viewport": PHONE}, 1)])
def test_a_phone_leaves_out_which_settings_a_run_has_not(opened, how, count):
    row = opened(**how).locator("table", has_text="Options of models and trainings").locator("tr", has_text="layers")
    values = row.locator("td:visible").all_inner_texts()
    assert row.locator("th").inner_text() == "layers"
    assert len(values) == count
    assert [one for one in values if one != "–"] == ["2"]


def test_dark_mode_has_its_own_colors(opened):
    ink = {
        scheme: opened(color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert ink["light"] == "rgb(255, 255, 255)"
    assert ink["dark"] != ink["light"]


def test_the_keyboard_reaches_the_content_first_and_shows_where_it_is(opened):
    tab = opened()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.querySelector('main').contains(document.activeElement)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "size"), [("report.html", None), ("report.html", PHONE), ("without.html", None)])
def test_axe_finds_no_serious_fault(opened, name, size, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason='pip install "jaxrec[browser]"')
    tab = opened(name, color_scheme=scheme, **({"viewport": size} if size else {}))
    found = axe.Axe().run(tab).response["violations"]
    serious = {one["id"]: [node["html"][:200] for node in one["nodes"][:3]] for one in found}
    assert serious == {}


def test_a_page_without_its_script_says_what_is_missing(opened):
    tab = opened(java_script_enabled=False)
    assert "Searching needs the script of this page" in tab.locator("noscript").inner_text()
    assert tab.locator("table").count() > 10
