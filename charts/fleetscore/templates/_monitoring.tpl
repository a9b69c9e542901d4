{{/* Seconds of an ISO 8601 duration of days, hours, minutes and seconds. */}}
{{- define "fleetscore.seconds" -}}
{{- $text := . }}
{{- $seconds := 0 }}
{{- range $unit, $length := dict "D" 86400 "H" 3600 "M" 60 "S" 1 }}
{{- $seconds = regexFind (printf "[0-9]+%s" $unit) $text | trimSuffix $unit | int64 | mul $length | add $seconds }}
{{- end }}
{{- $seconds }}
{{- end }}

{{/* Labels of what Prometheus' operator selects. */}}
{{- define "fleetscore.monitoringLabels" -}}
{{- include "fleetscore.labels" (dict "root" . "component" "operator") }}
{{- with .Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}
