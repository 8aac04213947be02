"""The explorer as a process and over real connections: where it listens, how it ends, and 32 clients at once."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import jaxrec

HALF = b"""POST /api/recommend HTTP/1.1\r
Host: localhost\r
Content-Type: application/json\r
Content-Length: 99\r
\r
{"""


def targets_of(models, count):
    """Requests of many kinds, in a fixed order."""
    draw = random.Random(0)
    users = [str(one) for one in models["mf"].users.ids.tolist()]
    items = [str(one) for one in models["mf"].items.ids.tolist()]
    kinds = [
        lambda: f"/api/recommend?user={draw.choice(users)}&k={draw.randint(1, 20)}",
        lambda: f"/api/recommend?user={draw.choice(users)}&diversity=0.{draw.randint(0, 9)}&details=true",
        lambda: f"/api/recommend?history={draw.choice(items)}&history={draw.choice(items)}&run=mf",
        lambda: f"/api/similar?item={draw.choice(items)}&k=5",
        lambda: f"/api/items?q=film%20{draw.randint(0, 20)}",
        lambda: f"/api/list.csv?user={draw.choice(users)}&categories=war",
        lambda: "/api/recommend?user=nobody",
    ]
    return [draw.choice(kinds)() for _ in range(count)]


def answers_of(address, targets):
    """What one keep-alive connection gives to requests, one after another."""
    connection = http.client.HTTPConnection(address[7:-1], timeout=60)
    out = []
    for target in targets:
        connection.request("GET", target)
        answer = connection.getresponse()
        out.append((answer.status, answer.read()))
    connection.close()
    return out


def test_32_clients_at_once_get_what_one_gets(address, models):
    targets = targets_of(models, 320)
    alone = answers_of(address, targets)
    assert {status for status, _ in alone} == {200, 404}
    together, faults = {}, []

    def client(at):
        try:
            together[at] = answers_of(address, targets[at::32])
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=client, args=(at,)) for at in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    for at in range(32):
        assert together[at] == alone[at::32]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01 no HTTP at all\r\n\r\n",
        b"POST /api/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    ],
)
def test_what_is_no_request_ends_its_connection_alone(address, sent):
    host, _, port = address[7:-1].partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as one:
        one.sendall(sent)
        got = b""
        while part := one.recv(4096):
            got += part
    assert got.startswith(b"HTTP/1.1 400")
    assert b"Traceback" not in got
    assert answers_of(address, ["/api/runs"])[0][0] == 200


@pytest.mark.slow
def test_memory_stays_where_it_is_over_thousands_of_requests(address, models):
    def resident():
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

    if not os.path.exists("/proc/self/status"):
        pytest.skip("needs /proc/self/status")
    targets = targets_of(models, 1000)
    answers_of(address, targets)
    grown = []
    for _ in range(3):
        before = resident()
        answers_of(address, targets)
        grown.append(resident() - before)
    # MiB: above that, 1,000 requests would keep over 1 kB each, in every round. In one round others of the process may.
    assert min(grown) < 1, grown


@pytest.fixture(scope="module")
def folders(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    for label in ("popularity", "knn"):
        jaxrec.save(models[label], folder / label)
    return folder


def started(folders, *words):
    """The process of a command, and the document that says where it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxrec", "explore", "popularity", "knn", "--port", "0", "--json", *words],
        cwd=folders,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate(timeout=60)[1])
    return process, json.loads(line)


@pytest.mark.parametrize(("number", "status", "told"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 75, "terminated")])
def test_the_command_answers_and_ends_at_once(folders, models, number, status, told):
    process, document = started(folders, "--quiet")
    opened = []
    try:
        url = document["url"]
        assert url.startswith("http://127.0.0.1:")
        assert document["runs"] == {"popularity": "popularity", "knn": "knn"}
        kept_alive = http.client.HTTPConnection(url[7:-1], timeout=30)
        opened.append(kept_alive)
        user = str(models["knn"].users.ids[0])
        kept_alive.request("GET", f"/api/recommend?user={user}&k=3&run=knn")
        found = json.loads(kept_alive.getresponse().read())["lists"][0]["items"]
        assert [item["id"] for item in found] == [
            str(one.item) for one in jaxrec.recommend(models["knn"], [user], k=3)[user]
        ]
        host, _, port = url[7:-1].partition(":")
        half = socket.create_connection((host, int(port)), timeout=30)
        opened.append(half)
        half.sendall(HALF)
        begun = time.monotonic()
        process.send_signal(getattr(signal, number))
        _, errors = process.communicate(timeout=30)
        assert time.monotonic() - begun < 2 + 4 * _is_busy()
        assert process.returncode == status
        assert errors == f"jaxrec: error: {told}\n"
    finally:
        for one in opened:
            one.close()
        process.kill()
        process.wait(10)


def _is_busy():
    """Whether others use more than the cores that there are, so that two seconds say nothing."""
    return os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)
