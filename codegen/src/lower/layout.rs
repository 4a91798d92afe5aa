//! The shape of the data files.

use connector_plan::{Compression, Layout};

use crate::spec::{CodecSpec, Key, LayoutSpec};

/// The layout of a resource: what is written, and defaults.
pub(super) fn layout(key: &Key<LayoutSpec>) -> Layout {
    let defaults = Layout::default();
    let Some(spec) = key.get() else {
        return defaults;
    };
    let compression = spec.compression.get().map(|codec| match codec {
        CodecSpec::Zstd(level) => Compression::Zstd { level: *level },
        CodecSpec::Snappy => Compression::Snappy,
        CodecSpec::None => Compression::None,
    });
    Layout {
        compression: compression.unwrap_or(defaults.compression),
        file_bytes: spec
            .file_bytes
            .get()
            .map_or(defaults.file_bytes, |size| size.0),
        row_group_bytes: spec
            .row_group_bytes
            .get()
            .map_or(defaults.row_group_bytes, |size| size.0),
        row_group_rows: spec
            .row_group_rows
            .get()
            .map_or(defaults.row_group_rows, |rows| rows.0),
    }
}
