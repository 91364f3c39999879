//! Istio's injection templates (Go's `text/template`), compiled once and rendered per pod.
//!
//! The engine is `gtmpl-ng`; Istio's and the needed sprig functions are in [`funcs`], the data a
//! template sees in [`data`]. Knows no merging.

mod args;
mod block;
mod convert;
mod data;
mod funcs;
mod strings;

use std::collections::BTreeMap;

use gtmpl_ng::{Limits, Template};
use serde_json::Value;

use crate::error::{InjectError, SettingsError};

pub(crate) use block::to_yaml;
pub(crate) use data::{Base, Inputs};
pub(crate) use funcs::{append_network, exclude_port};

/// The templates of a mesh, parsed.
pub(crate) struct Templates {
    parsed: BTreeMap<String, Template>,
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.parsed.keys()).finish()
    }
}

/// What one rendering may produce: Istio's largest template renders 15 KB.
const OUTPUT_MAX: usize = 4 << 20;

impl Templates {
    /// Parses all templates.
    ///
    /// # Errors
    /// The first that doesn't parse, or calls a function we don't have.
    pub(crate) fn compile(sources: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        let mut parsed = BTreeMap::new();
        for (name, source) in sources {
            let mut template =
                Template::with_limits(Limits::default().with_output_bytes(OUTPUT_MAX));
            template.name.clone_from(name);
            template.add_funcs(funcs::ALL);
            let why = |e: gtmpl_ng::ParseError| SettingsError::Template {
                name: name.clone(),
                why: e.to_string(),
            };
            template.parse(adapted(source)).map_err(why)?;
            parsed.insert(name.clone(), template);
        }
        Ok(Templates { parsed })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parsed.keys().map(String::as_str)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.parsed.contains_key(name)
    }

    /// Renders one template.
    pub(crate) fn render(
        &self,
        name: &str,
        data: &gtmpl_ng::Context,
    ) -> Result<String, InjectError> {
        let fail = |why: String| InjectError::Template { name: name.to_owned(), why };
        let template = self.parsed.get(name).ok_or_else(|| fail("it is not there".to_owned()))?;
        template.render(data).map_err(|e| fail(e.to_string()))
    }
}

/// Renders one text with the functions that Istio's templates have, and fields as `data` has them.
///
/// # Errors
/// The text isn't a template, or can't be rendered with this data.
pub fn rendered(name: &str, source: &str, data: &Value) -> Result<String, SettingsError> {
    let fail = |why: String| SettingsError::Template { name: name.to_owned(), why };
    let mut template = Template::with_limits(Limits::default().with_output_bytes(OUTPUT_MAX));
    template.name = name.to_owned();
    template.add_funcs(funcs::ALL);
    template.parse(source).map_err(|e| fail(e.to_string()))?;
    let data = gtmpl_ng::Context::from(convert::plain(data));
    template.render(&data).map_err(|e| fail(e.to_string()))
}

/// What the engine can't do or does dearly, said in its own terms.
///
/// Its values have no methods: an enum's `.String` is the enum itself, which prints so. And it
/// copies arguments: `annotation` needs the annotations, not all of the metadata.
fn adapted(source: &str) -> String {
    source
        .replace(".InterceptionMode.String", ".InterceptionMode")
        .replace("annotation .ObjectMeta `", "annotation .ObjectMeta.Annotations `")
}
