//! Values that something fills in before they are applied: what they will be nobody knows yet.
//!
//! # Sources
//! Kustomize `vars` (`$(NAME)`) and replacements, envsubst (`${NAME}`), and the words in capitals that
//! scripts look for (`MYSQL_PORT_PLACEHOLDER` in kubeflow/manifests).

/// Whether a value, or a part of its comma list, is to be filled in.
pub(crate) fn is_one(value: &str) -> bool {
    let marked = ["$(", "${", "{{", "<%", "@@"].iter().any(|mark| value.contains(mark))
        || value.contains('<') && value.contains('>');
    let shouted = |part: &str| {
        let word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        part.len() > 3
            && part.chars().all(word)
            && part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.contains('_')
    };
    marked || value.split(',').any(|part| shouted(part.trim()))
}

#[cfg(test)]
mod tests {
    use super::is_one;

    #[test]
    fn words_to_be_filled_in_are_told_from_values() {
        for value in
            ["MYSQL_PORT_PLACEHOLDER", "$(PORT)", "8080,${PORT}", "<vault address>", "80, DB_PORT"]
        {
            assert!(is_one(value), "{value}");
        }
        for value in ["8000-8010", "HTTP", "TPROXY", "10.0.0.1", "vault.vault.svc", "*", ""] {
            assert!(!is_one(value), "{value}");
        }
    }
}
