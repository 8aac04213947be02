"""Sparse products against dense ones: formats, dtypes, gradients, transformations, the kernel taken, and bad input."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.experimental.sparse import BCOO
from jax.test_util import check_grads

from jaxrec import sparse
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.parallel import Layout, sharded_operator

M, N, D = 5, 7, 3
KERNEL = "cpu_csr_sparse_dense_ffi"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D)).astype(np.float32)
Y = RNG.normal(size=(M, D)).astype(np.float32)


def random_matrix(rows=M, columns=N, seed=0):
    """A dense matrix with about half its places filled, and an empty row and column."""
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((rows, columns)) < 0.5, rng.normal(size=(rows, columns)), 0).astype(np.float32)
    dense[rows // 2], dense[:, columns // 2] = 0, 0
    return dense


def random_symmetric(size=6, seed=1):
    half = random_matrix(size, size, seed)
    return half + half.T


DENSE = random_matrix()


def as_sorted(dense):
    return sparse.from_dense(dense)


def entries_of(dense):
    """The data and indices of the entries, in NumPy."""
    indices = np.argwhere(dense).astype(np.int32)
    return dense[tuple(indices.T)], indices


def bcoo(data, indices, shape, **flags):
    return BCOO((jnp.asarray(data), jnp.asarray(indices)), shape=shape, **flags)


def as_unsorted(dense):
    data, indices = entries_of(dense)
    order = np.random.default_rng(2).permutation(len(data))
    return bcoo(data[order], indices[order], dense.shape)


def as_padded(dense):
    """Four entries more than the matrix has, which lie outside it, as `BCOO.fromdense(nse=...)` makes them."""
    data, indices = entries_of(dense)
    indices = np.concatenate([indices, np.full((4, 2), dense.shape, np.int32)])
    return bcoo(np.append(data, np.zeros(4, np.float32)), indices, dense.shape, indices_sorted=True)


def as_repeated(dense):
    """Every entry as two halves at the same place."""
    data, indices = entries_of(dense)
    return bcoo(np.concatenate([data, data]) / 2, np.concatenate([indices, indices]), dense.shape)


def as_operator(dense):
    return sparse.operator(sparse.from_dense(dense))


def as_transposed(dense):
    return sparse.operator(sparse.from_dense(dense.T)).T


def as_counted(dense):
    """An operator that does not store the rows of its entries, either way."""
    whole = as_operator(dense)
    data, _, *places = whole.transposed
    return sparse.SparseOperator(whole.data, None, whole.columns, whole.indptr, (data, None, *places), whole.shape)


FORMS = [as_sorted, as_unsorted, as_padded, as_repeated, as_operator, as_transposed, as_counted]


@pytest.mark.parametrize("form", FORMS)
def test_the_product_is_the_dense_one(form):
    matrix = form(DENSE)
    product = jax.jit(sparse.spmm)
    np.testing.assert_allclose(product(matrix, X), DENSE @ X, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(product(matrix, X[:, 0]), DENSE @ X[:, 0], rtol=1e-5, atol=1e-6)
    assert product(matrix, X).dtype == jnp.float32
    assert product(matrix, X[:, 0]).shape == (M,)
    assert product(matrix, X[:, :0]).shape == (M, 0)


@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 15, 16, 17, 51, 63, 64, 65])
def test_every_width_gives_the_dense_product(width):
    rng = np.random.default_rng(width)
    x = rng.normal(size=(N, width)).astype(np.float32)
    weights = rng.normal(size=(M, width)).astype(np.float32)
    matrix = as_operator(DENSE)
    product, pullback = jax.vjp(jax.jit(lambda x: sparse.spmm(matrix, x)), x)
    np.testing.assert_allclose(product, DENSE @ x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(pullback(weights)[0], DENSE.T @ weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", [as_sorted, as_operator])
def test_the_product_works_outside_of_jit(form):
    np.testing.assert_allclose(sparse.spmm(form(DENSE), X), DENSE @ X, rtol=1e-5, atol=1e-6)


def test_rows_that_are_not_stored_are_counted_and_are_no_leaf():
    whole, small = as_operator(DENSE), as_counted(DENSE)
    assert len(jax.tree.leaves(small)) == len(jax.tree.leaves(whole)) - 2
    assert small.stored_rows is None
    assert small.T.T.stored_rows is None
    for one, other in ((whole, small), (whole.T, small.T)):
        np.testing.assert_array_equal(other.rows, one.rows)
        np.testing.assert_array_equal(jax.jit(lambda matrix: matrix.rows)(other), one.rows)
        assert other.rows.dtype == one.rows.dtype
    # No platform but the CPU has a product that does without them; it counts them inside the program.
    for platform in ("cpu", "cuda", "tpu"):
        text = jax.jit(sparse.spmm).trace(small, X).lower(lowering_platforms=(platform,)).as_text()
        assert (KERNEL in text) == (platform == "cpu")


def test_more_entries_than_pointers_count_are_refused():
    sparse.check_entries(2**31 - 1)
    with pytest.raises(MismatchError, match=r"a matrix of 2,147,483,648 entries, .* leave interactions out"):
        sparse.check_entries(2**31)


@pytest.mark.parametrize("form", [as_padded, as_unsorted, as_repeated])
def test_an_operator_can_be_made_of_any_bcoo(form):
    op = sparse.operator(form(DENSE))
    np.testing.assert_allclose(sparse.spmm(op, X), DENSE @ X, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sparse.spmm(op.T, Y), DENSE.T @ Y, rtol=1e-5, atol=1e-6)
    assert op.T.shape == (N, M)
    assert sparse.operator(op) is op
    assert np.all(np.diff(op.rows) >= 0)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_in_x_and_in_the_entries_are_the_dense_ones(form):
    matrix = form(DENSE)

    def loss(matrix, x):
        return jnp.sum(jnp.sin(sparse.spmm(matrix, x)))

    slope = np.cos(DENSE @ X)  # of sin, at the product
    in_matrix, in_x = jax.jit(jax.grad(loss, argnums=(0, 1), allow_int=True))(matrix, X)
    in_data = np.asarray(in_matrix.data)
    np.testing.assert_allclose(in_x, DENSE.T @ slope, rtol=1e-5, atol=1e-6)
    if isinstance(matrix, BCOO):
        rows, columns = np.asarray(matrix.indices).T
    else:
        rows, columns = np.asarray(matrix.rows), np.asarray(matrix.columns)
    inside = (rows < M) & (columns < N)  # a padded entry is in no row
    expected = slope @ X.T
    np.testing.assert_allclose(in_data[inside], expected[rows[inside], columns[inside]], rtol=1e-5, atol=1e-6)
    assert not np.any(in_data[~inside])


def test_gradients_agree_with_differences():
    check_grads(jax.jit(functools.partial(sparse.spmm, as_operator(DENSE))), (X,), order=2, modes=["rev"], rtol=0.02)
    op = as_operator(DENSE)
    rescaled = jax.jit(lambda scale, x: sparse.spmm(op, x) * scale)
    check_grads(rescaled, (jnp.float32(2.0), X), order=1, modes=["rev"], rtol=0.02)


def test_a_gradient_goes_through_the_entries_to_what_they_are_a_function_of():
    matrix = as_sorted(DENSE)

    def scaled(logits):
        entries = matrix.data * jnp.exp(logits)
        return jnp.sum(jnp.square(sparse.spmm(BCOO((entries, matrix.indices), shape=matrix.shape), X)))

    rows, columns = np.nonzero(DENSE)  # d/dz of (sum of e^z a x)^2 at z = 0
    expected = (2 * (DENSE @ X) @ X.T * DENSE)[rows, columns]
    np.testing.assert_allclose(jax.jit(jax.grad(scaled))(jnp.zeros(len(rows))), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("form", "dtype"), [(as_sorted, jnp.bfloat16), (as_operator, jnp.bfloat16), (as_operator, jnp.float16)]
)
def test_half_precision_is_summed_in_float32_and_rounded_once(form, dtype):
    dense = np.asarray(jnp.asarray(DENSE, dtype), np.float32)
    x = jnp.asarray(X, dtype)
    matrix = jax.tree.map(
        lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, form(dense)
    )
    got = jax.jit(sparse.spmm)(matrix, x)
    assert got.dtype == dtype
    exact = dense @ np.asarray(x, np.float32)
    half_unit = float(jnp.finfo(dtype).eps) / 2
    np.testing.assert_allclose(np.asarray(got, np.float32), exact, rtol=half_unit * 1.01, atol=1e-6)
    slope = jax.jit(jax.grad(lambda x: jnp.sum(sparse.spmm(matrix, x).astype(jnp.float32))))(x)
    assert slope.dtype == dtype
    expected = np.broadcast_to(dense.sum(axis=0)[:, None], X.shape)
    np.testing.assert_allclose(np.asarray(slope, np.float32), expected, rtol=half_unit * 1.01, atol=1e-6)


def test_many_small_terms_are_not_lost_in_bfloat16():
    ones = sparse.operator(sparse.from_dense(np.ones((1, 1000), np.float32)))
    ones = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16) if leaf.dtype == jnp.float32 else leaf, ones)
    # A running sum in bfloat16 stops at 256, where the spacing is 2; the sum itself rounds to 1000.
    assert sparse.spmm(ones, jnp.ones(1000, jnp.bfloat16)) == 1000


def test_symmetric_operators_keep_one_copy_and_have_the_same_gradient():
    dense = random_symmetric()
    x = RNG.normal(size=(6, D)).astype(np.float32)
    one, two = (sparse.operator(sparse.from_dense(dense), symmetric=flag) for flag in (True, False))
    assert one.transposed is None
    assert two.transposed is not None
    np.testing.assert_allclose(sparse.spmm(one.T, x), dense @ x, rtol=1e-5, atol=1e-6)
    slope = jax.jit(jax.grad(lambda x, op: jnp.sum(jnp.sin(sparse.spmm(op, x)))))
    slopes = [slope(x, op) for op in (one, two)]
    np.testing.assert_allclose(slopes[0], dense @ np.cos(dense @ x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-6)


XS = np.stack([X, 2 * X, -X, X[::-1]])


@pytest.mark.parametrize("form", [as_sorted, as_unsorted, as_operator, as_counted])
def test_vmap_over_x(form):
    matrix = form(DENSE)
    expected = np.einsum("mn,snd->smd", DENSE, XS)
    mapped = jax.jit(jax.vmap(functools.partial(sparse.spmm, matrix)))
    np.testing.assert_allclose(mapped(XS), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mapped(XS[..., 0]), expected[..., 0], rtol=1e-5, atol=1e-5)
    last = jax.vmap(functools.partial(sparse.spmm, matrix), in_axes=2, out_axes=1)(np.moveaxis(XS, 0, 2))
    np.testing.assert_allclose(last, np.moveaxis(expected, 0, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", [as_sorted, as_operator])
def test_nested_vmap_over_x(form):
    matrix = form(DENSE)
    twice = np.stack([XS, 3 * XS])
    mapped = jax.jit(jax.vmap(jax.vmap(functools.partial(sparse.spmm, matrix))))
    np.testing.assert_allclose(mapped(twice), np.einsum("mn,tsnd->tsmd", DENSE, twice), rtol=1e-5, atol=1e-5)


def batched_data(matrix, scales):
    """Several matrices of one pattern: how to make one of its entries, and the entries times each scale."""
    make = lambda data: BCOO((data, matrix.indices), shape=matrix.shape, indices_sorted=matrix.indices_sorted)  # noqa: E731
    return make, jnp.stack([matrix.data * s for s in scales])


@pytest.mark.parametrize("with_x", [False, True])
def test_vmap_over_the_entries_of_a_bcoo(with_x):
    make, data = batched_data(as_sorted(DENSE), [1.0, 2.0, -1.0, 0.5])
    mapped = jax.jit(jax.vmap(lambda data, x: sparse.spmm(make(data), x), in_axes=(0, 0 if with_x else None)))
    expected = [s * DENSE @ (x if with_x else X) for s, x in zip([1.0, 2.0, -1.0, 0.5], XS, strict=True)]
    np.testing.assert_allclose(mapped(data, XS if with_x else X), expected, rtol=1e-5, atol=1e-5)
    slope = jax.grad(lambda data, x: jnp.sum(jnp.sin(sparse.spmm(make(data), x))))
    slopes = jax.jit(jax.vmap(slope, in_axes=(0, None)))(data, X)
    rows, columns = np.nonzero(DENSE)
    expected = [(np.cos(s * DENSE @ X) @ X.T)[rows, columns] for s in (1.0, 2.0, -1.0, 0.5)]
    np.testing.assert_allclose(slopes, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("with_x", "form"), [(False, as_operator), (True, as_operator), (True, as_counted)])
def test_vmap_over_whole_operators(with_x, form):
    several = [random_matrix(seed=0) * s for s in (1.0, 2.0, -1.0, 0.5)]
    op = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[form(dense) for dense in several])
    mapped = jax.jit(jax.vmap(sparse.spmm, in_axes=(0, 0 if with_x else None)))
    expected = [dense @ (x if with_x else X) for dense, x in zip(several, XS, strict=True)]
    np.testing.assert_allclose(mapped(op, XS if with_x else X), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", [as_sorted, as_operator])
def test_vmap_of_grad(form):
    matrix = form(DENSE)
    slope = jax.jit(jax.vmap(jax.grad(lambda x: jnp.sum(jnp.sin(sparse.spmm(matrix, x))))))
    expected = [DENSE.T @ np.cos(DENSE @ x) for x in XS]
    np.testing.assert_allclose(slope(XS), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", [as_sorted, as_operator])
def test_in_a_scan_and_under_checkpoint(form):
    dense = random_symmetric() / 4
    matrix = form(dense)
    x = RNG.normal(size=(6, D)).astype(np.float32)

    def loss(x, body):
        return jnp.sum(jnp.sin(jax.lax.scan(body, x, None, length=3)[0]))

    def body(x, _):
        return sparse.spmm(matrix, x), None

    cube = np.linalg.matrix_power(dense.astype(np.float64), 3)
    for each in (body, jax.checkpoint(body)):
        value, slope = jax.jit(jax.value_and_grad(functools.partial(loss, body=each)))(x)
        np.testing.assert_allclose(value, np.sin(cube @ x).sum(), rtol=1e-5)
        np.testing.assert_allclose(slope, cube.T @ np.cos(cube @ x), rtol=1e-5, atol=1e-6)


def operations(function, *arguments):
    """The names of the operations in the lowered text, as it stands before XLA rewrites it."""
    text = jax.jit(function).lower(*arguments).as_text()
    return text, set(re.findall(r"stablehlo\.(\w+)", text))


PROGRAMS = {
    "forward": lambda op, x: sparse.spmm(op, x),
    "backward": jax.grad(lambda op, x: jnp.sum(jnp.sin(sparse.spmm(op, x))), argnums=1),
    "backward-only": lambda op, x: jax.vjp(functools.partial(sparse.spmm, op), x)[1](jnp.ones((op.shape[0], D)))[0],
}


@pytest.mark.parametrize("mapped", [0, 1, 2])
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_native_kernel_is_in_the_lowered_program(program, symmetric, mapped):
    op = sparse.operator(sparse.from_dense(random_symmetric()), symmetric=symmetric)
    function, x = PROGRAMS[program], jnp.ones((6, D))
    for _ in range(mapped):
        function, x = jax.vmap(function, in_axes=(None, 0)), jnp.stack([x, x])
    text, names = operations(function, op, x)
    assert text.count(f"@{KERNEL}") == (2 if program == "backward" else 1)
    assert not names & {"gather", "scatter", "dynamic_gather", "while"}


def test_the_native_kernel_is_taken_in_a_scan_under_checkpoint_and_for_sorted_bcoo():
    op = sparse.operator(sparse.from_dense(random_symmetric()), symmetric=True)

    def deep(op, x):
        body = jax.checkpoint(lambda x, _: (jnp.sin(sparse.spmm(op, x)), None))
        return jnp.sum(jax.lax.scan(body, x, None, length=3)[0])

    text, names = operations(jax.grad(deep, argnums=1), op, jnp.ones((6, D)))
    assert text.count(f"@{KERNEL}") >= 2
    assert not names & {"gather", "scatter"}
    text, names = operations(sparse.spmm, as_sorted(DENSE), X)
    assert f"@{KERNEL}" in text


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_half_precision_keeps_the_native_kernel(dtype):
    op = jax.tree.map(lambda leaf: leaf.astype(dtype) if leaf.dtype == jnp.float32 else leaf, as_operator(DENSE))
    text, names = operations(sparse.spmm, op, jnp.asarray(X, dtype))
    assert f"@{KERNEL}" in text
    assert not names & {"gather", "scatter"}


def test_the_product_works_on_every_device():
    assert len(jax.devices()) > 1
    for device in jax.devices():
        op, bcoo, x = jax.device_put((as_operator(DENSE), as_sorted(DENSE), X), device)
        for matrix in (op, bcoo):
            got = jax.jit(sparse.spmm)(matrix, x)
            assert got.devices() == {device}
            np.testing.assert_allclose(got, DENSE @ X, rtol=1e-5, atol=1e-6)
            slope = jax.jit(jax.grad(lambda x, matrix: jnp.sum(jnp.sin(sparse.spmm(matrix, x)))))(x, matrix)
            assert slope.devices() == {device}


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (3, 4)])
@pytest.mark.parametrize("form", [as_sorted, as_operator])
def test_matrices_without_an_entry(form, shape):
    matrix = form(np.zeros(shape, np.float32))
    x = np.ones((shape[1], D), np.float32)
    product = jax.jit(lambda matrix, x: jax.value_and_grad(lambda x: jnp.sum(sparse.spmm(matrix, x)))(x))
    value, slope = product(matrix, x)
    assert jax.eval_shape(sparse.spmm, matrix, x).shape == (shape[0], D)
    assert not np.any(value)
    assert slope.shape == x.shape
    assert not np.any(slope)


@given(
    st.integers(1, 6).flatmap(
        lambda rows: st.lists(st.tuples(st.integers(0, rows - 1), st.integers(0, 3)), max_size=8, unique=True).map(
            lambda places: (rows, places)
        )
    )
)
def test_entries_make_the_matrix_that_they_name_in_any_order(case):
    rows, places = case
    values = np.arange(1, len(places) + 1, dtype=np.float32)
    expected = np.zeros((rows, 4), np.float32)
    for value, place in zip(values, places, strict=True):
        expected[place] = value
    at = np.array(places, np.int64).reshape(-1, 2)
    matrix = sparse.from_entries(values, at[:, 0], at[:, 1], (rows, 4))
    assert matrix.indices.dtype == jnp.int32
    assert matrix.indices_sorted
    assert matrix.unique_indices
    dense = np.zeros((rows, 4), np.float32)
    dense[tuple(np.asarray(matrix.indices).T)] = matrix.data
    np.testing.assert_array_equal(dense, expected)
    indptr = np.asarray(sparse.operator(matrix).indptr)
    assert [*np.diff(indptr)] == [*np.count_nonzero(expected, axis=1)]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 100])
def test_the_gram_matrix_does_not_depend_on_the_block(block):
    op = as_operator(DENSE)
    expected = DENSE.T @ DENSE
    np.testing.assert_allclose(sparse.gram(op, block=block), expected, rtol=1e-5, atol=1e-6)
    largest = sparse.map_gram_columns(op, lambda columns, which: (columns.max(axis=1), which), block=block)
    np.testing.assert_allclose(largest[0], expected.max(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(largest[1], np.arange(N))


SQUARE = sparse.from_dense(np.eye(3, dtype=np.float32))
ASYMMETRIC = np.array([[0, 1], [2, 0]], np.float32)
MISSING = np.array([[0, 1], [0, 0]], np.float32)
F32 = functools.partial(np.ones, dtype=np.float32)
BAD = {
    "length": (lambda: sparse.spmm(SQUARE, F32((4, 2))), r"\(4, 2\)"),
    "length of an operator": (lambda: sparse.spmm(sparse.operator(SQUARE), F32((4, 2))), r"\(4, 2\)"),
    "a row is not broadcast": (lambda: sparse.spmm(SQUARE, F32((1, 2))), r"\(1, 2\)"),
    "one number": (lambda: sparse.spmm(SQUARE, F32(())), r"\(\)"),
    "three axes": (lambda: sparse.spmm(SQUARE, F32((3, 2, 2))), r"\(3, 2, 2\)"),
    "integers": (lambda: sparse.spmm(SQUARE, np.ones((3, 2), np.int32)), "int32"),
    "mixed": (lambda: sparse.spmm(SQUARE, jnp.ones((3, 2), jnp.bfloat16)), "bfloat16"),
    "mixed, operator": (lambda: sparse.spmm(sparse.operator(SQUARE), jnp.ones((3, 2), jnp.bfloat16)), "bfloat16"),
    "under jit": (lambda: jax.jit(sparse.spmm)(SQUARE, F32((4, 2))), r"\(4, 2\)"),
    "not square": (lambda: sparse.operator(sparse.from_dense(DENSE), symmetric=True), "symmetric"),
    "other values": (lambda: sparse.operator(sparse.from_dense(ASYMMETRIC), symmetric=True), "symmetric"),
    "other places": (lambda: sparse.operator(sparse.from_dense(MISSING), symmetric=True), "symmetric"),
    "a batch": (
        lambda: sparse.operator(bcoo(np.ones((2, 1)), np.zeros((2, 1, 2), np.int32), (2, 2, 2))),
        r"\(2, 2, 2\)",
    ),
    "a place twice": (
        lambda: sparse.from_entries(np.ones(2), [0, 0], [1, 1], (2, 2)),
        r"\(0, 1\) is given more than once",
    ),
    "below the shape": (
        lambda: sparse.from_entries(np.ones(1), [-1], [0], (2, 2)),
        r"rows? must lie in 0..1, got -1..-1",
    ),
    "beyond the shape": (
        lambda: sparse.from_entries(np.ones(1), [0], [2], (2, 2)),
        r"columns? must lie in 0..1, got 2..2",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_raises(name):
    call, message = BAD[name]
    with pytest.raises(MismatchError, match=message):
        call()


def rounded(x):
    """To bfloat16 and back: 8 bits of the significand, ties to even."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def test_what_moves_in_bfloat16_is_rounded_before_and_summed_in_float32():
    matrix, weights = as_operator(DENSE), np.asarray(Y)
    product, pullback = jax.vjp(jax.jit(lambda x: sparse.spmm(matrix, x, moved="bfloat16")), X)
    assert product.dtype == jnp.float32
    np.testing.assert_allclose(product, DENSE @ rounded(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(pullback(weights)[0], DENSE.T @ rounded(weights), rtol=1e-5, atol=1e-6)
    rows = np.array([3, 0, 3], np.int32)
    np.testing.assert_array_equal(sparse.spmm_rows(matrix, X, rows, moved="bfloat16"), product[rows])


def test_what_moves_in_bfloat16_is_gathered_so_on_accelerators():
    matrix = as_operator(DENSE)
    traced = jax.jit(lambda matrix, x: sparse.spmm(matrix, x, moved="bfloat16")).trace(matrix, X)
    for platform in ("cuda", "tpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert re.search(r"stablehlo.gather\"?\(.*tensor<7x3xbf16>", text)
        assert re.search(r"scatter(.|\n)*tensor<5x3xf32>", text)


def test_moving_in_bfloat16_is_refused_where_it_is_not_done():
    with pytest.raises(MismatchError, match=r'moved="bfloat16" is for a float32 operator, got BCOO'):
        sparse.spmm(as_sorted(DENSE), X, moved="bfloat16")
    with pytest.raises(JaxrecError, match='moved must be "float32" or "bfloat16", got \'half\''):
        sparse.spmm(as_operator(DENSE), X, moved="half")
    edge = sparse.operator(sparse.from_dense(np.array([[0, 1], [1, 0]], np.float32)), symmetric=True)
    spread = sharded_operator(edge, 1, Layout())
    for product in (sparse.spmm, functools.partial(sparse.spmm_rows, rows=jnp.array([0]))):
        with pytest.raises(MismatchError, match=r"got ShardedOperator; use sparse\.operator, on one device"):
            product(spread, jnp.ones((2, 1)), moved="bfloat16")
