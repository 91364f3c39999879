//! Where the network plugin's place on a node is, as options say it.

use std::path::PathBuf;
use std::time::Duration;

use sunup_agent::place::Place;
use sunup_node::cni;

/// How long a runtime gets to read its configuration again before the program goes.
pub(super) const READ_AGAIN: Duration = Duration::from_secs(3);

/// Where the network plugin's place on the node is.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OnNode {
    /// The folder of network configurations (containerd, CRI-O: /etc/cni/net.d)
    #[arg(long, value_name = "DIR", requires = "cni_programs", help_heading = "Network plugin")]
    cni_configurations: Option<PathBuf>,
    /// The folder of plugins' programs (/opt/cni/bin; on GKE /home/kubernetes/bin)
    #[arg(long, value_name = "DIR", requires = "cni_configurations")]
    #[arg(help_heading = "Network plugin")]
    cni_programs: Option<PathBuf>,
    /// The configuration's file, where it is not the first by name
    #[arg(long, value_name = "FILE", help_heading = "Network plugin")]
    cni_file: Option<String>,
    /// The agent's socket, as the node sees it
    #[arg(long, value_name = "PATH", default_value = cni::SOCKET, help_heading = "Network plugin")]
    cni_socket: String,
}

impl OnNode {
    /// None where the plugin is somebody else's affair.
    pub(super) fn place(&self) -> Option<Place> {
        Some(Place {
            configurations: self.cni_configurations.clone()?,
            programs: self.cni_programs.clone()?,
            named: self.cni_file.clone(),
            socket: self.cni_socket.clone(),
        })
    }
}
