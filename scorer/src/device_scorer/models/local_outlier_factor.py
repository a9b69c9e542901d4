"""LocalOutlierFactor(novelty=True) over one feature, with the operations of scikit-learn.

The score compares the density around a value with the densities around its neighbours among the training values
(Breunig, Kriegel, Ng and Sander, "LOF: identifying density-based local outliers", 2000). Models with a k-d tree or a
ball tree have a closed form. Models without a tree ("brute") compute distances block by block in several threads, which
only scikit-learn can repeat.
"""

from dataclasses import dataclass, field

import numpy as np

from device_scorer.errors import ModelInvalid
from device_scorer.models.inert import ClosedFormMissing, InertObject, read_count, read_matrix, read_number
from device_scorer.models.neighbour_tree import METRICS, NeighbourTree, read_tree

MAX_NEIGHBOURS = 256

MAX_HEAP_STEPS = 20_000
"""Product of neighbours and values of the largest leaf above which scikit-learn, whose heap is faster, is used."""


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """The numbers of a fitted LocalOutlierFactor.

    Attributes:
        tree: The training values.
        neighbours: The number of neighbours.
        reaches: The distance of each training value to its last neighbour.
        densities: The local reachability density of each training value.
        offset: The offset of the decision function.
    """

    tree: NeighbourTree
    neighbours: int
    reaches: np.ndarray = field(repr=False)
    densities: np.ndarray = field(repr=False)
    offset: float

    def decide(self, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels (True for an anomaly) and the decision function.

        Args:
            scaled: Finite scaled values, as a vector.
        """
        distances, indexes = self.tree.query(scaled.tolist(), self.neighbours)
        reached = np.maximum(distances, self.reaches[indexes])
        densities = 1.0 / (np.mean(reached, axis=1) + 1e-10)
        ratios = self.densities[indexes] / densities[:, np.newaxis]
        scores = -np.mean(ratios, axis=1) - self.offset
        return scores < 0, scores


def read_factor(factor: InertObject) -> Factor:
    """Return the closed form of a fitted LocalOutlierFactor.

    Args:
        factor: The estimator.

    Raises:
        ModelInvalid: The estimator is not fitted, or its numbers are inconsistent.
        ClosedFormMissing: Only scikit-learn can evaluate the estimator.
    """
    attributes = factor.attributes
    metric = METRICS.get(str(attributes.get("effective_metric_"))[:20])
    is_tree = attributes.get("_fit_method") in ("kd_tree", "ball_tree")
    if attributes.get("novelty") is not True or metric is None or not is_tree:
        raise ClosedFormMissing("an outlier factor without novelty, without a tree, or of another metric")
    tree = read_tree(attributes.get("_tree"), metric)
    count = sum(len(leaf) for leaf in tree.leaves if leaf is not None)
    neighbours = read_count(factor, "n_neighbors_")
    if neighbours > MAX_NEIGHBOURS:
        raise ClosedFormMissing(f"more than {MAX_NEIGHBOURS} neighbours")
    if neighbours * max(len(leaf) for leaf in tree.leaves if leaf is not None) > MAX_HEAP_STEPS:
        raise ClosedFormMissing(f"a product of neighbours and values of a leaf above {MAX_HEAP_STEPS:,}")
    distances = read_matrix(factor, "_distances_fit_X_", (count, None))
    if not 0 < neighbours <= min(count, distances.shape[1]):
        raise ModelInvalid("the model is invalid: it has fewer training values than neighbours")
    return Factor(
        tree=tree,
        neighbours=neighbours,
        reaches=np.ascontiguousarray(distances[:, neighbours - 1]),
        densities=read_matrix(factor, "_lrd", (count,)),
        offset=read_number(factor, "offset_"),
    )
