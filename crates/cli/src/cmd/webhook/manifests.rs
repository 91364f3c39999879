//! What to install: the configurations by which API servers call the webhook, the server itself,
//! and the rights it needs, each with its reason. Text in, text out; knows no cluster.

use std::fmt::Write as _;

use sunup_webhook::{DENY, LABEL};

pub(super) const SERVICE: &str = "sunup-webhook";
pub(super) const NAMESPACE: &str = "sunup-system";
/// API servers call webhooks in the order of their configurations' names, so that this one is
/// behind Istio's, Vault's and everybody's whose name doesn't begin with `zz` too: what others add
/// or drop is there to be seen, and seldom is a second call needed to put it right.
pub(super) const CONFIGURATION: &str = "zz-sunup-webhook";

/// Prints what to install
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Guard pods that Istio's injector injects, instead of injecting
    #[arg(long)]
    guard: bool,
    /// Name of the configurations; API servers call webhooks in the order of these names
    #[arg(long, value_name = "NAME", default_value = CONFIGURATION)]
    name: String,
    /// Where the server runs
    #[arg(long, value_name = "NAMESPACE", default_value = NAMESPACE)]
    namespace: String,
    /// Its Service
    #[arg(long, value_name = "NAME", default_value = SERVICE)]
    service: String,
    /// The revision whose pods are injected
    #[arg(long, value_name = "REVISION", default_value = "default")]
    revision: String,
    /// What becomes of pods while no replica answers: Fail refuses them, Ignore lets them through
    /// as they are. Fail where not given, Ignore with --guard
    #[arg(long, value_name = "POLICY", value_parser = ["Fail", "Ignore"])]
    failure_policy: Option<String>,
    /// The image that has sunup in it
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Call this URL instead of a Service, for a server outside of the cluster: configurations only
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// More options for the server, such as --san or --proxy; repeat it
    #[arg(long = "option", value_name = "OPTION", allow_hyphen_values = true)]
    options: Vec<String>,
}

const AFTER_HELP: &str = "\
The configurations' caBundle is empty; the server fills it in and keeps it right.

Examples:
  sunup webhook manifests | kubectl apply -f -
  sunup webhook manifests --guard --option=--revision=asm-managed | kubectl apply -f -
  sunup webhook manifests --url https://host.docker.internal:15017 | kubectl apply -f -";

pub(super) fn text(args: &Args) -> String {
    let mut out = String::new();
    if args.url.is_none() {
        out.push_str(&filled(args, SERVER));
    }
    out.push_str(&configurations(args));
    out
}

