//! The files one by one, as values of a type that the spec describes.
//!
//! Start `cargo run -p connector-storage -- sandbox`, set the environment variables that it
//! prints, then run `cargo run -p connector-storage --example records`.

use std::pin::pin;

use connector_storage::Client;
use futures_util::TryStreamExt as _;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what the example does")]
async fn main() -> Result<(), connector_core::Error> {
    let client = Client::from_environment()?;
    let mut files = pin!(client.cloud_storage_files().limit(10).stream());
    while let Some(file) = files.try_next().await? {
        println!(
            "{}: {}",
            file.file_id,
            file.file_name.as_deref().unwrap_or("(no name)")
        );
    }
    Ok(())
}
