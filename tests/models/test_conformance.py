"""Every model of the library under the conformance suite."""

import pytest
from conformance import ModelConformance

from jaxrec import EASE, GCN, MF, NMF, SVDPP, FitOptions, ItemKNN, LightGCN, Popularity, Random, UserKNN
from jaxrec.models import MODELS

BPR = FitOptions(epochs=40, batch_size=32, learning_rate=0.05, l2=0.01)


class TestMF(ModelConformance):
    model = MF(dim=4)
    options = BPR


class TestMFWithBiases(ModelConformance):
    model = MF(dim=4, bias=True, initializer="xavier")
    options = FitOptions(loss="logistic", epochs=40, batch_size=32, learning_rate=0.05, negatives=2)


class TestLightGCN(ModelConformance):
    model = LightGCN(dim=8, layers=2)
    options = BPR


class TestLightGCNSoftmax(ModelConformance):
    model = LightGCN(dim=8, layers=1, layer_weights=(0.5, 0.5), initializer="xavier")
    options = FitOptions(
        loss="softmax", negatives=0, temperature=0.2, mask_hits="item", epochs=40, batch_size=32, learning_rate=0.02
    )


class TestSVDPP(ModelConformance):
    model = SVDPP(dim=4)
    options = FitOptions(loss="logistic", epochs=40, batch_size=32, learning_rate=0.05, negatives=2)


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


class TestPopularity(ModelConformance):
    model = Popularity()
    personal = False


class TestRandom(ModelConformance):
    model = Random()
    personal = False


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_the_library_is_here(name):
    suites = [suite for suite in ModelConformance.__subclasses__() if type(suite.model) is MODELS[name]]
    assert suites
