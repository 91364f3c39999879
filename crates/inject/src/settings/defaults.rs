//! What holds where nothing is configured: Istio's default profile.
//!
//! # Sources
//! The values of the default profile's ConfigMap `istio-sidecar-injector`, and
//! `DefaultMeshConfig`/`DefaultProxyConfig` of istio/istio `pkg/config/mesh/mesh.go` (86c9f01).

use serde_json::{Value, json};

/// Helm values of the default profile, as far as an injector reads them.
pub(super) fn values() -> Value {
    json!({
        "gateways": {"seccompProfile": {}, "securityContext": {}},
        "global": {
            "caAddress": "",
            "caName": "",
            "hub": "registry.istio.io/release",
            "imagePullPolicy": "",
            "imagePullSecrets": [],
            "istioNamespace": "istio-system",
            "logAsJson": false,
            "logging": {"level": "default:info"},
            "meshID": "",
            "mountMtlsCerts": false,
            "multiCluster": {"clusterName": ""},
            "nativeNftables": false,
            "network": "",
            "pilotCertProvider": "istiod",
            "proxy": {
                "autoInject": "enabled",
                "clusterDomain": "cluster.local",
                "componentLogLevel": "misc:error",
                "excludeIPRanges": "",
                "excludeInboundPorts": "",
                "excludeOutboundPorts": "",
                "image": "proxyv2",
                "includeIPRanges": "*",
                "includeInboundPorts": "*",
                "includeOutboundPorts": "",
                "logLevel": "warning",
                "outlierLogPath": "",
                "privileged": false,
                "readinessFailureThreshold": 4,
                "readinessInitialDelaySeconds": 0,
                "readinessPeriodSeconds": 15,
                "resources": {
                    "limits": {"cpu": "2000m", "memory": "1024Mi"},
                    "requests": {"cpu": "100m", "memory": "128Mi"}
                },
                "seccompProfile": {},
                "startupProbe": {"enabled": true, "failureThreshold": 600},
                "statusPort": 15020,
                "tracer": "none"
            },
            "proxy_init": {"forceApplyIptables": false, "image": "proxyv2"},
            "sds": {"token": {"aud": "istio-ca"}},
            "sts": {"servicePort": 0},
            "tag": "latest",
            "variant": ""
        },
        "pilot": {"cni": {"enabled": false, "provider": "default"}, "env": {}},
        "revision": "",
        "sidecarInjectorWebhook": {"rewriteAppHTTPProbe": true}
    })
}

/// MeshConfig, as far as an injector reads it.
pub(super) fn mesh() -> Value {
    json!({
        "defaultConfig": proxy_config(),
        "enablePrometheusMerge": true,
        "inboundTrafficPolicy": {"mode": "PASSTHROUGH"},
        "proxyInboundListenPort": 15006,
        "proxyListenPort": 15001,
        "rootNamespace": "istio-system",
        "trustDomain": "cluster.local"
    })
}

/// ProxyConfig.
pub(crate) fn proxy_config() -> Value {
    json!({
        "binaryPath": "/usr/local/bin/envoy",
        "configPath": "./etc/istio/proxy",
        "controlPlaneAuthPolicy": "MUTUAL_TLS",
        "discoveryAddress": "istiod.istio-system.svc:15012",
        "drainDuration": "45s",
        "proxyAdminPort": 15000,
        "serviceCluster": "istio-proxy",
        "statNameLength": 189,
        "statusPort": 15020,
        "terminationDrainDuration": "5s"
    })
}
