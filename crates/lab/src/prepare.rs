//! From a container's manifest to the plan of its process: command, environment, volumes, user.

mod context;
mod env;
mod volumes;

use std::path::{Path, PathBuf};

use anyhow::bail;
use sunup_sys::container::DEFAULT_CAPABILITIES;

use crate::image::Image;
use crate::inside::{Mount, Plan};
use crate::manifest::Container;
use crate::node::{DNS, MARK, Node};

pub(crate) use context::Context;
use context::host_name;
pub(crate) use volumes::fill;

/// The proxy's user: what capture lets through.
const PROXY_UID: u32 = 1337;

/// The plan of a container's own process.
///
/// # Errors
/// What Kubernetes calls a `CreateContainerConfigError`: a ConfigMap that isn't there, root where
/// it may not be.
pub(crate) fn container(
    context: &Context<'_>,
    container: &Container,
    image: &Image,
) -> anyhow::Result<Plan> {
    let env = env::environment(context, container, image)?;
    let expand = |words: &[String]| words.iter().map(|w| env::expand(w, &env)).collect::<Vec<_>>();
    let (command, args) = (expand(&container.command), expand(&container.args));
    let argv = match (command.is_empty(), args.is_empty()) {
        (true, true) => [image.entrypoint.clone(), image.cmd.clone()].concat(),
        (true, false) => [image.entrypoint.clone(), args].concat(),
        (false, _) => [command, args].concat(),
    };
    let mut plan = Plan {
        root: context.node.root(),
        host_name: host_name(context.pod).to_owned(),
        programs: programs(context.node, image),
        foreign: image.entrypoint.first().filter(|_| image.foreign).cloned(),
        files: files(context),
        mounts: mounts(context, container)?,
        read_only_root: container.security_context.read_only_root_filesystem == Some(true),
        argv,
        env,
        directory: container.working_dir.clone(),
        ..Plan::default()
    };
    identity(context, container, image, &mut plan)?;
    plan.files.extend(passwd(&plan));
    Ok(plan)
}

/// The plan of a command that is executed in a container.
pub(crate) fn command(plan: &Plan, words: &[String]) -> Plan {
    Plan {
        argv: words.to_vec(),
        env: plan.env.clone(),
        directory: plan.directory.clone(),
        ids: plan.ids,
        groups: plan.groups.clone(),
        capabilities: plan.capabilities.clone(),
        no_new_privileges: plan.no_new_privileges,
        join: true,
        ..Plan::default()
    }
}

/// Sunup is in every image under both of its names, beside what the image brings; in one for another
/// processor nothing would run.
fn programs(node: &Node, image: &Image) -> Vec<(String, PathBuf)> {
    if image.foreign {
        return Vec::new();
    }
    let own = &node.options.program;
    let mut programs: Vec<(String, PathBuf)> =
        ["sunup", "pilot-agent"].map(|name| (name.to_owned(), own.clone())).to_vec();
    programs.extend(image.programs.iter().cloned());
    programs
}

fn files(context: &Context<'_>) -> Vec<(PathBuf, String)> {
    let (pod, ip) = (context.pod, context.sandbox.ip);
    let namespace = &context.name.namespace;
    let mut hosts = format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n{ip}\t{}\n", host_name(pod));
    for alias in &pod.spec.host_aliases {
        hosts += &format!("{}\t{}\n", alias.ip, alias.hostnames.join("\t"));
    }
    let resolv = format!(
        "nameserver {DNS}\nsearch {namespace}.svc.cluster.local svc.cluster.local cluster.local\n\
         options ndots:5\n"
    );
    vec![("/etc/hosts".into(), hosts), ("/etc/resolv.conf".into(), resolv)]
}

