//! A spec on disk and the connector that it is of.

use std::path::Path;

use connector_codegen::{Diagnostic, Diagnostics, Ir, LowerOptions, Source, lower};
use heck::ToKebabCase as _;

use crate::Streams;

/// Reads and lowers a spec.
pub(crate) fn load(path: &Path, name: &str) -> Result<(Source, Ir, Vec<Diagnostic>), Diagnostics> {
    let source = Source::read(path)?;
    let (ir, warnings) = lower(&source, &LowerOptions::new(name))?;
    Ok((source, ir, warnings))
}

/// Tells people the warnings.
pub(crate) fn tell(warnings: &[Diagnostic], source: &Source, streams: &mut Streams<'_>) {
    for warning in warnings {
        let text = warning.render(source, streams.coloured());
        streams.tell(&format!("{text}\n"));
    }
}

/// The name of the connector that a spec is of: `storage` for `connectors/storage/spec.yaml`,
/// `my-api` for `my_api.yaml`.
pub(crate) fn connector_name(spec: &Path) -> String {
    let spec = std::path::absolute(spec).unwrap_or_else(|_| spec.to_owned());
    let stem = spec.file_stem().filter(|stem| *stem != "spec");
    let folder = spec.parent().and_then(Path::file_name);
    let name = stem.or(folder).unwrap_or_default().to_string_lossy();
    let ascii: String = name
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                ' '
            }
        })
        .collect();
    let kebab: String = ascii.to_kebab_case().chars().take(48).collect();
    if kebab.starts_with(|first: char| first.is_ascii_lowercase()) {
        kebab
    } else {
        // Only a name for messages and environment variables: any that is valid will do.
        format!("api-{kebab}").trim_end_matches('-').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_called_like_its_folder_or_itself() {
        #[track_caller]
        fn check(path: &str, expect: &str) {
            assert_eq!(connector_name(Path::new(path)), expect);
        }
        check("connectors/storage/spec.yaml", "storage");
        check("/a/My API/spec.yaml", "my-api");
        check("/a/my_api.yaml", "my-api");
        check("/a/123/spec.yml", "api-123");
        check("/spec.yaml", "api");
        check("/a/日本.yaml", "api");
    }
}
