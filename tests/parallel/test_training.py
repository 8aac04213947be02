"""Trainings on several devices have the losses, parameters and figures of one device."""

import numpy as np
import pytest

QUICK = {
    "lightgcn": ("8 x 1", "1 x 4", "2 x 2", "4 x 1 by clusters"),
    "softmax": ("4 x 1",),
    "by degree": ("4 x 1",),
    "mf": ("4 x 1",),
    "gcn": ("4 x 1",),
}
SLOW = {
    "large": ("2 x 1", "4 x 1", "8 x 1", "1 x 8", "2 x 4", "8 x 1 in 3"),
    "softmax": ("2 x 1", "8 x 1", "2 x 2", "1 x 4"),
    "softmax at k": ("4 x 1",),
    "by degree": ("8 x 1", "2 x 2"),
    "mf": ("8 x 1", "1 x 4"),
    "gcn": ("2 x 2", "1 x 4"),
    "lightgcn++": ("4 x 1", "1 x 2"),
    "simgcl": ("1 x 2", "4 x 1"),
    "xsimgcl": ("2 x 1", "2 x 2", "4 x 1 by clusters"),
}


def pairs_of(layouts):
    return [(model, layout) for model, several in layouts.items() for layout in several]


def same_as_one_device(found, model, layout, epochs=20):
    one, several = found[f"{model}: one"], found[f"{model}: {layout}"]
    assert one["mesh"] is None
    assert f"{several['mesh']['rows']} x {several['mesh']['columns']}" == " ".join(layout.split()[:3])
    assert several["mesh"]["order"] == ("clusters" if "by clusters" in layout else "data")
    assert len(several["losses"]) == epochs
    assert abs(several["losses"][-1] - several["losses"][0]) > 1e-3
    # A loss above 1 has fewer digits behind the point.
    np.testing.assert_allclose(several["losses"], one["losses"], rtol=0, atol=1e-6 * max(1, one["losses"][0]))
    names = [name.partition("/")[2] for name in found.arrays if name.startswith(f"{model}: one/")]
    assert len(names) >= 4
    for name in names:
        have, expected = found.arrays[f"{model}: {layout}/{name}"], found.arrays[f"{model}: one/{name}"]
        assert have.shape == expected.shape
        np.testing.assert_allclose(have, expected, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("model", "layout"), pairs_of(QUICK))
def test_losses_of_20_steps_and_parameters_are_those_of_one_device(eight, model, layout):
    same_as_one_device(eight, model, layout)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "layout"), pairs_of(SLOW))
def test_losses_and_parameters_of_more_models_and_of_larger_data_are_those_of_one_device(eight_for_long, model, layout):
    same_as_one_device(eight_for_long, model, layout)


@pytest.mark.parametrize("layout", ["3 x 1", "8 x 1", "4 x 1", "1 x 4"])
def test_a_product_and_its_gradient_have_the_bits_of_one_device(eight, layout):
    for what in ("product", "gradient"):
        np.testing.assert_array_equal(eight.arrays[f"{what}/{layout}"], eight.arrays[f"{what}/one"])


def test_validation_finds_the_same_epoch_and_callbacks_get_parameters_in_the_order_of_the_data(eight):
    one, several = eight["validated/one"], eight["validated/4 rows"]
    assert several["best"] == one["best"]
    for part in ("valid", "test"):
        assert set(several[part]) == set(one[part])
        for name, value in one[part].items():
            assert several[part][name] == pytest.approx(value, abs=1e-4), name
    assert several["shapes"] == one["shapes"] == [[150], [150, 8], [100], [100, 8]]


