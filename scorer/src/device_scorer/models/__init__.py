"""Model files: reading them safely, closed-form prediction, and scikit-learn for all other estimators.

Training lives in training.
"""
