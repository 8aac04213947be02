"""What every request passes first: its host, and the length of query and headers; and the headers of all responses."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any

from jaxrec.pages.explorer._limits import Limits
from jaxrec.pages.explorer._parameters import shown

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""The names under which the loopback address is asked for."""

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Of every response; the page has a policy of its own."""


class Guard:
    """An ASGI application that lets requests through to another one, once their host and their query are in order.

    A page of another site can have its name lead to the loopback address, and would then read what is served there: so
    the Host header must name one of the hosts.

    Args:
      app: that is guarded.
      hosts: names without ports, in lower case.
      limits: of which `query_bytes` and `header_bytes` count here.
    """

    def __init__(self, app: App, hosts: Collection[str], limits: Limits) -> None:
        self._app, self._hosts, self._limits = app, frozenset(map(str.lower, hosts)), limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                more = [(key.encode(), value.encode()) for key, value in HEADERS.items() if key.encode() not in names]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        refused = self._refusal(scope)
        if refused is None:
            await self._app(scope, receive, with_headers)
            return
        status, sentence = refused
        body = error_body(sentence)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await with_headers({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _refusal(self, scope: Mapping[str, Any]) -> tuple[int, str] | None:
        named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        host = host_of(named[0]) if len(named) == 1 else ""
        if host not in self._hosts:
            told = f"the host {shown(host)} is" if host else "a request without one host is"
            return 400, f"{told} not served here; the hosts are {', '.join(sorted(self._hosts))}"
        size, most = len(scope["query_string"]), self._limits.query_bytes
        if size > most:
            return 414, f"the query string has {size:,} bytes; send at most {most:,}, or a body by POST"
        size, most = sum(len(name) + len(value) for name, value in scope["headers"]), self._limits.header_bytes
        if size > most:
            return 431, f"the headers have {size:,} bytes; send at most {most:,}"
        return None


def host_of(header: str) -> str:
    """The name in a Host header, without its port and brackets, in lower case; "" where there is none.

    >>> host_of("LOCALHOST:8765"), host_of("[::1]:8765"), host_of("::1"), host_of("a:b:c")
    ('localhost', '::1', '', '')
    """
    name, separator, port = header.strip().lower().rpartition(":")
    if header.strip().startswith("["):
        name, bracket, port = header.strip().lower()[1:].partition("]")
        return name if bracket and (not port or (port[0] == ":" and port[1:].isdecimal())) else ""
    if not separator:
        return port
    return name if port.isdecimal() and ":" not in name else ""


def error_body(sentence: str) -> bytes:
    """What a refused request gets.

    >>> error_body("k is 0; pass a whole number from 1 to 64")
    b'{"error": "k is 0; pass a whole number from 1 to 64"}'
    """
    return json.dumps({"error": " ".join(sentence.split())}).encode()
