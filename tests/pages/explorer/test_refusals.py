"""What is wrong with a request is said in one sentence, with the right status, and never with a traceback."""

import asyncio
import dataclasses
import json

import pytest
from asking import asked

from jaxrec.errors import JaxrecError
from jaxrec.pages import Entry, Limits, explorer_app
from jaxrec.pages.explorer._guard import host_of

KIND = (b"content-type", b"application/json")


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("/api/recommend", 400, "name a user or a history of at least one item; neither is given"),
        ("/api/recommend?user=1&history=1", 400, "both are given"),
        ("/api/recommend?user=nobody", 404, "there is no user 'nobody'"),
        ("/api/recommend?user=", 404, "there is no user ''"),
        ("/api/recommend?history=none", 404, "there is no item with the id or title 'none'"),
        ("/api/recommend?user=1&run=other", 404, "there is no run 'other'; the runs are popularity, knn, mf, lightgcn"),
        ("/api/recommend?user=1&exclude=none", 404, "there is no item with the id or title 'none'"),
        ("/api/recommend?user=1&categories=opera", 404, "there is no category 'opera'"),
        ("/api/recommend?user=1&k=0", 400, "k is 0; pass a whole number from 1 to"),
        ("/api/recommend?user=1&k=100000", 400, "k is 100000; pass a whole number"),
        ("/api/recommend?user=1&k=99999999999999999999", 400, "k is '99999999999999999999'"),
        ("/api/recommend?user=1&k=five", 400, "k is 'five'; pass a whole number"),
        ("/api/recommend?user=1&k=2.0", 400, "k is '2.0'"),
        ("/api/recommend?user=1&k=", 400, "k is ''"),
        ("/api/recommend?user=1&k=1&k=2", 400, "k is given twice"),
        ("/api/recommend?user=1&diversity=nan", 400, "diversity is 'nan'; pass a number from 0 to 1"),
        ("/api/recommend?user=1&diversity=inf", 400, "diversity is 'inf'"),
        ("/api/recommend?user=1&diversity=1.5", 400, "diversity is 1.5; pass a number from 0 to 1"),
        ("/api/recommend?user=1&diversity=-0.1", 400, "diversity is -0.1"),
        ("/api/recommend?user=1&reranker=best", 400, "reranker is 'best'; pass 'mmr' or 'dpp'"),
        ("/api/recommend?user=1&details=yes", 400, "details is 'yes'; pass true or false"),
        ("/api/recommend?user=1&spreadsheet_safe=true", 400, "there is no parameter 'spreadsheet_safe'"),
        ("/api/recommend?user=1&depth=5", 400, "there is no parameter 'depth'; the parameters are user, history"),
        ("/api/recommend?user=%ff", 400, "not UTF-8"),
        ("/api/recommend?user=1%0aline", 404, "there is no user"),
        ("/api/users?q=" + "a" * 300, 400, "q has 300 letters; pass at most 200"),
        ("/api/users?limit=1000", 400, "limit is 1000"),
        ("/api/similar", 400, "item is missing"),
        ("/api/similar?item=none", 404, "there is no item with the id or title 'none'"),
        ("/api/runs?q=1", 400, "there is no parameter 'q'"),
        ("/api/unknown", 404, "there is nothing at '/api/unknown'; the places are /, /api/runs"),
        ("/api/recommend/", 404, "there is nothing at"),
        ("/../../etc/passwd", 404, "there is nothing at '/../../etc/passwd'"),
        ("/api/../api/runs", 404, "there is nothing at"),
        ("/%2e%2e/etc/passwd", 404, "there is nothing at"),
        ("/_explorer.js", 404, "there is nothing at"),
        ("/api/users?" + "q=" + "a" * 9000, 414, "the query string has 9,002 bytes; send at most 8,192"),
        ("/api/list.csv?user=1&k=many", 400, "k is 'many'"),
    ],
)
def test_a_wrong_address_is_refused_in_one_sentence(get, target, status, words):
    answer = get(target)
    assert answer.status == status
    assert words in answer.error


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "the body is no JSON"),
        (b"{", 400, "the body is no JSON"),
        (b"[1]", 400, "the body is a list; send an object"),
        (b'"text"', 400, "send an object"),
        (b"null", 400, "the body is None"),
        (b"\xff\xfe{}", 400, "the body is not UTF-8"),
        (b'{"user": "1", "diversity": NaN}', 400, "the number NaN"),
        (b'{"user": "1", "diversity": Infinity}', 400, "the number Infinity"),
        (b'{"user": "1", "diversity": 1e999}', 400, "diversity is inf"),
        (b'{"user": "1", "diversity": true}', 400, "diversity is True"),
        (b'{"user": "1", "diversity": "0.5"}', 400, "diversity is '0.5'"),
        (b'{"user": "1", "k": 1.5}', 400, "k is 1.5"),
        (b'{"user": "1", "k": true}', 400, "k is True"),
        (b'{"user": "1", "k": ' + b"9" * 100 + b"}", 400, "k is a number of over 30 digits"),
        (b'{"user": "1", "k": ' + b"9" * 5000 + b"}", 400, "no JSON that can be read"),
        (b"[" * 100_000, 400, "no JSON that can be read"),
        (b'{"user": 1}', 400, "user is 1; pass a text"),
        (b'{"user": ["1"]}', 400, "user is a list; pass a text"),
        (b'{"history": "1"}', 400, "history is '1'; pass a list of texts"),
        (b'{"history": [1]}', 400, "history[0] is 1; pass a text"),
        (b'{"history": [["1"]]}', 400, "history[0] is a list"),
        (b'{"history": []}', 400, "neither is given"),
        (b'{"history": ["\\ud800"]}', 404, "there is no item"),
        (json.dumps({"history": ["1"] * 257}).encode(), 400, "history has 257 entries; pass at most 256"),
        (json.dumps({"user": "1", "exclude": ["1"] * 1001}).encode(), 400, "exclude has 1,001 entries"),
        (json.dumps({"user": "1" * 2000}).encode(), 400, "user has 2,000 letters"),
        (b'{"user": "1", "candidates": []}', 400, "leave no item that could be recommended"),
        (b'{"__proto__": 1}', 400, "there is no parameter '__proto__'"),
        (b'{"user": "1", "run": []}', 400, "run is an empty list; name at least one of popularity, knn, mf, lightgcn"),
        (b'{"user": "1", "run": ["../mf"]}', 404, "there is no run '../mf'"),
    ],
)
def test_a_wrong_body_is_refused_in_one_sentence(post, body, status, words):
    answer = post("/api/recommend", body)
    assert answer.status == status
    assert words in answer.error


