"""Scorer, Estimator, Fold and the fingerprint: plain Python and numpy, nothing of Spark.

A *score* is what a scorer yields: one value per row, a function of that row's content and the fitted state alone.
Laws (tests/udfs/scores/test_contract.py holds every discovered scorer to them): deterministic, independent of batch,
order and neighbours, no mutation of inputs, picklable; the kernel never sees null and says "undefined" with NaN.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, Literal, TypeVar

from .constraints import check_fields
from .digests import digest

State = TypeVar("State")
Kernel = Callable[..., Any]
#: What a scorer's input is: text, a vector (array of numbers), a k-means score, names (array of strings), or anything.
Takes = Literal["text", "vector", "clusters", "names", "any"]

#: Names of the document expressions that a scorer may read; any other input is the label of another score.
DOCUMENT_INPUTS = ("text", "prompt", "completion")


@dataclass(frozen=True)
class Declared:
    """What scorers and estimators have in common: parameters as fields, and what they declare of themselves."""

    kind: ClassVar[str] = ""
    revision: ClassVar[int] = 1
    value: ClassVar[str] = "double"
    comment: ClassVar[str] = ""
    #: Whether lists reach its kernel as arrays.Ragged, of any length, instead of a matrix.
    ragged: ClassVar[bool] = False

    of: str = "text"

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the kernel of the scorer, or of the one to be fitted, is called with, in order."""
        return (self.of,)

    @property
    def takes(self) -> Takes:
        """What its inputs must be; checked before a run."""
        return "text"

    def takes_of(self, _: str, /) -> Takes:
        """What one input must be, if they differ."""
        return self.takes

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of its inputs that are source columns of the documents, read as they are."""
        return ()

    def check_read(self, name: str, read: Declared) -> None:
        """Raise RecipeError if the score `name` among its inputs, whose kind fits, cannot be read all the same."""

    def check_machine(self) -> None:
        """Raise PlatformError if a package or file that fit or kernel needs is missing here; before any Spark job."""


@dataclass(frozen=True)
class Scorer(Declared):
    """Parameters or fitted state as fields; `kernel()` builds the function that scores a batch.

    Parameters
    ----------
    of : str, default "text"
        What is scored: "text", "prompt", "completion", or the label of another score.

    Class attributes: `kind` is the name in recipes and SQL; `revision` is raised when values change; `value` is the
    Spark DDL type of one value; `comment` says unit, range and direction in table schemas; `fitted` is True where only
    an estimator of the same kind makes instances; `alone` is True for costly scores, which are computed in a pass of
    their own, so that a crash or a failure never costs the values of cheap ones.
    """

    fitted: ClassVar[bool] = False
    alone: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.fitted:  # what an estimator made was checked there
            super().__post_init__()

    @property
    def seconds_per_row(self) -> float:
        """CPU seconds that a row of 100 words takes, roughly: the first unit of a slow score has few rows."""
        return 0.1 if self.alone else 0.001

    @property
    def width(self) -> int:
        """Numbers in one value, if that is a vector of a width known beforehand; else 0."""
        return 0

    @property
    def input_width(self) -> int:
        """Numbers that a vector must have to be read, others being undefined; 0 for any, the same in all rows."""
        return 0

    @property
    def model_held(self) -> Hashable:
        """The model that a Python worker holds while it scores, None for none; two models need a pass each."""
        return None

    def summary(self) -> dict[str, Any]:
        """Return what people want to see of the fitted state, as JSON values: a column of the table `models`."""
        return {}

    def shown(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return rows of the fitted state that SQL can read, by column of the table `models`: labels and edges."""
        return {}

    def notes(self) -> list[str]:
        """Return what a run should say of the fitted state."""
        return []

    def read(self) -> tuple[int, int] | None:
        """Return how many rows of its tables the fit read, and how many of them gave it nothing; None if untold."""
        return None

    def unknown(self) -> tuple[Fold[Any], Callable[[Any], str]] | None:
        """Return a pass over newer documents that finds what the fitted state does not know, and what to say of it."""
        return None

    def __eq__(self, other: object) -> bool:
        """Same kind and same content; inherited where fields hold arrays, by dataclass(frozen=True, eq=False)."""
        return isinstance(other, Scorer) and type(other) is type(self) and other._digest() == self._digest()

    def __hash__(self) -> int:
        """Follow the content."""
        return hash(self._digest())

    def _digest(self) -> str:
        return digest(parameters(self))

    def kernel(self) -> Kernel:
        """Return `f(*columns)`: lists of str (or arrays) without nulls in, one value per row out.

        Out: a numpy array for a scalar `value` (NaN = undefined), a dict of arrays for a struct, a 2-d array for
        `array<float>`, arrays.Ragged for lists of uneven length. Called once per Python worker, cached by fingerprint.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Estimator(Declared, ABC):
    """Parameters; `fit(fold)` learns from tables and returns the Scorer."""

    #: What `fit` returns; what a model is restored as.
    model_class: ClassVar[type[Scorer]]

    def held_bytes(self, _rows: int, _width: int, /) -> int:
        """Return about the bytes that a fit on rows with vectors holds on the driver; BoundError if it always fails."""
        return 0

    @property
    @abstractmethod
    def fits_on(self) -> tuple[str, ...]:
        """Tables it learns from: "documents" or names of the recipe's targets."""

    @abstractmethod
    def fit(self, fold: Callable[[Fold[Any], str], Any]) -> Scorer:
        """Learn. `fold(f, table)` makes one pass of `f` over a table of `fits_on` and returns the final state.

        A target gives its texts. "documents" gives `f.reads`, by default the estimator's inputs.
        """


