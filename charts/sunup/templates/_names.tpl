{{- /*
Names and labels. Those of objects in no namespace carry mode and revision, so that releases of
different ones live side by side, and a second one of the same is refused by name. A guard asks for
no revision, so there is one of it.

Only what `sunup webhook manifests` can do as well: it renders these files too.
*/ -}}
{{- define "sunup.suffix" -}}
{{- if eq .Values.webhook.mode "guard" }}-guard{{ else if ne .Values.revision "default" }}-{{ .Values.revision }}{{ end -}}
{{- end -}}
{{- define "sunup.webhook" -}}
{{- if .Values.webhook.service }}{{ .Values.webhook.service }}{{ else }}sunup-webhook{{ template "sunup.suffix" . }}{{ end -}}
{{- end -}}
{{- define "sunup.configuration" -}}
{{- if .Values.webhook.configuration }}{{ .Values.webhook.configuration }}{{ else }}zz-sunup-webhook{{ template "sunup.suffix" . }}{{ end -}}
{{- end -}}
{{- define "sunup.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end -}}
{{- define "sunup.labels" -}}
app.kubernetes.io/name: sunup, app.kubernetes.io/instance: {{ .Release.Name }}, app.kubernetes.io/component: webhook, app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}, app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
{{- define "sunup.node.labels" -}}
app.kubernetes.io/name: sunup, app.kubernetes.io/instance: {{ .Release.Name }}, app.kubernetes.io/component: node, app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}, app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
