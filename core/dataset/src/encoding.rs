//! Chooses the encoding of each column from a sample of its values.
//!
//! Measured (see `benches/encode.rs`): a dictionary pays only where few values repeat; integers and
//! timestamps are smallest and fastest as differences, unless they are random; digests and long text
//! with their lengths apart. `BYTE_STREAM_SPLIT` and `DELTA_BYTE_ARRAY` would gain a few percent on
//! random fractions and on URLs; not every reader has them.

use arrow::array::RecordBatch;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use parquet::basic::Encoding;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::ColumnPath;

/// Values looked at per column: beyond a few thousand the choice no longer changes.
const SAMPLE: usize = 8192;
/// The rows of a row group when more rows follow than the sample has, at the least.
const ROW_GROUP: usize = 100_000;
/// Text is long from so many bytes on.
const LONG_TEXT: usize = 64;
/// Beyond this a dictionary may not hold a row group's values, and the work was in vain.
const DICTIONARY_BYTES: f64 = 512.0 * 1024.0;

/// Sets the encoding of each leaf column of `schema` from the rows of `sample`; `continues` when more
/// rows will probably follow.
pub(crate) fn choose(
    mut properties: WriterPropertiesBuilder,
    schema: &SchemaRef,
    sample: &[RecordBatch],
    continues: bool,
) -> WriterPropertiesBuilder {
    for (index, field) in schema.fields().iter().enumerate() {
        let arrays: Vec<ArrayRef> = sample
            .iter()
            .map(|batch| batch.column(index).clone())
            .collect();
        let mut leaves = Vec::new();
        collect(
            vec![field.name().clone()],
            field,
            &arrays,
            continues,
            &mut leaves,
        );
        for leaf in leaves {
            let path = ColumnPath::new(leaf.path);
            properties = match leaf.choice {
                Choice::Dictionary => properties.set_column_dictionary_enabled(path, true),
                Choice::Plain(encoding) => properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, encoding),
            };
        }
    }
    properties
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Dictionary,
    Plain(Encoding),
}

struct Leaf {
    path: Vec<String>,
    choice: Choice,
}

fn collect(
    path: Vec<String>,
    field: &Field,
    arrays: &[ArrayRef],
    continues: bool,
    leaves: &mut Vec<Leaf>,
) {
    let below = |name: &str| {
        let mut path = path.clone();
        path.push(name.to_owned());
        path
    };
    match field.data_type() {
        DataType::Struct(children) => {
            for (index, child) in children.iter().enumerate() {
                let arrays: Vec<ArrayRef> = arrays
                    .iter()
                    .map(|array| array.as_struct().column(index).clone())
                    .collect();
                collect(below(child.name()), child, &arrays, continues, leaves);
            }
        }
        DataType::List(element) => {
            let arrays: Vec<ArrayRef> = arrays
                .iter()
                .map(|array| {
                    let list = array.as_list::<i32>();
                    let offsets = list.value_offsets();
                    let start = offsets.first().copied().unwrap_or(0);
                    let end = offsets.last().copied().unwrap_or(0);
                    list.values().slice(start as usize, (end - start) as usize)
                })
                .collect();
            let mut path = below("list");
            path.push(element.name().clone());
            collect(path, element, &arrays, continues, leaves);
        }
        data_type => {
            let choice = decide(data_type, arrays, continues);
            leaves.push(Leaf { path, choice });
        }
    }
}

fn decide(data_type: &DataType, arrays: &[ArrayRef], continues: bool) -> Choice {
    let encoding = match data_type {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Date32
        | DataType::Timestamp(..) => Encoding::DELTA_BINARY_PACKED,
        DataType::Decimal128(precision, _) if *precision <= 18 => Encoding::DELTA_BINARY_PACKED,
        _ => Encoding::PLAIN,
    };
    let mut left = SAMPLE;
    let heads: Vec<ArrayRef> = arrays
        .iter()
        .map(|array| {
            let head = array.slice(0, array.len().min(left));
            left -= head.len();
            head
        })
        .collect();
    let heads: Vec<&dyn Array> = heads.iter().map(AsRef::as_ref).collect();
    let Ok(values) = concat(&heads) else {
        return Choice::Plain(encoding);
    };
    let (count, distinct) = count_distinct(&values);
    let is_small = match encoding {
        // Differences are small already: only what the sample itself proves pays.
        Encoding::DELTA_BINARY_PACKED => distinct * 64 <= count,
        _ => {
            let rows = if continues {
                count.max(ROW_GROUP)
            } else {
                count
            };
            // Its buffers may be those of a whole batch, with room to spare.
            let bytes = values.to_data().get_slice_memory_size();
            let bytes = bytes.unwrap_or_else(|_| values.get_buffer_memory_size());
            let width = bytes / count.max(1);
            let estimate = estimate_distinct(count, distinct);
            estimate * 8.0 <= rows as f64 && estimate * width as f64 <= DICTIONARY_BYTES
        }
    };
    if count < 64 {
        Choice::Plain(encoding)
    } else if is_small {
        Choice::Dictionary
    } else {
        Choice::Plain(direct(encoding, &values))
    }
}

