"""Samples of the metrics, for assertions."""

from prometheus_client.parser import text_string_to_metric_families

from scoring_operator.observability.metrics import Metrics


def values(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a metric by the values of their labels, in the order of the labels' names."""
    families = text_string_to_metric_families(metrics.render().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value for sample in samples}
