"""Objects of options as plain JSON values, and back: from the library, the registry, or classes that the caller passes.

A file names classes by their place, "package.module:Class". It never makes anything be imported but jaxrec's own rooms.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxrec import registry
from jaxrec.errors import JaxrecError, RunFolderError

# What a run folder may hold of the library besides what the registry names.
OTHERS = (
    *(
        f"jaxrec.scorers:{name}Scorer"
        for name in (
            "Factor",
            "ItemWeight",
            "UserWeight",
            "Popularity",
            "Random",
            "Table",
            "Filter",
            "Candidate",
            "Network",
            "Stacked",
        )
    ),
    *(f"jaxrec.scorers:{name}" for name in ("Lane", "Band", "Series", "GraphFeatures", "FeatureNetwork")),
    *(
        f"jaxrec.models:{name}"
        for name in (
            "OneHop",
            "LowPass",
            "UserLowPass",
            "Bands",
            "ChebyshevSeries",
            "Plateau",
            "Sharpened",
            "Hop",
            "LearntFilter",
            "LearntNetwork",
            "Member",
        )
    ),
    *("jaxrec.data:SeenItems", "jaxrec.sparse:SparseOperator"),
    *("jaxrec.fitting:TrainingOptions", "jaxrec.fitting:Validation", "jaxrec.training:OptaxOptimizer"),
    *("jaxrec.blending:BlendScorer", "jaxrec.fitting:Blend"),
    *(f"jaxrec.models:{name}" for name in ("Vectors", "LinearConfidence", "LogConfidence")),
)


def place_of(thing: Any) -> str:
    """The place of a class, or of an object's class; of a class of jaxrec the room that shows it.

    >>> import jaxrec
    >>> place_of(jaxrec.MF), place_of(jaxrec.losses.BPR())
    ('jaxrec.models:MF', 'jaxrec.losses:BPR')
    """
    owner = thing if inspect.isclass(thing) else type(thing)
    module = owner.__module__
    if module.startswith("jaxrec."):
        module = module.partition("._")[0]
    return f"{module}:{owner.__qualname__}"


def class_at(place: str, kinds: Iterable[type] = ()) -> type:
    """The class of a place: of the library, registered in this process, or among those that the caller passes.

    Raises:
      RunFolderError: none of these.

    >>> class_at("jaxrec.losses:BPR").__name__
    'BPR'
    """
    for kind in kinds:
        # A script and the module that it became call one class by two places, so the name decides.
        if place in (place_of(kind), kind.__name__) or place.rpartition(":")[2] == kind.__qualname__:
            return kind
    for found in registry.registered():
        if place_of(found) == place:
            return found if inspect.isclass(found) else type(found)
    if place in OTHERS or any(place in places.values() for places in registry.BUILT_IN.values()):
        return registry.imported("class", place)
    raise RunFolderError(
        f"the run folder has an object of {place}, which is not of jaxrec; pass the class, as in "
        f"restore(folder, kinds=[{place.rpartition(':')[2]}]), or --kind {place} on the command line"
    )


def describe(value: Any) -> Any:
    """A plain JSON value of options: numbers, words, sequences, mappings, and frozen dataclasses of these.

    Raises:
      JaxrecError: anything else.

    >>> import jaxrec
    >>> describe(jaxrec.losses.BPR())
    {'kind': 'jaxrec.losses:BPR', 'fields': {}}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.integer, np.floating)):
        return value.item()
    if hasattr(value, "init") and hasattr(value, "update"):
        return None  # an Optax transformation is two functions, which no file can hold
    if isinstance(value, (tuple, list)):
        return [describe(each) for each in value]
    if isinstance(value, Mapping):
        return {"kind": "mapping", "fields": {str(name): describe(each) for name, each in value.items()}}
    name = getattr(value, "name", None)
    if isinstance(name, str) and name in registry.BUILT_IN["metric"] and registry.make("metric", name) == value:
        return name
    if dataclasses.is_dataclass(value) and not inspect.isclass(value):
        return {"kind": place_of(value), "fields": fields_of(value)}
    if isinstance(name, str) and not vars(value):  # a metric without options
        return {"kind": place_of(value), "fields": {}}
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}:{value.__qualname__}"  # a function: a file has its place, in words
    raise JaxrecError(f"{value!r} cannot be saved; options are numbers, words, tuples, and frozen dataclasses of these")


def fields_of(thing: Any) -> dict[str, Any]:
    """The options of a dataclass as plain JSON values by name; what Flax adds to a module is left out.

    >>> import jaxrec
    >>> fields_of(jaxrec.EASE(l2=5.0))["l2"]
    5.0
    """
    return {
        field.name: describe(getattr(thing, field.name))
        for field in dataclasses.fields(thing)
        if field.init and field.name not in ("parent", "name")
    }


def rebuild(described: Any, kinds: Iterable[type] = ()) -> Any:
    """The value that `describe` made a description of; sequences come back as tuples.

    >>> import jaxrec
    >>> rebuild(describe(jaxrec.losses.SampledSoftmax(0.2))).temperature
    0.2
    """
    if isinstance(described, list):
        return tuple(rebuild(each, kinds) for each in described)
    if not isinstance(described, Mapping):
        return described
    fields = {name: rebuild(each, kinds) for name, each in described["fields"].items()}
    return fields if described["kind"] == "mapping" else class_at(described["kind"], kinds)(**fields)


def plain_description(thing: Any) -> dict[str, Any]:
    """The options of an object by their path, for people and trackers: {"loss": "bpr", "optimizer.learning_rate": ...}.

    >>> import jaxrec
    >>> plain_description(jaxrec.TrainingOptions(optimizer=jaxrec.training.Adam(0.01)))["optimizer.learning_rate"]
    0.01
    """
    out: dict[str, Any] = {}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, Mapping) and "kind" in value:
            if path:
                out[path] = value["kind"].rpartition(":")[2]
            for name, each in value["fields"].items():
                walk(f"{path}.{name}" if path else name, each)
        else:
            out[path] = value

    walk("", describe(thing))
    return out