fn mounts(context: &Context<'_>, container: &Container) -> anyhow::Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for mount in &container.volume_mounts {
        let mut from = context.directory.join("volumes").join(&mount.name);
        if let Some(sub) = &mount.sub_path {
            if Path::new(sub).components().any(|c| c == std::path::Component::ParentDir) {
                bail!("volumeMounts: subPath {sub} leads out of the volume");
            }
            from.push(sub);
            if !from.exists() {
                std::fs::create_dir_all(&from)?;
            }
        }
        let to = PathBuf::from(&mount.mount_path);
        mounts.push(Mount { from, to, read_only: mount.read_only });
    }
    // Volumes within volumes come after those around them.
    mounts.sort_by_key(|m| m.to.components().count());
    Ok(mounts)
}

/// Who the container's process is. Where no other user can be had, one that isn't root has no
/// capability, as it would have none, but for the one that marking packets takes where it stands
/// for the proxy's user.
fn identity(
    context: &Context<'_>,
    container: &Container,
    image: &Image,
    plan: &mut Plan,
) -> anyhow::Result<()> {
    let (pod, own) = (&context.pod.spec.security_context, &container.security_context);
    let user = own.run_as_user.or(pod.run_as_user).unwrap_or(image.user);
    let group = own.run_as_group.or(pod.run_as_group).unwrap_or(user);
    if own.run_as_non_root.or(pod.run_as_non_root) == Some(true) && user == 0 {
        // kubelet `security_context_others.go`, `verifyRunAsNonRoot`.
        if own.run_as_user.or(pod.run_as_user) == Some(0) {
            bail!("container's runAsUser breaks non-root policy");
        }
        bail!("container has runAsNonRoot and image will run as root");
    }
    let add = own.capabilities.add.iter().map(|c| c.trim_start_matches("CAP_"));
    let drop: Vec<&str> =
        own.capabilities.drop.iter().map(|c| c.trim_start_matches("CAP_")).collect();
    let mut kept: Vec<String> = Vec::new();
    if user == 0 {
        let all = drop.contains(&"ALL");
        let default = DEFAULT_CAPABILITIES.iter().filter(|c| !all && !drop.contains(*c));
        kept.extend(default.chain(&add.collect::<Vec<_>>()).map(|c| (*c).to_owned()));
        if own.privileged == Some(true) {
            kept.extend(["NET_ADMIN", "NET_RAW", "SYS_ADMIN"].map(str::to_owned));
        }
    }
    if context.node.any_user {
        plan.ids = Some((user, group));
        plan.groups = pod.supplemental_groups.iter().chain(&pod.fs_group).copied().collect();
    } else if is_proxy_like(user, container) {
        plan.env.push(("SUNUP_PROXY_MARK".to_owned(), MARK.to_string()));
        if user == PROXY_UID {
            kept.push("NET_ADMIN".to_owned());
        }
    }
    kept.sort_unstable();
    kept.dedup();
    plan.capabilities = kept;
    plan.no_new_privileges = own.allow_privilege_escalation == Some(false);
    Ok(())
}

/// Runs as the proxy's user, or sets up capture around it.
fn is_proxy_like(user: u32, container: &Container) -> bool {
    user == PROXY_UID || matches!(container.name.as_str(), "istio-init" | "istio-validation")
}

/// `/etc/passwd` with a line for a user whom this machine doesn't know, as CRI-O writes one:
/// some programs refuse to run as somebody without a name.
fn passwd(plan: &Plan) -> Option<(PathBuf, String)> {
    let (uid, gid) = plan.ids?;
    let mut known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id = uid.to_string();
    if known.lines().any(|line| line.split(':').nth(2) == Some(&*id)) {
        return None;
    }
    if !known.is_empty() && !known.ends_with('\n') {
        known.push('\n');
    }
    Some(("/etc/passwd".into(), format!("{known}user{uid}:x:{uid}:{gid}::/:/sbin/nologin\n")))
}

/// The environment of what runs for a pod on the node, such as a CNI plugin.
pub(crate) fn node_environment(node: &Node) -> Vec<(&'static str, String)> {
    let mut env = vec![("PATH", std::env::var("PATH").unwrap_or_default())];
    if !node.any_user {
        env.push(("SUNUP_PROXY_MARK", MARK.to_string()));
    }
    env
}
