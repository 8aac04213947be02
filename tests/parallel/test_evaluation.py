"""Several devices share the users, and the bits are those of one device; or they share the items too."""

import numpy as np
import pytest

from jaxrec.errors import JaxrecError
from jaxrec.parallel import Layout

MESHES = ["3 rows", "2 x 2"]


@pytest.mark.parametrize("mesh", MESHES)
def test_lists_and_scores_have_the_bits_of_one_device(eight, mesh):
    assert eight.arrays["lists/one"].shape == (100, 15)
    np.testing.assert_array_equal(eight.arrays[f"lists/{mesh}"], eight.arrays["lists/one"])
    np.testing.assert_array_equal(eight.arrays[f"scores/{mesh}"], eight.arrays["scores/one"])


@pytest.mark.parametrize("mesh", MESHES)
def test_a_report_has_the_bits_of_one_device(eight, mesh):
    assert eight[f"report/{mesh}"] == eight["report/one"]
    values = [name.rpartition("/")[2] for name in eight.arrays if name.startswith("report/one/")]
    assert {"recall@5", "ndcg@20"} <= set(values)
    for name in values:
        np.testing.assert_array_equal(eight.arrays[f"report/{mesh}/{name}"], eight.arrays[f"report/one/{name}"])


@pytest.mark.parametrize("mesh", ["8 in 4", "3 in 3"])
@pytest.mark.parametrize("k", [15, 120, 4])  # shorter and longer than a part of the items; among four candidates
@pytest.mark.parametrize("name", ["popularity", "ease", "lightgcn"])
def test_the_best_of_the_parts_of_the_items_are_the_best_of_all(eight, name, k, mesh):
    one, parts = (
        [eight.arrays[f"parts/{name}/{k}/{word}/{what}"] for what in ("items", "scores")] for word in ("one", mesh)
    )
    np.testing.assert_allclose(parts[1], one[1], rtol=1e-5, atol=1e-6)
    assert np.isneginf(one[1]).any() == (k != 15)  # padding, where users lack items
    np.testing.assert_array_equal(parts[0] == -1, one[0] == -1)
    apart = parts[0] != one[0]
    assert apart.mean() < 0.01  # two scores may round to another order
    np.testing.assert_allclose(parts[1][apart], one[1][apart], rtol=1e-5)
    if name == "popularity":  # whole numbers: the order of equal scores is that of the catalog, over all parts
        assert k == 4 or (one[1][:, 1:] == one[1][:, :-1]).mean() > 0.5
        assert not apart.any()


def test_metrics_over_parts_of_the_items_are_those_of_one_device(eight):
    assert eight["parts"][0] == eight["parts"][1] > 0


def test_parts_are_refused_where_they_do_nothing_or_cannot_be_made(eight):
    assert "ItemWeightScorer names no axis of the items" in eight["refused/parts of sparse weights"]
    assert "item_parts is for ranking, and a fit has no use for it, got 2" in eight["refused/parts"]
    with pytest.raises(JaxrecError, match="item_parts must divide the number of devices, 8, got 3"):
        Layout(rows=8, item_parts=3)
    assert str(Layout(rows=8, item_parts=4)) == "8 devices (8 x rows, 4 parts of the items)"
