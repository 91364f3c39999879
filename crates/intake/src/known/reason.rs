//! The reason of an event from its message, for texts that leave the reason out.

/// Beginnings of the kubelet's and scheduler's messages, and the reasons they go with.
/// <https://github.com/kubernetes/kubernetes/tree/master/pkg/kubelet/events>
const MESSAGES: &[(&str, &str)] = &[
    ("Created container", "Created"),
    ("Container created", "Created"),
    ("Started container", "Started"),
    ("Container started", "Started"),
    ("Container image ", "Pulled"),
    ("Successfully pulled image", "Pulled"),
    ("Pulling image", "Pulling"),
    ("pulling image", "Pulling"),
    ("Readiness probe ", "Unhealthy"),
    ("Liveness probe ", "Unhealthy"),
    ("Startup probe ", "Unhealthy"),
    ("Killing container", "Killing"),
    ("Stopping container", "Killing"),
    ("Back-off restarting failed container", "BackOff"),
    ("Back-off pulling image", "BackOff"),
    ("Failed to pull image", "Failed"),
    ("Error: ", "Failed"),
    ("Successfully assigned", "Scheduled"),
    ("MountVolume.SetUp failed", "FailedMount"),
    ("Unable to attach or mount volumes", "FailedMount"),
    ("Failed to create pod sandbox", "FailedCreatePodSandBox"),
    ("Pod sandbox changed", "SandboxChanged"),
    ("PostStartHook failed", "FailedPostStartHook"),
    ("PreStopHook failed", "FailedPreStopHook"),
];

/// The reason that goes with a message; empty where none is known.
pub(crate) fn of_message(message: &str) -> &'static str {
    if message.starts_with("Container ")
        && (message.contains("will be restarted") || message.contains("will be killed"))
    {
        return "Killing";
    }
    if message.starts_with("Exec lifecycle hook") || message.starts_with("Http lifecycle hook") {
        return if message.contains("reStop") {
            "FailedPreStopHook"
        } else {
            "FailedPostStartHook"
        };
    }
    MESSAGES.iter().find(|(start, _)| message.starts_with(start)).map_or("", |(_, reason)| reason)
}

/// The container that a message names: `Created container x`, `Started container: x`,
/// `Container x failed liveness probe`, `failed container x in pod`.
pub(crate) fn container_of(message: &str) -> Option<&str> {
    const FRONTS: &[&str] = &[
        "Created container: ",
        "Created container ",
        "Started container: ",
        "Started container ",
        "Stopping container ",
        "Back-off restarting failed container ",
    ];
    let name = FRONTS
        .iter()
        .find_map(|front| message.strip_prefix(front))
        .or_else(|| {
            let rest = message.strip_prefix("Container ")?;
            rest.contains(" failed ").then_some(rest)
        })?
        .split([' ', ','])
        .next()?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (!name.is_empty() && name.chars().all(fits)).then_some(name)
}
