"""One thread that has the models to itself, and answers what waits together where that is one call."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from jaxrec.pages.explorer._engine import Job, Ranked
from jaxrec.pages.explorer._limits import Refused

T = TypeVar("T")

_TOGETHER = 256  # jobs that are looked at together


class _Task(NamedTuple):
    """What waits: jobs of one request, or a function; and where the result goes."""

    future: Future[Any]
    jobs: Sequence[Job]
    call: Callable[[], Any] | None


class Worker:
    """The thread of the models.

    Two threads in one product of matrices take turns at the same cores, so there is one. While it works, requests
    queue up; what waits with the same run, rule and re-ranker is then one call.

    Args:
      answer: gives the outcome of each of some jobs with one key.
      waiting: how many requests may wait.

    >>> worker = Worker(lambda jobs: [], waiting=2)
    >>> worker.submit_call(lambda: 1 + 1).result()
    2
    >>> worker.close()
    """

    def __init__(self, answer: Callable[[Sequence[Job]], Sequence[Ranked | Refused]], waiting: int) -> None:
        self._answer, self._waiting = answer, waiting
        self._queue: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    async def lists(self, jobs: Sequence[Job]) -> list[Ranked | Refused]:
        """The outcomes of the jobs of one request.

        Raises:
          Refused: with status 503, where too many requests wait.
        """
        return await asyncio.wrap_future(self._put(jobs, None))

    async def call(self, function: Callable[[], T]) -> T:
        """The result of a function of the thread."""
        return await asyncio.wrap_future(self.submit_call(function))

    def submit_call(self, function: Callable[[], T]) -> Future[T]:
        """Queue a function.

        Raises:
          Refused: see `lists`.
        """
        return self._put((), function)

    def close(self, seconds: float = 0.5) -> None:
        """End the thread after what it is at; what still waits is refused."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._queue.put(None)
        if thread is not None:
            thread.join(seconds)
        while True:
            try:
                task = self._queue.get_nowait()
            except queue.Empty:
                return
            if task is not None and task.future.set_running_or_notify_cancel():
                task.future.set_exception(_ended())

    def _put(self, jobs: Sequence[Job], call: Callable[[], Any] | None) -> Future[Any]:
        with self._lock:
            if self._closed:
                raise _ended()
            if self._queue.qsize() >= self._waiting:
                raise Refused(f"{self._waiting:,} requests wait already; ask again in a moment", 503)
            if self._thread is None:  # where the application is part of another one, nobody else starts it
                self._thread = threading.Thread(target=self._run, name="jaxrec-models", daemon=True)
                self._thread.start()
            task = _Task(Future(), jobs, call)
            self._queue.put(task)
        return task.future

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            tasks, count, ended = [first], max(len(first.jobs), 1), False
            while count < _TOGETHER:
                try:
                    task = self._queue.get_nowait()
                except queue.Empty:
                    break
                if task is None:
                    ended = True
                    break
                tasks.append(task)
                count += max(len(task.jobs), 1)
            # A request that was given up is not computed.
            self._do([task for task in tasks if task.future.set_running_or_notify_cancel()])
            if ended:
                return

    def _do(self, tasks: Sequence[_Task]) -> None:
        groups: dict[Any, list[tuple[int, int]]] = {}
        outcomes: list[list[Any]] = [[None] * len(task.jobs) for task in tasks]
        for at, task in enumerate(tasks):
            for place, job in enumerate(task.jobs):
                groups.setdefault(job.key, []).append((at, place))
        failed: dict[int, BaseException] = {}
        for members in groups.values():
            try:
                found = self._answer([tasks[at].jobs[place] for at, place in members])
            except Exception as error:  # a defect is the answer of its own requests, not the end of the thread
                failed |= {at: error for at, _ in members}
                continue
            for (at, place), outcome in zip(members, found, strict=True):
                outcomes[at][place] = outcome
        for at, task in enumerate(tasks):
            try:
                if at in failed:
                    raise failed[at]
                result = outcomes[at] if task.call is None else task.call()
            except Exception as error:
                task.future.set_exception(error)
            else:
                task.future.set_result(result)


def _ended() -> Refused:
    return Refused("the server is about to end; ask again later", 503)