/// How values are written that have no dictionary.
fn direct(usual: Encoding, values: &ArrayRef) -> Encoding {
    match values.data_type() {
        DataType::Utf8 => text(values.as_string::<i32>().iter().flatten().map(str::len)),
        DataType::Binary => text(values.as_binary::<i32>().iter().flatten().map(<[u8]>::len)),
        DataType::Int64 if is_wide(values.as_primitive::<Int64Type>().iter().flatten()) => {
            Encoding::PLAIN
        }
        _ => usual,
    }
}

/// How text of these lengths is written.
///
/// The length of every value stands before it, where zstd finds it together with what surrounds it;
/// digests and long text it has to look at for longer.
fn text(lengths: impl Iterator<Item = usize>) -> Encoding {
    let (mut count, mut bytes, mut shortest, mut longest) = (0, 0, usize::MAX, 0);
    for length in lengths {
        (count, bytes) = (count + 1, bytes + length);
        (shortest, longest) = (shortest.min(length), longest.max(length));
    }
    if shortest == longest || bytes >= LONG_TEXT * count {
        Encoding::DELTA_LENGTH_BYTE_ARRAY
    } else {
        Encoding::PLAIN
    }
}

/// Whether the differences of numbers take as many bits as the numbers themselves.
fn is_wide(numbers: impl Iterator<Item = i64>) -> bool {
    let numbers: Vec<i64> = numbers.collect();
    let steps = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let steps: Vec<i64> = steps.collect();
    // As the encoding has them: so many together, above the least of them.
    let mut blocks = steps.chunks_exact(64).peekable();
    blocks.peek().is_some()
        && blocks.all(|block| {
            let least = block.iter().copied().min().unwrap_or_default();
            let most = block.iter().copied().max().unwrap_or_default();
            most.wrapping_sub(least).cast_unsigned() >> 60 != 0
        })
}

