"""The routes of the explorer: they read a request, hand it to the thread of the models, and write what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from jaxrec.errors import JaxrecError, UnknownIdError
from jaxrec.pages.explorer import _answers as answers
from jaxrec.pages.explorer._catalog import Catalog
from jaxrec.pages.explorer._engine import Engine, Job, Ranked
from jaxrec.pages.explorer._guard import Guard, error_body
from jaxrec.pages.explorer._limits import Limits, Refused
from jaxrec.pages.explorer._page import page, page_policy
from jaxrec.pages.explorer._parameters import Parameter, Switch, from_json, from_query, shown
from jaxrec.pages.explorer._worker import Worker

DEFAULT_K = 10
"""Places of a list, where a request does not say."""
DEFAULT_FOUND = 12
"""Users or items that a search gives, where a request does not say."""


class Explorer:
    """What answers requests: the thread of the models, the catalog, and the page.

    Args:
      engine: the models.
      catalog: users and items.
      folders: label to run folder, for /api/runs.
      name: of the data.
      limits: of requests.
    """

    def __init__(self, engine: Engine, catalog: Catalog, folders: Mapping[str, str], name: str, limits: Limits) -> None:
        self.engine, self.catalog, self.limits = engine, catalog, limits
        self.labels = tuple(engine.models)
        self.worker = Worker(engine.answered, limits.waiting)
        self.runs = answers.runs_document(engine.models, folders, catalog, limits)
        self.html = page(self.runs, name)
        items = len(catalog.item_ids)
        self.of_lists = answers.recommend_parameters(limits, items)
        self.of_rows = {**self.of_lists, "spreadsheet_safe": Switch()}
        self.of_search = answers.search_parameters(limits)
        self.of_similar = answers.similar_parameters(limits, items)

    async def home(self, request: Request) -> Response:
        """The page."""
        return HTMLResponse(self.html, headers={"content-security-policy": page_policy()})

    async def all_runs(self, request: Request) -> Response:
        """What is served, and its limits."""
        from_query(request.scope["query_string"], {})
        return JSONResponse(self.runs)

    async def users(self, request: Request) -> Response:
        """Users by a part of their id."""
        found = await self._searched(request, self.catalog.find_users)
        return JSONResponse(answers.found_users(found, self.catalog))

    async def items(self, request: Request) -> Response:
        """Items by a part of their title or id."""
        found = await self._searched(request, self.catalog.find_items)
        return JSONResponse(answers.found_items(found, self.catalog))

    async def recommend(self, request: Request) -> Response:
        """The lists of a user or a basket."""
        return JSONResponse(answers.recommended(*await self._ranked(request, self.of_lists), self.catalog))

    async def rows(self, request: Request) -> Response:
        """The same lists as rows."""
        text = answers.rows_of(*await self._ranked(request, self.of_rows), self.catalog)
        headers = {"content-disposition": 'attachment; filename="lists.csv"'}
        return Response(text.encode("utf-8", "replace"), media_type="text/csv; charset=utf-8", headers=headers)

    async def similar(self, request: Request) -> Response:
        """The items most similar to one."""
        values = from_query(request.scope["query_string"], self.of_similar)
        if "item" not in values:
            raise Refused("item is missing; give the id or the title of an item")
        item, runs = self.catalog.item(values["item"]), answers.runs_of(values.get("run"), self.labels)
        if len(self.catalog.item_ids) < 2:
            raise Refused("there is one item alone, and so none that is similar to it")
        k = values.get("k", min(DEFAULT_K, len(self.catalog.item_ids) - 1, self.limits.k))
        one = functools.partial(self.engine.similar, item=item, k=k)
        found = await self.worker.call(lambda: {run: one(run) for run in runs})
        return JSONResponse(answers.similar(item, found, self.catalog))

    async def _searched(self, request: Request, find: Callable[[str, int], Any]) -> Any:
        values = from_query(request.scope["query_string"], self.of_search)
        return await self.worker.call(
            lambda: find(values.get("q", ""), values.get("limit", min(DEFAULT_FOUND, self.limits.found)))
        )

    async def _ranked(
        self, request: Request, parameters: Mapping[str, Parameter]
    ) -> tuple[answers.Wanted, list[Job], list[Ranked | Refused]]:
        if request.method == "POST":
            if request.scope["query_string"]:
                raise Refused("a request by POST has its parameters in the body; leave the query string out")
            values = from_json(await self._body(request), parameters)
        else:
            values = from_query(request.scope["query_string"], parameters)
        values.setdefault("k", min(DEFAULT_K, len(self.catalog.item_ids), self.limits.k))
        wanted = answers.Wanted(**values)
        jobs = answers.jobs_of(wanted, self.catalog, self.labels)
        return wanted, jobs, await self.worker.lists(jobs)

    async def _body(self, request: Request) -> bytes:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(f"the body is {shown(kind)}; send application/json", 415)
        most, length = self.limits.body_bytes, request.headers.get("content-length", "")
        too_long = Refused(f"the body has over {most:,} bytes; send fewer items", 413)
        if length.isdecimal() and int(length[:20]) > most:
            raise too_long
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                async for part in request.stream():  # it may be longer than it says, or say nothing
                    size += len(part)
                    if size > most:
                        raise too_long
                    parts.append(part)
        except TimeoutError:
            raise Refused(f"the body was not whole after {self.limits.body_seconds:g} seconds", 408) from None
        except ClientDisconnect:
            raise Refused("the connection ended before the body was whole") from None
        return b"".join(parts)


def application(explorer: Explorer, hosts: Collection[str]) -> Guard:
    """The routes as an ASGI application, guarded."""
    both = ["GET", "POST"]
    routes = [
        Route("/", explorer.home),
        Route("/api/runs", explorer.all_runs),
        Route("/api/users", explorer.users),
        Route("/api/items", explorer.items),
        Route("/api/recommend", explorer.recommend, methods=both),
        Route("/api/list.csv", explorer.rows, methods=both),
        Route("/api/similar", explorer.similar),
    ]
    paths = [route.path for route in routes]

    async def unrouted(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        path = request.scope["path"]
        if status == 405:
            takes = sorted({*getattr(error, "headers", {}).get("Allow", "GET").split(", ")} - {"HEAD"})
            told = f"{shown(request.method)} is not taken here; use {' or '.join(takes)}"
        elif status == 404:
            told = f"there is nothing at {shown(path)}; the places are {', '.join(paths)}"
        else:
            told = "the request cannot be answered"
        headers = getattr(error, "headers", None)
        return Response(error_body(told), status, headers, "application/json")

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status if isinstance(error, Refused) else 404 if isinstance(error, UnknownIdError) else 400
        return Response(error_body(str(error)), status, media_type="application/json")

    async def failed(request: Request, error: Exception) -> Response:
        told = "the server failed at this request; what it wrote to its terminal says why"
        return Response(error_body(told), 500, media_type="application/json")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        explorer.worker.close()

    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        HTTPException: unrouted,
        JaxrecError: refused,
        Exception: failed,
    }
    app = Starlette(
        routes=routes,
        exception_handlers=handlers,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return Guard(app, hosts, explorer.limits)  # pyright: ignore[reportArgumentType]
