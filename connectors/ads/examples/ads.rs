//! The ads of one account after the other, as values of types that the spec describes; then all of
//! them as Arrow record batches.
//!
//! Start `cargo run -p connector-ads -- sandbox`, set the environment variables that it
//! prints, then run `cargo run -p connector-ads --example ads`.

use std::pin::pin;

use connector_ads::Client;
use futures_util::TryStreamExt as _;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what the example does")]
async fn main() -> Result<(), connector_core::Error> {
    let client = Client::from_environment()?;
    let mut accounts = pin!(client.adaccounts().limit(3).stream());
    while let Some(account) = accounts.try_next().await? {
        // Only this account is asked for its ads: the account is the argument.
        let ads: Vec<_> = client.ads_of(&account.id).stream().try_collect().await?;
        println!("{}: {} ads", account.id, ads.len());
    }

    // The same as Arrow record batches, for whatever reads Arrow.
    let mut batches = pin!(client.ads().batches());
    while let Some(batch) = batches.try_next().await? {
        println!(
            "{} rows in {} columns",
            batch.num_rows(),
            batch.num_columns()
        );
    }
    Ok(())
}
