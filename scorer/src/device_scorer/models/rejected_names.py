"""The error of a name in a model file that is not on the allow-list: its cause and the next step."""

from device_scorer import SCIKIT_LEARN
from device_scorer.errors import ModelIncompatible, ModelRejected, PermanentError
from device_scorer.models.allowlist import INERT_CLASSES, SKLEARN_ONLY_NAMES
from device_scorer.models.sklearn_messages import UNKNOWN_VERSION, find_version, one_line

MAX_NAME_CHARS = 200

_LISTED_CLASSES = frozenset(
    name.rpartition(".")[2] for name in (*INERT_CLASSES, *SKLEARN_ONLY_NAMES) if name.startswith("sklearn.")
)
_CURES = {
    "sklearn.model_selection": "save its best_estimator_",
    "sklearn.compose": "a reading has one value: save a Pipeline without the ColumnTransformer",
    "joblib.memory": "save the Pipeline with memory=None",
    "collections": "save a plain dict",
    "pandas": "save plain values or arrays in place of objects of pandas",
}
_OTHER_CURE = (
    "save only estimators of the list and plain values, or set models.trust to any if you trust all writers of models"
)


def rejected_name(module: str, name: str, content: bytes) -> PermanentError:
    """Return the error of a name.

    A class of the list that has another module in the file is one of another version of scikit-learn.

    Args:
        module: The module of the name in the file.
        name: The name of the class or function.
        content: The pickle.
    """
    full = one_line(f"{module}.{name}")[:MAX_NAME_CHARS]
    if module.startswith("sklearn.") and name in _LISTED_CLASSES:
        version = find_version(content)
        origin = "another version of scikit-learn" if version == UNKNOWN_VERSION else f"scikit-learn {version}"
        return ModelIncompatible(
            f"the model was written by {origin}, in which the class is {full!r}; "
            f"train the model again with scikit-learn {SCIKIT_LEARN}"
        )
    cure = next((cure for package, cure in _CURES.items() if f"{module}.".startswith(f"{package}.")), _OTHER_CURE)
    return ModelRejected(f"the model names {full!r}, which is not on the list of allowed classes; {cure}")
