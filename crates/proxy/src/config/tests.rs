//! Where each value comes from, and what is refused.

use super::*;

fn sources(env: &[(&str, &str)], mesh: &str) -> Sources {
    Sources {
        env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        mesh: Some(("mesh".to_owned(), mesh.to_owned())),
        ports: ChosenPorts::default(),
    }
}

#[test]
fn nothing_given_gives_istios_defaults() {
    let config = Sources::default().resolve().unwrap();
    assert_eq!(config.policy, Policy::AllowAny);
    assert_eq!(config.drain(), Drain::For(Duration::from_secs(5)));
    assert_eq!(config.connect_timeout, Duration::from_secs(10));
    assert_eq!(config.ports, Ports::default());
    assert_eq!(sources(&[("PROXY_CONFIG", "")], "").resolve().unwrap(), config);
}

#[test]
fn the_nearer_source_wins() {
    let mesh = "
accessLogFile: /dev/stdout
accessLogEncoding: JSON
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
unknownToUs: {a: [1]}
defaultConfig:
  concurrency: 7
  terminationDrainDuration: 30s
  proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true', SUNUP_REGISTRY: '10.0.0.0/8'}
";
    let own = r#"{"terminationDrainDuration":"1m30s","statusPort":15029,
        "proxyMetadata":{"EXIT_ON_ZERO_ACTIVE_CONNECTIONS":"true"}}"#;
    let env = [("PROXY_CONFIG", own), ("MINIMUM_DRAIN_DURATION", "250ms")];
    let config = sources(&env, mesh).resolve().unwrap();
    assert_eq!(config.termination_drain, Duration::from_secs(90));
    assert_eq!((config.concurrency, config.ports.agent), (7, 15029));
    assert_eq!(config.drain(), Drain::UntilIdle(Duration::from_millis(250)));
    assert_eq!((config.policy, config.dns_capture), (Policy::RegistryOnly, true));
    assert_eq!(config.access_log_encoding, Encoding::Json);
    assert!(config.registry[0].has("10.1.2.3:80".parse().unwrap()));
    assert!(!config.registry[0].has("11.1.2.3:80".parse().unwrap()));
}

#[test]
fn ports_of_the_mesh_hold_unless_the_command_line_chooses() {
    let mesh = "proxyListenPort: 15101\nproxyInboundListenPort: 15106\n\
                defaultConfig: {statusPort: 15029}";
    let mut sources = sources(&[], mesh);
    let ports = sources.resolve().unwrap().ports;
    assert_eq!((ports.outbound, ports.inbound, ports.agent), (15101, 15106, 15029));
    // A number that happens to be the standard one is a choice too.
    sources.ports.agent = Some(15020);
    sources.ports.outbound = Some(15201);
    let config = sources.resolve().unwrap();
    assert_eq!((config.ports.outbound, config.ports.agent), (15201, 15020));
    assert_eq!(config.captures, [15201, 15106]);
    assert_eq!(config.agents, [15020, 15029]);
}

#[test]
fn a_wrong_value_is_refused_with_its_place() {
    let refused =
        |env: &[(&str, &str)], mesh: &str| sources(env, mesh).resolve().unwrap_err().to_string();
    let error = refused(&[], "accessLogFile: x\ndefaultConfig:\n  concurrency: many\n");
    assert!(error.starts_with("mesh:3:"), "{error}");
    let error = refused(&[], "a: [1\nb: }");
    assert!(error.starts_with("mesh:"), "{error}");
    let error = refused(&[("PROXY_CONFIG", "[1]")], "");
    assert!(error.starts_with("PROXY_CONFIG"), "{error}");
    let error = refused(&[("ISTIO_META_INTERCEPTION_MODE", "MAGIC")], "");
    assert_eq!(error, "interceptionMode: \"MAGIC\" is not one of REDIRECT, TPROXY, NONE");
    let error = refused(&[], "defaultConfig: {terminationDrainDuration: soon}");
    assert!(error.contains("terminationDrainDuration: \"soon\""), "{error}");
    let error = refused(&[("SUNUP_REGISTRY", "10.0.0.0/40")], "");
    assert!(error.contains("10.0.0.0/40"), "{error}");
    let error = refused(&[("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "perhaps")], "");
    assert!(error.contains("EXIT_ON_ZERO_ACTIVE_CONNECTIONS"), "{error}");
}

#[test]
fn entries_of_the_registry_match_as_written() {
    let has = |entry: &str, to: &str| Entry::parse(entry).unwrap().has(to.parse().unwrap());
    assert!(has("0.0.0.0/0", "1.2.3.4:1"));
    assert!(has("10.0.0.1:443", "10.0.0.1:443"));
    assert!(!has("10.0.0.1:443", "10.0.0.1:80"));
    assert!(has("fd00::/8", "[fd12::1]:80"));
    assert!(has("::/0", "[fd12::1]:80"));
    assert!(!has("::/0", "1.2.3.4:80"));
    assert!(has("10.0.0.1", "10.0.0.1:5"));
    for wrong in ["", "x", "10.0.0.0/33", "10.0.0.0/8:80", "fd00::/129", "10.0.0.0/-1"] {
        assert!(Entry::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn durations_are_gos() {
    assert_eq!(parse_duration("1h2m3.5s"), Some(Duration::from_millis(3_723_500)));
    assert_eq!(parse_duration("0"), Some(Duration::ZERO));
    assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
    for wrong in ["", "5", "s", "-1s", "1x", "1s1", "99999999999h", "1..5s"] {
        assert_eq!(parse_duration(wrong), None, "{wrong}");
    }
}