fn filled(args: &Args, text: &str) -> String {
    let image = args.image.clone();
    let image =
        image.unwrap_or_else(|| format!("ghcr.io/sunup-dev/sunup:{}", env!("CARGO_PKG_VERSION")));
    let mut options = String::new();
    let revision = format!("--revision={}", args.revision);
    let revision = (args.revision != "default").then_some(revision);
    for option in revision.iter().chain(&args.options) {
        let _ = write!(options, "\n        - {}", quoted(option));
    }
    let maps = match args.revision.as_str() {
        "default" => "istio, istio-sidecar-injector".to_owned(),
        r => format!("istio-{r}, istio-sidecar-injector-{r}"),
    };
    text.replace("@NAMESPACE@", &args.namespace)
        .replace("@SERVICE@", &args.service)
        .replace("@NAME@", &args.name)
        .replace("@IMAGE@", &quoted(&image))
        .replace("@OPTIONS@", &options)
        .replace("@MAPS@", &maps)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// One webhook's selectors: on the namespace and on the pod, as lines of matchExpressions.
struct Chosen {
    name: &'static str,
    namespace: Vec<(&'static str, &'static str, Vec<String>)>,
    pod: Vec<(&'static str, &'static str, Vec<String>)>,
}

const REV: &str = "istio.io/rev";
const INJECTION: &str = "istio-injection";
const INJECT: &str = "sidecar.istio.io/inject";

/// Who is called for: Istio's own four ways of asking for injection. The guard asks for no
/// revision: whoever injected the pod, its order counts.
fn chosen(args: &Args) -> Vec<Chosen> {
    let none = Vec::new;
    let one = |value: &str| vec![value.to_owned()];
    let rev = |key| match args.guard {
        true => (key, "Exists", none()),
        false => (key, "In", one(&args.revision)),
    };
    let not_false = || (INJECT, "NotIn", one("false"));
    let absent = |key| (key, "DoesNotExist", none());
    let mut all = vec![
        Chosen {
            name: "rev.namespace",
            namespace: vec![rev(REV), absent(INJECTION)],
            pod: vec![not_false()],
        },
        Chosen {
            name: "rev.object",
            namespace: vec![absent(REV), absent(INJECTION)],
            pod: vec![not_false(), rev(REV)],
        },
    ];
    if args.guard || args.revision == "default" {
        all.push(Chosen {
            name: "namespace",
            namespace: vec![(INJECTION, "In", one("enabled"))],
            pod: vec![not_false()],
        });
        all.push(Chosen {
            name: "object",
            namespace: vec![absent(INJECTION), absent(REV)],
            pod: vec![(INJECT, "In", one("true")), absent(REV)],
        });
    }
    all
}

fn configurations(args: &Args) -> String {
    let (path, policy) = if args.guard { ("/guard", "Ignore") } else { ("/inject", "Fail") };
    let policy = args.failure_policy.as_deref().unwrap_or(policy);
    let mut out = format!(
        "---\n# Pods are changed here. IfNeeded: called again where a webhook that comes later has \
         changed\n# the pod, so that the order of their names doesn't decide who starts first.\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\n\
         metadata:\n  name: {}\nwebhooks:\n",
        args.name
    );
    for chosen in chosen(args) {
        webhook(&mut out, args, &chosen, chosen.name, path, policy, None);
        out.push_str("  reinvocationPolicy: IfNeeded\n");
    }
    let _ = write!(
        out,
        "---\n# The final pod is checked here: a warning in the doctor's words, or a refusal in \
         namespaces\n# with the label {LABEL}={DENY}.\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\n\
         metadata:\n  name: {}\nwebhooks:\n",
        args.name
    );
    for chosen in chosen(args) {
        let name = format!("warn.{}", chosen.name);
        webhook(&mut out, args, &chosen, &name, "/validate", "Ignore", Some(false));
        let name = format!("deny.{}", chosen.name);
        webhook(&mut out, args, &chosen, &name, "/validate/deny", "Fail", Some(true));
    }
    out
}

fn webhook(
    out: &mut String,
    args: &Args,
    chosen: &Chosen,
    name: &str,
    path: &str,
    policy: &str,
    deny: Option<bool>,
) {
    let _ = writeln!(out, "- name: {name}.webhook.sunup.dev");
    match &args.url {
        Some(url) => {
            let url = format!("{}{path}", url.trim_end_matches('/'));
            let _ = writeln!(out, "  clientConfig:\n    url: {}", quoted(&url));
        }
        None => {
            let _ = writeln!(
                out,
                "  clientConfig:\n    service: {{namespace: {}, name: {}, path: {path}, port: 443}}",
                args.namespace, args.service
            );
        }
    }
    let _ = writeln!(
        out,
        "  admissionReviewVersions: [v1, v1beta1]\n  sideEffects: None\n  timeoutSeconds: 10\n  \
         failurePolicy: {policy}\n  rules:\n  - operations: [CREATE]\n    apiGroups: [\"\"]\n    \
         apiVersions: [v1]\n    resources: [pods]\n    scope: Namespaced"
    );
    let system =
        ["kube-system", "kube-public", "kube-node-lease", args.namespace.as_str()].join(", ");
    out.push_str("  namespaceSelector:\n    matchExpressions:\n");
    let _ = writeln!(
        out,
        "    - {{key: kubernetes.io/metadata.name, operator: NotIn, values: [{system}]}}"
    );
    expressions(out, &chosen.namespace);
    if let Some(deny) = deny {
        let operator = if deny { "In" } else { "NotIn" };
        let _ = writeln!(out, "    - {{key: {LABEL}, operator: {operator}, values: [{DENY}]}}");
    }
    out.push_str("  objectSelector:\n    matchExpressions:\n");
    expressions(out, &chosen.pod);
}

fn expressions(out: &mut String, all: &[(&str, &str, Vec<String>)]) {
    for (key, operator, values) in all {
        let _ = write!(out, "    - {{key: {key}, operator: {operator}");
        if !values.is_empty() {
            let values: Vec<String> = values.iter().map(|v| quoted(v)).collect();
            let _ = write!(out, ", values: [{}]", values.join(", "));
        }
        out.push_str("}\n");
    }
}

const SERVER: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: @NAMESPACE@
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: @SERVICE@, namespace: @NAMESPACE@}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: @SERVICE@}
rules:
# caBundle is written into these two configurations and no others.
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations, validatingwebhookconfigurations]
  resourceNames: [@NAME@]
  verbs: [get, patch]
