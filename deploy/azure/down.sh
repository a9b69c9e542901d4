#!/usr/bin/env bash
# Removes everything that up.sh made: the whole resource group, with readings, models and predictions.
set -euo pipefail
PURPOSE="Deletes the resource group with all in it; asks first."
# shellcheck source=deploy/azure/settings.sh
source "$(dirname "$0")/settings.sh"

if [ "$DRY_RUN" = false ] && [ "$(value '@' group exists --name "$GROUP")" = false ]; then
    echo "there is no resource group $GROUP in the subscription $SUBSCRIPTION: nothing to remove"
    exit 0
fi
if [ "$DRY_RUN" = false ]; then
    echo "In the resource group $GROUP of the subscription $SUBSCRIPTION are:"
    az resource list --resource-group "$GROUP" --subscription "$SUBSCRIPTION" \
        --query "[].[type, name]" --output tsv | sed 's/^/  /'
fi
if [ "$DRY_RUN" = false ] && [ "$YES" = false ]; then
    read -r -p "All of it, readings, models and predictions included, will be gone. Type its name to go on: " answer || true
    [ "${answer:-}" = "$GROUP" ] || fail "not $GROUP: nothing was removed"
fi
step "resource group $GROUP"
azure group delete --name "$GROUP" --yes
if [ "$DRY_RUN" = false ]; then echo "removed"; fi
