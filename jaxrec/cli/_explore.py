"""`jaxrec explore`: runs alive behind a page and JSON endpoints, on the loopback address unless told otherwise."""

from __future__ import annotations

import dataclasses
import gc
import ipaddress
import logging
import pathlib
import socket
import sys
from collections.abc import Sequence
from typing import Annotated

from tyro import conf

from jaxrec.cli._compare import labels_of
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._help import Guide
from jaxrec.cli._output import emit, note
from jaxrec.cli._parsing import optional, parse
from jaxrec.cli._report import categories_asked, found_split
from jaxrec.cli._run_folder import RunOptions
from jaxrec.errors import JaxrecError
from jaxrec.pages._evidence import Entry
from jaxrec.pages.explorer._guard import LOOPBACK, host_of
from jaxrec.pages.explorer._mount import NEEDS, explorer_app

_KEPT_ALIVE = 60  # seconds without a request until a connection is closed


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExploreCommand(RunOptions):
    """The options of `explore`.

    Attributes:
      runs: the run folders, of models with the same users and items.
      host: the address to listen at; others than the loopback address let anyone in who reaches this machine.
      port: to listen at; 0 takes a free one, which is printed.
      allow_host: further names under which the page may be asked for, as the Host header has them.
      item_categories: a column of the items such as `genres`, or a .csv file with lines `item,category`; by default the
        column with the fewest labels.
      data: where the data are now, if elsewhere than at the fit; for folders of jaxrec.save, the data.
    """

    runs: Annotated[tuple[str, ...], conf.Positional, conf.arg(metavar="RUN ...")]
    host: Annotated[str, conf.arg(metavar="ADDRESS")] = "127.0.0.1"
    port: int = 8765
    allow_host: Annotated[tuple[str, ...], optional("NAME ...")] = ()
    item_categories: Annotated[str | None, optional("COLUMN|FILE")] = None
    data: Annotated[str | None, optional("DATA")] = None
    data_and_split: conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)


GUIDE = Guide(
    "A page over the runs that answers: choose a user or put a basket together, and see the lists of all runs, with a "
    "slider for diversity, candidate rules and reasons. JSON endpoints serve programs. Ctrl-C ends it.",
    first=("port", "host", "allow_host", "item_categories", "data"),
    examples=("jaxrec explore runs/lightgcn runs/mf",),
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec explore`; see `ExploreCommand` for the options."""
    command = parse(
        ExploreCommand,
        argv,
        "explore",
        GUIDE,
    )
    labels = labels_of(command.runs, "explore", least=1)
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise JaxrecError(NEEDS) from None
    hosts = (*LOOPBACK, *_names(command))
    with _listening(command.host, command.port) as listener:
        command.start()
        models = {label: command.restored(folder) for label, folder in zip(labels, command.runs, strict=True)}
        parts, described, why = found_split(command, list(models.values()), "explore")
        left_out = [f"the data: {why}"] if why else []
        name = pathlib.PurePath(str(described.get("data", ""))).name
        app = explorer_app(
            {label: Entry(models[label], folder=folder) for label, folder in zip(labels, command.runs, strict=True)},
            parts,
            name=name,
            item_categories=categories_asked(command.item_categories, list(models.values()), parts),
            left_out=left_out,
            hosts=hosts,
        )
        for text in left_out:
            note(f"left out: {text}", command.quiet)
        address, port = listener.getsockname()[:2]
        url = f"http://{f'[{address}]' if ':' in address else address}:{port}/"
        if not ipaddress.ip_address(address).is_loopback:
            told = f"{address} is no loopback address: whoever reaches this machine can read these runs"
            note(f"{told}, under the names {', '.join(hosts)}", command.quiet)
        emit(
            {"url": url, "runs": dict(zip(labels, command.runs, strict=True)), "left_out": left_out}, url, command.json
        )
        sys.stdout.flush()  # who reads it from a pipe waits for the address
        note("Ctrl-C ends it", command.quiet)
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEPT_ALIVE,
            timeout_graceful_shutdown=0,  # an answer takes milliseconds, and idle connections are closed before
        )
        server = uvicorn.Server(config)
        log = logging.getLogger("uvicorn.error")
        log.setLevel(logging.ERROR)
        log.addFilter(lambda record: not server.should_exit)  # what the end cuts off is no fault
        gc.freeze()  # the models stay: the collector looks at them neither between requests nor for a second at the end
        # It ends at SIGINT and SIGTERM, and raises the signal again for `main`.
        server.run(sockets=[listener])


def _names(command: ExploreCommand) -> list[str]:
    """The names under which the page may be asked for, beside those of the loopback address.

    Raises:
      JaxrecError: one with a port or a path.
    """
    for name in command.allow_host:
        if host_of(f"[{name}]" if ":" in name and "." not in name else name) != name.lower() or "/" in name:
            raise JaxrecError(f"--allow-host is {name!r}; pass a name alone, without a port, such as films.example")
    return [command.host, *command.allow_host]


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens, so that a port that is taken is told before anything is computed.

    Raises:
      JaxrecError: a port outside 0..65535, an address that is none, or one that cannot be listened at.
    """
    if not 0 <= port <= 65535:
        raise JaxrecError(f"--port is {port}; pass a number from 1 to 65535, or 0 for a free one")
    name = "127.0.0.1" if host == "localhost" else host
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(name).version == 6 else socket.AF_INET
    except ValueError:
        raise JaxrecError(f"--host {host!r} is no address; pass one such as 127.0.0.1 or ::1") from None
    # asyncio sends without delay only where the protocol is said; with it an answer would take 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((name, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise JaxrecError(
            f"--port {port} of {host} cannot be listened at: {error.strerror}; name another one, or 0 for a free one"
        ) from None
    return listener
