"""The explorer over the small runs of the report's tests."""

import json

import pytest
from asking import asked, served

from jaxrec.pages import Entry, explorer_app

pytest.importorskip("uvicorn", reason='no uvicorn: pip install "jaxrec[explore]"')


@pytest.fixture(scope="session")
def app(models, split):
    return explorer_app({label: Entry(model) for label, model in models.items()}, split, name="films")


@pytest.fixture
def get(app):
    """A function that asks for an address."""
    return lambda target, **how: asked(app, target, **how)


@pytest.fixture
def post(app):
    """A function that sends a document, or bytes as they are."""

    def send(target, document, *, kind=b"application/json", headers=()):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        length = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        return asked(app, target, method="POST", headers=[*length, *headers], chunks=[body])

    return send


@pytest.fixture(scope="session")
def address(app):
    with served(app) as url:
        yield url
