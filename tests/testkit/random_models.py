"""Random fitted pipelines of the allow-list, and values at which rounding decides about their labels."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import OneClassSVM

FAMILIES = ("svm", "linear svm", "nystroem", "forest", "envelope", "factor")
HUGE = (0.0, -0.0, 5e-324, 1e-300, 3.4e38, -3.5e38, 1e149, -1e160, 1e300, -1e308)


class RandomModels:
    """A source of random pipelines.

    Args:
        seed: The seed.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def pick(self, *choices: Any) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def column(self) -> np.ndarray:
        """Return training values, rounded as sensors round them, so that many are equal."""
        count = int(self.random.integers(4, 300))
        middle, width = self.pick(0.0, 20.0, -3.5, 1e6), self.pick(1.0, 3.0, 0.05)
        return np.round(self.random.normal(middle, width, (count, 1)), self.pick(0, 1, 2, 2, 3, 9))

    def scaler(self) -> Any:
        return self.pick(
            StandardScaler(),
            StandardScaler(with_mean=False),
            StandardScaler(with_std=False),
            MinMaxScaler(),
            MinMaxScaler((-1, 2), clip=True),
            RobustScaler(),
            RobustScaler(with_centering=False),
            RobustScaler(with_scaling=False),
            MaxAbsScaler(),
            MaxAbsScaler(clip=True),
            PCA(),
            PCA(whiten=True),
            "passthrough",
        )

    def detector(self, family: str) -> Any:
        pick, random = self.pick, self.random
        if family == "svm":
            parameters = {
                "nu": pick(0.0001, 0.05, 0.5),
                "gamma": pick("scale", 0.01, 1.0),
                "coef0": pick(0.0, 1.0, -0.5),
            }
            # With some kernels and values the solver does not converge; a model that it left early is a model, too.
            return OneClassSVM(
                kernel=pick("linear", "poly", "rbf", "rbf", "sigmoid"),
                degree=pick(0, 1, 2, 3, 5),
                max_iter=20_000,
                **parameters,
            )
        if family == "linear svm":
            return SGDOneClassSVM(nu=random.uniform(0.01, 0.9), random_state=1)
        if family == "nystroem":
            nystroem = Nystroem(
                kernel=pick("rbf", "rbf", "linear", "poly", "sigmoid"),
                gamma=pick(None, 0.1, 2.0),
                coef0=pick(None, 0.5),
                n_components=int(random.integers(2, 60)),
                random_state=1,
            )
            return make_pipeline(nystroem, SGDOneClassSVM(random_state=1))
        if family == "forest":
            state: Any = pick(1, np.random.RandomState(3))
            return IsolationForest(
                n_estimators=int(random.integers(1, 25)),
                contamination=pick("auto", 0.02, 0.1, 0.3),
                max_samples=pick("auto", 0.5, 1, 2, 3),
                bootstrap=pick(False, True),
                random_state=state,
            )
        if family == "envelope":
            return EllipticEnvelope(contamination=random.uniform(0.01, 0.3), random_state=1)
        return LocalOutlierFactor(
            n_neighbors=int(random.integers(1, 40)),
            algorithm=pick("auto", "kd_tree", "ball_tree"),
            leaf_size=int(random.integers(1, 40)),
            metric=pick("minkowski", "euclidean", "manhattan", "chebyshev"),
            contamination=pick("auto", 0.05),
            novelty=True,
        )

    def pipeline(self, family: str) -> tuple[Pipeline, np.ndarray]:
        """Return a fitted pipeline, nested or not, and its training values. It draws again if no fit is possible."""
        while True:
            column = self.column()
            scalers = [self.scaler() for _ in range(int(self.random.integers(0, 4)))]
            detector = self.detector(family)
            outer = int(self.random.integers(0, len(scalers) + 1))
            pipeline = self.pick(
                make_pipeline(*scalers, detector),
                make_pipeline(*scalers[:outer], make_pipeline(*scalers[outer:], detector)),
            )
            training: Any = self.pick(column, column.astype(np.float32), pd.DataFrame({"value": column[:, 0]}))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    return pipeline.fit(training), column
                except ValueError:
                    continue

    def values(self, column: np.ndarray) -> np.ndarray:
        """Return training values, their neighbours in double precision, other and extreme values."""
        chosen = self.random.choice(column[:, 0], min(60, len(column)), replace=False)
        single = chosen.astype(np.float32).astype(np.float64)
        near = [np.nextafter(chosen, side) for side in (-np.inf, np.inf)]
        other = self.random.normal(column.mean(), 4 * column.std() + 1, 40)
        middles = (chosen[1:] + chosen[:-1]) / 2
        return np.unique(np.concatenate([chosen, single, *near, other, np.round(other, 2), middles, HUGE]))


def predicted(pipeline: Pipeline, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which sorted values scikit-learn labels, and their labels (True for an anomaly) and scores."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labelled = np.concatenate(_accepted(pipeline, values.reshape(-1, 1)))
        column = values[labelled].reshape(-1, 1)
        return labelled, pipeline.predict(column) == -1, pipeline.decision_function(column)


def _accepted(pipeline: Pipeline, column: np.ndarray) -> list[np.ndarray]:
    """Find the values for which `predict` raises an error, by halving."""
    try:
        pipeline.predict(column)
    except ValueError:
        if len(column) == 1:
            return [np.array([False])]
        return [part for half in np.array_split(column, 2) for part in _accepted(pipeline, half)]
    return [np.ones(len(column), dtype=bool)]
