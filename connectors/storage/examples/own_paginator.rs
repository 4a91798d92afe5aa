//! The files through a paginator of the program's own: each response names the day before it.
//!
//! `cargo run -p connector-storage --example own_paginator -- BASE_URL CLIENT_ID CLIENT_SECRET`
//! reads an API that pages like this.

use std::pin::pin;

use connector_core::{
    ClientOptions, CustomPaginator, Json, PageFacts, Paginator, Path, Step, Target, Turn,
};
use connector_storage::{Client, Config};
use futures_util::TryStreamExt as _;

#[derive(Debug, Default)]
struct Backwards;

impl Paginator for Backwards {
    /// What of the response decides; nothing else of it is kept.
    fn captures(&self) -> Vec<Path> {
        vec![vec![Step::Key("previous_day".to_owned())]]
    }

    fn first(&mut self) -> Turn {
        Turn::default()
    }

    fn next(&mut self, page: &PageFacts<'_>) -> connector_core::Result<Option<Turn>> {
        let Some(Some(Json::String(day))) = page.captures.first() else {
            return Ok(None);
        };
        Ok(Some(Turn {
            values: vec![(Target::Query("day".to_owned()), day.as_str().into())],
            token: Some(day.clone()),
            ..Turn::default()
        }))
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what the example does")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [base_url, client_id, client_secret]: [String; 3] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "expected three arguments: BASE_URL CLIENT_ID CLIENT_SECRET")?;
    let mut options = ClientOptions::default();
    let backwards = CustomPaginator::new(Backwards::default);
    options
        .paginators
        .insert("cloud_storage_files".to_owned(), backwards);
    let config = Config {
        base_url: Some(base_url),
        ..Config::new(client_id, client_secret)
    };
    let client = Client::with_options(config, &options)?;
    let mut files = pin!(client.cloud_storage_files().stream());
    while let Some(file) = files.try_next().await? {
        println!("{}", file.file_id);
    }
    Ok(())
}
