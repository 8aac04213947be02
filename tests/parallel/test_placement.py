"""Placements: equal rows, equal non-zeros, and the same tables whatever the number of devices."""

import numpy as np
import pytest

import jaxrec
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.parallel import in_place, place

DEVICES = (2, 4, 8, 16, 32, 64)


def power_law(size, total, rng, largest):
    """Degrees of a power law with this sum, the largest at most `largest`."""
    weights = 1 / np.arange(1, size + 1) ** 0.75
    degrees = np.minimum(np.maximum((weights / weights.sum() * total).astype(int), 1), largest)
    short = total - degrees.sum()
    degrees[rng.permutation(size)[: abs(short) % size]] += 1
    return rng.permutation(degrees)


def loads(weights, places, rows_of_part, parts, devices):
    """The non-zeros and the rows of each device."""
    device = places // rows_of_part // (parts // devices)
    return np.bincount(device, weights, devices), np.bincount(device, minlength=devices)


@pytest.fixture(scope="module")
def gowallas_size():
    rng = np.random.default_rng(0)
    return power_law(29_858, 810_128, rng, 811), power_law(40_981, 810_128, rng, 1_415)


@pytest.mark.parametrize("devices", DEVICES)
def test_devices_have_equal_rows_and_non_zeros(gowallas_size, devices):
    users, items = gowallas_size
    made = place(users, items, devices=devices)
    non_zeros = np.zeros(devices)
    for weights, places, rows in ((users, made.users, made.user_rows), (items, made.items, made.item_rows)):
        assert len(np.unique(places)) == len(weights)
        sums, counts = loads(weights, places, rows, made.parts, devices)
        assert counts.max() <= rows * made.parts // devices
        assert sums.max() < 1.01 * sums.mean()
        non_zeros += sums
    assert non_zeros.max() < 1.01 * non_zeros.mean()
    assert made.num_users + made.num_items < 1.002 * (len(users) + len(items))


@pytest.mark.parametrize("sizes", [(943, 1_682, 100_000), (610, 9_000, 100_000), (6_040, 3_700, 1_000_000)])
def test_devices_of_small_data_have_equal_non_zeros(sizes):
    """A part of 64 may have more than its share, where a heavy row fills it, and those of a device make up for it."""
    *sides, total = sizes
    shares = (1 / (np.arange(size) + 10) ** 0.8 for size in sides)
    users, items = (np.maximum(share / share.sum() * total, 1).astype(int) for share in shares)
    for devices in (2, 4, 8):
        made = place(users, items, devices=devices)
        sums = loads(users, made.users, made.user_rows, made.parts, devices)[0]
        sums = sums + loads(items, made.items, made.item_rows, made.parts, devices)[0]
        assert sums.max() < 1.005 * sums.mean()


def test_gowalla_is_balanced():
    try:
        data = jaxrec.load("gowalla")
    except (JaxrecError, OSError):
        pytest.skip("JAXREC_DATA has no Gowalla")
    users = np.bincount(data.user, minlength=data.num_users)
    items = np.bincount(data.item, minlength=data.num_items)
    for devices in DEVICES:
        made = place(users, items, devices=devices)
        sums = loads(users, made.users, made.user_rows, made.parts, devices)[0]
        sums = sums + loads(items, made.items, made.item_rows, made.parts, devices)[0]
        assert sums.max() < 1.01 * sums.mean()


def test_tables_are_the_same_for_all_divisors_of_64():
    rng = np.random.default_rng(1)
    users, items = power_law(300, 2_000, rng, 100), power_law(500, 2_000, rng, 100)
    first = place(users, items, devices=2)
    for devices in DEVICES[1:]:
        other = place(users, items, devices=devices)
        for name in ("users", "items", "nodes"):
            np.testing.assert_array_equal(getattr(other, name), getattr(first, name))


def test_other_numbers_of_devices_have_parts_that_they_divide():
    made = place(np.ones(10, int), np.ones(7, int), devices=3)
    assert made.parts == 66
    assert made.parts % 3 == 0


def test_one_device_leaves_all_rows_where_they_were():
    made = place(np.array([1, 5]), np.array([3]), devices=1)
    assert (made.users.tolist(), made.items.tolist(), made.nodes.tolist()) == ([0, 1], [0], [0, 1, 2])
    assert made.num_users + made.num_items == 3


@pytest.mark.parametrize("devices", [1, 4])
def test_within_a_part_rows_are_in_the_order_of_their_ranks(devices):
    rng = np.random.default_rng(3)
    users, items = power_law(300, 2_000, rng, 100), power_law(500, 2_000, rng, 100)
    ranks = rng.integers(0, 5, 800)
    made, plain = place(users, items, devices=devices, ranks=ranks), place(users, items, devices=devices)
    assert made.parts == (1 if devices == 1 else 64)
    sides = (
        (made.users, plain.users, made.user_rows, ranks[:300]),
        (made.items, plain.items, made.item_rows, ranks[300:]),
    )
    for places, before, rows, own in sides:
        np.testing.assert_array_equal(places // rows, before // rows)  # each stays in its part
        order = np.argsort(places)
        part, rank = places[order] // rows, own[order]
        assert (np.diff(part * 5 + rank) >= 0).all()
        alike = (np.diff(part) == 0) & (np.diff(rank) == 0)
        assert alike.sum() > 50
        assert (np.diff(order)[alike] > 0).all()  # those of one rank in the order of the data


def test_ranks_of_another_number_of_nodes_are_refused():
    with pytest.raises(MismatchError, match="ranks are of 2 nodes, and there are 3"):
        place(np.ones(2, int), np.ones(1, int), devices=1, ranks=np.zeros(2, int))


def test_a_table_comes_back_as_it_was():
    rng = np.random.default_rng(2)
    made = place(rng.integers(1, 9, 11), rng.integers(1, 9, 5), devices=4, parts=4)
    for side, rows in (("users", 11), ("items", 5), ("nodes", 16)):
        table = rng.normal(size=(rows, 3))
        placed = made.placed(table, side)
        assert placed.shape == (made.size_of(side), 3)
        assert np.count_nonzero(placed) == table.size
        np.testing.assert_array_equal(made.back(placed, side), table)


def test_nodes_of_a_part_are_its_users_and_its_items():
    made = place(np.array([4, 3, 2, 1]), np.array([9, 5]), devices=2, parts=2)
    users, items = np.arange(10, 14), np.arange(20, 22)
    nodes = made.placed(np.concatenate([users, items]), "nodes").reshape(2, -1)
    own, theirs = made.placed(users, "users").reshape(2, -1), made.placed(items, "items").reshape(2, -1)
    np.testing.assert_array_equal(nodes, np.concatenate([own, theirs], axis=1))


def test_a_table_of_another_size_is_refused():
    with pytest.raises(MismatchError, match="a table of 2 users is placed, got 3 rows"):
        in_place(2, 1).placed(np.zeros(3), "users")


def test_no_device_is_refused():
    with pytest.raises(JaxrecError, match="devices must be a whole number of at least 1, got 0"):
        place(np.ones(2, int), np.ones(2, int), devices=0)
