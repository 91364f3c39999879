//! The injector from outside: against Istio's facts, against properties, and on hostile pods.

#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod decisions;
mod facts;
mod golden;
mod guard;
mod hostile;
mod manifests;
mod properties;
mod settings;
mod traps;

use sunup_inject::{Injector, NativeSidecars, Options, ProxyKind, Sources};

/// An injector for Sunup's proxy with these Helm values and this MeshConfig.
fn sunup(values: &str, mesh: &str, native: NativeSidecars, istio_compat: bool) -> Injector {
    let mut sources = Sources::default();
    sources.values(values).unwrap();
    sources.mesh_config(mesh).unwrap();
    let options = Options { native, istio_compat, ..Options::default() };
    Injector::new(sources.build(options).unwrap()).unwrap()
}

/// A small mesh's own templates: what Istio's mode needs, written for these tests.
const TEMPLATES: &str = r#"
policy: enabled
defaultTemplates: [sidecar]
aliases: {both: [sidecar, extra]}
templates:
  sidecar: |
    {{- $native := ne (index .ObjectMeta.Annotations `sidecar.istio.io/nativeSidecar` | default (printf "%t" .NativeSidecars)) "false" }}
    metadata:
      labels:
        service.istio.io/canonical-name: {{ index .ObjectMeta.Labels `app` | default .DeploymentMeta.Name | trunc 63 | quote }}
    spec:
      initContainers:
      - name: istio-init
        image: "{{ .ProxyImage }}"
        args: [istio-iptables, "-u", "1337"]
      {{- if not $native }}
      containers:
      {{- end }}
      - name: istio-proxy
        image: "{{ .ProxyImage }}"
        {{ if $native }}restartPolicy: Always{{ end }}
        args: [proxy, sidecar]
        env:
        - name: PROXY_CONFIG
          value: |
            {{ protoToJSON .ProxyConfig }}
        - name: PORTS
          value: |-
            [{{ range $i, $c := .Spec.Containers }}{{ range $c.Ports }}{{ structToJSON . }}{{ end }}{{ end }}]
        resources:
          {{ toYaml .Values.global.proxy.resources | indent 6 }}
        {{- if isset .ObjectMeta.Annotations `sidecar.istio.io/userVolumeMount` }}
        volumeMounts:
        {{ range $index, $value := fromJSON (index .ObjectMeta.Annotations `sidecar.istio.io/userVolumeMount`) }}
        - name: "{{  $index }}"
          {{ toYaml $value | indent 6 }}
        {{ end }}
        {{- end }}
      volumes:
      - emptyDir:
        name: workload-socket
      {{- if isset .ObjectMeta.Annotations `sidecar.istio.io/userVolume` }}
      {{range $index, $value := fromJSON (index .ObjectMeta.Annotations `sidecar.istio.io/userVolume`) }}
      - name: "{{ $index }}"
        {{ toYaml $value | indent 4 }}
      {{ end }}
      {{ end }}
  extra: |
    metadata:
      annotations:
        extra: "{{ .Values.global.hub }}"
"#;

/// An injector for Istio's proxy with [`TEMPLATES`].
fn istio(native: NativeSidecars) -> Injector {
    let mut sources = Sources::default();
    sources.injector_config(TEMPLATES).unwrap();
    let options = Options { proxy: ProxyKind::Istio, native, ..Options::default() };
    Injector::new(sources.build(options).unwrap()).unwrap()
}
