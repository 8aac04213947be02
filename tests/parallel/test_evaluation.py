"""Several devices share the users: lists, scores and reports have the bits of one device."""

import numpy as np
import pytest

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
