//! Which project and cluster a Kubernetes cluster's entries are under, told by what the cluster and
//! those who know it say. A node's name begins with its cluster's, cut, and proves nothing: it is not
//! looked at.
//!
//! # Sources
//! Google Kubernetes Engine: "Projects, locations, clusters: getOpenid-configuration" (the issuer),
//! "gcloud container clusters get-credentials" (the kubeconfig's names), `cluster-name` and
//! `cluster-location` among an instance's attributes ("About VM metadata"); cloud-provider-gcp
//! (`gce://PROJECT/ZONE/NAME`).

use std::collections::BTreeSet;

use crate::http::Web;
use crate::identity::metadata;

/// What is known of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clues {
    /// Who issues its tokens.
    pub issuer: Option<String>,
    /// What the metadata server says, where this runs in the cluster: project, location, name.
    pub attributes: Option<[String; 3]>,
    /// What a kubeconfig calls it.
    pub names: Vec<String>,
    /// Its nodes.
    pub nodes: Vec<NodeClue>,
    /// Why nodes could not be seen.
    pub unseen: Option<Box<str>>,
}

/// Where a node runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeClue {
    /// `gce://PROJECT/ZONE/NAME`.
    pub provider_id: String,
    /// Its region.
    pub region: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
}

/// Whose entries are a cluster's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The project.
    pub project: String,
    /// The cluster's name, where anything says it.
    pub cluster: Option<String>,
    /// Where it is: one place, or those that its nodes leave open.
    pub locations: Vec<String>,
    /// By what it is told.
    pub by: String,
}

/// What the metadata server says of the cluster that this runs in.
pub async fn attributes(web: &Web, host: Option<&str>) -> Option<[String; 3]> {
    let host = host.unwrap_or(metadata::HOST);
    metadata::is_there(web, host).await.ok()?;
    let mut all = [String::new(), String::new(), String::new()];
    let of = [
        "project/project-id",
        "instance/attributes/cluster-location",
        "instance/attributes/cluster-name",
    ];
    for (value, path) in all.iter_mut().zip(of) {
        *value = metadata::value(web, host, path).await?;
    }
    Some(all)
}

impl Clues {
    /// Project, location and name: as its issuer says, else the metadata server, else the
    /// kubeconfig's name for it, where its nodes don't say otherwise; else as far as nodes say it.
    ///
    /// # Errors
    /// Nothing says it, or it is no cluster of Google's, in words.
    pub fn told(&self) -> Result<Told, String> {
        if let Some(issuer) = &self.issuer
            && let Some(found) = of_issuer(issuer)
        {
            return Ok(told(found, "by who issues its tokens"));
        }
        if let Some([project, location, cluster]) = &self.attributes {
            let found = [project, location, cluster].map(String::as_str);
            return Ok(told(found, "by the metadata server"));
        }
        let nodes = Nodes::of(&self.nodes);
        for name in &self.names {
            let Some(found) = of_name(name) else { continue };
            if nodes.is_empty() || nodes.agree(found) {
                return Ok(told(found, &format!("by the kubeconfig's name {name}")));
            }
            return Err(format!(
                "the kubeconfig calls it {name}, but its nodes are of {nodes}: name the project"
            ));
        }
        let project = nodes.project().map_err(|why| match &self.unseen {
            Some(unseen) => format!("{why}: its nodes can't be seen ({unseen})"),
            None => why,
        })?;
        let (project, locations) = (project.to_owned(), nodes.places.iter().cloned().collect());
        Ok(Told { project, cluster: None, locations, by: "by its nodes' provider ids".to_owned() })
    }
}

fn told([project, location, cluster]: [&str; 3], by: &str) -> Told {
    Told {
        project: project.to_owned(),
        cluster: Some(cluster.to_owned()),
        locations: vec![location.to_owned()],
        by: by.to_owned(),
    }
}

/// `https://container.googleapis.com/v1/projects/P/locations/L/clusters/C`, and as older ones are
/// called, `…/zones/L/clusters/C`.
fn of_issuer(issuer: &str) -> Option<[&str; 3]> {
    let rest = issuer.strip_prefix("https://container.googleapis.com/v1/projects/")?;
    match rest.split('/').collect::<Vec<_>>().as_slice() {
        [project, "locations" | "zones", location, "clusters", cluster] => {
            names([project, location, cluster])
        }
        _ => None,
    }
}

/// `gke_PROJECT_LOCATION_CLUSTER`. None of the three can have an underscore.
fn of_name(name: &str) -> Option<[&str; 3]> {
    match name.split('_').collect::<Vec<_>>().as_slice() {
        ["gke", project, location, cluster] => names([project, location, cluster]),
        _ => None,
    }
}

/// The three, where they can be what they are taken for: they become part of a filter.
fn names(names: [&str; 3]) -> Option<[&str; 3]> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
    names.iter().all(|name| !name.is_empty() && name.chars().all(plain)).then_some(names)
}

