"""The one registry: names of models, losses, metrics and all else that can be chosen by a word.

Names serve the command line and convenience, as in `metrics=["recall"]`. An object can always be passed instead, and
nothing else in the library compares a name. A package adds names by an entry point of the group "jaxrec.KIND", such as

    [project.entry-points."jaxrec.loss"]
    hinge = "mypackage.losses:Hinge"
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.metadata
import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from jaxrec.errors import JaxrecError

__all__ = [
    "BUILT_IN",
    "KINDS",
    "find",
    "imported",
    "make",
    "name_of",
    "names",
    "options_of",
    "register",
    "registered",
    "unregister",
]


def _of(room: str, words: str) -> dict[str, str]:
    """Places in one room: NAME=ATTRIBUTE, separated by spaces, or NAME where both are the same.

    >>> _of("jaxrec.losses", "bpr=BPR")
    {'bpr': 'jaxrec.losses:BPR'}
    """
    pairs = (word.partition("=") for word in words.split())
    return {name: f"{room}:{attribute or name}" for name, _, attribute in pairs}


# A name leads to a place, which is imported when it is asked for.
BUILT_IN: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "model": _of(
            "jaxrec.models",
            "mf=MF lightgcn=LightGCN svdpp=SVDPP gcn=GCN nmf=NMF itemknn=ItemKNN userknn=UserKNN ease=EASE "
            "filter=GraphFilter spectral=SpectralRanker popularity=Popularity random=Random lightgcnpp=LightGCNPP "
            "simgcl=SimGCL xsimgcl=XSimGCL ials=IALS sansa=SANSA rp3beta=RP3Beta",
        ),
        "loss": _of(
            "jaxrec.losses",
            "bpr=BPR softmax=InBatchSoftmax sampled_softmax=SampledSoftmax logistic=Logistic mse=SquaredError "
            "bsl=BilateralSoftmax psl=PairwiseSoftmax sl_at_k=SoftmaxAtK adap_tau=AdaptiveTemperature "
            "ccl=CosineContrastive directau=DirectAU",
        ),
        "regularizer": _of("jaxrec.losses", "squared=SquaredL2 norm=NormL2"),
        "negatives": _of("jaxrec.sampling", "uniform=Uniform popularity=Popularity in_batch=InBatch hardest=Hardest"),
        "optimizer": _of("jaxrec.training", "adam=Adam sgd=SGD adagrad=Adagrad"),
        "weights": _of("jaxrec.training", "time_decay=TimeDecay rating_confidence=RatingConfidence"),
        "head": _of("jaxrec.models", "network=LearntNetwork filter=LearntFilter"),
        "confidence": _of("jaxrec.models", "linear=LinearConfidence log=LogConfidence"),
        "term": _of(
            "jaxrec.models",
            "one_hop=OneHop low_pass=LowPass user_low_pass=UserLowPass bands=Bands chebyshev=ChebyshevSeries",
        ),
        "response": _of("jaxrec.models", "plateau=Plateau sharpened=Sharpened"),
        "hop": _of("jaxrec.models", "hop=Hop"),
        "recipe": _of("jaxrec.fitting", "auto=Auto"),
        "calibration": _of("jaxrec.blending", "softmax=LogSoftmax share=LogShare zscore=ZScore"),
        "metric": _of(
            "jaxrec.evaluation._catalog",
            "recall precision hit_rate f1 ndcg average_precision reciprocal_rank ap mrr capped_recall ndcg_k "
            "average_precision_min hits recall_known=RecallKnown precision_length=PrecisionLength "
            "r_precision=RPrecision serendipity=Serendipity graded_ndcg=GradedNDCG graded_ndcg_exponential "
            "ild=IntraListDistance coverage=Coverage auc=AUC novelty=Novelty average_popularity=AveragePopularity "
            "long_tail=LongTail miscalibration=Miscalibration category_coverage=CategoryCoverage gini=Gini "
            "shannon_entropy=ShannonEntropy personalization=Personalization rmse=RMSE mae=MAE",
        ),
        "reader": _of(
            "jaxrec.data.reading",
            "movielens-data=MovieLensData movielens-dat=MovieLensDat movielens-csv=MovieLensCSV lightgcn=LightGCNText "
            "recbole=RecBole parquet=Parquet delimited=Delimited",
        ),
        "splitter": _of(
            "jaxrec.data.splitting",
            "user_temporal=UserTemporal user_random=UserRandom user_order=UserOrder random=RandomSplit "
            "global_temporal=GlobalTemporal leave_one_out=LeaveOneOut user_kfold=UserKFold predefined=Predefined "
            "time_windows=TimeWindows",
        ),
        "reranker": _of("jaxrec.ranking", "mmr=MMR dpp=GreedyDPP"),
        "callback": {
            **_of("jaxrec.training", "early_stopping=EarlyStopping deadline=Deadline json_lines=JsonLines"),
            "learning_curve": "jaxrec.plots:LearningCurve",
            **_of("jaxrec.training", "mlflow=MLflow progress_bar=ProgressBar tensorboard=TensorBoard wandb=WandB"),
        },
    }
)

KINDS = tuple(BUILT_IN)

# Names of classes that are not made by a word, but of other objects.
_NAMED: Mapping[str, Mapping[str, str]] = MappingProxyType({"model": _of("jaxrec.fitting", "blend=Blend")})

_registered: dict[tuple[str, str], Any] = {}


def register(kind: str, name: str, thing: Any) -> None:
    """Give a name to a class or an object of your own, in this process.

    Args:
      kind: of `KINDS`.
      name: the word; it may not be taken.
      thing: the class, which is made without arguments where an object is wanted, or the object.

    Raises:
      JaxrecError: an unknown kind, or a name that is taken.

    >>> register("loss", "my_bpr", find("loss", "bpr"))
    >>> name_of("loss", find("loss", "my_bpr")), unregister("loss", "my_bpr")
    ('bpr', None)
    """
    if name in BUILT_IN[_kind(kind)] or _registered.get((kind, name), thing) is not thing:
        raise JaxrecError(f"the {kind} {name!r} is there already; choose another name")
    _registered[kind, name] = thing


def unregister(kind: str, name: str) -> None:
    """Take back what `register` did.

    Raises:
      JaxrecError: the name was not registered.

    >>> unregister("loss", "never")
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: no loss was registered as 'never'
    """
    if _registered.pop((_kind(kind), name), None) is None:
        raise JaxrecError(f"no {kind} was registered as {name!r}")


def names(kind: str, *, installed: bool = True) -> tuple[str, ...]:
    """All names of a kind: those of the library, of installed packages (unless left out), and of this process.

    >>> names("regularizer")
    ('squared', 'norm')
    """
    own = [name for of, name in _registered if of == _kind(kind)]
    return tuple(dict.fromkeys([*BUILT_IN[kind], *(_entry_points(kind) if installed else ()), *own]))


def registered() -> tuple[Any, ...]:
    """The classes and objects of your own that have a name in this process.

    >>> registered()
    ()
    """
    return tuple(_registered.values())


def find(kind: str, word: str, *, outside: bool = False, installed: bool = True) -> Any:
    """The class or object of a name.

    Args:
      kind: of `KINDS`.
      word: a name, or with `outside` also a place, "package.module:Class".
      outside: whether a place may be imported: yes for a word of the caller, no for one that a file has.
      installed: whether the entry points of installed packages are looked at, which imports them; no for a file.

    Raises:
      JaxrecError: no such name or place.

    >>> find("model", "mf").__name__, find("loss", "jaxrec.losses:BPR", outside=True).__name__
    ('MF', 'BPR')
    """
    if word in BUILT_IN[_kind(kind)]:
        return imported(kind, BUILT_IN[kind][word])
    if (kind, word) in _registered:
        return _registered[kind, word]
    if installed and word in (points := _entry_points(kind)):
        return points[word].load()
    if outside and ":" in word:
        return imported(kind, word)
    raise JaxrecError(no_such(kind, word, names(kind), outside=outside))


def no_such(kind: str, word: str, known: Sequence[str], *, outside: bool = False) -> str:
    """The message that no thing of a kind has a name.

    >>> no_such("loss", "bqr", ["bpr", "softmax"])
    "no loss is named 'bqr'; did you mean bpr? the names are bpr, softmax"
    """
    near = difflib.get_close_matches(word.lower(), known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    place = ", or package.module:Class for one of your own" if outside else ""
    return f"no {kind} is named {word!r}; {hint}the names are {', '.join(known)}{place}"


def make(kind: str, thing: Any, *, outside: bool = False, options: Mapping[str, Any] | None = None) -> Any:
    """The object that is meant: one that is there already, or by a name, with the defaults of its class.

    Args:
      kind: of `KINDS`.
      thing: a name, a class or an object.
      outside: see `find`.
      options: of the class, in place of its defaults.

    Raises:
      JaxrecError: no such name, or an option that the class does not have.

    >>> make("loss", "bpr") == make("loss", make("loss", "bpr"))
    True
    >>> make("splitter", "user_random", options={"test": 0.5}).test
    0.5
    """
    called = thing
    if isinstance(thing, str):
        thing = find(kind, thing, outside=outside)
    given = dict(options or {})
    if not inspect.isclass(thing):
        for name, value in given.items():
            raise JaxrecError(
                f"{name} is {value!r}, and {thing!r} carries its own options; set {name} there, or leave it out"
            )
        return thing
    accepted = options_of(thing)
    for name, value in given.items():
        if name not in accepted:
            # What a repr leaves out is set by other programs.
            shown = [field.name for field in _options(thing) if field.repr]
            has = f"it takes {', '.join(shown)}" if shown else "it has none"
            raise JaxrecError(f"{name} is {value!r}, and the {kind} {called!r} has no such option; {has}")
    return thing(**given)


def options_of(thing: Any) -> tuple[str, ...]:
    """The names of the options that a class takes; none of an object, which has its own.

    >>> options_of(find("splitter", "user_random"))
    ('test', 'valid')
    """
    return tuple(field.name for field in _options(thing))


def _options(thing: Any) -> list[dataclasses.Field[Any]]:
    if not inspect.isclass(thing) or not dataclasses.is_dataclass(thing):
        return []
    return [field for field in dataclasses.fields(thing) if field.init]


def name_of(kind: str, thing: Any) -> str:
    """The name of a class or of an object's class, or its place where it has no name.

    >>> name_of("model", find("model", "ease"))
    'ease'
    """
    owner = thing if inspect.isclass(thing) else type(thing)
    for name, place in {**BUILT_IN[_kind(kind)], **_NAMED.get(kind, {})}.items():
        # Compared by place: what is not imported yet is no one's class.
        room, _, attribute = place.partition(":")
        if attribute == owner.__name__ and (owner.__module__ == room or owner.__module__.startswith(f"{room}._")):
            return name
    for (of, name), known in _registered.items():
        if of == kind and known in (thing, owner):
            return name
    return f"{owner.__module__}:{owner.__qualname__}"


def _kind(kind: str) -> str:
    if kind not in BUILT_IN:
        raise JaxrecError(f"no kind is named {kind!r}; the kinds are {', '.join(KINDS)}")
    return kind


def _entry_points(kind: str) -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=f"jaxrec.{kind}")}


def imported(kind: str, place: str) -> Any:
    """What is at a place, "package.module:attribute"; its module is imported.

    Args:
      kind: for the message.
      place: of the caller, never of a file.

    Raises:
      JaxrecError: no such module or attribute.

    >>> imported("loss", "jaxrec.losses:BPR").__name__
    'BPR'
    """
    module, _, attribute = place.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise JaxrecError(f"the {kind} {place!r} cannot be imported: {error}") from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise JaxrecError(f"the {kind} {place!r} is not there: {module} has no {attribute}")
        found = getattr(found, part)
    return found
