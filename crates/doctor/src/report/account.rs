//! What was made of the input, in a sentence that the formats for people share.

use sunup_api::report::Read;

use super::paint::counted;

/// What was made of the input, by form, in a sentence; empty where nothing was handed over.
pub(super) fn account(read: &Read) -> String {
    let mut parts: Vec<String> = Vec::new();
    let forms = read.forms.iter().map(|form| match form.texts {
        1 => form.name.clone(),
        texts => format!("{} ({texts})", form.name),
    });
    let forms: Vec<String> = forms.collect();
    if !forms.is_empty() {
        parts.push(format!("read as {}", forms.join(", ")));
    }
    let unplaced: u64 = read.partly.iter().map(|part| part.lines).sum();
    if unplaced > 0 {
        parts.push(format!("{} could not be placed", counted(unplaced, "line")));
    }
    if !read.unnamed.is_empty() {
        parts.push(format!("of an unknown pod: {}", some(&read.unnamed)));
    }
    if !read.unrecognised.is_empty() {
        let sources: Vec<String> = read.unrecognised.iter().map(|u| u.source.clone()).collect();
        parts.push(format!("not recognised: {}", some(&sources)));
    }
    if !read.assumed.is_empty() {
        let assumed = read.assumed.iter().map(|a| format!("{} ({})", a.what, a.source));
        parts.push(some(&assumed.collect::<Vec<_>>()));
    }
    if read.passed_over > 0 {
        parts.push(format!("passed over as no evidence: {}", read.passed_over));
    }
    let mut text = parts.join("; ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
        text.push('.');
    }
    text
}

/// The first few of a list, and how many more there are.
fn some(names: &[String]) -> String {
    const MAX: usize = 3;
    let shown = names.iter().take(MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MAX).filter(|&n| n > 0) {
        Some(more) => format!("{shown} and {more} more"),
        None => shown,
    }
}
