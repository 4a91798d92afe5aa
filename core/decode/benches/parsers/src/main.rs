//! What the decoder costs beside decoders that somebody writes by hand for the one shape `flat`.
//!
//! All of them make the same columns of the same pages, which is checked. Ours has a table of fields,
//! takes members in any order, and keeps what fits no column; those by hand do none of this but what
//! their names say.

mod by_hand;
mod columns;
#[path = "../../../../dataset/benches/sample/pages.rs"]
#[expect(dead_code, reason = "other benchmarks use the rest")]
mod pages;
#[path = "../../../../../build-tools/src/bench/sample.rs"]
#[expect(dead_code, reason = "other benchmarks use the rest")]
mod sample;
mod visitor;

/// The decoder's own modules, which are no part of its interface.
#[path = "../../../src/error.rs"]
#[expect(dead_code, reason = "the decoder uses the rest")]
mod error;
#[path = "../../../src/number.rs"]
mod number;
#[path = "../../../src/timestamp.rs"]
#[expect(dead_code, reason = "the decoder uses the rest")]
mod timestamp;
#[path = "../../../src/tokens.rs"]
#[expect(dead_code, reason = "the decoder uses the rest")]
mod tokens;

use std::error::Error;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use crate::columns::Columns;
use crate::sample::Shape;

const ROWS: u64 = 100_000;
const ROUNDS: usize = 25;
/// The rows of a batch.
const BATCH: usize = 32 * 1024;

type Result<T> = std::result::Result<T, Box<dyn Error>>;
/// Pages to batches.
type Decode = fn(&[Vec<u8>]) -> Result<Vec<RecordBatch>>;

const DECODERS: [(&str, Decode); 5] = [
    ("ours: own tokenizer, field table at run time", ours),
    (
        "by hand on the same tokenizer, keys in this order or not at all",
        |pages| by_hand(pages, by_hand::in_order),
    ),
    ("by hand on the same tokenizer, match on the key", |pages| {
        by_hand(pages, by_hand::by_key)
    }),
    ("sonic-rs, visitor by hand", |pages| {
        by_hand(pages, |page, columns| {
            visitor::page(&mut sonic_rs::Deserializer::from_slice(page), columns)
                .map_err(Into::into)
        })
    }),
    ("serde_json, visitor by hand", |pages| {
        by_hand(pages, |page, columns| {
            visitor::page(&mut serde_json::Deserializer::from_slice(page), columns)
                .map_err(Into::into)
        })
    }),
];

fn main() -> Result<()> {
    let pages: Vec<_> = pages::bodies(Shape::Flat, ROWS).collect();
    let expected = ours(&pages)?;
    let mut best = [Duration::MAX; DECODERS.len()];
    for round in 0..ROUNDS {
        for at in 0..DECODERS.len() {
            // In turn, so that none is always behind the same one.
            let at = (at + round) % DECODERS.len();
            let (name, decode) = DECODERS[at];
            let started = Instant::now();
            let batches = decode(&pages)?;
            best[at] = best[at].min(started.elapsed());
            if batches != expected {
                return Err(format!("{name}: other columns").into());
            }
        }
    }
    println!("| flat, ns per record | best of {ROUNDS} | × ours |\n|---|--:|--:|");
    for ((name, _), took) in DECODERS.iter().zip(best) {
        let each = took.as_nanos() as f64 / ROWS as f64;
        let ratio = took.as_secs_f64() / best[0].as_secs_f64();
        println!("| {name} | {each:.0} | {ratio:.2} |");
    }
    Ok(())
}

fn ours(pages: &[Vec<u8>]) -> Result<Vec<RecordBatch>> {
    let mut decoder = pages::decoder(Shape::Flat);
    let mut batches = Vec::new();
    for page in pages {
        decoder.decode_page(page)?;
        if decoder.rows() >= BATCH {
            batches.push(decoder.take_batch()?);
        }
    }
    batches.push(decoder.take_batch()?);
    // The others have no column of what is rescued.
    let columns: Vec<usize> = (0..columns::FIELDS).collect();
    let batches = batches.iter().map(|batch| batch.project(&columns));
    Ok(batches.collect::<std::result::Result<_, _>>()?)
}

fn by_hand(
    pages: &[Vec<u8>],
    decode: fn(&[u8], &mut Columns) -> Result<()>,
) -> Result<Vec<RecordBatch>> {
    let schema = pages::schema(Shape::Flat).arrow();
    let mut columns = Columns::default();
    let mut batches = Vec::new();
    for page in pages {
        decode(page, &mut columns)?;
        if columns.rows() >= BATCH {
            batches.push(columns.take(&schema)?);
        }
    }
    batches.push(columns.take(&schema)?);
    Ok(batches)
}
