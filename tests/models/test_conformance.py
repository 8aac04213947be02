"""Every model of the library under the conformance suite."""

import dataclasses

import jax
import pytest

from jaxrec import (
    EASE,
    GCN,
    IALS,
    MF,
    NMF,
    SVDPP,
    ItemKNN,
    LightGCN,
    Popularity,
    Random,
    TrainingOptions,
    UserKNN,
    registry,
)
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.losses import InBatchSoftmax, Logistic
from jaxrec.models import (
    SANSA,
    ChebyshevSeries,
    GraphFilter,
    LearntFilter,
    LearntNetwork,
    LightGCNPP,
    LowPass,
    Member,
    OneHop,
    RP3Beta,
    SimGCL,
    SpectralRanker,
    UserLowPass,
    XSimGCL,
    with_sizes,
)
from jaxrec.testing import ModelConformance, SolverConformance, adjacency_of, checkerboard
from jaxrec.training import Adam

ALL = 17  # users, and items, of the checkerboard
BPR = TrainingOptions(epochs=40, batch_size=32, optimizer=Adam(0.05), regularizer=0.01)
LOGISTIC = dataclasses.replace(BPR, loss=Logistic(), negatives=2)


@pytest.mark.parametrize("name", registry.BUILT_IN["model"])
def test_sizes_that_do_not_fit_raise(name):
    kind, data = registry.find("model", name), checkerboard()
    model = kind(dim=2) if hasattr(kind, "dim") else kind()
    sized = with_sizes(model, ALL, ALL)
    key, adjacency = jax.random.key(0), adjacency_of(data)
    variables = sized.init(key, adjacency)
    smaller = adjacency_of(data.select(data.user > 0).compact())
    with pytest.raises(MismatchError, match=f"{smaller.shape[0]}.*{2 * ALL}|{2 * ALL}.*{smaller.shape[0]}"):
        sized.apply(variables, smaller, method="scorer")
    with pytest.raises(JaxrecError, match="num_users"):
        model.init(key, smaller)


class TestMF(ModelConformance):
    model = MF(dim=4)
    options = BPR


class TestMFWithBiases(ModelConformance):
    model = MF(dim=4, bias=True, initializer="xavier")
    options = LOGISTIC


class TestLightGCN(ModelConformance):
    model = LightGCN(dim=8, layers=2)
    options = BPR


class TestLightGCNSoftmax(ModelConformance):
    model = LightGCN(dim=8, layers=1, layer_weights=(0.5, 0.5), initializer="xavier")
    options = dataclasses.replace(
        BPR, loss=InBatchSoftmax(temperature=0.2, accidental_hits="same_item"), optimizer=Adam(0.02)
    )


class TestGraphFilter(ModelConformance):
    model = GraphFilter(
        terms=(OneHop(), OneHop(own=0.0, power=2.0), LowPass(rank=4), UserLowPass(rank=3), ChebyshevSeries(order=2))
    )


class TestSpectralRanker(ModelConformance):
    traced = False
    model = SpectralRanker(head=LearntNetwork(ends=(2, 4), hidden=(8,), epochs=20, batch_users=4), share=0.2)


class TestSpectralRankerOfAllItems(ModelConformance):
    traced = False
    model = TestSpectralRanker.model.clone(candidates=None)


class TestSpectralRankerWithMembers(ModelConformance):
    traced = False
    model = TestSpectralRanker.model.clone(
        head=dataclasses.replace(TestSpectralRanker.model.head, networks=2),
        members=(Member(MF(dim=4), BPR), Member(EASE(l2=2.0))),
    )


class TestSpectralRankerWithAFilter(ModelConformance):
    traced = False
    model = SpectralRanker(head=LearntFilter(ends=(1, 2, 4), batch_users=4), share=0.2)


class TestLightGCNSingular(ModelConformance):
    model = LightGCN(dim=8, layers=1, initializer="svd")
    options = BPR


class TestMFSingular(ModelConformance):
    model = MF(dim=4, bias=True, initializer="svd")
    options = BPR


class TestLightGCNPP(ModelConformance):
    model = LightGCNPP(dim=8, layers=2)
    options = BPR


class TestSimGCL(ModelConformance):
    model = SimGCL(dim=8, layers=2, contrast_weight=0.01)
    options = BPR


class TestXSimGCL(ModelConformance):
    model = XSimGCL(dim=8, layers=2, contrast_weight=0.01)
    options = BPR


class TestSVDPP(ModelConformance):
    model = SVDPP(dim=4)
    options = LOGISTIC


class TestGCN(ModelConformance):
    model = GCN(dim=8, hidden=8)
    options = BPR


class TestNMF(ModelConformance):
    model = NMF(dim=2)


class TestUserKNN(ModelConformance):
    model = UserKNN(neighbors=5)
    traced = False


class TestItemKNN(ModelConformance):
    model = ItemKNN(neighbors=5)
    traced = False


class TestItemKNNNormalized(ModelConformance):
    model = ItemKNN(similarity="normalized")
    traced = False


class TestEASE(ModelConformance):
    model = EASE(l2=2.0)
    traced = False


class TestIALS(ModelConformance):
    model = IALS(dim=4, degree_exponent=0.1)
    traced = False


class TestIALSSolved(SolverConformance):
    model = IALS(dim=20, iterations=2)


class TestRDLAENormalized(ModelConformance):
    model = EASE(l2=2.0, dropout=0.2, relax=0.3, item_exponent=0.2, user_exponent=0.5)
    traced = False


class TestSANSA(ModelConformance):
    model = SANSA(l2=2.0, neighbors=6, user_exponent=0.5, item_exponent=0.1)
    traced = False


class TestRP3Beta(ModelConformance):
    model = RP3Beta(neighbors=8)
    traced = False


class TestEASESolved(SolverConformance):
    model = EASE(l2=2.0)


class TestNMFSolved(SolverConformance):
    model = NMF(dim=2)


class TestPopularity(ModelConformance):
    model = Popularity()
    personal = False


class TestRandom(ModelConformance):
    model = Random()
    personal = False


@pytest.mark.parametrize("name", registry.BUILT_IN["model"])
def test_every_model_of_the_library_is_here(name):
    tested = [type(suite.model) for suite in ModelConformance.__subclasses__() if hasattr(suite, "model")]
    assert registry.find("model", name) in tested
