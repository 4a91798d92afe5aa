#![doc = include_str!(concat!(env!("OUT_DIR"), "/connector.md"))]

include!(concat!(env!("OUT_DIR"), "/connector.rs"));
