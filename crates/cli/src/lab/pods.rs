//! A play's pods as kubectl lists them.

use std::fmt::Write as _;

use sunup_lab::export;

use super::play::Play;

/// What `kubectl get pods -A` would print.
pub(crate) fn table(play: &Play) -> String {
    let mut text = format!(
        "{:<10} {:<36} {:<6} {:<24} {}\n",
        "NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS"
    );
    for pod in play.pods() {
        let (ready, word, restarts) = export::columns(&pod.status());
        let name = pod.name();
        let _ = writeln!(
            text,
            "{:<10} {:<36} {ready:<6} {word:<24} {restarts}",
            name.namespace, name.name
        );
    }
    text
}
