"""An ASGI application asked by the protocol itself, and one that is served by a thread."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from typing import NamedTuple


class Answer(NamedTuple):
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The one sentence of a refusal; another form of answer fails."""
        assert 400 <= self.status < 600
        assert list(self.json) == ["error"]
        sentence = self.json["error"]
        assert sentence
        assert "\n" not in sentence
        assert "Traceback" not in sentence
        return sentence


def asked(app, target, *, method="GET", headers=(), chunks=None, host=b"localhost:8765"):
    """What an application answers to one request, by the protocol itself and without a server."""
    path, _, query = target.partition("?")
    sent, parts = [], iter(chunks if chunks is not None else [b""])
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [*([(b"host", host)] if host is not None else []), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8765),
    }
    ahead = [next(parts, None)]

    async def receive():
        if ahead[0] is None:
            return {"type": "http.disconnect"}
        part, ahead[0] = ahead[0], next(parts, None)
        return {"type": "http.request", "body": part, "more_body": ahead[0] is not None}

    async def send(message):
        sent.append(message)

    asyncio.run(asyncio.wait_for(app(scope, receive, send), 60))
    starts = [one for one in sent if one["type"] == "http.response.start"]
    assert len(starts) == 1
    body = b"".join(one.get("body", b"") for one in sent if one["type"] == "http.response.body")
    headers = {name.decode().lower(): value.decode() for name, value in starts[0]["headers"]}
    return Answer(starts[0]["status"], headers, body)


@contextlib.contextmanager
def served(app):
    """The address of an application that a thread serves by uvicorn."""
    import uvicorn

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # by it asyncio sends at once
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    config = uvicorn.Config(
        app, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(10)
