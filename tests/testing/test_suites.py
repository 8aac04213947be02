"""The conformance suites on the losses, regularizers and samplers of the library, and on ones that are wrong."""

import jax
import jax.numpy as jnp
import pytest

import jaxrec
from jaxrec.losses import (
    BPR,
    AdaptiveTemperature,
    BilateralSoftmax,
    CosineContrastive,
    DirectAU,
    InBatchSoftmax,
    Logistic,
    NormL2,
    PairwiseSoftmax,
    SampledSoftmax,
    SoftmaxAtK,
    SquaredError,
    SquaredL2,
)
from jaxrec.protocols import Loss, Negatives, Regularizer
from jaxrec.pytrees import options, static
from jaxrec.sampling import Hardest, InBatch, Popularity, Uniform
from jaxrec.testing import (
    LossConformance,
    ModelConformance,
    NegativesConformance,
    RegularizerConformance,
    adjacency_of,
    checkerboard,
)


class TestBPR(LossConformance):
    loss = BPR()


class TestLogistic(LossConformance):
    loss = Logistic()


class TestSampledSoftmax(LossConformance):
    loss = SampledSoftmax(temperature=0.2)


class TestSampledSoftmaxCorrected(LossConformance):
    loss = SampledSoftmax(temperature=0.2, logq_correction=True)


class TestInBatchSoftmax(LossConformance):
    loss = InBatchSoftmax(temperature=0.2, accidental_hits="same_item", chunks=2)


class TestInBatchSoftmaxAdjusted(LossConformance):
    loss = InBatchSoftmax(temperature=0.2, accidental_hits="seen", logit_adjustment=0.7)


class TestBilateralSoftmax(LossConformance):
    loss = BilateralSoftmax(0.2, 0.3)


class TestPairwiseSoftmax(LossConformance):
    loss = PairwiseSoftmax("tanh", 0.1)


class TestSoftmaxAtK(LossConformance):
    loss = SoftmaxAtK(2, 0.2, accidental_hits="seen")


class TestAdaptiveTemperature(LossConformance):
    loss = AdaptiveTemperature()


class TestCosineContrastive(LossConformance):
    loss = CosineContrastive(0.2, 2.0)


class TestDirectAU(LossConformance):
    loss = DirectAU(0.5)


class TestSquaredError(LossConformance):
    loss = SquaredError(scale=(1, 5))


class TestSquaredL2(RegularizerConformance):
    regularizer = SquaredL2(0.01)


class TestNormL2(RegularizerConformance):
    regularizer = NormL2(0.01)


class TestUniform(NegativesConformance):
    negatives = Uniform(2)


class TestPopularity(NegativesConformance):
    negatives = Popularity(0.75, 2)


class TestInBatch(NegativesConformance):
    negatives = InBatch(3)


class TestHardest(NegativesConformance):
    negatives = Hardest(of=4, num=2)


@options
class Careless(Loss):
    """Masked rows count, and great scores overflow."""

    def __call__(self, rows, batch, data, key):
        gap = jnp.sum(rows.user[:, None] * (rows.positive[:, None] - rows.negative), axis=2)
        return jnp.mean(jnp.log(1 + jnp.exp(-gap)))


class CarelessSuite(LossConformance):
    loss = Careless()


def test_a_loss_that_forgets_the_mask_or_overflows_fails():
    suite, setting = CarelessSuite(), CarelessSuite._setting()
    suite.test_the_value_and_its_gradient_are_finite_float32(setting)
    with pytest.raises(AssertionError):
        suite.test_masked_rows_have_no_influence_and_no_gradient(setting)
    with pytest.raises(AssertionError):
        suite.test_all_masked_gives_zero_with_a_gradient_of_zero(setting)
    with pytest.raises(AssertionError):
        suite.test_extreme_vectors_stay_finite(setting, 1e3)


@options
class Frozen(Loss):
    """The number decides in Python, so each is another program."""

    margin: float = 1.0

    def __call__(self, rows, batch, data, key):
        if self.margin > 0.95:
            return jnp.float32(0)
        return jnp.float32(1)


class FrozenSuite(LossConformance):
    loss = Frozen()


def test_a_number_that_decides_in_python_fails():
    with pytest.raises(jax.errors.TracerBoolConversionError):
        FrozenSuite().test_other_numbers_are_traced_once()


@options
class AnyItem(Negatives):
    """Seen items too."""

    num: int = static(default=1)

    def __call__(self, data, user, item, key):
        drawn = jax.random.randint(key, (user.shape[0], self.num), 0, data.num_items, jnp.int32)
        return drawn, jnp.ones(user.shape[0], bool)


class AnyItemSuite(NegativesConformance):
    negatives = AnyItem()


def test_a_sampler_of_seen_items_fails():
    suite = AnyItemSuite()
    suite.test_shapes_and_dtypes()
    with pytest.raises(AssertionError):
        suite.test_it_never_draws_an_item_that_the_user_has()
    with pytest.raises(AssertionError):
        suite.test_only_the_user_who_has_every_item_has_no_negative()


@options
class Total(Regularizer):
    """All rows count, masked ones too, and the length has no gradient at 0."""

    def __call__(self, embeddings, where):
        return sum(jnp.sum(jnp.sqrt(jnp.sum(jnp.square(rows), axis=-1))) for rows in embeddings)


class TotalSuite(RegularizerConformance):
    regularizer = Total()


def test_a_regularizer_that_forgets_the_mask_or_the_zero_fails():
    suite = TotalSuite()
    with pytest.raises(AssertionError):
        suite.test_masked_rows_have_no_influence_and_no_gradient()
    with pytest.raises(AssertionError):
        suite.test_extreme_embeddings_stay_finite(0.0)


class Diverging(jaxrec.MF):
    """Trained on other vectors than it ranks by."""

    def encode(self, adjacency, user, item, negatives):
        rows = super().encode(adjacency, user, item, negatives)
        return rows._replace(positive=2 * rows.positive)


def test_a_model_that_trains_other_vectors_than_it_ranks_by_fails():
    adjacency = adjacency_of(checkerboard())
    model = Diverging(dim=2, num_users=17, num_items=17)
    variables = model.init(jax.random.key(0), adjacency)
    scorer = model.apply(variables, adjacency, method="scorer")
    with pytest.raises(AssertionError):
        ModelConformance().test_encoded_rows_are_those_of_the_scorer(model, variables, adjacency, scorer)
