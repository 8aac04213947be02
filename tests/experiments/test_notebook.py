"""The notebook is regenerated without a difference, and a difference would be noticed."""

from experiments.notebook import exact, trained
from experiments.notebook.checks import Check, markdown
from experiments.notebook.graphs import draw_graphs
from experiments.notebook.main import main


def test_everything_printed_is_reproduced(tmp_path, capsys):
    assert main(["--out", str(tmp_path), "--no-train"]) == 0
    assert "0 differ" in capsys.readouterr().out
    made = {path.name for path in tmp_path.iterdir()}
    assert {"README.md", "graph_3x4.png", "graph_3x4.svg", "graph_7x10.png", "graph_7x10.svg"} <= made
    assert "DIFFERENT" not in (tmp_path / "README.md").read_text()


def test_a_difference_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exact, "TARGETS", [1, 0, 3])
    assert main(["--out", str(tmp_path), "--no-train"]) == 1
    assert "different: 6. Two-layer GCN, NLL of the example" in capsys.readouterr().out


def test_a_check_allows_half_a_unit_of_the_last_digit_and_no_more():
    assert Check("s", "n", 0.41, 0.4149, 2).same
    assert not Check("s", "n", 0.41, 0.4151, 2).same
    assert not Check("s", "n", [1, 2], [1, 2, 3]).same
    assert "DIFFERENT" in markdown([Check("s", "n", 1, 2)])


def test_whole_numbers_are_printed_as_whole_numbers():
    text = markdown([Check("s", "n", [1, 0, 0.5], [1.0000001, -0.0, 0.5], 1)])
    assert "| 1, 0, 0.5 | 1, 0, 0.500 |" in text


def test_the_second_graph_goes_on_in_the_stream_of_the_first():
    first, second = draw_graphs()
    assert len(first.edges) == 7
    assert second.isolated == [4, 101, 102, 105, 106]


def test_svdpp_prints_the_last_batch_of_thirty_epochs():
    lines = trained.train_svdpp()
    assert len(lines) == 30
    assert lines[0].startswith("Epoch [1/30], Loss: ")
    assert float(lines[-1].split()[-1]) < float(lines[0].split()[-1])
