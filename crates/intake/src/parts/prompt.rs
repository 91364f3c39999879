//! Lines that a shell's user typed: what stands in front, and the command behind it.

use super::command::Command;

/// How far into a line a prompt's sign may stand.
const PROMPT_MAX: usize = 120;

/// A line with a prompt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Prompt<'l> {
    /// What was typed.
    pub(crate) typed: &'l str,
    /// Whether this is a prompt by itself; otherwise only among others.
    pub(crate) certain: bool,
}

/// The prompt of a line, if it has one: `$ `, `# `, `% `, `> ` with nothing, a name, a path or brackets
/// in front; PowerShell's and cmd's; what `set -x` prints; kubectl without any prompt.
pub(crate) fn prompt(line: &str) -> Option<Prompt<'_>> {
    let line = line.trim_end();
    if Command::bare(line).is_some() {
        return Some(Prompt { typed: line, certain: true });
    }
    if let Some(typed) = line.strip_prefix("+ ").filter(|typed| Command::bare(typed).is_some()) {
        return Some(Prompt { typed, certain: true });
    }
    // Pages quote what they show.
    let line = line.strip_prefix("> ").filter(|l| l.starts_with(['$', '#', '['])).unwrap_or(line);
    let (front, typed, sign) = cut(line)?;
    let front = front.trim();
    let typed = typed.trim();
    let known = Command::parse(typed).is_some();
    if front.is_empty() {
        return match sign {
            '$' | '❯' | '➜' | 'λ' => {
                let any = known || typed.is_empty() || is_command(typed);
                any.then_some(Prompt { typed, certain: known })
            }
            // A heading, a comment or a quotation unless it is a command.
            _ => known.then_some(Prompt { typed, certain: of_cluster(typed) }),
        };
    }
    if !is_front(front, sign) {
        return None;
    }
    (known || typed.is_empty() || is_command(typed)).then_some(Prompt { typed, certain: known })
}

/// Cuts a line at the sign that ends its prompt.
fn cut(line: &str) -> Option<(&str, &str, char)> {
    // `➜  shop kubectl …`: the sign comes first, then the directory.
    for sign in ['➜', '❯', 'λ'] {
        if let Some(rest) = line.strip_prefix(sign) {
            let rest = rest.trim_start();
            let behind = rest.split_once(' ').map_or("", |(_, behind)| behind.trim_start());
            let typed = if Command::parse(rest).is_some() { rest } else { behind };
            return Some(("", typed, sign));
        }
    }
    // `C:\Users\x>kubectl …` has no space.
    if line.as_bytes().get(1..3) == Some(b":\\".as_slice())
        && let Some((front, typed)) = line.split_once('>')
    {
        return Some((front, typed, '>'));
    }
    for (at, sign) in line.char_indices().take(PROMPT_MAX) {
        if !matches!(sign, '$' | '#' | '%' | '>' | '❯') {
            continue;
        }
        let rest = &line[at + sign.len_utf8()..];
        if rest.is_empty() || rest.starts_with(' ') {
            return Some((&line[..at], rest, sign));
        }
    }
    None
}

/// Whether what stands in front of a prompt's sign is one: a user at a host, a path, brackets.
fn is_front(front: &str, sign: char) -> bool {
    if front.len() > 100 {
        return false;
    }
    if front.starts_with("PS ") || front.as_bytes().get(1..3) == Some(b":\\".as_slice()) {
        return sign == '>';
    }
    if sign == '>' {
        return false;
    }
    let bracketed = front.starts_with('[') && front.ends_with(']') && front.contains(['@', ' ']);
    let (user, _) = front.split_once('@').unwrap_or(("", ""));
    let last = user.rsplit([' ', ')', '[']).next().unwrap_or_default();
    let at_host = !last.is_empty()
        && last.chars().all(|c| c.is_ascii_alphanumeric() || "._-+\\".contains(c))
        && front.split_whitespace().count() <= 5;
    let shell = ["bash-", "sh-", "ash-", "zsh-"].iter().any(|s| front.starts_with(s));
    let path = front.starts_with(['/', '~']) && !front.contains(' ');
    let environment = front.starts_with('(') && front.ends_with(')');
    bracketed || at_host || shell || path || environment
}

/// Whether a text may be something typed: it begins as a command does.
fn is_command(typed: &str) -> bool {
    let first = typed.split(' ').next().unwrap_or_default();
    let fits = |c: char| c.is_ascii_alphanumeric() || "./~_-=\"'$[".contains(c);
    first.starts_with(|c: char| c.is_ascii_lowercase() || "./~_[".contains(c))
        && first.chars().all(fits)
}

fn of_cluster(typed: &str) -> bool {
    let first = typed.split(' ').find(|word| *word != "sudo").unwrap_or_default();
    matches!(
        first,
        "kubectl" | "oc" | "k" | "istioctl" | "crictl" | "docker" | "journalctl" | "stern" | "helm"
    ) && typed.split(' ').count() > 1
}

/// Whether what was typed goes on in the next line.
pub(crate) fn goes_on(typed: &str) -> bool {
    let typed = typed.trim_end();
    typed.ends_with('\\') && !typed.ends_with("\\\\")
        || typed.ends_with([' ', '\t']) && typed.ends_with('`')
        || typed.ends_with(" `")
        || typed.ends_with(" ^")
        || typed.ends_with(" |")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_of_any_shell() {
        for (line, typed) in [
            ("$ kubectl get pods", "kubectl get pods"),
            ("# oc get pods", "oc get pods"),
            ("[user@host dir]$ kubectl get pods -n shop", "kubectl get pods -n shop"),
            ("[root@master-1 ~]# oc describe pod x", "oc describe pod x"),
            ("root@host:/var/log# kubectl logs x", "kubectl logs x"),
            ("me@laptop ~ % kubectl logs x", "kubectl logs x"),
            ("(⎈|prod:shop) me@laptop:~$ k get po", "k get po"),
            ("(venv) $ kubectl get po", "kubectl get po"),
            ("PS C:\\Users\\me> kubectl get pods", "kubectl get pods"),
            ("C:\\>kubectl get pods", "kubectl get pods"),
            ("bash-5.1$ kubectl get pods", "kubectl get pods"),
            ("/ # kubectl get pods", "kubectl get pods"),
            ("➜  shop git:(main) kubectl get pods", ""),
            ("➜ shop kubectl get pods", "kubectl get pods"),
            ("❯ kubectl get pods", "kubectl get pods"),
            ("> $ kubectl get pods", "kubectl get pods"),
            ("> kubectl get pods", "kubectl get pods"),
            ("+ kubectl get pods", "kubectl get pods"),
            ("kubectl get pods", "kubectl get pods"),
        ] {
            let got = prompt(line).filter(|p| p.certain).map_or("", |p| p.typed);
            assert_eq!(got, typed, "{line}");
        }
        assert_eq!(prompt("$ ls -l"), Some(Prompt { typed: "ls -l", certain: false }));
        assert_eq!(prompt("[me@host ~]$"), Some(Prompt { typed: "", certain: false }));
    }

    #[test]
    fn what_is_no_prompt() {
        for line in [
            "# Heading",
            "# date of the incident",
            "> a quotation",
            "cost: 5 $ per month",
            "2026-10-02T07:14:05Z info 50% done",
            "a.c:12: error > b",
            "+ iptables -t nat -N ISTIO_REDIRECT",
            "we use kubectl here",
            "[error] # of retries",
            "",
        ] {
            assert_eq!(prompt(line).filter(|p| p.certain), None, "{line}");
        }
    }
}
