"""Some rows of a sparse product against the dense one: gradients, transformations, the path taken, and bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxrec import sparse
from jaxrec.errors import MismatchError
from jaxrec.sparse._row_products import running_sum

M, N, D = 44, 37, 3
KERNEL = "cpu_csr_sparse_dense_ffi"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D)).astype(np.float32)
ROWS = {
    "few": [3, 43, 3, 0, 21],  # a row twice, the first, the last, and an empty one
    "empty alone": [21, 21],
    "empty at the ends": [21, 5, 21],
    "one": [7],
    "heavy, often": [1] * 9,  # within the share of the rows, but not of the entries
    "many": list(range(M)),
    "none": [],
}


def random_matrix(rows=M, columns=N, seed=0):
    """A dense matrix with a fifth of its places filled, row 1 wholly, row 21 and a column not at all."""
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((rows, columns)) < 0.2, rng.normal(size=(rows, columns)), 0).astype(np.float32)
    dense[1] = 1.5
    dense[21], dense[:, columns // 2] = 0, 0
    return dense


DENSE = random_matrix()
SYMMETRIC = random_matrix(M, M) + random_matrix(M, M).T
FORMS = {
    "operator": lambda: (DENSE, sparse.operator(sparse.from_dense(DENSE))),
    "transposed": lambda: (DENSE, sparse.operator(sparse.from_dense(DENSE.T)).T),
    "symmetric": lambda: (SYMMETRIC, sparse.operator(sparse.from_dense(SYMMETRIC), symmetric=True)),
    "bcoo": lambda: (DENSE, sparse.from_dense(DENSE)),
}


def columns_for(dense, width=D):
    return np.random.default_rng(1).normal(size=(dense.shape[1], width)).astype(np.float32)


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("form", FORMS)
def test_rows_and_gradients_are_those_of_the_dense_product(form, rows):
    dense, matrix = FORMS[form]()
    x, rows = columns_for(dense), np.array(rows, np.int32)

    def loss(matrix, x):
        taken = sparse.spmm_rows(matrix, x, rows)
        return jnp.sum(jnp.sin(taken)), taken

    value = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True, allow_int=True))
    (_, taken), (in_matrix, in_x) = value(matrix, x)
    assert taken.dtype == jnp.float32
    np.testing.assert_allclose(taken, (dense @ x)[rows], rtol=1e-5, atol=1e-6)
    slope = np.zeros((dense.shape[0], D))
    np.add.at(slope, rows, np.cos((dense @ x)[rows]))
    np.testing.assert_allclose(in_x, dense.T @ slope, rtol=1e-5, atol=1e-5)
    at = np.asarray(matrix.indices).T if form == "bcoo" else (np.asarray(matrix.rows), np.asarray(matrix.columns))
    np.testing.assert_allclose(in_matrix.data, (slope @ x.T)[tuple(at)], rtol=1e-5, atol=1e-5)


def test_rows_and_gradients_are_bit_for_bit_those_of_the_whole_product():
    matrix = FORMS["operator"]()[1]
    rows = np.array(ROWS["few"], np.int32)
    for width in (1, 8, 64, 65):
        x = columns_for(DENSE, width)
        whole, some = jax.jit(sparse.spmm)(matrix, x), jax.jit(sparse.spmm_rows)(matrix, x, rows)
        np.testing.assert_array_equal(some, whole[rows])
        g = np.random.default_rng(2).normal(size=some.shape).astype(np.float32)
        back = [jax.jit(jax.vjp(of, x)[1])(g)[0] for of in (
            lambda x: sparse.spmm_rows(matrix, x, rows), lambda x: sparse.spmm(matrix, x)[rows],
        )]  # fmt: skip
        np.testing.assert_array_equal(*back)


def test_it_works_outside_of_jit_and_with_rows_of_another_whole_type():
    matrix = FORMS["operator"]()[1]
    np.testing.assert_allclose(sparse.spmm_rows(matrix, X, np.array([3, 0], np.uint8)), (DENSE @ X)[[3, 0]], rtol=1e-5)


def test_gradients_of_gradients_agree_with_differences():
    matrix = FORMS["operator"]()[1]
    rows = jnp.array(ROWS["few"])
    check_grads(jax.jit(lambda x: sparse.spmm_rows(matrix, x, rows)), (X,), order=2, modes=["rev"], rtol=0.02)


def test_the_gradient_of_a_gradient_is_that_of_the_dense_product():
    dense, matrix = FORMS["operator"]()
    rows = np.array(ROWS["few"], np.int32)

    def of(product):
        slope = jax.grad(lambda data, x: jnp.sum(jnp.sin(product(data, x))), argnums=1)
        return jax.jit(jax.grad(lambda data, x: jnp.sum(jnp.square(slope(data, x))), argnums=(0, 1)))

    shares = (matrix.rows, matrix.columns, matrix.indptr)
    data = jnp.asarray(dense[np.asarray(matrix.rows), np.asarray(matrix.columns)])
    back = sparse.operator(sparse.from_dense(dense.T))
    order = np.lexsort((np.asarray(matrix.rows), np.asarray(matrix.columns)))  # the entries column by column

    def ours(data, x):
        turned = (data[order], back.rows, back.columns, back.indptr)
        return sparse.spmm_rows(sparse.SparseOperator(data, *shares, turned, (M, N)), x, rows)

    def slow(data, x):
        return (jnp.zeros((M, N)).at[matrix.rows, matrix.columns].set(data) @ x)[rows]

    got, expected = of(ours)(data, X), of(slow)(data, X)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6 * np.abs(other).max())


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)], ids=["x", "rows", "both"])
@pytest.mark.parametrize("form", ["operator", "bcoo"])
def test_vmap_and_its_gradient(form, axes):
    matrix = FORMS[form]()[1]
    xs, rows = np.stack([X, 2 * X, -X]), np.array([[3, 0], [43, 43], [21, 1]], np.int32)
    x, at = xs if axes[0] == 0 else X, rows if axes[1] == 0 else rows[0]
    mapped = jax.jit(jax.vmap(functools.partial(sparse.spmm_rows, matrix), in_axes=axes))
    expected = [(DENSE @ (x[s] if axes[0] == 0 else x))[at[s] if axes[1] == 0 else at] for s in range(3)]
    np.testing.assert_allclose(mapped(x, at), expected, rtol=1e-5, atol=1e-5)
    slope = jax.grad(lambda x, rows: jnp.sum(jnp.sin(sparse.spmm_rows(matrix, x, rows))))
    slopes = jax.jit(jax.vmap(slope, in_axes=axes))(x, at)
    for s in range(3):
        one = np.zeros((M, D))
        np.add.at(one, at[s] if axes[1] == 0 else at, np.cos(expected[s]))
        np.testing.assert_allclose(slopes[s], DENSE.T @ one, rtol=1e-5, atol=1e-5)


def test_vmap_over_whole_operators():
    several = [random_matrix(seed=0) * scale for scale in (1.0, -2.0)]
    op = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[sparse.operator(sparse.from_dense(one)) for one in several])
    rows = np.array(ROWS["few"], np.int32)
    mapped = jax.jit(jax.vmap(sparse.spmm_rows, in_axes=(0, None, None)))(op, X, rows)
    np.testing.assert_allclose(mapped, [(one @ X)[rows] for one in several], rtol=1e-5, atol=1e-5)


def test_in_a_scan_under_checkpoint():
    matrix = FORMS["operator"]()[1]
    batches = jnp.array([[3, 0], [43, 43], [21, 1]])

    @jax.checkpoint
    def body(total, rows):
        return total + jnp.sum(jnp.sin(sparse.spmm_rows(matrix, X * total, rows))), None

    def dense_loss(total):
        for rows in np.asarray(batches):
            total = total + jnp.sum(jnp.sin((DENSE @ (X * total))[rows]))
        return total

    got = jax.jit(jax.value_and_grad(lambda total: jax.lax.scan(body, total, batches)[0]))(jnp.float32(0.5))
    expected = jax.value_and_grad(dense_loss)(jnp.float32(0.5))
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def lowered(function, *arguments):
    return jax.jit(function).lower(*arguments).as_text()


def test_a_batch_makes_a_product_of_its_own_rows_and_one_of_a_small_table_backward():
    matrix = FORMS["symmetric"]()[1]
    rows, x = jnp.array(ROWS["few"]), columns_for(SYMMETRIC)
    text = lowered(sparse.spmm_rows, matrix, x, rows)
    calls = [line for line in text.splitlines() if f"@{KERNEL}" in line]
    results = sorted(line.rpartition("-> ")[2].strip() for line in calls)
    assert results == ["tensor<44x8xf32>", "tensor<5x8xf32>"]  # 3 columns are padded to 8; where rows hold too much
    backward = lowered(
        lambda op, g: jax.vjp(lambda x: sparse.spmm_rows(op, x, rows), jnp.asarray(x))[1](g)[0], matrix, X[:5]
    )
    calls = [line for line in backward.splitlines() if f"@{KERNEL}" in line and "6x8xf32" in line]
    assert len(calls) == 1
    assert calls[0].rpartition("-> ")[2].strip() == "tensor<44x8xf32>"


@pytest.mark.parametrize("rows", [list(range(12)), []], ids=["over a quarter", "none"])
def test_many_rows_are_a_whole_product_and_a_gather(rows):
    text = lowered(sparse.spmm_rows, FORMS["operator"]()[1], X, jnp.array(rows, jnp.int32))
    assert text.count(f"@{KERNEL}") == 1  # with a product of the rows alone to choose, there would be two


def test_members_of_a_vmap_share_one_call_of_the_native_kernel():
    several = jax.vmap(functools.partial(sparse.spmm_rows, FORMS["operator"]()[1]))
    text = lowered(several, np.stack([X] * 4), jnp.tile(jnp.array(ROWS["few"]), (4, 1)))
    assert text.count(f"@{KERNEL}") == 1
    assert f"-> tensor<{M}x16xf32>" in text  # 4 times 3 columns, padded


def test_entries_that_overflow_the_whole_numbers_are_not_taken_for_few():
    """2^15 times a row of 2^17 entries are 2^32 entries, which are 0 in int32."""
    nodes, times = 2**17, 2**15
    data, indptr = jnp.ones(nodes), jnp.full(nodes + 1, nodes, jnp.int32).at[0].set(0)
    columns, entry_rows = jnp.arange(nodes, dtype=jnp.int32), jnp.zeros(nodes, jnp.int32)
    matrix = sparse.SparseOperator(data, entry_rows, columns, indptr, None, (nodes, nodes))
    rows = jnp.zeros(times, jnp.int32)
    lengths = indptr[rows + 1] - indptr[rows]
    assert jnp.sum(lengths, dtype=jnp.int32) == 0
    taken = jax.jit(sparse.spmm_rows)(matrix, jnp.ones((nodes, 1)), rows)
    np.testing.assert_array_equal(taken, np.full((times, 1), nodes, np.float32))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_that_of_the_whole_product(dtype):
    halves = jax.tree.map(
        lambda leaf: leaf.astype(dtype) if leaf.dtype == jnp.float32 else leaf, FORMS["operator"]()[1]
    )
    rows, x = jnp.array(ROWS["few"]), jnp.asarray(X, dtype)
    got = sparse.spmm_rows(halves, x, rows)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, sparse.spmm(halves, x)[rows])


def test_it_works_on_every_device():
    assert len(jax.devices()) > 1
    rows = jnp.array(ROWS["few"])
    for device in jax.devices():
        op, x, at = jax.device_put((FORMS["operator"]()[1], X, rows), device)
        got = jax.jit(sparse.spmm_rows)(op, x, at)
        assert got.devices() == {device}
        np.testing.assert_allclose(got, (DENSE @ X)[np.asarray(rows)], rtol=1e-5, atol=1e-6)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.lists(st.integers(0, 59), min_size=1, max_size=15),
    st.integers(0, 3),
)
def test_any_rows_of_any_matrix_of_small_rows(lengths, rows, seed):
    """Rows of 0 to 3 entries in any order, with any repeats: every way of starting, ending and skipping a row."""
    lengths = np.array(lengths)
    rows = np.array([row % len(lengths) for row in rows], np.int32)
    rng = np.random.default_rng(seed)
    dense = np.zeros((60, 5), np.float32)
    for row, length in enumerate(lengths):
        dense[row, rng.choice(5, length, replace=False)] = rng.normal(size=length)
    matrix, x = sparse.operator(sparse.from_dense(dense)), rng.normal(size=(5, 2)).astype(np.float32)
    padded = np.resize(rows, 15)  # one shape, so one compilation a number of entries
    np.testing.assert_allclose(sparse.spmm_rows(matrix, x, padded), (dense @ x)[padded], rtol=1e-5, atol=1e-5)


@given(st.lists(st.integers(0, 9), max_size=70), st.integers(2, 9))
def test_the_running_sum_is_the_exact_one(numbers, block):
    np.testing.assert_array_equal(running_sum(jnp.array(numbers, jnp.float32), block), np.cumsum(numbers))


def test_the_running_sum_of_many_is_exact():
    numbers = np.random.default_rng(0).integers(0, 2, 500_001)
    np.testing.assert_array_equal(jax.jit(running_sum)(numbers.astype(np.float32)), np.cumsum(numbers))


OPERATOR = FORMS["operator"]()[1]
BAD = {
    "columns of another size": (lambda: sparse.spmm_rows(OPERATOR, X[:5], jnp.array([0])), r"\(5, 3\)"),
    "a vector": (lambda: sparse.spmm_rows(OPERATOR, X[:, 0], jnp.array([0])), r"x must have two axes.*\(37,\)"),
    "another dtype": (lambda: sparse.spmm_rows(OPERATOR, X.astype(jnp.bfloat16), jnp.array([0])), "bfloat16"),
    "fractions": (lambda: sparse.spmm_rows(OPERATOR, X, jnp.array([0.0])), r"whole numbers \[R\], got float32"),
    "a table of rows": (lambda: sparse.spmm_rows(OPERATOR, X, jnp.array([[0]])), r"\(1, 1\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_raises(name):
    call, message = BAD[name]
    with pytest.raises(MismatchError, match=message):
        call()
