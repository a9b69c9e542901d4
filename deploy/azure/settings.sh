# Read by up.sh, install.sh and down.sh: the options they share, the names that follow from them, and how a command runs.
# All three derive the same names from the same options, so nothing has to be kept between them. A value that is known
# only once a resource exists is shown in a dry run by the name of its variable.
# shellcheck shell=bash disable=SC2034  # the variables are those scripts'

NAME=${FLEETSCORE_NAME:-fleetscore}
LOCATION=${FLEETSCORE_LOCATION:-westeurope}
SUBSCRIPTION=${FLEETSCORE_SUBSCRIPTION:-}
NAMESPACE=scoring
NODE_SIZE=Standard_D4as_v5
MAX_NODES=10
SPOT=false
SYSTEM_NODE_SIZE=Standard_D2as_v5
VERSION=
DRY_RUN=false
YES=false

usage() {
    echo "usage: $0 [option ...]"
    echo "$PURPOSE"
    cat <<END
  --name NAME              begins the names of everything; 3 to 12 lower-case letters and digits, a letter first
                           (\$FLEETSCORE_NAME, else fleetscore)
  --location LOCATION      the Azure region (\$FLEETSCORE_LOCATION, else westeurope)
  --subscription ID        \$FLEETSCORE_SUBSCRIPTION, else az's current one
  --namespace NAME         the namespace of the release and its runs (scoring)
  --node-size SIZE         machines of the scoring pool (Standard_D4as_v5)
  --max-nodes N            most machines of the scoring pool; it shrinks to none (10)
  --spot                   the scoring pool takes spot machines: cheaper; Azure may evict them, and interrupted devices are scored again
  --system-node-size SIZE  the one machine for the operator and Kubernetes' own pods (Standard_D2as_v5)
  --version TAG            tag of both images (default: the chart's appVersion)
  --dry-run                show the commands and change nothing
  --yes                    ask nothing
END
}

fail() {
    echo "$0: $*" >&2
    exit 64
}

while [ $# -gt 0 ]; do
    case $1 in
    --name | --location | --subscription | --namespace | --node-size | --max-nodes | --system-node-size | --version)
        [ $# -ge 2 ] || fail "$1 needs a value; $0 --help lists the options"
        variable=${1#--}
        variable=${variable//-/_}
        printf -v "${variable^^}" %s "$2"
        shift 2
        ;;
    --spot) SPOT=true && shift ;;
    --dry-run) DRY_RUN=true && shift ;;
    --yes) YES=true && shift ;;
    -h | --help) usage && exit 0 ;;
    *) fail "unknown option $1; $0 --help lists them" ;;
    esac
done

[[ $NAME =~ ^[a-z][a-z0-9]{2,11}$ ]] || fail "--name $NAME: 3 to 12 lower-case letters and digits, a letter first"
[[ $NAMESPACE =~ ^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$ ]] || fail "--namespace $NAMESPACE: not a namespace's name"
[[ $MAX_NODES =~ ^[1-9][0-9]{0,3}$ ]] || fail "--max-nodes $MAX_NODES: a whole number from 1 to 9999"
command -v az >/dev/null || fail "the Azure CLI is missing: https://learn.microsoft.com/cli/azure/install-azure-cli"
if [ -z "$SUBSCRIPTION" ]; then
    SUBSCRIPTION=$(az account show --query id --output tsv) || fail "sign in first: az login"
fi

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CHART=$HERE/../../charts/fleetscore
[ -n "$VERSION" ] || VERSION=$(sed -n 's/^appVersion: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$CHART/Chart.yaml")

# Accounts and registries share one namespace over all of Azure: eight characters of a hash keep ours apart from others'.
UNIQUE=$NAME$(printf '%s' "$SUBSCRIPTION/$NAME" | sha256sum | cut -c 1-8)
GROUP=rg-$NAME
ACCOUNT=$UNIQUE
REGISTRY=$UNIQUE
CLUSTER=aks-$NAME
POOL=scoring
OPERATOR=id-$NAME-operator
SCORER=id-$NAME-scorer
# As the chart names them in a release called fleetscore.
OPERATOR_ACCOUNT=fleetscore-operator
SCORER_ACCOUNT=fleetscore-scorer
GROUP_ID=/subscriptions/$SUBSCRIPTION/resourceGroups/$GROUP
ACCOUNT_ID=$GROUP_ID/providers/Microsoft.Storage/storageAccounts/$ACCOUNT
REGISTRY_ID=$GROUP_ID/providers/Microsoft.ContainerRegistry/registries/$REGISTRY

step() {
    printf '\n== %s\n' "$*"
}

# Run a command that changes something; in a dry run, only show it.
run() {
    printf '+'
    printf ' %q' "$@"
    printf '\n'
    if [ "$DRY_RUN" = false ]; then "$@"; fi
}

# Run az in the subscription, and show of its answer only errors.
azure() {
    run az "$@" --subscription "$SUBSCRIPTION" --output none
}

# The value of a query; in a dry run the query itself in angle brackets. $1 is the query, the rest az's command.
value() {
    if [ "$DRY_RUN" = true ]; then
        echo "<$1>"
    else
        az "${@:2}" --query "$1" --subscription "$SUBSCRIPTION" --output tsv
    fi
}

# Whether a resource exists; in a dry run it does not. Azure not answering is neither, and ends the script.
exists() {
    local answer
    if [ "$DRY_RUN" = true ]; then return 1; fi
    if answer=$(az "$@" --subscription "$SUBSCRIPTION" --output none 2>&1); then return 0; fi
    case $answer in
    *NotFound* | *"not found"* | *"could not be found"*) return 1 ;;
    esac
    echo "$answer" >&2
    exit 1
}