@dataclass(frozen=True)
class DocumentEstimator(Estimator):
    """An estimator that learns from the documents: fitted once for (parameters, fit table), reused on later runs.

    Parameters
    ----------
    fit_where : str
        SQL condition over source columns: which documents it learns from; all with a defined input by default.
    refit : {"never", "always"}, default "never"
        "always" makes a new model in every run that has something to do; the command line's --refit does so once.
    """

    fit_where: str = ""
    refit: Literal["never", "always"] = "never"

    @property
    def fits_on(self) -> tuple[str, ...]:
        """The documents."""
        return ("documents",)


class Fold(ABC, Generic[State]):
    """How anything global is learnt from a table: small state, associative and commutative *bit for bit*.

    `add` may be split anywhere and `merge` may be called in any tree; the bytes of the result must not change.
    `limit_bytes` bounds the pickled state of one partial; beyond it the pass stops with an error that names it.
    `reads` names the columns that a pass over the documents gives to `add`: document inputs, labels of scores, or "h",
    the int64 hash xxhash64(id), which is what samples are keyed by; None stands for the estimator's inputs.
    """

    limit_bytes: ClassVar[int] = 3_000_000
    #: How to stay below it, the end of the message.
    remedy: ClassVar[str] = "fit on fewer rows"
    ragged: ClassVar[bool] = False
    reads: tuple[str, ...] | None = None

    @abstractmethod
    def zero(self) -> State:
        """Return the empty state."""

    @abstractmethod
    def add(self, state: State, *columns: Any) -> State:
        """Return the state with one batch of rows added; nulls never reach it."""

    @abstractmethod
    def merge(self, a: State, b: State) -> State:
        """Return the union of two states."""


def parameters(scorer: Declared) -> dict[str, Any]:
    """Return the fields of a scorer or estimator by name."""
    return {f.name: getattr(scorer, f.name) for f in fields(scorer)}


def settings(estimator: Estimator) -> str:
    """Return the parameters that a fit from the documents depends on as JSON: all but what and which rows it reads."""
    body = {k: v for k, v in parameters(estimator).items() if k not in ("of", "fit_where", "refit")}
    return json.dumps(body, sort_keys=True)


def fingerprint(scorer: Scorer, reads: Mapping[str, str] | None = None) -> str:
    """Return what identifies a score's values: kind, revision, parameters, fitted state, scores read.

    Parameters
    ----------
    scorer : Scorer
        Fitted, if it comes from an estimator.
    reads : mapping, optional
        Fingerprints of the scores among its inputs, by label. Document inputs are not part of it: a memo row is
        keyed by the hash of their content.
    """
    body, known = {k: v for k, v in parameters(scorer).items() if k != "of"}, reads or {}
    return digest([scorer.kind, scorer.revision, body, [known[i] for i in scorer.inputs if i in known]])