/// How many different values a column has of which `count` random ones held `distinct` different
/// ones: the number for which drawing with replacement is expected to show as many.
fn estimate_distinct(count: usize, distinct: usize) -> f64 {
    let (count, distinct) = (count as f64, distinct as f64);
    if distinct * 1.05 >= count {
        // Hardly a repetition: anything up to all different.
        return f64::INFINITY;
    }
    let (mut low, mut high) = (distinct, distinct * 1000.0);
    for _ in 0..40 {
        let middle = low.midpoint(high);
        let expected = middle * (1.0 - (-count / middle).exp());
        if expected < distinct {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// How many values are not null, and how many of these differ; types that have no dictionary count
/// as all different.
fn count_distinct(values: &ArrayRef) -> (usize, usize) {
    let most = values.len();
    macro_rules! numbers {
        ($type:ty) => {
            distinct(
                most,
                values
                    .as_primitive::<$type>()
                    .iter()
                    .flatten()
                    .map(|value| mixed(&value.to_le_bytes())),
            )
        };
    }
    match values.data_type() {
        DataType::Int8 => numbers!(Int8Type),
        DataType::Int16 => numbers!(Int16Type),
        DataType::Int32 => numbers!(Int32Type),
        DataType::Int64 => numbers!(Int64Type),
        DataType::UInt8 => numbers!(UInt8Type),
        DataType::UInt16 => numbers!(UInt16Type),
        DataType::UInt32 => numbers!(UInt32Type),
        DataType::UInt64 => numbers!(UInt64Type),
        DataType::Date32 => numbers!(Date32Type),
        DataType::Timestamp(..) => numbers!(TimestampMicrosecondType),
        DataType::Float32 => numbers!(Float32Type),
        DataType::Float64 => numbers!(Float64Type),
        DataType::Decimal128(precision, _) if *precision <= 18 => numbers!(Decimal128Type),
        DataType::Utf8 => distinct(
            most,
            values
                .as_string::<i32>()
                .iter()
                .flatten()
                .map(|value| mixed(value.as_bytes())),
        ),
        DataType::Binary => distinct(most, values.as_binary::<i32>().iter().flatten().map(mixed)),
        _ => (most, most),
    }
}

/// A hash for telling a sample's values apart. Whoever makes two values collide gets another
/// encoding, nothing else: it needs no key.
#[inline]
fn mixed(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        // The multiplier of SplitMix64; the shift brings its high bits to where the next one starts.
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        hash ^= hash >> 32;
    }
    hash
}

/// How many hashes there are, `most` at the most, and how many of them differ.
fn distinct(most: usize, hashes: impl Iterator<Item = u64>) -> (usize, usize) {
    // Open addressing, half full: a hash is its own place and 0 an empty one.
    let mut places = vec![0_u64; (2 * most + 2).next_power_of_two()];
    let mask = places.len() - 1;
    let (mut count, mut different) = (0, 0);
    for hash in hashes.take(most) {
        count += 1;
        let hash = hash.max(1);
        let mut place = hash as usize & mask;
        while places[place] != 0 && places[place] != hash {
            place = (place + 1) & mask;
        }
        if places[place] == 0 {
            places[place] = hash;
            different += 1;
        }
    }
    (count, different)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_values_are_estimated_from_repetitions() {
        #[track_caller]
        fn check(pool: u64, expect: std::ops::RangeInclusive<f64>) {
            let draw = |number: u64| mixed(&number.to_le_bytes()) % pool;
            let (count, distinct) = distinct(5000, (0..5000).map(draw));
            let estimate = estimate_distinct(count, distinct);
            assert!(
                expect.contains(&estimate),
                "{pool}: {estimate} from {distinct}"
            );
        }
        check(1, 1.0..=1.1);
        check(100, 99.0..=101.0);
        check(5000, 4500.0..=5500.0);
        check(20_000, 18_000.0..=22_000.0);
        check(1 << 60, f64::INFINITY..=f64::INFINITY);
    }

    #[test]
    fn values_without_a_dictionary_are_written_as_they_are_shaped() {
        #[track_caller]
        fn check(values: &ArrayRef, expect: Encoding) {
            // As a batch has them, with room to spare, of which only a part is looked at.
            let array = values.slice(0, values.len() / 2);
            let choice = decide(array.data_type(), std::slice::from_ref(&array), true);
            assert_eq!(choice, Choice::Plain(expect));
        }
        let numbers = || 0..10_000_u64;
        let texts = |of: &dyn Fn(u64) -> String| -> ArrayRef {
            std::sync::Arc::new(arrow::array::StringArray::from_iter_values(
                numbers().map(of),
            ))
        };
        let integers = |of: &dyn Fn(u64) -> u64| -> ArrayRef {
            let values = numbers().map(|number| of(number).cast_signed());
            std::sync::Arc::new(values.collect::<arrow::array::Int64Array>())
        };
        let random = |number: u64| mixed(&number.to_le_bytes());
        check(
            &texts(&|n| format!("{:016x}", random(n))),
            Encoding::DELTA_LENGTH_BYTE_ARRAY,
        );
        check(
            &texts(&|n| format!("{}{n}", "long text ".repeat(7))),
            Encoding::DELTA_LENGTH_BYTE_ARRAY,
        );
        check(&texts(&|n| format!("file {n}")), Encoding::PLAIN);
        check(&integers(&random), Encoding::PLAIN);
        check(
            &integers(&|n| random(n) % (1 << 40)),
            Encoding::DELTA_BINARY_PACKED,
        );
        check(&integers(&|n| n), Encoding::DELTA_BINARY_PACKED);
        // Too few to tell.
        check(
            &integers(&|n| n).slice(0, 128),
            Encoding::DELTA_BINARY_PACKED,
        );
    }

    #[test]
    fn only_what_is_looked_at_makes_a_dictionary_too_large() {
        // 10,000 numbers of 8 bytes in a batch four times as long as the sample.
        let draw = |number: u64| (mixed(&number.to_le_bytes()) % 10_000) as f64 / 7.0;
        let values = (0..4 * SAMPLE as u64).map(draw);
        let values: ArrayRef = std::sync::Arc::new(values.collect::<arrow::array::Float64Array>());
        assert_eq!(
            decide(&DataType::Float64, &[values], true),
            Choice::Dictionary
        );
    }

    #[test]
    fn values_are_counted_with_repetitions_and_without() {
        #[track_caller]
        fn check(values: Vec<Option<&str>>, expect: (usize, usize)) {
            let values: ArrayRef = std::sync::Arc::new(arrow::array::StringArray::from(values));
            assert_eq!(count_distinct(&values), expect);
        }
        check(vec![], (0, 0));
        check(vec![None, None], (0, 0));
        check(vec![Some(""), None, Some("")], (2, 1));
        check(vec![Some("a"), Some("b"), Some("a")], (3, 2));
        check(
            vec![Some("longer than eight"), Some("longer than eighu")],
            (2, 2),
        );
        check(vec![Some("12345678"), Some("12345678\0"), Some("")], (3, 3));
    }
}