def test_a_body_of_another_kind_is_refused(post):
    """A page of another site can send text without asking first, and JSON not."""
    assert post("/api/recommend", {"user": "1"}, kind=b"text/plain").status == 415
    assert "send application/json" in post("/api/recommend", {"user": "1"}, kind=b"text/plain").error
    assert post("/api/recommend", {"user": "1"}, kind=b"application/json; charset=utf-8").status == 200


def test_parameters_stand_in_one_place_only(post):
    assert "leave the query string out" in post("/api/recommend?k=5", {"user": "1"}).error


def test_a_long_body_is_refused_by_what_it_says_and_by_what_comes(app):
    says = asked(
        app, "/api/recommend", method="POST", headers=[KIND, (b"content-length", b"999999999")], chunks=[b"{}"]
    )
    assert says.status == 413
    assert says.error == "the body has over 262,144 bytes; send fewer items"
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield b" " * 10_000

    comes = asked(app, "/api/recommend", method="POST", headers=[KIND], chunks=endless())
    assert comes.status == 413
    assert len(taken) <= 30
    lies = asked(
        app, "/api/recommend", method="POST", headers=[KIND, (b"content-length", b"2")], chunks=[b" " * 300_000]
    )
    assert lies.status == 413


def test_a_body_that_does_not_come_is_not_waited_for(models):
    app = explorer_app({"knn": Entry(models["knn"])}, limits=Limits(body_seconds=0.1))
    sent = []

    async def never():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/recommend", "query_string": b"", "root_path": ""}
    scope |= {"headers": [KIND, (b"host", b"localhost")], "http_version": "1.1", "scheme": "http"}
    asyncio.run(asyncio.wait_for(app(scope, never, send), 10))
    assert sent[0]["status"] == 408


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_not_taken(get, method):
    for target in ("/", "/api/recommend?user=1", "/api/runs"):
        answer = get(target, method=method)
        assert answer.status == 405
        assert f"'{method}' is not taken here; use GET" in answer.error
    assert get("/api/runs", method="POST").status == 405
    assert "GET" in get("/api/runs", method="POST").headers["allow"]