/// What nodes say together.
struct Nodes {
    projects: BTreeSet<String>,
    /// Regions and zones: a cluster is in one of the first, or of the second.
    places: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl Nodes {
    fn of(nodes: &[NodeClue]) -> Nodes {
        let mut all =
            Nodes { projects: BTreeSet::new(), places: BTreeSet::new(), others: BTreeSet::new() };
        for node in nodes {
            let Some(rest) = node.provider_id.strip_prefix("gce://") else {
                let scheme = node.provider_id.split(':').next().unwrap_or_default();
                all.others.insert(scheme.to_owned());
                continue;
            };
            // A project of a domain (`example.com:shop`) is written as it is.
            let mut parts = rest.split('/');
            let (project, zone) = (parts.next().unwrap_or_default(), parts.next());
            all.projects.insert(project.to_owned());
            let zone = zone.or(node.zone.as_deref());
            all.places.extend(zone.map(str::to_owned));
            // A zone is its region's name and a letter.
            let region = zone.and_then(|zone| Some(zone.rsplit_once('-')?.0));
            all.places.extend(node.region.as_deref().or(region).map(str::to_owned));
        }
        all
    }

    fn is_empty(&self) -> bool {
        self.projects.is_empty()
    }

    fn agree(&self, [project, location, _]: [&str; 3]) -> bool {
        self.projects.contains(project) && self.places.contains(location)
    }

    fn project(&self) -> Result<&str, String> {
        let mut projects = self.projects.iter();
        match (projects.next(), projects.next()) {
            (Some(project), None) => Ok(project),
            (Some(one), Some(other)) => Err(format!(
                "its nodes are of several projects ({one}, {other} …): name the one whose entries \
                 are wanted"
            )),
            (None, _) => {
                let others: Vec<&str> = self
                    .others
                    .iter()
                    .map(String::as_str)
                    .filter(|name| !name.is_empty())
                    .collect();
                Err(match others.as_slice() {
                    [] => "nothing says in which project of Google's this cluster is".to_owned(),
                    others => format!("this is no cluster of Google's: {}", others.join(", ")),
                })
            }
        }
    }
}

impl std::fmt::Display for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |all: &BTreeSet<String>| all.iter().cloned().collect::<Vec<_>>().join(", ");
        write!(f, "{} in {}", list(&self.projects), list(&self.places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(provider_id: &str) -> NodeClue {
        NodeClue { provider_id: provider_id.to_owned(), ..NodeClue::default() }
    }

    fn nodes() -> Vec<NodeClue> {
        vec![
            node("gce://shop-prod/europe-west1-b/gke-main-pool-1-0a1b2c3d-x1y2"),
            node("gce://shop-prod/europe-west1-c/gke-main-pool-1-4e5f6a7b-z3w4"),
        ]
    }

    fn own(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn whoever_says_it_all_is_asked_first_in_a_fixed_order() {
        let kubeconfig = own(&["gke_shop-prod_europe-west1_main"]);
        let mut clues = Clues { names: kubeconfig, nodes: nodes(), ..Clues::default() };
        let is = |clues: &Clues, cluster: &str, by: &str| {
            let told = clues.told().unwrap();
            assert_eq!(told.cluster.as_deref(), Some(cluster), "{told:?}");
            assert_eq!((told.project.as_str(), told.locations.len()), ("shop-prod", 1));
            assert!(told.by.contains(by), "{told:?}");
        };
        is(&clues, "main", "kubeconfig");
        clues.attributes = Some(["shop-prod", "europe-west1", "meta"].map(str::to_owned));
        is(&clues, "meta", "metadata");
        let issuer = "https://container.googleapis.com/v1/projects/shop-prod/locations/europe-west1-b/clusters/own";
        clues.issuer = Some(issuer.to_owned());
        is(&clues, "own", "issues");
        clues.issuer = Some("https://kubernetes.default.svc".to_owned());
        is(&clues, "meta", "metadata");
    }

    #[test]
    fn nodes_say_the_project_and_where_it_can_be() {
        let told = Clues { nodes: nodes(), ..Clues::default() }.told().unwrap();
        assert_eq!((told.project.as_str(), told.cluster), ("shop-prod", None));
        assert_eq!(told.locations, ["europe-west1", "europe-west1-b", "europe-west1-c"]);
        // A context that somebody has renamed says nothing, one that names another place is no help.
        let renamed = Clues { names: own(&["prod"]), nodes: nodes(), ..Clues::default() };
        assert_eq!(renamed.told().unwrap().cluster, None);
        let other = own(&["gke_shop-test_europe-west1_main"]);
        let other = Clues { names: other, nodes: nodes(), ..Clues::default() };
        let why = other.told().unwrap_err();
        assert!(why.contains("gke_shop-test") && why.contains("shop-prod in"), "{why}");
    }

    #[test]
    fn what_is_no_cluster_of_googles_is_told() {
        let why = |clues: Clues| clues.told().unwrap_err();
        let aws = vec![node("aws:///eu-west-1a/i-0123")];
        assert!(why(Clues { nodes: aws, ..Clues::default() }).contains("of Google's: aws"));
        assert!(why(Clues::default()).contains("nothing says"));
        let unseen = Some("nodes is forbidden (403)".into());
        assert!(why(Clues { unseen, ..Clues::default() }).contains("(nodes is forbidden (403))"));
        let mut two = nodes();
        two.push(node("gce://other/europe-west1-b/x"));
        assert!(why(Clues { nodes: two, ..Clues::default() }).contains("several projects"));
        // What is no name becomes no part of a filter.
        assert_eq!(of_name("gke_a_b_c\" OR x"), None);
        assert_eq!(of_name("gke_a_b"), None);
        let older = "https://container.googleapis.com/v1/projects/p/zones/z/clusters/c";
        assert_eq!(of_issuer(older), Some(["p", "z", "c"]));
    }
}
