//! What holds of settings, whatever their texts say.

use std::collections::BTreeMap;

use super::{ChosenPorts, Sources};

/// A MeshConfig, a `PROXY_CONFIG` behind a line of `---`, and variables behind another, one a line.
/// They are taken over whole or refused with their place.
pub fn settings(text: &str) {
    let mut parts = text.split("\n---\n");
    let mesh = parts.next().map(|mesh| ("mesh".to_owned(), mesh.to_owned()));
    let own = parts.next().map(|own| ("PROXY_CONFIG".to_owned(), own.to_owned()));
    let lines = parts.next().unwrap_or_default().lines();
    let more = lines.filter_map(|line| line.split_once('='));
    let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env: BTreeMap<String, String> = own.into_iter().chain(more).collect();
    match (Sources { env, mesh, ports: ChosenPorts::default() }).resolve() {
        Ok(config) => {
            assert!(config.concurrency > 0 && !config.captures.is_empty());
            assert!(serde_json::to_string(&config).is_ok(), "it can be shown");
        }
        Err(error) => assert!(!error.place.is_empty() && !error.reason.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_taken_over_or_refused() {
        settings(
            "defaultConfig: {concurrency: 0, statusPort: 15029}\n---\n{concurrency: 3}\n---\nSUNUP_PROXY_MARK=1\n",
        );
        settings("connectTimeout: 1y\n");
        settings("{");
    }
}
