//! Images: which programs of this machine stand for them.

use std::path::PathBuf;

/// What runs for an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Words before the arguments.
    pub entrypoint: Vec<String>,
    /// Arguments where the container gives none.
    pub cmd: Vec<String>,
    /// Variables.
    pub env: Vec<(String, String)>,
    /// User where the pod names none.
    pub user: u32,
    /// Programs that it has beside this machine's, by name.
    pub programs: Vec<(String, PathBuf)>,
    /// The first word of the entrypoint is a program for a processor that this machine hasn't.
    pub foreign: bool,
}

/// Images by name.
#[derive(Debug, Clone, Default)]
pub struct Images {
    known: Vec<(String, Image)>,
}

impl Images {
    /// Adds one; `name` is a reference with or without tag. Of several that fit, the last counts.
    pub fn add(&mut self, name: &str, image: Image) {
        self.known.push((name.to_owned(), image));
    }

    /// The image of a reference: by its whole name, else without tag and digest.
    #[must_use]
    pub fn find(&self, reference: &str) -> Option<&Image> {
        let known = |name: &str| {
            let mut found = self.known.iter().rev().filter(|(known, _)| known == name);
            found.next().map(|(_, image)| image)
        };
        known(reference).or_else(|| known(repository(reference)))
    }
}

/// `registry/path` of `registry:5000/path:tag@digest`.
fn repository(reference: &str) -> &str {
    let reference = reference.split('@').next().unwrap_or(reference);
    match reference.rsplit_once(':') {
        Some((front, tag)) if !tag.contains('/') => front,
        _ => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_digests_are_left_out_unless_they_are_meant() {
        let mut images = Images::default();
        let of = |user| Image { user, ..Image::default() };
        images.add("shop/app", of(1));
        images.add("shop/app:2", of(2));
        let user = |reference: &str| images.find(reference).map(|image| image.user);
        assert_eq!(user("shop/app"), Some(1));
        assert_eq!(user("shop/app:1@sha256:00"), Some(1));
        assert_eq!(user("shop/app:2"), Some(2));
        assert_eq!(user("registry:5000/shop/app"), None);
        assert_eq!(repository("registry:5000/shop/app"), "registry:5000/shop/app");
    }
}
