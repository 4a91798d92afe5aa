//! The ads one by one, as values of a type that the spec describes.
//!
//! Start `cargo run -p connector-ads -- sandbox`, set the environment variables that it prints,
//! then run `cargo run -p connector-ads --example typed`.

use std::pin::pin;

use connector_ads::Client;
use futures_util::TryStreamExt as _;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what the example does")]
async fn main() -> Result<(), connector_core::Error> {
    let client = Client::from_environment()?;
    let mut ads = pin!(client.ads().limit(10).stream());
    while let Some(ad) = ads.try_next().await? {
        println!(
            "{}: {}",
            ad.id,
            ad.delivery_status.unwrap_or_default().len()
        );
    }
    Ok(())
}
