{{/* A name of at most "max" characters. A longer one ends in a hash, so that two of them differ; below 12 characters a hash has no room. Call: (dict "name" $name "max" 40) */}}
{{- define "fleetscore.shorten" -}}
{{- if le (len .name) (int .max) -}}
{{- .name -}}
{{- else if lt (int .max) 12 -}}
{{- .name | trunc (int .max) | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.name | trunc (int (sub .max 9)) | trimSuffix "-") (.name | sha256sum | trunc 8) -}}
{{- end -}}
{{- end -}}

{{/* Prefix of the names of objects; short enough for every suffix that the chart adds, and a DNS label that begins with a letter, as a Service needs: a release may have dots or begin with a digit, and an alias capitals. */}}
{{- define "fleetscore.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) -}}
{{- end -}}
{{- $name = regexReplaceAll "[._]" (lower $name) "-" -}}
{{- include "fleetscore.shorten" (dict "name" (regexReplaceAll "^([0-9])" $name "r${1}") "max" 40) -}}
{{- end -}}

{{/* Prefix of the names of cluster-wide objects. The namespace is in it, because releases of two namespaces may have one name; a namespace has no dot. */}}
{{- define "fleetscore.clusterName" -}}
{{- include "fleetscore.shorten" (dict "name" (printf "%s.%s" .Release.Namespace (include "fleetscore.fullname" .)) "max" 50) -}}
{{- end -}}

{{/* The Secrets with registry credentials, the ones of a parent chart's `global` first, as {"list": [{"name": ...}]}. */}}
{{- define "fleetscore.imagePullSecrets" -}}
{{- $global := default dict .Values.global -}}
{{- $secrets := list -}}
{{- range concat (default list $global.imagePullSecrets) (default list .Values.imagePullSecrets) -}}
{{- $secrets = append $secrets (ternary (dict "name" .) . (kindIs "string" .)) -}}
{{- end -}}
{{- dict "list" (uniq $secrets) | toYaml -}}
{{- end -}}

{{/* Labels that select the pods of a component. Call: (dict "root" $ "component" "operator") */}}
{{- define "fleetscore.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of every object of a component. Call: (dict "root" $ "component" "operator") */}}
{{- define "fleetscore.labels" -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/part-of" "fleetscore"
  "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $own := include "fleetscore.selectorLabels" . | fromYaml -}}
{{- mergeOverwrite (deepCopy (default dict .root.Values.commonLabels)) $labels $own | toYaml -}}
{{- end -}}

{{/* Labels of the pods of a component; .pod are the values' podLabels. */}}
{{- define "fleetscore.podLabels" -}}
{{- mergeOverwrite (deepCopy (default dict .pod)) (include "fleetscore.labels" . | fromYaml) | toYaml -}}
{{- end -}}

{{/* An image's reference; a digest wins over a tag. Call: (dict "root" $ "image" .Values.operator.image) */}}
{{- define "fleetscore.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Name of a component's service account. Call: (dict "root" $ "component" "operator") */}}
{{- define "fleetscore.serviceAccountName" -}}
{{- $account := (index .root.Values .component).serviceAccount -}}
{{- if $account.name -}}
{{- $account.name -}}
{{- else if $account.create -}}
{{- printf "%s-%s" (include "fleetscore.fullname" .root) .component -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* Namespaces whose ScoringRuns are handled, as {"list": [...]}; meaningless where watch.allNamespaces. */}}
{{- define "fleetscore.watched" -}}
{{- dict "list" (default (list .Release.Namespace) .Values.watch.namespaces | uniq | sortAlpha) | toYaml -}}
{{- end -}}

{{/* The fleets with the chart's defaults filled in, as {"fleets": [...]}. */}}
{{- define "fleetscore.fleets" -}}
{{- $fleets := list -}}
{{- $account := include "fleetscore.serviceAccountName" (dict "root" . "component" "scorer") -}}
{{- $common := dict "serviceAccountName" $account "podSecurityContext" (include "fleetscore.podIds" . | fromYaml) -}}
{{- range $key, $value := omit .Values.scorer "image" "serviceAccount" -}}
{{- with $value }}{{ $_ := set $common $key . }}{{ end -}}
{{- end -}}
{{- if kindIs "bool" .Values.scorer.hostUsers }}{{ $_ := set $common "hostUsers" .Values.scorer.hostUsers }}{{ end -}}
{{- if and .Values.priorityClass.create (not $common.priorityClassName) -}}
{{- $_ := set $common "priorityClassName" (include "fleetscore.priorityClassName" .) -}}
{{- end -}}
{{- range .Values.fleets -}}
{{- $scorer := dict -}}
{{- range $key, $value := $common }}{{ $_ := set $scorer $key $value }}{{ end -}}
{{- range $key, $value := default dict .scorer }}{{ $_ := set $scorer $key $value }}{{ end -}}
{{- range $key := list "labels" "podLabels" -}}
{{- with mergeOverwrite (deepCopy (default dict $.Values.commonLabels)) (default dict (get $scorer $key)) }}{{ $_ := set $scorer $key . }}{{ end -}}
{{- end -}}
{{- $schedules := list -}}
{{- $fleet := .name -}}
{{- range $.Values.schedules -}}
{{- if eq .fleet $fleet }}{{ $schedules = append $schedules (dict "namespace" (default $.Release.Namespace .namespace) "name" .name "window" (default "PT1H" .window)) }}{{ end -}}
{{- end -}}
{{- $computed := dict "scorer" $scorer -}}
{{- with $schedules }}{{ $_ := set $computed "schedules" . }}{{ end -}}
{{- $fleets = append $fleets (merge $computed (omit . "scorer") (dict "namespaces" (list $.Release.Namespace))) -}}
{{- end -}}
{{- dict "fleets" $fleets | toYaml -}}
{{- end -}}

{{/* The delay of a schedule: its own, else its fleet's. Call: (dict "root" $ "schedule" .) */}}
{{- define "fleetscore.scheduleDelay" -}}
{{- $delay := .schedule.delay -}}
{{- range .root.Values.fleets }}{{ if and (not $delay) (eq .name $.schedule.fleet) }}{{ $delay = .delay }}{{ end }}{{ end -}}
{{- default "PT0S" $delay -}}
{{- end -}}

{{/* Namespaces of all fleets, as {"list": [...]}. */}}
{{- define "fleetscore.fleetNamespaces" -}}
{{- $namespaces := list -}}
{{- range (include "fleetscore.fleets" . | fromYaml).fleets }}{{ $namespaces = concat $namespaces .namespaces }}{{ end -}}
{{- dict "list" ($namespaces | uniq | sortAlpha) | toYaml -}}
{{- end -}}

{{/* The fleets with a console, as {"fleets": [...]}. */}}
{{- define "fleetscore.consoleFleets" -}}
{{- $fleets := list -}}
{{- range (include "fleetscore.fleets" . | fromYaml).fleets -}}
{{- if or (not $.Values.console.fleets) (has .name $.Values.console.fleets) }}{{ $fleets = append $fleets . }}{{ end -}}
{{- end -}}
{{- dict "fleets" $fleets | toYaml -}}
{{- end -}}

{{/* Namespaces of the fleets with a console, as {"list": [...]}. */}}
{{- define "fleetscore.consoleNamespaces" -}}
{{- $namespaces := list -}}
{{- range (include "fleetscore.consoleFleets" . | fromYaml).fleets }}{{ $namespaces = concat $namespaces .namespaces }}{{ end -}}
{{- dict "list" ($namespaces | uniq | sortAlpha) | toYaml -}}
{{- end -}}

{{/* Name of a fleet's console: 63 characters at most; the fleet's name is always whole. Call: (dict "root" $ "fleet" .name) */}}
{{- define "fleetscore.consoleName" -}}
{{- printf "%s-console-%s" (include "fleetscore.shorten" (dict "name" (include "fleetscore.fullname" .root) "max" (sub 54 (len .fleet)))) .fleet -}}
{{- end -}}

{{/* The fleets file of a console as JSON for a container's `env`, in which Kubernetes expands $(...). Call with a fleet. */}}
{{- define "fleetscore.consoleLayout" -}}
{{- dict "fleets" (list (pick . "name" "namespaces" "storage" "models" "data" "predictions")) | toJson | replace "$" "$$" -}}
{{- end -}}

{{/* Name of the PriorityClass of the scorer's pods. */}}
{{- define "fleetscore.priorityClassName" -}}
{{- default (printf "%s-scorer" (include "fleetscore.fullname" .)) .Values.priorityClass.name -}}
{{- end -}}

{{/* Whether any fleet uses workload identity: "true" or nothing. */}}
{{- define "fleetscore.workloadIdentity" -}}
{{- range .Values.fleets -}}
{{- if eq (default "workloadIdentity" .storage.auth) "workloadIdentity" }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* A service account's annotations. Call: (dict "root" $ "annotations" .Values.scorer.serviceAccount.annotations) */}}
{{- define "fleetscore.identityAnnotations" -}}
{{- $identity := .root.Values.azure.workloadIdentity -}}
{{- $annotations := dict -}}
{{- with $identity.clientId }}{{ $_ := set $annotations "azure.workload.identity/client-id" . }}{{ end -}}
{{- with $identity.tenantId }}{{ $_ := set $annotations "azure.workload.identity/tenant-id" . }}{{ end -}}
{{- if include "fleetscore.workloadIdentity" .root -}}
{{- $_ := set $annotations "azure.workload.identity/service-account-token-expiration" (toString $identity.tokenExpirationSeconds) -}}
{{- end -}}
{{- mergeOverwrite $annotations (deepCopy (default dict .annotations)) | toYaml -}}
{{- end -}}

{{/* The environment of a scorer's container, as the operator sets it in Jobs. Call with a fleet. */}}
{{- define "fleetscore.scorerEnvironment" -}}
{{- $secret := ternary .storage.existingSecret nil (eq (default "workloadIdentity" .storage.auth) "existingSecret") -}}
{{- $variables := default list .scorer.extraEnv -}}
{{- range $name, $value := dict
  "FLEETSCORE_ACCOUNT_URL" .storage.accountUrl
  "FLEETSCORE_AUTH" (ternary (get (default dict $secret) "kind") "workloadIdentity" (not (empty $secret)))
  "FLEETSCORE_MODELS_CONTAINER" .storage.models
  "FLEETSCORE_DATA_CONTAINER" .storage.data
  "FLEETSCORE_PREDICTIONS_CONTAINER" .storage.predictions
  "FLEETSCORE_DATA_PATH" (dig "data" "path" "" .)
  "FLEETSCORE_DATA_PARTITION" (dig "data" "partition" "" .)
  "FLEETSCORE_MODELS_PATH" (dig "models" "path" "" .)
  "FLEETSCORE_PREDICTIONS_PATH" (dig "predictions" "path" "" .) -}}
{{- if $value }}{{ $variables = append $variables (dict "name" $name "value" $value) }}{{ end -}}
{{- end -}}
{{- with $secret -}}
{{- $name := ternary "AZURE_STORAGE_SAS_TOKEN" "AZURE_STORAGE_CONNECTION_STRING" (eq .kind "sas") -}}
{{- $variables = append $variables (dict "name" "FLEETSCORE_STORAGE_SECRET" "value" (printf "%s/%s" .name (default "connectionString" .key))) -}}
{{- $variables = append $variables (dict "name" $name "valueFrom" (dict "secretKeyRef" (dict "name" .name "key" .key))) -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end -}}

{{/* The user and group ids of a pod; Helm drops the ones that are null. */}}
{{- define "fleetscore.podIds" -}}
{{- $ids := dict -}}
{{- range $key, $value := default dict .Values.podSecurityContext -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $ids $key (int64 $value) }}{{ end -}}
{{- end -}}
{{- toYaml $ids -}}
{{- end -}}

{{/* The pod's part of restricted Pod Security. */}}
{{- define "fleetscore.podSecurityContext" -}}
{{- merge (dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault")) (include "fleetscore.podIds" . | fromYaml) | toYaml -}}
{{- end -}}

{{/* The container's part of restricted Pod Security. */}}
{{- define "fleetscore.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The fields of a pod spec that select the nodes of a component's pods. Call with .Values.operator or .Values.scheduler. */}}
{{- define "fleetscore.placement" -}}
{{- $placement := dict -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" -}}
{{- with index $ $key }}{{ $_ := set $placement $key . }}{{ end -}}
{{- end -}}
{{- with $placement }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* A name of "kind" twice in "list" ends the rendering. */}}
{{- define "fleetscore.refuseDuplicates" -}}
{{- $seen := dict -}}
{{- $kind := .kind -}}
{{- range .list -}}
{{- if hasKey $seen .name }}{{ fail (printf "%s: the name %q is used twice; give each its own" $kind .name) }}{{ end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- end -}}

{{/* A duration of more than 366 days ends the rendering. Call: (dict "what" "schedules: ..." "duration" "PT1H") */}}
{{- define "fleetscore.refuseLongDuration" -}}
{{- $seconds := 0 -}}
{{- range regexFindAll "[0-9]+[dhms]" (lower (default "" .duration)) -1 -}}
{{- $unit := get (dict "d" 86400 "h" 3600 "m" 60 "s" 1) (regexFind "[a-z]" .) -}}
{{- $seconds = add $seconds (mul (atoi (regexFind "[0-9]+" .)) $unit) -}}
{{- end -}}
{{- if gt (int64 $seconds) (int64 31622400) }}{{ fail (printf "%s %s; set a duration of at most 366 days" .what .duration) }}{{ end -}}
{{- end -}}

{{/* Expectations that the scorer rejects end the rendering. Call: (dict "where" "fleets: ..." "quality" .quality) */}}
{{- define "fleetscore.refuseQuality" -}}
{{- $where := .where -}}
{{- with .quality -}}
{{- range $key, $duration := dict "interval" .interval "staleAfter" .staleAfter "flatLine.for" (default dict .flatLine).for -}}
{{- include "fleetscore.refuseLongDuration" (dict "what" (printf "%s.%s" $where $key) "duration" $duration) -}}
{{- end -}}
{{- with .range -}}
{{- if gt (float64 (first .)) (float64 (last .)) -}}
{{- fail (printf "%s.range [%v, %v]; write the lower number first" $where (first .) (last .)) -}}
{{- end -}}
{{- end -}}
{{- range $pattern, $quality := .tags -}}
{{- if not (regexMatch `^(?s:.{1,256})$` $pattern) }}{{ fail (printf "%s.tags[%q]; write a pattern of 1 to 256 characters" $where $pattern) }}{{ end -}}
{{- include "fleetscore.refuseQuality" (dict "where" (printf "%s.tags[%q]" $where $pattern) "quality" $quality) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Texts of a fleet that its pods reject end the rendering: invisible characters in an owner, and too much in one variable. Python writes a blank after , and :, and other characters than ASCII as 6 or 12 bytes. */}}
{{- define "fleetscore.refuseTexts" -}}
{{- $fleet := .name -}}
{{- range .owners -}}
{{- range $key, $text := . -}}
{{- if not (regexMatch `^( |[^\p{C}\p{Z}])*$` $text) -}}
{{- fail (printf "fleets: %q has owners[].%s %q with a line break or an invisible character; remove it" $fleet $key $text) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := pick . "quality" "owners" "notify" -}}
{{- $text := regexReplaceAll "[,:]" (toJson $value) ", " -}}
{{- $text = regexReplaceAll `[\x{10000}-\x{10FFFF}]` $text `\uD83D\uDE00` -}}
{{- $size := len (regexReplaceAll "[^ -~]" $text `\u00FC`) -}}
{{- if gt $size 65000 -}}
{{- fail (printf "fleets: %q has %s with %d bytes as JSON, more than the 65000 that its pods take; shorten some texts, or use patterns that match more" $fleet $key $size) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Errors that the schema cannot detect: duplicate names, names without a target, and values that a program rejects. */}}
{{- define "fleetscore.validate" -}}
{{- include "fleetscore.refuseDuplicates" (dict "kind" "fleets" "list" .Values.fleets) -}}
{{- include "fleetscore.refuseDuplicates" (dict "kind" "schedules" "list" .Values.schedules) -}}
{{- if and .Values.watch.allNamespaces .Values.watch.namespaces -}}
{{- fail "watch: set allNamespaces or namespaces, not both" -}}
{{- end -}}
{{- $watched := (include "fleetscore.watched" . | fromYaml).list -}}
{{- $fleets := dict -}}
{{- range (include "fleetscore.fleets" . | fromYaml).fleets -}}
{{- $fleet := . -}}
{{- $_ := set $fleets .name . -}}
{{- include "fleetscore.refuseDuplicates" (dict "kind" (printf "fleets: notify of %q" .name) "list" .notify) -}}
{{- include "fleetscore.refuseQuality" (dict "where" (printf "fleets: %q has quality" .name) "quality" .quality) -}}
{{- include "fleetscore.refuseTexts" . -}}
{{- if and (eq (default "workloadIdentity" .storage.auth) "existingSecret") (not .storage.existingSecret) -}}
{{- fail (printf "fleets: %q has storage.auth existingSecret; say which by storage.existingSecret {name, key, kind}" .name) -}}
{{- end -}}
{{- range .namespaces -}}
{{- if not (or $.Values.watch.allNamespaces (has . $watched)) -}}
{{- fail (printf "fleets: %q names the namespace %q, which the operator does not watch; add it to watch.namespaces (now: %s)" $fleet.name . (join ", " $watched)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.console.fleets -}}
{{- if not (hasKey $fleets .) }}{{ fail (printf "console.fleets: %q is not the name of one of the fleets; correct it" .) }}{{ end -}}
{{- end -}}
{{- range .Values.schedules -}}
{{- include "fleetscore.refuseLongDuration" (dict "what" (printf "schedules: %q has window" .name) "duration" .window) -}}
{{- $fleet := get $fleets .fleet -}}
{{- $namespace := default $.Release.Namespace .namespace -}}
{{- if not $fleet -}}
{{- fail (printf "schedules: %q names the fleet %q, which fleets does not have" .name .fleet) -}}
{{- end -}}
{{- if and (eq (dig "run" "writePolicy" "" .) "Overwrite") (not (dig "predictions" "allowOverwrite" false $fleet)) -}}
{{- fail (printf "schedules: %q has run.writePolicy Overwrite, which the fleet %q forbids; set the fleet's predictions.allowOverwrite to true, or use IfChanged" .name .fleet) -}}
{{- end -}}
{{- if not (has $namespace $fleet.namespaces) -}}
{{- fail (printf "schedules: %q makes runs in the namespace %q, where the fleet %q may not be named; add it to the fleet's namespaces" .name $namespace .fleet) -}}
{{- end -}}
{{- end -}}
{{- end -}}
