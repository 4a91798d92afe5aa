//! Whatever the options: pages that are refused leave no trace among the others.

use connector_decode::{Decoder, DecoderOptions, RecordSchema};
use connector_plan::Field;

/// Decodes pages one after the other, then only those that were accepted.
pub fn check(fields: &[Field], evolving: bool, options: &DecoderOptions, pages: &[&[u8]]) {
    let decoder = || {
        let schema = match evolving {
            true => RecordSchema::evolving(fields),
            false => RecordSchema::new(fields),
        };
        Decoder::new(schema, options.clone()).unwrap()
    };
    let mut all = decoder();
    let mut accepted = Vec::new();
    for bytes in pages {
        let before = (all.rows(), all.report());
        match all.decode_page(bytes) {
            Ok(page) => {
                assert_eq!(all.rows() as u64, before.0 as u64 + page.rows);
                accepted.push((bytes, page));
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!((all.rows(), all.report()), before, "{error}");
            }
        }
    }
    let mut few = decoder();
    for (bytes, page) in accepted {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(few.decode_page(bytes).unwrap(), page, "{shown}");
    }
    assert_eq!(few.report().records, all.report().records);
    let batch = all.take_batch().unwrap();
    assert_eq!(batch, few.take_batch().unwrap());
}
