//! The comments of one file after the other, as values of types that the spec describes; then the
//! users as Arrow record batches.
//!
//! Start `cargo run -p connector-content -- sandbox`, set the environment variables that it
//! prints, then run `cargo run -p connector-content --example file_comments`.

use std::pin::pin;

use connector_content::Client;
use futures_util::TryStreamExt as _;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what the example does")]
async fn main() -> Result<(), connector_core::Error> {
    let client = Client::from_environment()?;
    let mut files = pin!(client.files().limit(3).stream());
    while let Some(file) = files.try_next().await? {
        // Only this file is asked for its comments: the file is the argument.
        let mut comments = pin!(client.file_comments_of(&file.id).stream());
        while let Some(comment) = comments.try_next().await? {
            let author = comment.created_by.and_then(|user| user.name);
            println!(
                "{}: {}",
                author.unwrap_or_default(),
                comment.message.unwrap_or_default()
            );
        }
    }

    // The same as Arrow record batches, for whatever reads Arrow.
    let mut batches = pin!(client.users().batches());
    while let Some(batch) = batches.try_next().await? {
        println!(
            "{} rows in {} columns",
            batch.num_rows(),
            batch.num_columns()
        );
    }
    Ok(())
}
