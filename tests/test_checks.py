"""Options are checked for kind and range, in Python as on the command line."""

import jax
import numpy as np
import pytest

import jaxrec
from jaxrec._checks import address, digits, number, shown, whole
from jaxrec.errors import JaxrecError
from jaxrec.losses import InBatchSoftmax, SquaredError
from jaxrec.sampling import Uniform
from jaxrec.training import Adagrad, Adam

KEY = jax.random.key(0)
DATA = jaxrec.from_arrays([0, 0, 1, 1], [0, 1, 1, 2])


@pytest.mark.parametrize("value", [1, 7, np.int32(7), np.uint8(7), np.array(7)])
def test_whole_numbers_of_any_make_are_whole(value):
    assert whole("epochs", value, 1) == int(value)
    assert type(whole("epochs", value, 1)) is int


@pytest.mark.parametrize("value", [1.5, 2.0, float("nan"), True, np.True_, "3", None, [3], np.array([3]), 0, -1])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(JaxrecError, match="epochs must be a whole number of at least 1, got "):
        whole("epochs", value, 1)


def test_a_number_that_the_device_cannot_count_is_refused():
    with pytest.raises(JaxrecError, match="batch_size must be at most 2,147,483,647, got 9223372036854775808"):
        whole("batch_size", 2**63, 1)


@pytest.mark.parametrize("text", ["²", "٣", "1²", "-1", "+1", " 1", "1_0", "1.0", "", "9" * 5000])
def test_a_text_of_other_characters_is_no_number(text):
    assert digits(text) is None
    assert digits("0" + "7" * 20) == int("7" * 20)


@pytest.mark.parametrize("value", ["10.0.0.1:1", "localhost:65535", "node-1.cluster.local:4000", "[::1]:4000", "a:80"])
def test_an_address_is_a_host_and_a_port(value):
    assert address("coordinator", value) == value


ADDRESSES = ["foo", "foo:", ":4000", "foo:0", "foo:65536", "foo:x", "foo:-1", "foo:²", "foo:4000 ", "a b:4000", ""]


@pytest.mark.parametrize(
    "value", [*ADDRESSES, "::1:4000", "[]:4000", "[a]:4000", "[::1]", "http://a:4000", "a:1:2", 4000]
)
def test_what_is_no_address_is_refused_with_an_example(value):
    with pytest.raises(JaxrecError, match=r"^coordinator must be HOST:PORT, .* 1 to 65535, got .*10\.0\.0\.1:4000"):
        address("coordinator", value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "0.1", None, 1j, -0.5, 1.5])
def test_what_is_no_number_in_the_range_is_refused(value):
    with pytest.raises(JaxrecError, match=r"share must be a finite number of at least 0 and at most 1, got "):
        number("share", value, 0, 1)


def test_long_values_do_not_fill_a_message():
    assert shown("x" * 100) == "a value of type str"


FIT = {
    "epochs": ({"epochs": 1.5}, "epochs must be a whole number of at least 1, got 1.5"),
    "epochs NaN": ({"epochs": float("nan")}, "epochs must be a whole number of at least 1, got nan"),
    "batch size": ({"batch_size": "4"}, "batch_size must be a whole number of at least 1, got '4'"),
    "switch": ({"batch_size": True}, "batch_size must be a whole number of at least 1, got True"),
    "negatives": ({"negatives": 1.5}, "negatives must be a whole number of at least 1, got 1.5"),
    "negatives switch": ({"negatives": True}, "negatives is True"),
    "tolerance": ({"tolerance": float("inf")}, "tolerance must be a finite number, got inf"),
    "refit": ({"refit": 1}, 'refit must be True, False or "all", got 1'),
    "learning rate": ({"optimizer": Adam("0.1")}, "Adam: learning_rate must be a finite number, got '0.1'"),
    "infinite rate": ({"optimizer": Adam(float("inf"))}, "Adam: learning_rate must be a finite number, got inf"),
    "temperature": ({"loss": InBatchSoftmax(float("inf"))}, "InBatchSoftmax: temperature must be a finite number"),
}


@pytest.mark.parametrize("name", FIT)
def test_options_of_a_fit_are_refused_before_it(name):
    options, message = FIT[name]
    with pytest.raises(JaxrecError, match=message):
        jaxrec.fit(jaxrec.MF(dim=2), DATA, key=KEY, **{"epochs": 1, **options})


MADE = {
    "dim": (lambda: jaxrec.MF(dim=1.5), "MF: dim must be a whole number, got 1.5"),
    "layers": (lambda: jaxrec.LightGCN(layers="2"), "LightGCN: layers must be a whole number, got '2'"),
    "l2": (lambda: jaxrec.EASE(l2="3"), "EASE: l2 must be a finite number, got '3'"),
    "neighbors": (lambda: jaxrec.ItemKNN(neighbors=2.5), "ItemKNN: neighbors must be a whole number, got 2.5"),
    "num": (lambda: Uniform(1.5), "Uniform: num must be a whole number, got 1.5"),
    "chunks": (lambda: InBatchSoftmax(chunks="2"), "InBatchSoftmax: chunks must be a whole number, got '2'"),
    "b1": (lambda: Adam(b1=1.5), r"b1 must lie in \[0, 1\), got 1.5"),
    "initial": (lambda: Adagrad(initial=-1.0), "initial must be finite and not negative, got -1.0"),
    "scale": (lambda: SquaredError(scale=5), r"scale must be \(lowest, highest\), such as \(1, 5\), got 5"),
    "every": (lambda: jaxrec.Validation(every=1.5), "every must be a whole number of at least 1, got 1.5"),
    "memory": (lambda: jaxrec.recommend(POPULAR, k=1, memory_mb=float("inf")), "memory_mb must be a finite number"),
}
POPULAR = jaxrec.fit(jaxrec.Popularity(), DATA, key=KEY)


@pytest.mark.parametrize("name", MADE)
def test_options_of_another_kind_are_refused_where_they_are_given(name):
    make, message = MADE[name]
    with pytest.raises(JaxrecError, match=message):
        make()


def test_numpy_numbers_will_do():
    options = jaxrec.TrainingOptions(epochs=np.int64(2), batch_size=np.int32(4), tolerance=np.float32(0.5))
    assert (options.epochs, options.batch_size, options.tolerance) == (2, 4, 0.5)
    assert {type(value) for value in (options.epochs, options.batch_size, options.tolerance)} == {int, float}


@pytest.mark.parametrize("name", ["dim", "scale", "initializer", "num_users"])
def test_an_array_is_no_number_and_no_word(name):
    with pytest.raises(JaxrecError, match=f"MF: {name} must be one word or number, got array"):
        jaxrec.MF(**{name: np.array([1, 2])})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"log": 5}, "log must be the path of a file, got 5"),
        ({"callbacks": None}, r"callbacks must be a sequence, such as \[print\], got None"),
        ({"callbacks": "print"}, "callbacks must be a sequence"),
        ({"callbacks": [5]}, "callbacks has 5, which cannot be called"),
        ({"reduction": np.array([1, 2])}, "reduction must be"),
    ],
)
def test_what_a_fit_is_told_is_checked_before_it_begins(given, message):
    data = jaxrec.from_arrays([0, 1], [0, 1])
    with pytest.raises(JaxrecError, match=message):
        jaxrec.fit(jaxrec.MF(dim=2), data, key=jax.random.key(0), epochs=1, **given)
