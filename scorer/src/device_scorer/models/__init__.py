"""Model files: safe reading, prediction in closed form, and scikit-learn for all other estimators.

Training is in the package training.
"""
