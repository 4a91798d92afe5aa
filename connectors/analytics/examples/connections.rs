//! The connections one by one, as values of a type that the spec describes; then as Arrow record
//! batches.
//!
//! Start `cargo run -p connector-analytics -- sandbox`, set the environment variables that it
//! prints, then run `cargo run -p connector-analytics --example connections`.

use std::pin::pin;

use connector_analytics::Client;
use futures_util::TryStreamExt as _;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what the example does")]
async fn main() -> Result<(), connector_core::Error> {
    let client = Client::from_environment()?;
    let mut connections = pin!(client.connections().limit(10).stream());
    while let Some(connection) = connections.try_next().await? {
        println!(
            "{}: {}",
            connection.id,
            connection
                .pool_sizes
                .and_then(|sizes| sizes.result_pool_size)
                .unwrap_or_default()
        );
    }

    // The same as Arrow record batches, for whatever reads Arrow.
    let mut batches = pin!(client.connections().batches());
    while let Some(batch) = batches.try_next().await? {
        println!(
            "{} rows in {} columns",
            batch.num_rows(),
            batch.num_columns()
        );
    }
    Ok(())
}
