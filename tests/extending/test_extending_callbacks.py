"""A callback from outside, told of every epoch and member, that stops a member."""

import json

import jax
import numpy as np

import jaxrec
from examples.extending.callback import EmbeddingNorms


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_it_writes_the_norms_of_the_parameters(split, tmp_path):
    norms = EmbeddingNorms(str(tmp_path / "norms.jsonl"))
    how = {"epochs": 3, "batch_size": 32, "refit": False, "validation": None}
    fitted = jaxrec.fit(jaxrec.MF(dim=4), split, key=jax.random.key(0), callbacks=[norms], **how)
    rows = lines(tmp_path / "norms.jsonl")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    table = np.asarray(fitted.variables["params"]["user_embedding"])
    np.testing.assert_allclose(rows[-1]["user_embedding"], np.linalg.norm(table, axis=1).mean(), rtol=1e-6)


def test_it_stops_one_member_and_not_the_other(split, tmp_path):
    # The embeddings of the second member start at the limit's other side: its learning rate carries them over at once.
    norms = EmbeddingNorms(str(tmp_path / "norms.jsonl"), limit=3.0)
    keys = list(jax.random.split(jax.random.key(0)))
    optimizer = [jaxrec.training.Adam(1e-3), jaxrec.training.Adam(3.0)]
    how = {"epochs": 3, "batch_size": 32, "refit": False, "validation": None}
    fitted = jaxrec.fit_many(jaxrec.MF(dim=4), split, keys=keys, optimizer=optimizer, callbacks=[norms], **how)
    assert [len(member.info["records"]) for member in fitted] == [3, 1]
    assert [row["member"] for row in lines(tmp_path / "norms.jsonl")] == [0, 1, 0, 0]


def test_the_command_line_takes_it(ratings, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit = ("--model", "mf", "--dim", "4", "--epochs", "2", "--no-validate", "-k", "3", "--no-distances")
    words = ("--callbacks", "examples.extending.callback:EmbeddingNorms", "--out", tmp_path / "run")
    assert cli("fit", ratings, *fit, *words).status == 0
    assert [row["epoch"] for row in lines(tmp_path / "norms.jsonl")] == [1, 2]
