"""`explore`: what is refused before anything is served; that it serves is tested in tests/pages/explorer."""

import shutil
import socket
import sys

import pytest
from asking import asked

pytest.importorskip("uvicorn", reason='no uvicorn: pip install "jaxrec[explore]"')


def test_a_port_that_is_taken_is_told_before_anything_is_read(cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = cli("explore", "no-such-run", "--port", port).error
    assert told.startswith(f"--port {port} of 127.0.0.1 cannot be listened at: ")
    assert told.endswith("name another one, or 0 for a free one")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--port", "70000"], "--port is 70000; pass a number from 1 to 65535, or 0 for a free one"),
        (["--port", "-1"], "--port is -1"),
        (["--host", "example.org"], "--host 'example.org' is no address; pass one such as 127.0.0.1 or ::1"),
        (["--host", ""], "--host '' is no address"),
        (["--port", "0"], "no-such-run"),
        (["--allow-host", "films.example:80"], "--allow-host is 'films.example:80'; pass a name alone, without a port"),
        (["--allow-host", "http://films.example"], "--allow-host is 'http://films.example'"),
        (["no-such-run", "--port", "0"], "a run folder is named twice"),
        (["--port", "0", "--kind", "Model"], "write package.module:Class"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(cli, words, told):
    assert told in cli("explore", "no-such-run", *words).error


def test_without_a_run_it_says_so(cli):
    assert "explore needs at least one run folder" in cli("explore").error


def test_a_missing_extra_is_told_with_its_command(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    told = cli("explore", "no-such-run").error
    assert told == 'explore needs Starlette and uvicorn: pip install "jaxrec[explore]"'


def test_a_missing_starlette_is_told_from_python_too(full_run, monkeypatch):
    import jaxrec
    from jaxrec.pages import Entry, explorer_app

    for name in [name for name in sys.modules if name.partition(".")[0] == "starlette"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "jaxrec.pages.explorer._app", raising=False)
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(jaxrec.errors.JaxrecError, match=r"pip install \"jaxrec\[explore\]\""):
        explorer_app({"knn": Entry(jaxrec.restore(full_run))})


@pytest.fixture
def served(monkeypatch):
    """What would be served: a function that asks it, instead of a server that waits for requests."""
    found = {}

    def run(server, sockets):
        found.update(config=server.config, address=sockets[0].getsockname())

    monkeypatch.setattr("uvicorn.Server.run", run)
    return found


def test_categories_times_and_test_items_come_from_the_data(cli, trained_run, served):
    document = cli("explore", trained_run, "--port", "0", "--json", "--quiet").json
    assert document["left_out"] == []
    assert document["url"] == f"http://127.0.0.1:{served['address'][1]}/"
    app = served["config"].app
    told = asked(app, "/api/runs").json
    assert told["runs"][0]["folder"] == str(trained_run)
    assert told["left_out"] == ["categories: the items have no column of labels"]  # all films are dramas
    details = asked(app, "/api/recommend?user=3&details=true").json
    assert details["test_items"]
    assert [int(item["id"]) for item in details["history"]] == sorted(
        (int(item["id"]) for item in details["history"]), reverse=True
    )  # times ascend with the items
    assert b"Explorer of ratings.csv" in asked(app, "/").body


def test_without_the_data_it_serves_what_the_run_has_and_says_so(cli, ratings, served, tmp_path):
    for file in (ratings, ratings.with_name("movies.csv")):
        shutil.copy(file, tmp_path / file.name)
    words = ["--model", "popularity", "--valid", "0", "--no-distances", "--quiet", "-k", "3"]
    assert cli("fit", tmp_path / ratings.name, *words, "--out", tmp_path / "run").status == 0
    (tmp_path / ratings.name).unlink()
    result = cli("explore", tmp_path / "run", "--port", "0", "--allow-host", "Films.example")
    assert result.out == f"http://127.0.0.1:{served['address'][1]}/\n"
    assert "note: left out: the data: " in result.err
    assert "Ctrl-C ends it" in result.err
    app = served["config"].app
    found = asked(app, "/api/recommend?user=3&k=2&details=true", host=b"films.EXAMPLE").json
    assert found["test_items"] is None
    assert len(found["lists"][0]["items"]) == 2
    assert found["history"]
    assert "Heat (1995)" in asked(app, "/api/items?q=heat").body.decode()


def test_another_address_is_told(cli, full_run, served):
    result = cli("explore", full_run, "--port", "0", "--host", "0.0.0.0")
    assert "0.0.0.0 is no loopback address: whoever reaches this machine can read these runs" in result.err
