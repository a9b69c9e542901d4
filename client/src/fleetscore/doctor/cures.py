"""The next step for what Kubernetes and the operator report about pods, Jobs and runs."""

from collections.abc import Mapping

CURES: Mapping[str, str] = {
    "exceeded quota": "raise the ResourceQuota that the message names, or lower the requests in the chart's values",
    "per Container is": "change the LimitRange of the namespace, or the resources in the chart's values",
    "per Pod is": "change the LimitRange of the namespace, or the resources in the chart's values",
    "must be less than or equal to": "change the LimitRange of the namespace, or the resources in the chart's values",
    "violates PodSecurity": "change the Pod Security level of the namespace, or the security context in the values",
    "admission webhook": "change the webhook's rule, or exclude the namespace from it",
    "failed calling webhook": "repair the webhook's service, or exclude the namespace from it",
    "service account": "`helm upgrade` creates the ServiceAccount again",
    "serviceaccount": "`helm upgrade` creates the ServiceAccount again",
    "PriorityClass": "create the PriorityClass that the message names, or set priorityClass in the chart's values",
    "OOMKilled": "raise resources.limits.memory in the chart's values",
    "ImagePull": "check the image's name, tag and registry, and imagePullSecrets, in the chart's values",
    "InvalidImageName": "correct the image's name in the chart's values",
    "Unschedulable": "add nodes, or check the requests, nodeSelector and tolerations in the chart's values",
    "FailedMount": "create the Secret, ConfigMap or volume that the message names",
    "FailedAttachVolume": "detach the volume that the message names from its other node",
    "CreateContainerConfigError": "create the Secret or ConfigMap that the message names",
    "Evicted": "raise the requests in the chart's values, or free the resource of the node that the message names",
    "exec format error": "use an image for the architecture of the nodes, or set a nodeSelector",
    "QuotaExceeded": "raise the ResourceQuota of the namespace, or lower parallelism",
    "PodsRejected": "change the quota, LimitRange or admission webhook of the namespace that the message names",
    "WebhookFailed": "repair the Service and the pods of the webhook that the message names",
    "RequestRejected": "change the field, the policy or the right that the message names",
    "JobRejected": "change the field, the policy or the right that the message names",
    "Forbidden": "`helm upgrade` restores the operator's Role in the namespace",
    "NameConflict": "delete the Job that the message names, or rename the run",
    "SuspendedByAnotherController": "inspect the queue, such as Kueue, that suspends the Jobs",
    "JobTerminating": "remove the finalizers that the message names, or repair their controller",
    "WaitingForSlots": "wait for the other runs, or raise operator.maxActiveJobs",
    "WaitingForRun": "wait for that run, or cancel one of the two",
    "PodsDoNotEnd": "switch off the injection of the container that the message names",
    "NamespaceNotFound": "create the namespace again",
    "FleetNotFound": "name a fleet of the chart's values, or add this one to them",
    "NamespaceNotAllowed": "add the namespace to the fleet's namespaces in the chart's values",
    "InvalidSpec": "upgrade the operator, or correct the field that the message names in a new run",
    "NoData": "check the ingestion of readings",
}
"""The next step by a part of the message. The more precise parts come first."""

_STEPS_IN_MESSAGE = ("IdentityUnavailable", "StorageUnavailable", "ConfigurationInvalid")


def cure_in(text: str, otherwise: str) -> str:
    """Return the next step for a message.

    Args:
        text: The message, with its reason.
        otherwise: The next step if no part of the message is known.
    """
    found = next((cure for part, cure in CURES.items() if part in text), "")
    if not found and any(reason in text for reason in _STEPS_IN_MESSAGE):
        found = "do what the message says"
    return f"{found}; {otherwise}" if found else otherwise
