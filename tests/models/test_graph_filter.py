"""Graph filters against dense NumPy products, the identities between the terms, and the messages of bad options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import ITEMS, USERS, middle

import jaxrec
from jaxrec.data import seen_items
from jaxrec.errors import JaxrecError
from jaxrec.models import Bands, ChebyshevSeries, GraphFilter, LowPass, OneHop, Plateau, Sharpened, UserLowPass
from jaxrec.pytrees import options
from jaxrec.serving import sides

DATA = middle()
R = np.zeros((USERS, ITEMS))
R[DATA.user, DATA.item] = 1
DU, DI = np.maximum(R.sum(axis=1), 1), np.maximum(R.sum(axis=0), 1)
UNIT = R / np.sqrt(DU)[:, None]
NORMALIZED = R / np.sqrt(DU[:, None] * DI[None, :])
LEFT, VALUES, RIGHT = np.linalg.svd(NORMALIZED)
RANK = 6
SCORES = jax.jit(lambda scorer, users: scorer.scores(users))


def scorer_of(*terms):
    return jaxrec.fit(GraphFilter(terms=terms, tolerance=1e-6), DATA, key=jax.random.key(0)).scorer


def scores_of(scorer):
    return np.asarray(SCORES(scorer, np.arange(scorer.num_users, dtype=np.int32)))


def slow_one_hop(term):
    likeness = (UNIT * DI**-term.own) @ R.T
    return term.weight * (likeness**term.power * DU**-term.users) @ R * DI**-term.scored


def slow_bands(gains, own, scored):
    v = RIGHT[: len(gains)].T
    return (UNIT * DI**-own) @ v * np.asarray(gains) @ v.T * DI**-scored


def slow_series(term):
    values = np.pad(VALUES**2, (0, ITEMS - len(VALUES)))
    gains = np.asarray(term.response(jnp.asarray(values, jnp.float32)))
    return term.weight * (UNIT * DI**-term.own) @ (RIGHT.T * gains) @ RIGHT * DI**-term.scored


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "term",
    [OneHop(), OneHop(weight=0.7, users=0.5, own=1.0, scored=-0.1), OneHop(own=0.0, power=2.0), OneHop(power=1.5)],
)
def test_one_hop_is_the_dense_product(term):
    close(scores_of(scorer_of(term)), slow_one_hop(term))


def test_the_spectrum_of_the_world_has_a_gap_where_the_tests_cut():
    assert VALUES[RANK - 1] - VALUES[RANK] > 1e-2


def test_low_pass_projects_on_the_leading_vectors():
    close(scores_of(scorer_of(LowPass(weight=0.7, rank=RANK))), slow_bands([0.7] * RANK, 0.5, -0.2))


def test_bands_have_a_gain_each():
    term = Bands(gains=(1.0, 0.5), ends=(2, RANK), own=0.3, scored=0.1)
    close(scores_of(scorer_of(term)), slow_bands([1.0] * 2 + [0.5] * (RANK - 2), 0.3, 0.1))


def test_the_low_pass_of_users_is_that_of_items_where_the_exponents_agree():
    one = scores_of(scorer_of(UserLowPass(weight=1.0, rank=RANK, users=0.5, scored=0.5)))
    other = scores_of(scorer_of(LowPass(weight=1.0, rank=RANK, own=0.5, scored=0.0)))
    close(one, other)
    weighted = LEFT[:, :RANK] @ LEFT[:, :RANK].T @ (R * DU[:, None] ** -0.2) * DI**-0.3
    close(scores_of(scorer_of(UserLowPass(weight=1.0, rank=RANK, users=0.2))), weighted)


@pytest.mark.parametrize("response", [Plateau(2.0), Plateau(3.0), Sharpened(0.3)])
def test_a_series_of_the_order_of_a_polynomial_is_exact(response):
    # (1 + t^f) / 2 and its mirror image are two polynomials for an even f: a series of order 40 is near.
    term = ChebyshevSeries(weight=2.0, response=response, order=40, own=0.4, scored=0.1)
    found, expected = scores_of(scorer_of(term)), slow_series(term)
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


def test_a_series_of_the_identity_is_the_one_hop_of_the_normalized_matrix():
    plain = ChebyshevSeries(response=Sharpened(0.0), order=1, own=0.5, scored=0.2)
    close(scores_of(scorer_of(plain)), scores_of(scorer_of(OneHop(own=1.0, scored=0.7))))


def test_terms_add_up_and_share_what_they_can():
    terms = (
        OneHop(),
        OneHop(users=0.5, scored=0.2),
        OneHop(own=0.0, power=2.0),
        LowPass(rank=3),
        Bands(gains=(0.5,), ends=(RANK,)),
        UserLowPass(rank=2),
        ChebyshevSeries(order=2),
    )
    scorer = scorer_of(*terms)
    assert (len(scorer.owns), len(scorer.scoreds)) == (2, 3)
    close(scores_of(scorer), sum(scores_of(scorer_of(term)) for term in terms))


PLAIN = {"own": 0.0, "scored": 0.0}  # exponents with which the term is a function of P alone


@pytest.mark.parametrize(
    "term",
    [
        OneHop(weight=0.7, scored=0.5),
        LowPass(weight=0.5, rank=RANK, **PLAIN),
        Bands(gains=(2.0, 0.5), ends=(2, RANK), **PLAIN),
        ChebyshevSeries(response=Sharpened(0.3), order=2, own=0.0, scored=0.0),
    ],
    ids=lambda term: type(term).__name__,
)
def test_the_response_is_what_the_filter_makes_of_each_frequency(term):
    eigenvalues = np.concatenate([VALUES, -VALUES[::-1]]).astype(np.float32)
    gains = np.asarray(GraphFilter(terms=(term, term)).response(jnp.asarray(eigenvalues)))
    np.testing.assert_allclose(gains, gains[::-1], rtol=1e-6)  # P is the square of A~, so the sign is lost
    vectors = RIGHT[: len(VALUES)]
    expected = UNIT @ vectors.T @ np.diag(gains[: len(VALUES)]) @ vectors
    np.testing.assert_allclose(scores_of(scorer_of(term, term)), expected, atol=2e-5)


def test_what_is_no_linear_filter_has_no_response():
    with pytest.raises(JaxrecError, match="OneHop with power 2 is no linear filter"):
        GraphFilter(terms=(OneHop(power=2.0),)).response(jnp.array([1.0, -1.0]))

    class Silent:
        rank = 0

        def put(self, parts):
            """Nothing."""

    with pytest.raises(JaxrecError, match="has no gain_of, so the filter has no response to show"):
        GraphFilter(terms=(Silent(),)).response(jnp.array([1.0, -1.0]))


def test_a_weight_of_another_size_compiles_nothing():
    SCORES.clear_cache()  # a full cache of the process would drop an entry for each that it takes
    scores_of(scorer_of(OneHop(weight=0.3), LowPass(rank=3)))
    scores_of(scorer_of(OneHop(weight=0.6, users=0.8), LowPass(weight=0.1, rank=3)))
    assert SCORES._cache_size() == 1


def test_new_users_get_the_lists_of_known_ones_with_their_items():
    scorer = scorer_of(OneHop(), OneHop(own=0.0, power=2.0), LowPass(rank=RANK))
    again = scorer.with_history(seen_items(DATA))
    np.testing.assert_allclose(scores_of(again), scores_of(scorer), rtol=1e-6)
    model = jaxrec.fit(GraphFilter(terms=(OneHop(), LowPass(rank=3))), DATA, key=jax.random.key(0))
    known = jaxrec.recommend(model, [model.users.ids[0]], k=4)
    history = model.items.ids[np.flatnonzero(R[0])].tolist()
    new = jaxrec.recommend(model, history=history, k=4)["new"]
    assert [one.item for one in new] == [one.item for one in known[model.users.ids[0].item()]]


def test_a_long_history_is_summed_in_several_steps():
    items = np.arange(2500)
    data = jaxrec.from_arrays(
        np.concatenate([np.zeros(2500, int), np.ones(3, int)]), np.concatenate([items, items[:3]])
    )
    fitted = jaxrec.fit(GraphFilter(terms=(OneHop(), LowPass(rank=2))), data, key=jax.random.key(0))
    scorer = fitted.scorer
    r = np.zeros((2, 2500))
    r[data.user, data.item] = 1
    likeness = (r / np.sqrt(r.sum(1, keepdims=True)) * r.sum(0) ** -0.5) @ r.T
    expected = likeness / r.sum(1) @ r * r.sum(0) ** -0.2
    lanes = scorer_of_data(data, OneHop())
    close(scores_of(lanes), expected)
    v = np.linalg.svd(r / np.sqrt(r.sum(1, keepdims=True) * r.sum(0)))[2][:2].T
    ideal = (r / np.sqrt(r.sum(1, keepdims=True)) * r.sum(0) ** -0.5) @ v @ v.T * r.sum(0) ** 0.2
    close(scores_of(scorer) - scores_of(lanes), 0.4 * ideal)


def scorer_of_data(data, *terms):
    return jaxrec.fit(GraphFilter(terms=terms), data, key=jax.random.key(0)).scorer


def test_users_without_items_score_0():
    empty = scorer_of(OneHop(), LowPass(rank=2)).with_history(seen_items(DATA.select(DATA.user > 0)))
    assert not np.any(scores_of(empty)[0])


def test_similar_items_are_those_for_a_user_who_has_the_item_alone():
    scorer = scorer_of(OneHop(), LowPass(rank=2))
    found = scorer.similarities(jnp.array([2], jnp.int32))
    alone = jaxrec.data.SeenItems(jnp.array([0, 1], jnp.int32), jnp.array([2], jnp.int32))
    np.testing.assert_allclose(found, scorer.with_history(alone).scores(jnp.array([0])), rtol=1e-6)


def test_a_rank_above_the_spectrum_takes_all_of_it():
    size = min(USERS, ITEMS)
    close(scores_of(scorer_of(LowPass(weight=1.0, rank=500))), slow_bands([1.0] * size, 0.5, -0.2))


@pytest.mark.parametrize(
    "terms",
    [(LowPass(rank=3), Bands(gains=(0.2,), ends=(4,), own=0.1)), (OneHop(), LowPass(rank=3)), (ChebyshevSeries(),)],
)
def test_sides_score_as_the_scorer(terms):
    scorer = scorer_of(*terms)
    made = sides(scorer)
    if made.program == "vectors":
        found = made.users["vectors"] @ made.items["vectors"].T
    else:
        weights = np.zeros((USERS, ITEMS))
        weights[np.repeat(np.arange(USERS), np.diff(made.users["rows_indptr"])), made.users["rows"]] = made.users[
            "weights"
        ]
        found = weights @ made.items["values"]
    close(found, scores_of(scorer))


def test_a_power_is_not_exported():
    with pytest.raises(JaxrecError, match="a power of the likeness of users"):
        sides(scorer_of(OneHop(power=2.0)))


@options
class Doubled:
    """A term from outside: another one, twice."""

    of: OneHop = OneHop()

    @property
    def rank(self):
        return self.of.rank

    def put(self, parts):
        self.of.put(parts)
        self.of.put(parts)


def test_a_term_from_outside_takes_part():
    close(scores_of(scorer_of(Doubled(OneHop(own=1.0)))), 2 * slow_one_hop(OneHop(own=1.0)))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: GraphFilter(terms=()), r"terms is \(\); pass a tuple of at least one term"),
        (lambda: GraphFilter(terms=(OneHop,)), "which is no term of a filter"),
        (lambda: GraphFilter(terms=("linear",)), "'linear', which is no term of a filter"),
        (lambda: GraphFilter(tolerance=0.0), "tolerance must be positive, got 0.0"),
        (lambda: LowPass(rank=0), "rank must be at least 1, got 0"),
        (lambda: OneHop(power=0.0), "power must be above 0, got 0.0"),
        (lambda: OneHop(own=float("nan")), "OneHop: own must be finite, got nan"),
        (lambda: Bands(gains=(1.0,), ends=(4, 2)), r"ends is \(4, 2\); pass whole numbers of at least 1 that ascend"),
        (lambda: Bands(gains=(1.0,), ends=(2, 4)), "gains has 1 numbers and ends 2"),
        (lambda: ChebyshevSeries(order=0), "order must be at least 1, got 0"),
        (lambda: ChebyshevSeries(response=2.0), "response is 2.0; pass a function of eigenvalues"),
        (lambda: Plateau(0.0), "flatness must be above 0, got 0.0"),
    ],
)
def test_bad_options_are_told(make, match):
    with pytest.raises(JaxrecError, match=match):
        make()
