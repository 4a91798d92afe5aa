//! The tests that every connector passes.

connector_contract::contract!(connector_ads::CONNECTOR);
