//! The tests that every connector passes.

connector_contract::contract!(connector_content::CONNECTOR);
