"""The exact names that a model file may contain. Every other name is rejected. Data only."""

PIPELINE = "sklearn.pipeline.Pipeline"
STANDARD_SCALER = "sklearn.preprocessing._data.StandardScaler"
MIN_MAX_SCALER = "sklearn.preprocessing._data.MinMaxScaler"
MAX_ABS_SCALER = "sklearn.preprocessing._data.MaxAbsScaler"
ROBUST_SCALER = "sklearn.preprocessing._data.RobustScaler"
PCA = "sklearn.decomposition._pca.PCA"
NYSTROEM = "sklearn.kernel_approximation.Nystroem"
ONE_CLASS_SVM = "sklearn.svm._classes.OneClassSVM"
SGD_ONE_CLASS_SVM = "sklearn.linear_model._stochastic_gradient.SGDOneClassSVM"
ISOLATION_FOREST = "sklearn.ensemble._iforest.IsolationForest"
EXTRA_TREE = "sklearn.tree._classes.ExtraTreeRegressor"
TREE = "sklearn.tree._tree.Tree"
ELLIPTIC_ENVELOPE = "sklearn.covariance._elliptic_envelope.EllipticEnvelope"
LOCAL_OUTLIER_FACTOR = "sklearn.neighbors._lof.LocalOutlierFactor"
KD_TREE = "sklearn.neighbors._kd_tree.KDTree"
ARRAY_WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"

_CURRENT_CLASSES = (
    *(PIPELINE, STANDARD_SCALER, MIN_MAX_SCALER, MAX_ABS_SCALER, ROBUST_SCALER, PCA, NYSTROEM, ONE_CLASS_SVM),
    *(SGD_ONE_CLASS_SVM, ISOLATION_FOREST, EXTRA_TREE, TREE, ELLIPTIC_ENVELOPE, LOCAL_OUTLIER_FACTOR, KD_TREE),
    ARRAY_WRAPPER,
)

INERT_CLASSES = {
    **{name: name for name in _CURRENT_CLASSES},
    "sklearn.preprocessing.data.StandardScaler": STANDARD_SCALER,  # the modules of scikit-learn up to 0.21
    "sklearn.preprocessing.data.MinMaxScaler": MIN_MAX_SCALER,
    "sklearn.preprocessing.data.MaxAbsScaler": MAX_ABS_SCALER,
    "sklearn.preprocessing.data.RobustScaler": ROBUST_SCALER,
    "sklearn.decomposition.pca.PCA": PCA,
    "sklearn.svm.classes.OneClassSVM": ONE_CLASS_SVM,
}
"""The classes that the closed forms read: from the name in the file to the current name."""

EMULATED_NAMES = {
    "numpy.ndarray": "ndarray",
    "numpy.memmap": "ndarray",  # a model that was read with mmap_mode, or trained by joblib's workers, and saved again
    "numpy.dtype": "dtype",
    "numpy.core.multiarray._reconstruct": "_reconstruct",
    "numpy._core.multiarray._reconstruct": "_reconstruct",
    "numpy.core.multiarray.scalar": "scalar",
    "numpy._core.multiarray.scalar": "scalar",
    "numpy.core.numeric._frombuffer": "_frombuffer",
    "numpy._core.numeric._frombuffer": "_frombuffer",
    "_codecs.encode": "encode",
    "copy_reg._reconstructor": "_reconstructor",
    "copyreg._reconstructor": "_reconstructor",
    "__builtin__.object": "object",
    "builtins.object": "object",
    "__builtin__.bytes": "bytes",  # pickle protocols before 3 write empty bytes so
    "builtins.bytes": "bytes",
}
"""Functions of NumPy and Python that pickles of these classes call, to the name of their emulation."""

SKLEARN_ONLY_NAMES = frozenset(
    {
        "sklearn.preprocessing._data.PowerTransformer",
        "sklearn.preprocessing._data.QuantileTransformer",
        "sklearn.neighbors._kd_tree.newObj",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._ball_tree.newObj",
        "sklearn.metrics._dist_metrics.EuclideanDistance",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.ManhattanDistance",
        "sklearn.metrics._dist_metrics.ManhattanDistance64",
        "sklearn.metrics._dist_metrics.ChebyshevDistance",
        "sklearn.metrics._dist_metrics.ChebyshevDistance64",
        "sklearn.metrics._dist_metrics.MinkowskiDistance",
        "sklearn.metrics._dist_metrics.MinkowskiDistance64",
        "sklearn.metrics._dist_metrics.SEuclideanDistance64",
        "sklearn.metrics._dist_metrics.MahalanobisDistance64",
        "sklearn.metrics._dist_metrics.HammingDistance64",
        "sklearn.metrics._dist_metrics.CanberraDistance64",
        "sklearn.metrics._dist_metrics.BrayCurtisDistance64",
        "sklearn.metrics._dist_metrics.newObj",
        "sklearn.linear_model._sgd_fast.Hinge",
        "numpy.random._mt19937.MT19937",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random.bit_generator.SeedSequence",
        "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
        "numpy.random._pickle.__randomstate_ctor",
    },
)
"""Names that only scikit-learn evaluates. The inert reader skips their objects, which no closed form needs."""

CALLED_NAMES = frozenset({TREE, *SKLEARN_ONLY_NAMES})
"""Classes and functions that valid pickles call with arguments."""
