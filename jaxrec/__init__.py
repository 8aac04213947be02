"""A recommender library in JAX: pure-function models over a sparse normalized adjacency, and their evaluation."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from jaxrec._moved import find_old_modules

if TYPE_CHECKING:
    from jaxrec import (
        blending,
        data,
        errors,
        evaluation,
        files,
        fitting,
        graph,
        losses,
        metrics,
        models,
        pages,
        parallel,
        progress,
        protocols,
        pytrees,
        ranking,
        registry,
        reports,
        sampling,
        scorers,
        serving,
        sparse,
        spectral,
        statistics,
        training,
    )
    from jaxrec.api import (
        CrossValidation,
        Embeddings,
        Recommendations,
        add_items,
        cross_validate,
        embeddings,
        evaluate,
        evaluate_rankings,
        evaluate_ratings,
        evaluate_sampled,
        predict,
        recommend,
        similar_items,
    )
    from jaxrec.data import Interactions, PowerLaw, generate, prepare
    from jaxrec.data.datasets import datasets, load
    from jaxrec.data.reading import (
        from_frame,
        from_networkx,
        from_scipy,
        read,
        read_split,
        to_frame,
        to_networkx,
        to_scipy,
    )
    from jaxrec.data.splitting import Split, split
    from jaxrec.errors import JaxrecError
    from jaxrec.fitting import (
        FitOptions,
        FittedModel,
        FloatRange,
        IntRange,
        Study,
        TrainingOptions,
        Validation,
        auto,
        blend,
        fit,
        fit_many,
        restore,
        save,
        tune,
    )
    from jaxrec.models import (
        EASE,
        GCN,
        IALS,
        MF,
        NMF,
        SANSA,
        SVDPP,
        GraphFilter,
        ItemKNN,
        LightGCN,
        Popularity,
        Random,
        RP3Beta,
        SpectralRanker,
        UserKNN,
    )
    from jaxrec.serving import export
    from jaxrec.training import Checkpoint

    from_arrays = Interactions.from_arrays

__version__ = "0.2.0"

_ROOMS = (
    *(
        "blending",
        "data",
        "errors",
        "evaluation",
        "files",
        "fitting",
        "graph",
        "losses",
        "metrics",
        "models",
        "pages",
        "parallel",
        "ranking",
        "reports",
        "sampling",
        "sparse",
        "spectral",
    ),
    *("progress", "protocols", "pytrees", "registry", "scorers", "serving", "statistics", "training"),
)
_NAMES = {
    "api": "CrossValidation Embeddings Recommendations add_items cross_validate embeddings evaluate"
    " evaluate_rankings evaluate_ratings evaluate_sampled predict recommend similar_items",
    "data": "Interactions PowerLaw generate prepare",
    "data.datasets": "datasets load",
    "data.reading": "from_frame from_networkx from_scipy read read_split to_frame to_networkx to_scipy",
    "data.splitting": "Split split",
    "errors": "JaxrecError",
    "fitting": "FitOptions FittedModel FloatRange IntRange Study TrainingOptions Validation auto blend fit"
    " fit_many restore save tune",
    "models": "EASE GCN IALS MF NMF SANSA SVDPP GraphFilter ItemKNN LightGCN Popularity Random RP3Beta SpectralRanker"
    " UserKNN",
    "serving": "export",
    "training": "Checkpoint",
}
_HOMES = {name: f"jaxrec.{room}" for room, names in _NAMES.items() for name in names.split()}

__all__ = sorted([*_ROOMS, *_HOMES, "from_arrays"])  # pyright: ignore[reportUnsupportedDunderAll]

find_old_modules()


def __getattr__(name: str) -> Any:
    # What is not used is not imported: a command that only ranks needs neither Flax nor Optax.
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name == "from_arrays":
        value = importlib.import_module("jaxrec.data").Interactions.from_arrays
    elif name in _ROOMS:
        return importlib.import_module(f"jaxrec.{name}")
    else:
        raise AttributeError(f"module 'jaxrec' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
