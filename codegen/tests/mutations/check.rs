//! What holds for every spec.

use connector_codegen::{
    Diagnostics, EmitOptions, Ir, LowerOptions, Severity, Source, emit, lower,
};
use connector_plan::Plan;

fn outcome(bytes: &[u8]) -> Result<Ir, Diagnostics> {
    let source = Source::from_bytes("spec.yaml", bytes)?;
    lower(&source, &LowerOptions::new("storage")).map(|(ir, _)| ir)
}

/// Checks what holds for every spec; true when it was accepted.
#[track_caller]
pub fn check(bytes: &[u8]) -> bool {
    match outcome(bytes) {
        Ok(ir) => {
            let text = ir.plan.to_json().unwrap();
            assert_eq!(Plan::from_json(&text).unwrap(), ir.plan);
            let options = EmitOptions {
                spec_path: "spec.yaml".to_owned(),
                package: "connector-storage".to_owned(),
            };
            // One line would mean that it is no Rust.
            assert!(emit(&ir, &options).code.lines().count() > 30);
            true
        }
        Err(diagnostics) => {
            assert!(diagnostics.errors() >= 1);
            let text = &diagnostics.source().text;
            let mut last = 0;
            for item in diagnostics.items() {
                assert!(!item.message.is_empty());
                for label in &item.labels {
                    assert!(label.span.start <= label.span.end, "{item:?}");
                    assert!(
                        text.get(label.span.start..label.span.end).is_some(),
                        "{item:?}"
                    );
                }
                let start = item.span().map_or(0, |span| span.start);
                assert!(last <= start, "not in order");
                last = start;
                if item.severity == Severity::Error && item.span().is_none() {
                    panic!("an error in the spec without a place: {item:?}");
                }
            }
            assert!(diagnostics.render(false).contains("error["));
            assert!(diagnostics.to_json().is_array());
            false
        }
    }
}
