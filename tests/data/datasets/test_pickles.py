"""The reader of published pickles: plain arrays are read, whatever wrote them; everything hostile is refused, unrun."""

import collections
import io
import os
import pickle
import re
import resource
import struct

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxrec.data.datasets._pickles import CompressedRows, read_pickle
from jaxrec.errors import DataError, MissingFileError


@pytest.fixture
def written(tmp_path):
    """A function that writes bytes, or the pickle of an object, and returns the path."""

    def write(content, protocol=4):
        path = tmp_path / "ind.toy.x"
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=protocol))
        return path

    return write


PLAIN = st.sampled_from(["bool", "int8", "uint16", "int32", "<i4", ">i4", "int64", ">f8", "float32", "float16"])


@given(
    PLAIN.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))), st.booleans()
)
def test_arrays_of_plain_numbers_are_read_as_they_are(tmp_path_factory, array, fortran):
    path = tmp_path_factory.mktemp("arrays") / "array"
    if fortran:
        array = np.asfortranarray(array)
    path.write_bytes(pickle.dumps(array, protocol=4))
    read = read_pickle(path)
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype.newbyteorder("=")


def test_sparse_matrices_are_read_by_rows(written):
    dense = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]], np.float32)
    rows = read_pickle(written(scipy.sparse.csr_matrix(dense)))
    assert isinstance(rows, CompressedRows)
    assert rows.shape == (3, 3)
    assert rows.data.tolist() == [2, 1, 3]
    assert list(zip(rows.rows.tolist(), rows.columns.tolist(), strict=True)) == [(0, 1), (2, 0), (2, 2)]
    assert (rows.data.dtype, rows.columns.dtype, rows.indptr.dtype) == (np.float32, np.int32, np.int32)


@pytest.mark.parametrize("protocol", range(5))
def test_graphs_as_dicts_of_lists_are_read(protocol, written):
    graph = collections.defaultdict(list, {0: [1, 2], 1: [], 2: [0]})
    assert read_pickle(written(graph, protocol)) == dict(graph)


OLD = (  # what Python 2 writes for array([[1, 2]], int32), with its names and its strings for bytes
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x01K\x02\x86cnumpy\ndtype\nU\x02i4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"\x89U\x08\x01\x00\x00\x00\x02\x00\x00\x00tb."
)


def test_arrays_of_python_2_are_read(written):
    array = read_pickle(written(OLD))
    assert array.tolist() == [[1, 2]]
    assert array.dtype == np.int32


