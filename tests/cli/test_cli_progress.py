"""Commands that take a while are heard: what they tell, and that --json and --quiet keep it from standard error."""

import pytest

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


def test_a_fit_tells_reading_training_and_the_test(cli, ratings, tmp_path, begun):
    words = ("--model", "mf", "--dim", "2", "--epochs", "1", "-k", "3", "--monitor", "ndcg@3")
    assert cli("fit", ratings, *words, "--out", tmp_path / "run").status == 0
    told = [name for name in begun if "compiling" not in name and name != "item vectors"]
    assert told == ["reading ratings.csv", "MF, fit", "MF, refit", "measuring the test part"]


def test_a_report_is_one_work(cli, trained_run, tmp_path, begun):
    assert cli("report", trained_run, "-k", "3", "--out", tmp_path / "report.html").status == 0
    assert [name for name in begun if not name.startswith("reading")] == ["report"]


@pytest.mark.parametrize("switch", ["--json", "--quiet"])
def test_json_and_quiet_show_no_progress(cli, trained_run, begun, switch):
    assert cli("evaluate", trained_run, "-k", "3", switch).status == 0
    assert begun == []
    assert cli(switch, "evaluate", trained_run, "-k", "3").status == 0  # also before the command
    assert begun == []


def test_an_evaluation_is_heard_without_them(cli, trained_run, begun):
    assert cli("evaluate", trained_run, "-k", "3").status == 0
    assert begun[-1] == "evaluating"
