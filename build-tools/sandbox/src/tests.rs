//! The sandbox as a client sees it: every test speaks HTTP over a socket of its own.

mod api;
mod client;
mod data;
mod faults;
mod paging;
mod plans;
mod selectors;
mod tokens;
