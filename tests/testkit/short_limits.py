"""The scorer with short time limits for scikit-learn, so that a test of a model that never ends takes seconds."""

from device_scorer.cli import main
from device_scorer.models.sklearn_process import ScikitLearnProcess

SECONDS = 30.0

if __name__ == "__main__":
    defaults = ScikitLearnProcess.__init__.__kwdefaults__ or {}
    ScikitLearnProcess.__init__.__kwdefaults__ = {**defaults, "load_seconds": SECONDS, "predict_seconds": SECONDS}
    main()
