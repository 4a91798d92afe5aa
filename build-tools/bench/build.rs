//! Generates the connector from its spec.

fn main() {
    connector_codegen::compile("spec.yaml");
}
