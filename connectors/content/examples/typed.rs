//! The comments on the files one by one, as values of a type that the spec describes.
//!
//! Start `cargo run -p connector-content -- sandbox`, set the environment variables that it
//! prints, then run `cargo run -p connector-content --example typed`.

use std::pin::pin;

use connector_content::Client;
use futures_util::TryStreamExt as _;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what the example does")]
async fn main() -> Result<(), connector_core::Error> {
    let client = Client::from_environment()?;
    let mut comments = pin!(client.file_comments().limit(10).stream());
    while let Some(comment) = comments.try_next().await? {
        let author = comment.created_by.and_then(|user| user.name);
        println!(
            "{}: {}",
            author.unwrap_or_default(),
            comment.message.unwrap_or_default()
        );
    }
    Ok(())
}
