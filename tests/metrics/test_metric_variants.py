"""Every metric alone and lifted by vmap: with and without jit, on and off the device, under pmap, over four devices."""

import inspect
import json
import os
import pathlib
import re
import subprocess
import sys

import chex
import numpy as np
import pytest
from reference.metric_cases import cases, lifted

from jaxrec import metrics

# One cut of each metric and of each of its options, and one distance of a caller: the others run the same code.
LEFT_OUT = ("@1", "@10", "@20", "city_block", "pairs_cosine", "pairs_jaccard")
SOME = {label: case for label, case in cases().items() if not label.endswith(LEFT_OUT)}


def test_every_metric_has_a_case():
    public = {name for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))}
    # `long_tail` is computed on the host, once for a data set, and cannot be traced.
    assert {case.metric for case in SOME.values()} == public - {"long_tail"}


def inputs():
    return {label: ([*case.rows], [*case.shared]) for label, case in SOME.items()}


def assert_twins(values):
    for label, case in SOME.items():
        np.testing.assert_allclose(values[label], case.expected, atol=1e-6, rtol=0, err_msg=label)


@pytest.mark.slow
class Variants(chex.TestCase):
    """The value of the slow twin, whatever surrounds the function."""

    @chex.variants(with_jit=True, without_jit=True, with_device=True, without_device=True)
    def test_of_one_user(self):
        of_one = {label: ([np.asarray(row[3]) for row in rows], shared) for label, (rows, shared) in inputs().items()}

        def every_value(given):
            return {label: SOME[label].function(*rows, *shared) for label, (rows, shared) in given.items()}

        values = self.variant(every_value)(of_one)
        for label, case in SOME.items():
            np.testing.assert_allclose(values[label], case.expected[3], atol=1e-6, rtol=0, err_msg=label)

    @chex.all_variants
    def test_of_all_users(self):
        def every_value(given):
            return {label: lifted(SOME[label])(*rows, *shared) for label, (rows, shared) in given.items()}

        values = self.variant(every_value)(inputs())
        assert_twins(
            {label: np.asarray(own).reshape(-1, *SOME[label].expected.shape)[0] for label, own in values.items()}
        )


# In a process of its own, since the number of devices is fixed when JAX starts.
SCRIPT = """
import json, sys
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from reference.metric_cases import cases, example, lifted
from jaxrec import metrics

labels = set(json.load(sys.stdin))
some = {label: case for label, case in cases().items() if label in labels}
mesh = jax.make_mesh((4,), ("users",), axis_types=(jax.sharding.AxisType.Auto,))
split, whole = NamedSharding(mesh, PartitionSpec("users")), NamedSharding(mesh, PartitionSpec())

@jax.jit
def every_value(given):
    return {label: lifted(some[label])(*rows, *shared) for label, (rows, shared) in given.items()}

def placed(rows, shared):
    given = {label: ([*case.rows], [*case.shared]) for label, case in some.items()}
    return {
        label: ([jax.device_put(row, rows) for row in own], [jax.device_put(table, shared) for table in tables])
        for label, (own, tables) in given.items()
    }

one = every_value(placed(jax.devices()[0], jax.devices()[0]))
four = every_value(placed(split, whole))
lists = example().lists
count = jax.jit(lambda lists: metrics.exposure(lists, 50))
json.dump({
    "devices": len(jax.devices()),
    "rows of a device": {label: value.addressable_shards[0].data.shape[0] for label, value in four.items()},
    "one": {label: np.asarray(value).tolist() for label, value in one.items()},
    "four": {label: np.asarray(value).tolist() for label, value in four.items()},
    "exposure": [np.asarray(count(jax.device_put(lists, where))).tolist() for where in (jax.devices()[0], split)],
}, sys.stdout)
"""


def test_lists_on_four_devices_give_what_they_give_on_one():
    tests = pathlib.Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(list(SOME)),
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": re.sub(r"device_count=\d+", "device_count=4", os.environ["XLA_FLAGS"]),
            "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["devices"] == 4
    assert_twins(told["four"])
    for label, case in SOME.items():
        assert told["rows of a device"][label] == len(case.expected) // 4, label  # nobody gathered them
        np.testing.assert_allclose(told["four"][label], told["one"][label], atol=1e-6, rtol=0, err_msg=label)
    # A count over all users crosses the devices, and is exact.
    assert told["exposure"][0] == told["exposure"][1]
    assert sum(told["exposure"][0]) > 0
