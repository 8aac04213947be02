"""The fragments of Python in the documentation, which build on names of the reader's, run on small data."""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec.parallel import Layout
from jaxrec.sparse import from_entries, operator

DOCS = pathlib.Path(jaxrec.__file__).parents[1] / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if page.relative_to(DOCS).parts[0] not in ("api", "experiments")]
# Eight devices, and widths of large data, with what stands for them on one device.
SMALLER = {
    "mesh=8": "mesh=1",
    "rows=8, blocks=4": "rows=1, blocks=2",
    "rows=8": "rows=1",
    "rows=4, columns=2": "rows=1, columns=1",
    "rows=4, ": "rows=1, ",
    "matrix, 256": "matrix, 4",
    'jaxrec.parallel.join("10.0.0.1:4000", 4, process)': "joins",  # other machines
}


def fragments_of(page):
    return re.findall(r"```py\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


WITH = [page for page in PAGES if fragments_of(page)]


@pytest.fixture(scope="module")
def data():
    """Who bought what, with names as ids."""
    rng = np.random.default_rng(0)
    item = np.array(["tea", "milk", *(f"item{number}" for number in range(28))])
    drawn = [(user, item[one]) for user in range(20) for one in rng.choice(30, 12, replace=False)]
    people = np.array(["ann", "ben", *(f"user{number}" for number in range(18))])
    return jaxrec.from_arrays([people[user] for user, _ in drawn], [bought for _, bought in drawn])


@pytest.mark.parametrize("page", WITH, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_the_fragments_of_a_page_run(page, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    split, key = jaxrec.split(data, "user_random", test=0.25, valid=0.1), jax.random.key(0)
    fit = jaxrec.fit
    monkeypatch.setattr(jaxrec, "fit", lambda *what, **how: fit(*what, **{"epochs": 1, **how}))
    if any("served" in text for text in fragments_of(page)):
        jaxrec.export(fit(jaxrec.ItemKNN(neighbors=8), data, key=key), "served")
        monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    if any("log.parquet" in text for text in fragments_of(page)):
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.table({"user": [1, 2], "item": [3, 4]}), "log.parquet")
    entries = np.ones(len(data), np.float32), data.user, data.item, (data.num_users, data.num_items)
    names = {
        "jaxrec": jaxrec,
        "jax": jax,
        "Layout": Layout,
        "model": jaxrec.LightGCN(dim=4, layers=1),
        "split": split,
        "key": key,
        "mesh": Layout(rows=1).mesh(),
        "interactions": operator(from_entries(*entries)),
        "adjacency": jaxrec.graph.adjacency_operator(jaxrec.data.seen_items(data), data.num_items),
        "x": jnp.ones((data.num_users + data.num_items, 4)),
        "joins": None,
    }
    for text in fragments_of(page):
        for large, small in SMALLER.items():
            text = text.replace(large, small)
        exec(compile(text, page.name, "exec"), names)


def test_every_replacement_is_needed():
    texts = "".join(text for page in WITH for text in fragments_of(page))
    assert [large for large in SMALLER if large not in texts] == []
