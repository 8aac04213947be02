"""Bytes: stated before a step is compiled, and counted in its compiled text."""

import pytest

from jaxrec.parallel import communicated_bytes

LAYERS, DIM, USERS, ITEMS = 2, 32, 2_990, 4_100

BATCH = 512
SUMS = 5 * BATCH * 4  # of each row two scores, and three squared lengths for the penalty


def padded(rows, parts=64):
    return -(-rows // parts) * parts


@pytest.mark.parametrize(("rows", "columns", "blocks"), [(4, 1, 1), (8, 1, 1), (8, 1, 4), (2, 2, 1)])
def test_bytes_that_products_gather_are_those_of_the_compiled_text(eight, rows, columns, blocks):
    plan = eight[f"plan/{rows} x {columns} x {blocks}"]
    nodes = padded(USERS) + padded(ITEMS)
    # Each layer forward and back, but for the last one's way back, which begins with the rows of the batch.
    assert plan["gathered"] == (2 * LAYERS - 1) * nodes * DIM // columns * 4
    assert plan["communicated"]["all-gather"] == plan["gathered"]
    # The rows of users, positives and negatives, before and after propagation; with columns also sums of products.
    rows_of_batch = 2 * 3 * BATCH * DIM // columns * 4
    assert plan["communicated"]["all-reduce"] == rows_of_batch + (SUMS if columns > 1 else 0)
    assert set(plan["communicated"]) == {"all-gather", "all-reduce"}


@pytest.mark.parametrize("layout", ["1 x 8 x 1", "1 x 1 x 1"])
def test_columns_gather_nothing(eight, layout):
    assert eight[f"plan/{layout}"]["gathered"] == 0
    assert "all-gather" not in eight[f"plan/{layout}"]["communicated"]


def test_columns_send_sums_only(eight):
    assert eight["plan/1 x 8 x 1"]["communicated"] == {"all-reduce": SUMS}


def test_state_and_adjacency_of_a_device_fall_with_their_number(eight):
    one = eight["plan/1 x 1 x 1"]
    for devices in (4, 8):
        several = eight[f"plan/{devices} x 1 x 1"]
        grown = (padded(USERS) + padded(ITEMS)) / (USERS + ITEMS)  # to a multiple of 64 rows each
        assert several["state"] == pytest.approx(one["state"] * grown / devices, rel=0.001)
        assert several["state"] == pytest.approx(one["state"] / devices, rel=0.03)
        assert several["operator"] == pytest.approx(one["operator"] / devices, rel=0.03)
        assert several["pairs"] == one["pairs"]
        batch = BATCH * (4 + 4 + 4 + 1 + 4)
        assert several["state"] + several["operator"] <= several["arguments"]
        assert several["arguments"] <= several["state"] + several["operator"] + batch + 4 * (USERS + ITEMS) + 1024


def test_blocks_of_columns_take_less_memory(eight):
    whole, cut = eight["plan/8 x 1 x 1"], eight["plan/8 x 1 x 4"]
    assert cut["layout"]["blocks"] == 4
    assert cut["temporaries"] < whole["temporaries"]
    assert cut["gathered"] == whole["gathered"]


def test_a_layout_is_chosen_by_bytes_and_says_so(eight):
    rows, columns, why = eight["chosen/lightgcn"]
    # Of so few nodes the padding of rows is much.
    assert (rows, columns) == (1, 4)
    assert why.startswith("columns ")
    assert "MB a device and 0.0 MB gathered a step; rows " in why


def test_what_cannot_be_split_one_way_is_split_the_other_way(eight):
    assert eight["chosen/uneven"][:2] == [4, 1]
    why = eight["chosen/uneven"][2].replace("item_", "user_")
    assert "not columns: the parameter user_embedding has 6 columns" in why
    assert eight["chosen/by columns"][:2] == [1, 4]


@pytest.mark.parametrize(("model", "products"), [("simgcl", 7), ("xsimgcl", 4)])
def test_passes_with_noise_share_the_first_product(eight, model, products):
    # With two layers: the first product, the plain second one, those of two noisy passes or of one, and all but the
    # plain second one again on the way back.
    plan = eight[f"plan/{model}"]
    assert plan["gathered"] == plan["communicated"]["all-gather"] == products * (padded(USERS) + padded(ITEMS)) * 32 * 4


def test_a_filter_gathers_what_it_multiplies_and_no_more(eight):
    plan, one = eight["plan/filter/8"], eight["plan/filter/1"]
    width, nodes = 32 + 64, padded(USERS) + padded(ITEMS)
    assert plan["gathered"] == plan["communicated"]["all-gather"] == nodes * width * 4
    # Gram matrices of the columns, and lengths of columns: the tall block is never sent as a whole.
    assert 0 < plan["communicated"]["all-reduce"] < 6 * width**2 * 4 < padded(USERS) * width * 4
    assert set(plan["communicated"]) == {"all-gather", "all-reduce"}
    assert plan["state"] == pytest.approx(one["state"] / 8, rel=0.02)
    everywhere = 4 * (USERS + ITEMS)  # the place of each user and item
    assert plan["operator"] - everywhere == pytest.approx((one["operator"] - everywhere) / 8, rel=0.02)
    assert plan["step"].startswith("a step: one product of the block")


def test_a_filter_is_planned_in_rows(eight):
    assert eight["chosen/filter"] == [4, 1, "GraphFilter is solved so"]


def test_implicit_als_gathers_the_vectors_of_the_other_side(eight):
    plan, one = eight["plan/ials/8"], eight["plan/ials/1"]
    assert plan["gathered"] == plan["communicated"]["all-gather"] == padded(ITEMS) * DIM * 4
    assert set(plan["communicated"]) == {"all-gather"}
    assert plan["state"] == pytest.approx(one["state"] / 8, rel=0.02)
    assert plan["operator"] == pytest.approx(one["operator"] / 8, rel=0.02)
    assert plan["step"].startswith("a step: the half of an iteration")


TEXT = """\
HloModule jit_step, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add = f32[] add(%a, %b)
}

%body (state: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %state = (s32[], f32[8,4]{1,0}) parameter(0)
  %part = f32[2,4]{1,0} constant({...})
  %all-gather.1 = f32[8,4]{1,0} all-gather(%part), channel_id=1, dimensions={0}
  ROOT %out = (s32[], f32[8,4]{1,0}) tuple(%all-gather.1)
}

%more (x: f32[3]) -> f32[3] {
  %x = f32[3]{0} parameter(0)
  ROOT %all-reduce.2 = f32[3]{0} all-reduce(%x), channel_id=3, to_apply=%sum
}

%less (x: f32[3]) -> f32[3] {
  ROOT %y = f32[3]{0} parameter(0)
}

ENTRY %main (p: f32[2,4]) -> f32[8,4] {
  %p = f32[2,4]{1,0} parameter(0)
  %loop = (s32[], f32[8,4]{1,0}) while(%p), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"5"}}
  %both = (f32[7]{0}, bf16[10]{0}) all-reduce(%p, %p), channel_id=2, to_apply=%sum
  %which = f32[3]{0} conditional(%p, %p, %p), branch_computations={%more, %less}
  ROOT %done = f32[8,4]{1,0} get-tuple-element(%loop), index=1
}
"""


def test_a_collective_in_a_loop_counts_as_often_as_it_runs():
    assert communicated_bytes(TEXT) == {"all-gather": 5 * 8 * 4 * 4, "all-reduce": 7 * 4 + 10 * 2 + 3 * 4}


def test_a_loop_with_collectives_that_does_not_say_how_often_it_runs_is_refused():
    with pytest.raises(ValueError, match="does not say how often it runs: body"):
        communicated_bytes(TEXT.replace('"known_trip_count":{"n":"5"}', '"other":1'))