class Calls:
    """Pickles as a call of a function that has its module and name, whether or not there is one."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def named(module, name, *arguments):
    """The bytes of a pickle that calls module.name(*arguments), by the oldest means: a name in plain text."""
    body = b"".join(pickle.dumps(argument, protocol=2)[2:-1] for argument in arguments)
    return b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n(" + body + b"tR."


def short(text):
    return b"\x8c" + struct.pack("B", len(text)) + text.encode()


GADGETS = {
    "posix.system": lambda trap: named("posix", "system", f"touch {trap}"),
    "os.system": lambda trap: named("os", "system", f"touch {trap}"),
    "subprocess.Popen": lambda trap: named("subprocess", "Popen", f"touch {trap}"),
    "builtins.eval": lambda trap: named("builtins", "eval", f"open({trap!r}, 'w').close()"),
    "__builtin__.eval": lambda trap: named("__builtin__", "eval", f"open({trap!r}, 'w').close()"),
    "builtins.exec": lambda trap: named("builtins", "exec", f"open({trap!r}, 'w').close()"),
    "builtins.open": lambda trap: named("builtins", "open", trap, "w"),
    "builtins.getattr": lambda trap: named("builtins", "getattr", 1, "real"),
    "numpy.testing._private.utils.runstring": lambda trap: named(
        "numpy.testing._private.utils", "runstring", f"open({trap!r}, 'w').close()", {}
    ),
    "numpy.f2py.crackfortran.getlincoef": lambda trap: named(
        "numpy.f2py.crackfortran", "getlincoef", f"open({trap!r}, 'w').close()", {}
    ),
    "numpy.load": lambda trap: named("numpy", "load", trap),
    "numpy.core.multiarray.fromfile": lambda trap: named("numpy.core.multiarray", "fromfile", trap),
    "collections.OrderedDict": lambda trap: named("collections", "OrderedDict"),
    "scipy.sparse.csr.sys": lambda trap: named("scipy.sparse.csr", "sys"),
    "functools.partial": lambda trap: named("functools", "partial", 1),
    "copy_reg._reconstructor": lambda trap: named("copy_reg", "_reconstructor"),
    # A dotted name walks through attributes: numpy, then ndarray, then whatever hangs on it.
    "numpy.ndarray.__reduce__": lambda trap: b"\x80\x04" + short("numpy") + short("ndarray.__reduce__") + b"\x93)R.",
    # The old instruction that names and calls at once.
    "os.getcwd": lambda trap: b"(ios\ngetcwd\n.",
}


@pytest.mark.parametrize("name", GADGETS)
def test_names_that_data_do_not_need_are_refused_and_not_called(name, written, tmp_path):
    trap = tmp_path / "trap"
    with pytest.raises(DataError, match=rf"ind.toy.x names {re.escape(name)}, which .* refused and nothing was called"):
        read_pickle(written(GADGETS[name](str(trap))))
    assert not trap.exists()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "builtins.exec"])
def test_the_traps_would_spring_in_a_bare_pickle(name, tmp_path):
    trap = tmp_path / "trap"
    pickle.loads(GADGETS[name](str(trap)))
    assert trap.exists()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda bad: {0: [1], 1: bad},
        lambda bad: [[bad]],
        lambda bad: {bad: []},
        lambda bad: Calls(collections.defaultdict, bad),
        lambda bad: Calls(collections.defaultdict, list, Calls(list, [bad])),
    ],
    ids=["value", "list", "key", "argument", "nested"],
)
def test_hostile_calls_are_refused_wherever_they_are(wrap, written, tmp_path):
    with pytest.raises(DataError, match=r"names (posix|nt)\.mkdir"):
        read_pickle(written(wrap(Calls(os.mkdir, str(tmp_path / "trap")))))
    assert not (tmp_path / "trap").exists()


def state_of(module, name, state):
    """The bytes of a pickle that names something and sets its state."""
    return (
        b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n" + pickle.dumps(state, protocol=2)[2:-1] + b"b."
    )


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("scipy.sparse.csr", "csr_matrix"),
        ("collections", "defaultdict"),
        ("__builtin__", "list"),
    ],
)
@pytest.mark.parametrize("state", [{"make": 7}, (None, {"make": 7}), (None, {"__setstate__": 7})])
def test_what_stands_for_a_name_cannot_be_changed_by_a_pickle(module, name, state, written):
    with pytest.raises(DataError, match="not a pickle of plain arrays, or is damaged"):
        read_pickle(written(state_of(module, name, state)))
    assert read_pickle(written(np.arange(3))).tolist() == [0, 1, 2]
    assert read_pickle(written(collections.defaultdict(list, {1: [2]}))) == {1: [2]}


def test_arrays_of_objects_or_records_are_refused(written, tmp_path):
    for array in (
        np.array([{}, None], object),
        np.array(["a"]),
        np.zeros(1, "datetime64[s]"),
        np.zeros(1, [("a", "i4")]),
    ):
        with pytest.raises(DataError, match="only plain numbers are read"):
            read_pickle(written(array))
    hostile = np.array([Calls(os.mkdir, str(tmp_path / "trap"))], dtype=object)
    with pytest.raises(DataError, match="only plain numbers are read"):
        read_pickle(written(hostile))
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"K\x01K\x02\x86", b"K\x01K\x03\x86", r"shape \(1, 3\) has 8 bytes"),
        (b"K\x01K\x02\x86", b"K\x01J\xfe\xff\xff\xff\x86", "no tuple of sizes"),
        (b"K\x01K\x02\x86", b"K\x07", "no tuple of sizes"),
        (b"U\x02i4", b"U\x02O8", "'O8'"),
        (b"U\x01<", b"U\x01#", "byte order '#'"),
        (b"tb.", b"", "damaged"),
        (OLD, b"", "damaged"),
        (OLD, b"not a pickle at all", "damaged"),
        (b"tb.", b"tbQ.", "damaged"),  # an object that only the program that wrote it could look up
        (b"tb.", b"tb\x82\x01.", "damaged"),  # a name by a number of the interpreter's own table
    ],
)
def test_damaged_pickles_are_told_in_one_line(old, new, match, written):
    assert old in OLD
    with pytest.raises(DataError, match=match) as caught:
        read_pickle(written(OLD.replace(old, new)))
    assert "\n" not in str(caught.value)
    assert "ind.toy.x" in str(caught.value)


def test_a_list_in_itself_ends_without_a_traceback(written):
    deep = b"\x80\x02" + b"]" * 5 + b"a" * 4 + b"."
    assert read_pickle(written(deep)) == [[[[[]]]]]
    buffer = io.BytesIO()
    loop = []
    loop.append(loop)
    pickle.dump(loop, buffer)
    assert len(read_pickle(written(buffer.getvalue()))) == 1


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("indices", [0, 3]),
        ("indices", [0, -1]),
        ("indptr", [0, 1]),
        ("indptr", [0, 3, 2]),
        ("indptr", [1, 1, 2]),
        ("data", [1.0]),
    ],
)
def test_sparse_matrices_whose_parts_do_not_fit_are_refused(part, value, written):
    matrix = scipy.sparse.csr_matrix(np.array([[1.0, 0, 0], [0, 2.0, 0]]))
    setattr(matrix, part, np.array(value, getattr(matrix, part).dtype))
    with pytest.raises(DataError, match=r"sparse matrix of shape \(2, 3\) do not fit each other"):
        read_pickle(written(matrix))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(MissingFileError, match=r"ind\.x does not exist"):
        read_pickle(tmp_path / "ind.x")


@pytest.mark.parametrize("place", [b"r\xff\xff\xff\x05", b"r\x00\x00\x00\x80", b"p100000000\n"])
def test_a_memo_longer_than_the_file_is_refused(written, place):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"it has a memo of [0-9,]+ places in [0-9]+ bytes"):
        read_pickle(written(b"\x80\x02}" + place + b"."))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04B\xff\xff\xff\x7f.",  # 2 GB of bytes that are not there
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.",
    ],
)
def test_lengths_beyond_the_file_are_damage(written, content):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="is not a pickle of plain arrays, or is damaged"):
        read_pickle(written(content))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_many_copies_of_one_list_are_refused(written):
    copies = b"(" + b"cbuiltins\nlist\nh\x00\x85R" * 20_000 + b"t."
    content = b"\x80\x02](" + b"N" * 20_000 + b"eq\x00" + copies
    with pytest.raises(DataError, match="it makes 20,000 objects"):
        read_pickle(written(content))
