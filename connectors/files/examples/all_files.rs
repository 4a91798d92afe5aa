//! The files one by one, as values of a type that the spec describes; then as Arrow record batches.
//!
//! Start `cargo run -p connector-files -- sandbox`, set the environment variables that it
//! prints, then run `cargo run -p connector-files --example all_files`.

use std::pin::pin;

use connector_files::Client;
use futures_util::TryStreamExt as _;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what the example does")]
async fn main() -> Result<(), connector_core::Error> {
    let client = Client::from_environment()?;
    let mut files = pin!(client.files().limit(10).stream());
    while let Some(file) = files.try_next().await? {
        println!(
            "{}: {}",
            file.file_id,
            file.file_name.as_deref().unwrap_or("(no name)")
        );
    }

    // The same as Arrow record batches, for whatever reads Arrow.
    let mut batches = pin!(client.files().batches());
    while let Some(batch) = batches.try_next().await? {
        println!(
            "{} rows in {} columns",
            batch.num_rows(),
            batch.num_columns()
        );
    }
    Ok(())
}
