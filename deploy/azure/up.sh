#!/usr/bin/env bash
# Create every Azure resource that a fleet needs. A second run keeps existing resources and continues an interrupted run.
set -euo pipefail
PURPOSE="Makes a resource group with storage, registry, identities and an AKS cluster. Ten minutes."
# shellcheck source=deploy/azure/settings.sh
source "$(dirname "$0")/settings.sh"

READER="Storage Blob Data Reader"
CONTRIBUTOR="Storage Blob Data Contributor"

# Assign a role. The assignment's name follows from its content: a second run meets the first.
# $1 principal's object id, $2 its type, $3 role, $4 scope
assign() {
    local id
    id=$(printf '%s' "$1 $3 $4" | sha256sum | sed -E 's/(.{8})(.{4})(.{4})(.{4})(.{12}).*/\1-\2-\3-\4-\5/')
    azure role assignment create --name "$id" --assignee-object-id "$1" --assignee-principal-type "$2" \
        --role "$3" --scope "$4"
}

container_id() {
    echo "$ACCOUNT_ID/blobServices/default/containers/$1"
}

step "resource group $GROUP in $LOCATION"
azure group create --name "$GROUP" --location "$LOCATION"

# No shared key and no anonymous access: every identity that reads or writes has a role.
step "storage account $ACCOUNT with the containers models, data and predictions"
azure storage account create --resource-group "$GROUP" --name "$ACCOUNT" --location "$LOCATION" --sku Standard_LRS \
    --kind StorageV2 --min-tls-version TLS1_2 --allow-shared-key-access false --allow-blob-public-access false
for container in models data predictions; do
    azure storage container-rm create --resource-group "$GROUP" --storage-account "$ACCOUNT" --name "$container"
done

step "registry $REGISTRY"
azure acr create --resource-group "$GROUP" --name "$REGISTRY" --location "$LOCATION" --sku Basic

step "cluster $CLUSTER"
if exists aks show --resource-group "$GROUP" --name "$CLUSTER"; then
    echo "it is there already and is left as it is"
else
    # Overlay: pods take no addresses of the virtual network. Cilium enforces network policies. The autoscaler's profile
    # fits bursts of short pods: a node goes three minutes after the last of them.
    azure aks create --resource-group "$GROUP" --name "$CLUSTER" --location "$LOCATION" --no-ssh-key \
        --nodepool-name system --node-count 1 --node-vm-size "$SYSTEM_NODE_SIZE" \
        --network-plugin azure --network-plugin-mode overlay --network-dataplane cilium \
        --enable-managed-identity --enable-oidc-issuer --enable-workload-identity \
        --cluster-autoscaler-profile scan-interval=10s scale-down-delay-after-add=3m scale-down-unneeded-time=3m \
        max-node-provision-time=15m
fi

step "node pool $POOL: 0 to $MAX_NODES machines of size $NODE_SIZE"
if exists aks nodepool show --resource-group "$GROUP" --cluster-name "$CLUSTER" --name "$POOL"; then
    azure aks nodepool update --resource-group "$GROUP" --cluster-name "$CLUSTER" --name "$POOL" \
        --update-cluster-autoscaler --min-count 0 --max-count "$MAX_NODES"
else
    spot=()
    # Whatever the price below that of an ordinary machine (-1).
    if [ "$SPOT" = true ]; then spot=(--priority Spot --eviction-policy Delete --spot-max-price -1); fi
    azure aks nodepool add --resource-group "$GROUP" --cluster-name "$CLUSTER" --name "$POOL" --mode User \
        --node-vm-size "$NODE_SIZE" --enable-cluster-autoscaler --node-count 0 --min-count 0 --max-count "$MAX_NODES" \
        --labels fleetscore.dev/pool=scoring --node-taints fleetscore.dev/pool=scoring:NoSchedule "${spot[@]}"
fi

step "identities of operator and scorer, each trusted under one service account of the namespace $NAMESPACE"
issuer=$(value oidcIssuerProfile.issuerUrl aks show --resource-group "$GROUP" --name "$CLUSTER")
for pair in "$OPERATOR $OPERATOR_ACCOUNT" "$SCORER $SCORER_ACCOUNT"; do
    read -r identity account <<<"$pair"
    azure identity create --resource-group "$GROUP" --name "$identity" --location "$LOCATION"
    azure identity federated-credential create --resource-group "$GROUP" --identity-name "$identity" \
        --name "$NAMESPACE" --issuer "$issuer" --subject "system:serviceaccount:$NAMESPACE:$account" \
        --audiences api://AzureADTokenExchange
done

step "roles: each identity what it needs, container by container"
operator=$(value principalId identity show --resource-group "$GROUP" --name "$OPERATOR")
scorer=$(value principalId identity show --resource-group "$GROUP" --name "$SCORER")
kubelet=$(value identityProfile.kubeletidentity.objectId aks show --resource-group "$GROUP" --name "$CLUSTER")
for container in models data predictions; do
    assign "$operator" ServicePrincipal "$READER" "$(container_id "$container")"
done
assign "$scorer" ServicePrincipal "$READER" "$(container_id models)"
assign "$scorer" ServicePrincipal "$READER" "$(container_id data)"
assign "$scorer" ServicePrincipal "$CONTRIBUTOR" "$(container_id predictions)"
assign "$kubelet" ServicePrincipal AcrPull "$REGISTRY_ID"

step "role: you may upload readings and models, and fetch predictions"
kind=User
if [ "$DRY_RUN" = true ]; then
    you="<id>"
elif [ "$(az account show --query user.type --output tsv)" = user ]; then
    you=$(az ad signed-in-user show --query id --output tsv)
else
    kind=ServicePrincipal
    client=$(az account show --query user.name --output tsv)
    you=$(az ad sp show --id "$client" --query id --output tsv)
fi
assign "$you" "$kind" "$CONTRIBUTOR" "$ACCOUNT_ID"

cat <<END

Made in $GROUP:
  storage account  $ACCOUNT
  registry         $REGISTRY
  cluster          $CLUSTER, node pool $POOL
Next: push the images, then deploy/azure/install.sh with the same options (docs/operations/install-aks.md)
END
