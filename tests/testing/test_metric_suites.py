"""The conformance suite on metrics of the catalog, one for each kind of need."""

from jaxrec import registry
from jaxrec.testing import MetricConformance


class TestNDCG(MetricConformance):
    metric = registry.make("metric", "ndcg")


class TestNovelty(MetricConformance):
    metric = registry.make("metric", "novelty")


class TestMiscalibration(MetricConformance):
    metric = registry.make("metric", "miscalibration")
    watched = False


class TestIntraListDistance(MetricConformance):
    metric = registry.make("metric", "ild")
    watched = False


class TestAUC(MetricConformance):
    metric = registry.make("metric", "auc")


class TestGini(MetricConformance):
    metric = registry.make("metric", "gini")


class TestRMSE(MetricConformance):
    metric = registry.make("metric", "rmse")