# The oldest node's kubelet decides whether sidecars can be native ones.
- apiGroups: [\"\"]
  resources: [nodes]
  verbs: [list, watch]
# OpenShift writes a namespace's uid range into its annotations.
- apiGroups: [\"\"]
  resources: [namespaces]
  verbs: [list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: @SERVICE@}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: @SERVICE@}
subjects: [{kind: ServiceAccount, name: @SERVICE@, namespace: @NAMESPACE@}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: @SERVICE@, namespace: @NAMESPACE@}
rules:
# The certificate authority that all replicas share; a new Secret's name can't be limited.
- apiGroups: [\"\"]
  resources: [secrets]
  verbs: [create]
- apiGroups: [\"\"]
  resources: [secrets]
  resourceNames: [@SERVICE@-ca]
  verbs: [get, update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: @SERVICE@, namespace: @NAMESPACE@}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: @SERVICE@}
subjects: [{kind: ServiceAccount, name: @SERVICE@, namespace: @NAMESPACE@}]
# An existing Istio's settings are followed. Without an Istio, leave these two out.
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: @SERVICE@, namespace: istio-system}
rules:
- apiGroups: [\"\"]
  resources: [configmaps]
  resourceNames: [@MAPS@]
  verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: @SERVICE@, namespace: istio-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: @SERVICE@}
subjects: [{kind: ServiceAccount, name: @SERVICE@, namespace: @NAMESPACE@}]
---
apiVersion: v1
kind: Service
metadata: {name: @SERVICE@, namespace: @NAMESPACE@}
spec:
  selector: {app: @SERVICE@}
  ports:
  - {name: https-webhook, port: 443, targetPort: 15017}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: @SERVICE@, namespace: @NAMESPACE@}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: @SERVICE@}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: @SERVICE@, namespace: @NAMESPACE@, labels: {app: @SERVICE@}}
spec:
  replicas: 2
  selector: {matchLabels: {app: @SERVICE@}}
  strategy: {rollingUpdate: {maxUnavailable: 0}}
  template:
    metadata:
      labels: {app: @SERVICE@, sidecar.istio.io/inject: \"false\"}
    spec:
      serviceAccountName: @SERVICE@
      priorityClassName: system-cluster-critical
      # Taking reviews while others notice (5 s), then finishing what was begun (20 s).
      terminationGracePeriodSeconds: 30
      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532,
        seccompProfile: {type: RuntimeDefault}}
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: ScheduleAnyway
        labelSelector: {matchLabels: {app: @SERVICE@}}
      containers:
      - name: webhook
        image: @IMAGE@
        command: [sunup, webhook]
        args:
        - --namespace=@NAMESPACE@
        - --service=@SERVICE@
        - --configuration=@NAME@@OPTIONS@
        ports:
        - {name: https-webhook, containerPort: 15017}
        - {name: http-health, containerPort: 15014}
        readinessProbe: {httpGet: {path: /healthz/ready, port: 15014}, periodSeconds: 2}
        livenessProbe: {httpGet: {path: /healthz/live, port: 15014}, initialDelaySeconds: 10}
        resources: {requests: {cpu: 50m, memory: 32Mi}, limits: {memory: 256Mi}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true,
          capabilities: {drop: [ALL]}}
";
