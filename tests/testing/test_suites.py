"""The conformance suites on the losses, regularizers and samplers of the library, and on ones that are wrong."""

from jaxrec.losses import BPR, InBatchSoftmax, Logistic, NormL2, SampledSoftmax, SquaredError, SquaredL2
from jaxrec.sampling import Uniform
from jaxrec.testing import LossConformance, NegativesConformance, RegularizerConformance


class TestBPR(LossConformance):
    loss = BPR()


class TestLogistic(LossConformance):
    loss = Logistic()


class TestSampledSoftmax(LossConformance):
    loss = SampledSoftmax(temperature=0.2)


class TestInBatchSoftmax(LossConformance):
    loss = InBatchSoftmax(temperature=0.2, accidental_hits="same_item", chunks=2)


class TestInBatchSoftmaxAdjusted(LossConformance):
    loss = InBatchSoftmax(temperature=0.2, accidental_hits="seen", logit_adjustment=0.7)


class TestSquaredError(LossConformance):
    loss = SquaredError(scale=(1, 5))


class TestSquaredL2(RegularizerConformance):
    regularizer = SquaredL2(0.01)


class TestNormL2(RegularizerConformance):
    regularizer = NormL2(0.01)


class TestUniform(NegativesConformance):
    negatives = Uniform(2)
