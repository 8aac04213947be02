"""Conformance suites: the whole pytest class of a model, loss, metric and the like of one's own, in three lines.

from jaxrec.testing import LossConformance


class TestHinge(LossConformance):
    loss = Hinge(margin=0.5)
"""

try:
    import pytest
except ImportError as error:
    raise ImportError('jaxrec.testing needs pytest: pip install "jaxrec[test]"') from error

# Without this a failed assert of a suite would not show its values.
pytest.register_assert_rewrite(
    *(
        f"jaxrec.testing._{name}"
        for name in ("losses", "metrics", "models", "negatives", "new_users", "options", "regularizers")
    )
)

from jaxrec.testing._losses import LossConformance
from jaxrec.testing._metrics import MetricConformance
from jaxrec.testing._models import ModelConformance, SolverConformance
from jaxrec.testing._negatives import NegativesConformance
from jaxrec.testing._regularizers import RegularizerConformance
from jaxrec.testing._worlds import adjacency_of, checkerboard, compiled, leaves_of

__all__ = [
    "LossConformance",
    "MetricConformance",
    "ModelConformance",
    "NegativesConformance",
    "RegularizerConformance",
    "SolverConformance",
    "adjacency_of",
    "checkerboard",
    "compiled",
    "leaves_of",
]
