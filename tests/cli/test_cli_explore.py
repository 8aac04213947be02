"""`explore`: what is refused before anything is served; that it serves is tested in tests/pages/explorer."""

import socket
import sys

import pytest

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
