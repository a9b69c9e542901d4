#!/usr/bin/env bash
# Installs the chart, or upgrades it, on what up.sh made.
set -euo pipefail
PURPOSE="Fetches the cluster's credentials and installs the chart, with both images from the registry."
# shellcheck source=deploy/azure/settings.sh
source "$(dirname "$0")/settings.sh"
for tool in kubectl helm; do command -v "$tool" >/dev/null || fail "$tool is missing"; done

step "what up.sh made"
operator_client=$(value clientId identity show --resource-group "$GROUP" --name "$OPERATOR")
scorer_client=$(value clientId identity show --resource-group "$GROUP" --name "$SCORER")
account_url=$(value primaryEndpoints.blob storage account show --resource-group "$GROUP" --name "$ACCOUNT")
registry=$(value loginServer acr show --resource-group "$GROUP" --name "$REGISTRY")
printf '%s\n' "storage   $account_url" "registry  $registry" "operator  $operator_client" "scorer    $scorer_client"

step "credentials of $CLUSTER"
run az aks get-credentials --resource-group "$GROUP" --name "$CLUSTER" --subscription "$SUBSCRIPTION" --overwrite-existing

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
namespace=$work/namespace.yaml
cat >"$namespace" <<END
apiVersion: v1
kind: Namespace
metadata:
  name: $NAMESPACE
  labels: {pod-security.kubernetes.io/enforce: restricted}
END
step "namespace $NAMESPACE, with the strictest of the Pod Security levels"
run kubectl --context "$CLUSTER" apply --filename "$namespace"

values=$work/values.yaml
cat >"$values" <<END
operator:
  image: {repository: $registry/fleetscore/operator, tag: "$VERSION"}
  serviceAccount:
    annotations: {azure.workload.identity/client-id: "$operator_client"}
scorer:
  image: {repository: $registry/fleetscore/scorer, tag: "$VERSION"}
  serviceAccount:
    annotations: {azure.workload.identity/client-id: "$scorer_client"}
fleets:
  - name: default
    storage: {accountUrl: "${account_url%/}", auth: workloadIdentity}
schedules:
  - {name: hourly, cron: "5 * * * *", delay: PT3M, fleet: default}
END
step "values of the release"
cat "$values"

profiles=(--values "$CHART/values-aks.yaml")
if [ "$SPOT" = true ]; then profiles+=(--values "$CHART/values-spot.yaml"); fi
step "the chart, in the namespace $NAMESPACE"
run helm upgrade --install fleetscore "$CHART" --kube-context "$CLUSTER" --namespace "$NAMESPACE" \
    "${profiles[@]}" --values "$values" --wait --timeout 5m
