"""The exact names that a model file may contain. Every other name is rejected. Data only."""

PIPELINE = "sklearn.pipeline.Pipeline"
STANDARD_SCALER = "sklearn.preprocessing._data.StandardScaler"
ONE_CLASS_SVM = "sklearn.svm._classes.OneClassSVM"
ARRAY_WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"

INERT_CLASSES = {
    PIPELINE: PIPELINE,
    STANDARD_SCALER: STANDARD_SCALER,
    ONE_CLASS_SVM: ONE_CLASS_SVM,
    ARRAY_WRAPPER: ARRAY_WRAPPER,
    "sklearn.preprocessing.data.StandardScaler": STANDARD_SCALER,  # the modules of scikit-learn up to 0.21
    "sklearn.svm.classes.OneClassSVM": ONE_CLASS_SVM,
}
"""The classes of the pipeline that has a closed form: from the name in the file to the current name."""

EMULATED_NAMES = {
    "numpy.ndarray": "ndarray",
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
        "sklearn.preprocessing._data.RobustScaler",
        "sklearn.preprocessing._data.MinMaxScaler",
        "sklearn.preprocessing._data.MaxAbsScaler",
        "sklearn.preprocessing._data.PowerTransformer",
        "sklearn.preprocessing._data.QuantileTransformer",
        "sklearn.ensemble._iforest.IsolationForest",
        "sklearn.tree._classes.ExtraTreeRegressor",
        "sklearn.tree._tree.Tree",
        "sklearn.covariance._elliptic_envelope.EllipticEnvelope",
        "sklearn.neighbors._lof.LocalOutlierFactor",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neighbors._kd_tree.newObj",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._ball_tree.newObj",
        "sklearn.metrics._dist_metrics.EuclideanDistance",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.newObj",
        "sklearn.linear_model._stochastic_gradient.SGDOneClassSVM",
        "sklearn.linear_model._sgd_fast.Hinge",
        "numpy.random._mt19937.MT19937",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._pickle.__randomstate_ctor",
    },
)
"""Scalers and outlier detectors that only scikit-learn can evaluate, and the names that their files contain."""
