"""Commands that take a while are heard: what they tell, and that --json and --quiet keep it from standard error."""

import pytest

from jaxrec.cli import main
from jaxrec.progress import _display


class Listener:
    """Keeps the names of the outermost works."""

    def __init__(self):
        self.begun = []

    def begin(self, work):
        self.begun.append(work.name)

    def end(self, work):
        pass


@pytest.fixture
def begun(monkeypatch):
    """The works that the display hears of."""
    listener = Listener()
    monkeypatch.setattr(_display, "usual_display", lambda: listener)
    return listener.begun


@pytest.fixture(scope="module")
def run(ratings, tmp_path_factory):
    """A run folder of a model that is solved, which is quick."""
    folder = tmp_path_factory.mktemp("runs") / "itemknn"
    assert main(["fit", str(ratings), "--model", "itemknn", "-k", "3", "--out", str(folder), "--json", "--quiet"]) == 0
    return folder


def test_a_fit_tells_reading_solving_and_the_test(cli, ratings, tmp_path, begun):
    assert cli("fit", ratings, "--model", "itemknn", "-k", "3", "--out", tmp_path / "run").status == 0
    told = [name for name in begun if not name.startswith("item vectors")]
    stages = ["ItemKNN, fit: solving", "evaluating", "ItemKNN, refit: solving"]
    assert told == ["reading ratings.csv", *stages, "measuring the test part"]


def test_a_report_is_one_work(cli, run, tmp_path, begun):
    assert cli("report", run, "-k", "3", "--out", tmp_path / "report.html").status == 0
    assert [name for name in begun if not name.startswith("reading")] == ["report"]


@pytest.mark.parametrize("switch", ["--json", "--quiet"])
def test_json_and_quiet_show_no_progress(cli, run, begun, switch):
    assert cli("evaluate", run, "-k", "3", switch).status == 0
    assert begun == []
    assert cli(switch, "evaluate", run, "-k", "3").status == 0  # also before the command
    assert begun == []


def test_an_evaluation_is_heard_without_them(cli, run, begun):
    assert cli("evaluate", run, "-k", "3").status == 0
    assert begun[-1] == "evaluating"