@pytest.mark.parametrize("layout", ["4 rows", "2 rows", "one"])
def test_a_fit_goes_on_with_another_number_of_devices(eight, layout):
    assert eight[f"resumed/{layout}"] == 5
    found, expected = eight.arrays[f"resumed/{layout}"], eight.arrays["resumed/whole"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_fit_that_goes_on_with_the_same_devices_has_the_bits_of_one_that_was_never_stopped(eight):
    np.testing.assert_array_equal(eight.arrays["resumed/4 rows"], eight.arrays["resumed/whole on 4"])


@pytest.mark.parametrize("rows", [2, 4, 8])
def test_implicit_als_in_rows_gives_the_scores_of_one_device(eight, rows):
    assert (eight[f"ials/{rows} rows"]["rows"], eight[f"ials/{rows} rows"]["columns"]) == (rows, 1)
    one = eight.arrays["ials/one"]
    assert one.std() > 0.05
    np.testing.assert_allclose(eight.arrays[f"ials/{rows} rows"], one, rtol=0, atol=1e-4)


def members_are_those_of_one_device(found, model, layout):
    for member in range(3):
        same_as_one_device(found, f"{model}, member {member}", layout, epochs=6)


def test_members_trained_together_on_a_mesh_are_those_of_one_device(eight):
    members_are_those_of_one_device(eight, "lightgcn", "4 x 1")
    losses = [eight[f"lightgcn, member {member}: 4 x 1"]["losses"] for member in range(3)]
    assert len({tuple(own) for own in losses}) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "layout"), [("large", "8 x 1"), ("large", "2 x 2"), ("mf", "2 x 1"), ("mf", "1 x 4")]
)
def test_members_of_more_models_and_of_larger_data_are_those_of_one_device(eight_for_long, model, layout):
    members_are_those_of_one_device(eight_for_long, model, layout)


@pytest.mark.slow
def test_members_go_on_after_a_stop(eight_for_long):
    whole = eight_for_long.arrays["members/whole"]
    np.testing.assert_array_equal(eight_for_long.arrays["members/4 rows"], whole)
    np.testing.assert_allclose(eight_for_long.arrays["members/one"], whole, rtol=0, atol=1e-5)


REFUSED = {
    "many devices": "9 devices are asked for and JAX has 8 (cpu); ask for 8, or start with "
    "XLA_FLAGS=--xla_force_host_platform_device_count=9",
    "axes": "mesh has the axes 'data'; name them 'rows'",
    "no mesh": "mesh is 'four'; pass a number of devices",
    "model": "SVDPP is trained on one device: its class names no axis of a mesh in `mesh_axes`; leave mesh out",
    "subclass": "Own is trained on one device: its class names no axis of a mesh in `mesh_axes`",
    "solved": "EASE is solved on one device: its class names no axis of a mesh in `mesh_axes`",
    "rows": "ByColumns can be split by columns only, and the mesh splits rows; pass "
    "mesh=jaxrec.parallel.Layout(columns=2)",
    "columns": "has 6 columns, which 4 devices cannot share equally; make it a multiple of 4, or split the rows",
    "resume on 2 rows": "mesh was '4 devices (4 x rows)' and is '2 devices (2 x rows)'; equal bits cannot be promised",
    "resume on one": "mesh was '4 devices (4 x rows)' and is not there; equal bits cannot be promised",
    "blocks": "blocks of columns are for models that are trained, and GraphFilter is solved; leave blocks out",
    "blocks on one device": "blocks are of columns that devices with some of the rows gather, and no rows are split, "
    "got 2; leave blocks out",
    "blocks by columns": "and no rows are split, got 2; leave blocks out",
    "blocks of mf": "MF multiplies by no adjacency here, so no table is gathered in blocks, got 4; leave blocks out",
    "members": "the members of SpectralRanker are fitted on one device; leave mesh out, or the members",
    "filter by columns": "GraphFilter can be split by rows only, and the mesh splits columns; pass "
    "mesh=jaxrec.parallel.Layout(rows=2)",
    "optimizer": "OptaxOptimizer moves a table otherwise where its rows lie elsewhere or rows of zeros lie "
    "among them, as one does that draws noise",
    "sparse": "steps on the rows of a batch (sparse=True) are for one device; leave sparse or mesh out",
    "sampler": "the adjacency lies on several devices and has no 'indptr'; use spmm, join_nodes",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_several_devices_cannot_do_is_said_in_a_sentence(eight, name):
    assert eight[f"refused/{name}"] is not None
    assert REFUSED[name] in eight[f"refused/{name}"]


def test_a_mesh_with_explicit_axes_is_taken(eight):
    assert (eight["explicit"]["rows"], eight["explicit"]["columns"], eight["explicit"]["why"]) == (4, 1, "as asked")
