"""The scorer with short time limits for scikit-learn, so that a test of a model that never ends takes seconds."""

from device_scorer.cli import main
from device_scorer.models.sklearn_process import ScikitLearnProcess

SECONDS = 30.0

if __name__ == "__main__":
    ScikitLearnProcess.__init__.__kwdefaults__ = {
        "memory": None,
        "load_seconds": SECONDS,
        "predict_seconds": SECONDS,
    }
    main()
