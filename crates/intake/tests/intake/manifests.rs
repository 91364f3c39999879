//! Manifests, and where they may be edited.

use std::sync::Arc;

use super::common::{directory, text, with, write};
use sunup_evidence::object::Origin;
use sunup_intake::{Input, Options};

const DEPLOY: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n      containers:\n      - name: app\n        image: x\n";

#[test]
fn several_documents_and_their_lines() {
    let got = text(format!(
        "# first\n---\n{DEPLOY}---\n# nothing\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: web}}\n"
    ));
    assert_eq!(got.unreadable(), Vec::<String>::new());
    let (workload, manifest) = &got.snapshot.workloads[0];
    assert_eq!(workload.template_path, ["spec", "template"]);
    assert_eq!((manifest.place.line, &manifest.origin), (Some(3), &Origin::NotAFile));
    let (_, service) = &got.snapshot.services[0];
    assert_eq!(service.place.line, Some(16));
    assert!(service.document > manifest.document);
}

#[test]
fn every_kind_with_a_pod_template() {
    for (kind, api, path) in [
        ("CronJob", "batch/v1", vec!["spec", "jobTemplate", "spec", "template"]),
        ("Job", "batch/v1", vec!["spec", "template"]),
        ("Rollout", "argoproj.io/v1alpha1", vec!["spec", "template"]),
        ("Service", "serving.knative.dev/v1", vec!["spec", "template"]),
    ] {
        let mut inner = serde_json::json!({"spec": {"containers": [{"name": "app"}]}});
        for key in path.iter().rev() {
            inner = serde_json::json!({ *key: inner });
        }
        inner["apiVersion"] = api.into();
        inner["kind"] = kind.into();
        inner["metadata"] = serde_json::json!({"name": "web"});
        let got = text(inner.to_string());
        let (workload, _) = &got.snapshot.workloads[0];
        assert_eq!((workload.kind.as_str(), &workload.template_path), (kind, &path));
        assert_eq!(workload.template.spec.containers[0].name, "app");
    }
}

#[test]
fn where_a_manifest_comes_from() {
    let exported =
        DEPLOY.replace("  name: web\n", "  name: web\n  uid: u\n  resourceVersion: \"1\"\n");
    let rendered = format!("---\n# Source: chart/templates/web.yaml\n{DEPLOY}");
    let quoted = DEPLOY.replace("image: x", "image: \"{{ .Values.image }}\"");
    let plain = DEPLOY.as_bytes();
    let got = directory(&[
        ("plain.yaml", plain),
        ("exported.yaml", exported.as_bytes()),
        ("rendered.yaml", rendered.as_bytes()),
        ("base/kustomization.yaml", b"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- ./web.yaml\n"),
        ("base/web.yaml", plain),
        ("over/kustomization.yaml", b"resources: [../base]\npatches:\n- path: patch.yaml\n"),
        ("over/patch.yaml", plain),
        ("chart/templates/web.yaml", quoted.as_bytes()),
        ("chart/values.yaml", b"image: x\nreplicas: 1\n"),
        ("chart/Chart.yaml", b"apiVersion: v2\nname: web\nversion: 1.0.0\n"),
        ("chart/templates/whole.yaml", b"{{- if .Values.x }}\napiVersion: v1\nkind: Service\n{{- end }}\n"),
    ]);
    assert_eq!(got.unreadable(), Vec::<String>::new());
    let origin = |file: &str| {
        let found = got.snapshot.workloads.iter().find(|(_, m)| &*m.place.file == file);
        let (_, manifest) = found.unwrap_or_else(|| panic!("{file}"));
        assert_eq!(
            manifest.text.is_some(),
            manifest.origin != Origin::Export && manifest.origin != Origin::HelmRendered
        );
        assert!(manifest.path.is_some());
        manifest.origin.clone()
    };
    assert_eq!(origin("plain.yaml"), Origin::Plain);
    assert_eq!(origin("exported.yaml"), Origin::Export);
    assert_eq!(origin("rendered.yaml"), Origin::HelmRendered);
    assert_eq!(origin("base/web.yaml"), Origin::Kustomize(Arc::from("base/kustomization.yaml")));
    assert_eq!(origin("over/patch.yaml"), Origin::Kustomize(Arc::from("over/kustomization.yaml")));
    assert_eq!(origin("chart/templates/web.yaml"), Origin::Template(10));
    let templates: Vec<String> = got.snapshot.templates.iter().map(|p| p.to_string()).collect();
    assert_eq!(templates, ["chart/templates/whole.yaml:1"]);
}

#[test]
fn a_broken_document_leaves_the_others() {
    let got = text(format!(
        "{DEPLOY}---\napiVersion: v1\nkind: Service\nmetadata: {{name: [\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n"
    ));
    assert_eq!((got.snapshot.workloads.len(), got.snapshot.namespaces.len()), (1, 1));
    assert_eq!(got.unreadable().len(), 1, "{:?}", got.unreadable());
    assert!(got.unreadable()[0].contains("not valid YAML"), "{:?}", got.unreadable());
}

#[test]
fn objects_of_the_mesh() {
    let got = text(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  selector: {istio: ingress}\n  servers:\n  - port: {number: 80, name: http, protocol: HTTP}\n---\napiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {profile: default}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'a: b'}\n---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {nodeInfo: {containerRuntimeVersion: 'containerd://2.0.1', kernelVersion: '6.1', kubeletVersion: v1.33.0}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: vault-x, namespace: v, labels: {kubernetes.io/service-name: vault}}\nendpoints: [{addresses: [10.1.1.1]}]\n---\napiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: istio-sidecar-injector}\nwebhooks: [{name: a, reinvocationPolicy: IfNeeded}, {name: b}]\n",
    );
    assert_eq!(got.unreadable(), Vec::<String>::new());
    let s = &got.snapshot;
    assert_eq!(s.gateways[0].0.ports, [80]);
    assert_eq!((s.operators.len(), s.config_maps.len(), s.nodes.len()), (1, 1, 1));
    assert_eq!((s.endpoints[0].service.as_str(), s.endpoints[0].addresses.len()), ("vault", 1));
    assert_eq!(s.webhooks[0].reinvocation, [Some("IfNeeded".to_owned()), None]);
}

#[test]
fn a_file_that_is_no_evidence_is_passed_over() {
    let dir = tempfile::tempdir().expect("a directory");
    write(
        dir.path(),
        &[("values.yaml", b"a: 1\nb: 2\n"), ("README.md", b"# Words\nconnection refused\n")],
    );
    let whole = with(vec![Input::Path(dir.path().to_owned())], &Options::default());
    assert_eq!(
        (whole.unreadable().len(), whole.summary.read.passed_over, whole.summary.is_empty()),
        (0, 2, true)
    );
    assert!(whole.summary.read.is_passed_over());
    let one = with(vec![Input::Path(dir.path().join("values.yaml"))], &Options::default());
    assert_eq!((one.unreadable().len(), one.summary.read.passed_over), (0, 1));
}
