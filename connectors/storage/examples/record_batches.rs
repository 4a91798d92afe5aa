//! The files as Arrow record batches, with the configuration in the program.
//!
//! Start `cargo run -p connector-storage -- sandbox`, then run
//! `cargo run -p connector-storage --example record_batches -- BASE_URL CLIENT_ID CLIENT_SECRET` with
//! the values that it prints.

use std::pin::pin;

use connector_storage::{Client, Config};
use futures_util::TryStreamExt as _;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what the example does")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [base_url, client_id, client_secret]: [String; 3] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "expected three arguments: BASE_URL CLIENT_ID CLIENT_SECRET")?;
    let client = Client::new(Config {
        base_url: Some(base_url),
        ..Config::new(client_id, client_secret)
    })?;
    let mut rows = 0;
    let mut batches = pin!(client.cloud_storage_files().batches());
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
        println!(
            "{} rows in {} columns",
            batch.num_rows(),
            batch.num_columns()
        );
    }
    println!("{rows} rows");
    Ok(())
}
