"""Blends as artifacts: joined vectors, joined rows, and what is refused."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import worlds

import jaxrec
from jaxrec.cli._flags import in_flags
from jaxrec.errors import JaxrecError
from jaxrec.serving import _serve_jax, _serve_numpy, sides

MODELS = {
    "mf": jaxrec.MF(dim=4),
    "lightgcn": jaxrec.LightGCN(dim=4, layers=1),
    "ease": jaxrec.EASE(l2=2.0),
    "itemknn": jaxrec.ItemKNN(neighbors=5),
    "userknn": jaxrec.UserKNN(neighbors=5),
    "popularity": jaxrec.Popularity(),
}


@functools.cache
def fitted(name):
    words = {"epochs": 3} if name in ("mf", "lightgcn") else {}
    return jaxrec.fit(MODELS[name], worlds.middle(), key=jax.random.key(0), **words)


def blend_of(names, calibration):
    data = worlds.middle()
    split = jaxrec.Split(data, data.select([]), data.select([]), "none")
    weights = [2.0, -0.5, 1.5, 1.0][: len(names)]
    members = [fitted(name) for name in names]
    return jaxrec.blend(members, split, weights=weights, calibration=calibration, key=jax.random.key(0))


@pytest.mark.parametrize("calibration", ["softmax", "zscore"])
@pytest.mark.parametrize(
    ("names", "program"),
    [
        (("mf", "lightgcn"), "vectors"),
        (("itemknn", "userknn"), "sparse_rows"),
        (("ease", "popularity", "mf", "itemknn"), "dense_rows"),
    ],
)
def test_an_exported_blend_gives_the_lists_and_scores_of_the_blend(names, program, calibration, tmp_path):
    model = blend_of(names, calibration)
    assert jaxrec.export(model, tmp_path / "served").manifest["program"] == program
    wanted = jaxrec.recommend(model, k=8)
    servers = [_serve_numpy] if calibration == "zscore" else [_serve_numpy, _serve_jax]
    for loader in servers:
        found = loader.Server(tmp_path / "served").recommend(model.users.ids.tolist(), k=8)
        for user, shown in wanted:
            np.testing.assert_allclose([one.score for one in shown], [row[2] for row in found[user]], atol=2e-4)
            same = [one.item == row[0] for one, row in zip(shown, found[user], strict=True)]
            assert np.mean(same) > 0.7  # what ties but for rounding may change places


def test_what_no_program_computes_is_refused():
    with pytest.raises(JaxrecError, match=r'member 1 of the blend is calibrated by LogShare.*calibration="softmax"'):
        sides(blend_of(("ease", "mf"), ["share", "softmax"]).scorer)
    data = worlds.middle()
    split = jaxrec.Split(data, data.select([]), data.select([]), "none")
    drawn = jaxrec.fit(jaxrec.Random(), data, key=jax.random.key(0))
    mixed = jaxrec.blend([fitted("ease"), drawn], split, weights=[1, 1], key=jax.random.key(0))
    with pytest.raises(JaxrecError, match="member 2 of the blend cannot be exported: a model of random scores"):
        sides(mixed.scorer)


def test_a_blend_that_auto_kept_has_another_remedy(tmp_path):
    model = blend_of(("ease", "mf"), ["share", "softmax"])
    kept = dataclasses.replace(model, info={**model.info, "auto": {"kept": "blend"}})
    message = "by LogShare, which no program of an artifact computes; auto kept .* fit again with blend=False"
    with pytest.raises(JaxrecError, match=message) as caught:
        jaxrec.export(kept, tmp_path / "served")
    assert in_flags(str(caught.value)).endswith("so fit again with --no-blend, which keeps the best single model")
    with pytest.raises(JaxrecError, match='blend with calibration="softmax"'):
        jaxrec.export(model, tmp_path / "served")
