//! The connections one by one, as values of a type that the spec describes.
//!
//! Start `cargo run -p connector-analytics -- sandbox`, set the environment variables that it
//! prints, then run `cargo run -p connector-analytics --example typed`.

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
    Ok(())
}
