"""Decompositions whose rows several devices share have the spectra and the vectors of one device."""

import numpy as np
import pytest

NAMES = ("eigenpairs", "smallest eigenpairs", "svd", "svd of the transpose", "triplets", "triplets of the transpose")
VALUES_AT = {"eigenpairs": 0, "smallest eigenpairs": 0}  # the place of the values among what is found; elsewhere 1


def same_as_one_device(found, name, rows):
    values_at = VALUES_AT.get(name, 1)
    one = [found.arrays[f"{name}/{at}/1 rows"] for at in range(3)]
    several = [found.arrays[f"{name}/{at}/{rows}"] for at in range(3)]
    assert np.ptp(one[values_at]) > 0.01
    np.testing.assert_allclose(several[values_at], one[values_at], rtol=1e-4)
    for at, (have, expected) in enumerate(zip(several, one, strict=True)):
        assert have.shape == expected.shape
        if have.ndim == 2:
            np.testing.assert_allclose(have, expected, rtol=0, atol=1e-3, err_msg=str(at))


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["2 rows", "4 rows", "8 rows"])
@pytest.mark.parametrize("name", NAMES)
def test_values_and_vectors_of_all_decompositions_are_those_of_one_device(eight_for_long, name, rows):
    same_as_one_device(eight_for_long, name, rows)


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["2 rows", "4 rows", "8 rows"])
def test_padding_adds_no_eigenvalue_to_a_whole_spectrum(eight_for_long, rows):
    one, several = (eight_for_long.arrays[f"all eigenpairs/0/{which}"] for which in ("1 rows", rows))
    assert several.shape == (250,)
    np.testing.assert_allclose(several, one, rtol=0, atol=1e-5)
    vectors = eight_for_long.arrays[f"all eigenpairs/1/{rows}"]
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(250), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["2 rows", "4 rows", "8 rows"])
def test_the_largest_eigenvalue_is_estimated_as_on_one_device(eight_for_long, rows):
    one, several = (eight_for_long.arrays[f"largest/0/{which}"] for which in ("1 rows", rows))
    np.testing.assert_allclose(several, one, rtol=1e-4)


def filter_is_that_of_one_device(found, rows):
    assert found["filter/1 rows"] is None
    assert f"{found[f'filter/{rows}']['rows']} rows" == rows
    scores = found.arrays["filter/1 rows"]
    assert scores.std() > 0.01
    np.testing.assert_allclose(found.arrays[f"filter/{rows}"], scores, rtol=0, atol=1e-4 * np.abs(scores).max())


def test_a_filter_in_rows_has_the_scores_of_one_device(eight):
    filter_is_that_of_one_device(eight, "4 rows")


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["2 rows", "8 rows"])
def test_a_filter_in_other_numbers_of_rows_is_that_of_one_device(eight_for_long, rows):
    filter_is_that_of_one_device(eight_for_long, rows)
    one, several = (eight_for_long[f"filter measured/{which}"] for which in ("1 rows", rows))
    assert several["new"] == one["new"]
    for part in ("valid", "test"):
        assert several[part] == pytest.approx(one[part], abs=1e-4), part


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["2 rows", "8 rows"])
@pytest.mark.parametrize("head", ["filter", "network"])
def test_a_ranker_in_rows_learns_what_it_learns_on_one_device(eight_for_long, head, rows):
    (_, ceiling), (mesh, shared) = (eight_for_long[f"ranker/{head}/{which}"] for which in ("1 rows", rows))
    assert f"{mesh['rows']} rows" == rows
    assert shared == ceiling
    one, several = (eight_for_long.arrays[f"ranker/{head}/{which}"] for which in ("1 rows", rows))
    assert one.std() > 0.01
    # Features of a spread near 0 make more of a rounding: the network's weights that skip its layers differ by .1%.
    np.testing.assert_allclose(several, one, rtol=0, atol={"filter": 1e-5, "network": 0.05}[head] * one.std())
