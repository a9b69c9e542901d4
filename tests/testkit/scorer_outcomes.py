"""Hypothesis strategies of the outcomes of a scoring Job's devices."""

from hypothesis import strategies as st

from device_scorer.contract import outcome_message
from device_scorer.contract.outcome_message import Outcome, RowCounts

REASONS = [
    *("ModelNotFound", "ModelInvalid", "ModelRejected", "ModelIncompatible", "DataInvalid", "DataTooLarge"),
    *("DeadlineExceeded", "ConfigurationInvalid", "Unknown"),
]
FAILED = st.builds(Outcome, st.just(outcome_message.FAILED), st.sampled_from(REASONS), st.text(max_size=500))
TRANSIENT = st.builds(
    Outcome,
    st.just(outcome_message.TRANSIENT),
    st.sampled_from(["StorageUnavailable", "IdentityUnavailable"]),
    st.text(max_size=500),
)
OTHER = st.builds(
    Outcome,
    st.sampled_from(
        [outcome_message.SCORED, outcome_message.PARTIAL, outcome_message.EMPTY, outcome_message.ALREADY_SCORED]
    ),
    st.just(""),
    st.text(max_size=300),
    st.builds(RowCounts, *[st.integers(0, 3_000_000)] * 4),
    st.booleans(),
)
OUTCOMES = st.lists(FAILED | TRANSIENT | OTHER, min_size=1, max_size=500).map(lambda made: dict(enumerate(made)))
"""The outcomes of up to 500 devices by argument index."""