@pytest.mark.parametrize(
    "host", [b"evil.example", b"evil.example:8765", b"localhost.evil.example", b"127.0.0.1.evil.example:80", b"", None]
)
def test_a_host_of_another_name_is_refused(get, host):
    """So a page of another site, whose name was made to lead here, reads nothing."""
    for target in ("/", "/api/runs"):
        answer = get(target, host=host)
        assert answer.status == 400
        assert "not served here; the hosts are 127.0.0.1, ::1, localhost" in answer.error


def test_long_headers_are_refused(get):
    answer = get("/api/runs", headers=[(b"x", b"a" * 20_000)])
    assert answer.status == 431
    assert "send at most 16,384" in answer.error


def test_two_hosts_are_none(get):
    assert get("/api/runs", headers=[(b"host", b"evil.example")]).status == 400


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:80", b"127.0.0.1:1234", b"[::1]:8765"])
def test_the_loopback_address_has_three_names(get, host):
    assert get("/api/runs", host=host).status == 200


def test_other_hosts_are_served_where_they_are_allowed(models):
    app = explorer_app({"knn": Entry(models["knn"])}, hosts=("films.example",))
    assert asked(app, "/api/runs", host=b"Films.Example:443").status == 200
    assert asked(app, "/api/runs", host=b"localhost").status == 400


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("[::1", ""),
        ("[::1]x", ""),
        ("[::1]:", ""),
        ("a:", ""),
        ("a:80:80", ""),
        (" a ", "a"),
        ("a:b", ""),
        ("[::1]", "::1"),
    ],
)
def test_a_host_header_that_is_none(header, name):
    assert host_of(header) == name


def test_every_answer_forbids_guessing_and_framing(get):
    for target in ("/", "/api/runs", "/api/recommend?user=nobody", "/nothing"):
        headers = get(target).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


def test_a_defect_is_told_without_its_traceback(models, monkeypatch):
    app = explorer_app({"knn": Entry(models["knn"])})
    secret = "a secret of the inside"

    def broken(*args, **how):
        raise RuntimeError(secret)

    monkeypatch.setattr("jaxrec.pages.explorer._engine.Engine.ranked", broken)
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/api/recommend", "query_string": b"user=1", "root_path": ""}
    scope |= {"headers": [(b"host", b"localhost")], "http_version": "1.1", "scheme": "http"}
    with pytest.raises(RuntimeError, match=secret):  # for the server's own log
        asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 500
    assert secret not in sent[1]["body"].decode()
    assert "what it wrote to its terminal says why" in json.loads(sent[1]["body"])["error"]


def test_models_that_do_not_fit_are_refused_before_anything_is_served(models):
    with pytest.raises(JaxrecError, match="entries is empty"):
        explorer_app({})
    rated = dataclasses.replace(models["mf"], info={**models["mf"].info, "task": "rating"})
    with pytest.raises(JaxrecError, match="predicts ratings, and the explorer is for models that rank"):
        explorer_app({"mf": Entry(rated)})
    with pytest.raises(JaxrecError, match=r"k must lie in 1\.\.64"):
        Limits(k=100)
    with pytest.raises(JaxrecError, match="waiting must be above 0"):
        Limits(waiting=0)
