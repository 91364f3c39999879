//! Words that are the mesh's own or Kubernetes', in labels, arguments and scripts; and base64.

/// Words that show that an argument or a script speaks of the mesh.
pub(super) const MESH: [&str; 13] = [
    "localhost:15",
    "127.0.0.1:15",
    "15020",
    "15021",
    "15000",
    "pilot-agent",
    "istio",
    "envoy",
    "quitquitquit",
    "/app-health/",
    "healthz/ready",
    "start-gate",
    "/config_dump",
];

/// Words of shells and of the mesh's own commands.
pub(super) const SHELL: [&str; 49] = [
    "until",
    "while",
    "do",
    "done",
    "if",
    "then",
    "else",
    "fi",
    "for",
    "in",
    "exec",
    "sh",
    "bash",
    "/bin/sh",
    "/bin/bash",
    "sleep",
    "curl",
    "wget",
    "echo",
    "true",
    "false",
    "&&",
    "||",
    ";",
    "|",
    "!",
    "sidecar",
    "router",
    "proxy",
    "waypoint",
    "REDIRECT",
    "TPROXY",
    "NONE",
    "*",
    "wait",
    "request",
    "POST",
    "GET",
    "drain",
    "istio-iptables",
    "--run-validation",
    "--skip-rule-apply",
    "--concurrency",
    "--domain",
    "--templateFile",
    "install-cni",
    "discovery",
    "capture",
    "apply",
];

/// Whether a label or an annotation is the mesh's or Kubernetes' own.
pub(super) fn is_meshs(key: &str) -> bool {
    let domains = [
        "istio.io",
        "sunup.dev",
        "vault.hashicorp.com",
        "prometheus.io",
        "linkerd.io",
        "cni.cncf.io",
    ];
    let own = [
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "istio-injection",
        "kubernetes.io/config.mirror",
    ];
    own.contains(&key) || domains.iter().any(|domain| key.contains(domain))
}

/// Whether an argument speaks of the mesh.
pub(super) fn is_about_mesh(word: &str) -> bool {
    MESH.iter().any(|mesh| word.contains(mesh)) || SHELL.contains(&word)
}

/// Base64 (RFC 4648) of a text.
pub(super) fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in value.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (text.len() >= 3 && !text.chars().any(|c| c.is_control() && !c.is_whitespace())).then_some(text)
}
