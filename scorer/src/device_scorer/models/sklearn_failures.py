"""The errors with which models of scikit-learn fail, as one sentence with the cause and the next step."""

import re

import sklearn

from device_scorer.errors import ModelIncompatible, ModelInvalid, PermanentError
from device_scorer.models.sklearn_messages import UNKNOWN_VERSION, one_line

FIRST_VERSION_OF_TREES = (1, 3)
"""Trees have another layout since scikit-learn 1.3 (its changelog: support of missing values)."""

MAX_CAUSE_CHARS = 160


def describe_failure(error: BaseException, *, action: str, written_by: str) -> PermanentError:
    """Return the error of a model.

    Args:
        error: The exception that scikit-learn or the unpickler raised.
        action: The action that failed, such as "load".
        written_by: The version of scikit-learn that wrote the model, or "unknown".
    """
    cause = one_line(f"{type(error).__name__}: {error}")[:MAX_CAUSE_CHARS]
    if isinstance(error, MemoryError):
        text = f"the model is invalid: scikit-learn has too little memory to {action} it"
        return ModelInvalid(f"{text}; train a smaller model, or raise the memory of the fleet's scorer")
    if action == "load" and _is_truncated(error):
        return ModelInvalid(f"the model is invalid: its file is truncated or damaged ({cause}); upload it again")
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("sklearn"):
        text = f"the model needs the Python module {one_line(str(error.name))[:100]!r}, which is not installed"
        return ModelIncompatible(f"{text}; add it to the scorer's image, or train a model without it")
    if written_by != UNKNOWN_VERSION and _release(written_by) != _release(sklearn.__version__):
        return ModelIncompatible(_version_text(written_by, action, cause))
    return ModelInvalid(f"the model is invalid: scikit-learn {sklearn.__version__} cannot {action} it ({cause})")


def _is_truncated(error: BaseException) -> bool:
    """Return True if the file ends too early, in the words of pickle and joblib."""
    text = str(error)
    return isinstance(error, EOFError) or any(word in text for word in ("EOF: ", "truncated", "exhausted before end"))


def _version_text(written_by: str, action: str, cause: str) -> str:
    ours = sklearn.__version__
    text = f"the model was written by scikit-learn {written_by}, and scikit-learn {ours} cannot {action} it"
    if _release(written_by) > _release(ours):
        return f"{text} ({cause}); use a newer device-scorer, or train the model again with scikit-learn {ours}"
    if _release(written_by) < FIRST_VERSION_OF_TREES and "node array" in cause:
        cause = "trees from before scikit-learn 1.3 have another layout"
    return f"{text} ({cause}); train the model again"


def _release(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version, which name a release with its own layout of models."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
