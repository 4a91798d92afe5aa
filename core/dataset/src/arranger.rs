//! Brings rows into their order and their folders: with memory for some of them, the others on disk.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::row::{RowConverter, SortField};

use crate::Error;
use crate::arrangement::Arrangement;
use crate::memory::Scratch;
use crate::partition::Folders;
use crate::sorter::{Sorter, Spill, take_word};
use crate::writer::PartWriter;

/// Rows written at a time, and their bytes.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 4 << 20;

/// The most folders that one load writes to: each of them is a file of its own.
const MOST_FOLDERS: usize = 100_000;

/// Brings rows into their order and their folders; rows of one place stay in the order in which they
/// come.
#[derive(Debug)]
pub(crate) struct Arranger {
    arrangement: Arc<Arrangement>,
    /// Rows as bytes and back.
    rows: RowConverter,
    sorter: Sorter<PlacedRow>,
    count: u64,
    most_folders: usize,
}

impl Arranger {
    pub(crate) fn new(
        arrangement: Arc<Arrangement>,
        writer: &PartWriter,
        scratch: &Scratch,
    ) -> Result<Self, Error> {
        let fields = writer.format().schema.fields().iter();
        let fields = fields.map(|field| SortField::new(field.data_type().clone()));
        Ok(Self {
            arrangement,
            rows: RowConverter::new(fields.collect()).map_err(Error::arrow)?,
            sorter: scratch.rows(),
            count: 0,
            most_folders: MOST_FOLDERS,
        })
    }

    /// Takes in rows that have the columns of the files.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let places = self.arrangement.places(batch)?;
        let rows = self.rows.convert_columns(batch.columns());
        let rows = rows.map_err(Error::arrow)?;
        for (place, row) in places.iter().zip(rows.iter()) {
            let (place, row) = (place.data(), row.data());
            let mut bytes = Vec::with_capacity(place.len() + row.len());
            bytes.extend_from_slice(place);
            bytes.extend_from_slice(row);
            self.sorter.push(PlacedRow {
                bytes,
                place: place.len(),
                number: self.count,
            })?;
            self.count += 1;
        }
        Ok(())
    }

    /// Writes all rows, folder by folder: one file is open at a time, however many there are.
    pub(crate) fn write(self, folders: &mut Folders, writer: &mut PartWriter) -> Result<(), Error> {
        let mut output = Output {
            arrangement: self.arrangement,
            rows: self.rows,
            folders,
            writer,
            folder: None,
            count: 0,
            most_folders: self.most_folders,
        };
        let mut sorted = self.sorter.sorted()?;
        let (mut pending, mut bytes) = (Vec::new(), 0);
        while let Some(row) = sorted.next()? {
            bytes += row.bytes.len();
            pending.push(row);
            if pending.len() >= BATCH_ROWS || bytes >= BATCH_BYTES {
                output.write(&pending)?;
                pending.clear();
                bytes = 0;
            }
        }
        output.write(&pending)
    }
}

struct Output<'a> {
    arrangement: Arc<Arrangement>,
    rows: RowConverter,
    folders: &'a mut Folders,
    writer: &'a mut PartWriter,
    /// The folder of the last row, in full.
    folder: Option<String>,
    /// How many folders there have been, and may be.
    count: usize,
    most_folders: usize,
}

impl Output<'_> {
    fn write(&mut self, rows: &[PlacedRow]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let parser = self.rows.parser();
        let rows = rows
            .iter()
            .map(|row| parser.parse(row.bytes.get(row.place..).unwrap_or_default()));
        let columns = self.rows.convert_rows(rows).map_err(Error::arrow)?;
        let schema = Arc::clone(&self.writer.format().schema);
        let batch = RecordBatch::try_new(schema, columns).map_err(Error::arrow)?;
        let Some(partitioning) = self.arrangement.partitioning() else {
            if self.folder.is_none() {
                self.folder = Some(String::new());
                self.writer.turn_to("", true)?;
            }
            return self.writer.write(&batch).map(drop);
        };
        let of_rows = partitioning.of(&batch)?;
        let mut start = 0;
        while start < of_rows.len() {
            let folder = of_rows.value(start);
            let end = (start..of_rows.len()).find(|row| of_rows.value(*row) != folder);
            let end = end.unwrap_or(of_rows.len());
            if self.folder.as_deref() != Some(folder) {
                self.count += 1;
                if self.count > self.most_folders {
                    return Err(Error::configuration(format!(
                        "the rows of one load would lie in more than {} folders",
                        self.most_folders
                    ))
                    .with_hint(
                        "in `partition_by` name fields with fewer values, or longer parts of \
                         instants",
                    ));
                }
                self.writer.turn_to(&self.folders.name(folder), true)?;
                self.folder = Some(folder.to_owned());
            }
            self.writer.write(&batch.slice(start, end - start))?;
            start = end;
        }
        Ok(())
    }
}

/// A row as bytes, those of its place first. Orders by its place, then by when it came.
#[derive(Clone, Debug)]
struct PlacedRow {
    bytes: Vec<u8>,
    /// The length of its place.
    place: usize,
    number: u64,
}

impl PlacedRow {
    fn order(&self) -> (&[u8], u64) {
        let place = self.bytes.get(..self.place);
        (place.unwrap_or_default(), self.number)
    }
}

impl Ord for PlacedRow {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for PlacedRow {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PlacedRow {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for PlacedRow {}

impl Spill for PlacedRow {
    fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        for word in [self.bytes.len() as u64, self.place as u64, self.number] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&self.bytes);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut rest = *bytes;
        let length = usize::try_from(take_word(&mut rest)?).ok()?;
        let place = usize::try_from(take_word(&mut rest)?).ok()?;
        let number = take_word(&mut rest)?;
        let (own, rest) = rest.split_at_checked(length)?;
        *bytes = rest;
        Some(Self {
            bytes: own.to_vec(),
            place,
            number,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use connector_plan::{Nulls, PartitionBy, PartitionColumn, SortColumn, SortOrder};

    use super::*;
    use crate::RunId;
    use crate::checkpoint::read_staged;
    use crate::disk::Disk;
    use crate::memory::Memory;
    use crate::writer::{Format, WriterOptions};

    /// Rows come out by folder and value, those of one place as they came, whatever the memory.
    #[track_caller]
    fn check(capacity: usize, spills: bool, most_folders: usize) {
        let out = tempfile::tempdir().unwrap();
        let disk = Disk::new(None);
        let batch = |first: i64| {
            let numbers = first..first + 1000;
            let regions: StringArray = numbers
                .clone()
                .map(|number| Some(format!("r{}", number % 3)))
                .collect();
            let keys: Int64Array = numbers.clone().map(|number| number * 7919 % 50).collect();
            let keys: ArrayRef = Arc::new(keys);
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
            let regions: ArrayRef = Arc::new(regions);
            let columns = [("region", regions), ("key", keys), ("number", numbers)];
            RecordBatch::try_from_iter(columns).unwrap()
        };
        let options = WriterOptions {
            sort_by: vec![SortColumn {
                column: "key".to_owned(),
                order: SortOrder::Desc,
                nulls: Nulls::Last,
            }],
            partition_by: vec![PartitionColumn::new("region", PartitionBy::Value)],
            ..WriterOptions::default()
        };
        let schema = batch(0).schema();
        let arrangement = Arrangement::new(&schema, &options, false).unwrap().unwrap();
        let format = Format::new(schema, options, Vec::new(), Vec::new()).unwrap();
        let folder = out.path().to_owned();
        let mut writer = PartWriter::new(disk.clone(), folder, RunId::new(), 0, Arc::new(format));
        let mut scratch = Scratch {
            disk: disk.clone(),
            folder: out.path().join("spill"),
            memory: Memory::of(&WriterOptions::default()),
        };
        scratch.memory.rows.items = capacity;
        let mut arranger = Arranger::new(Arc::new(arrangement), &writer, &scratch).unwrap();
        arranger.most_folders = most_folders;
        for first in 0..20 {
            arranger.push(&batch(first * 1000)).unwrap();
        }
        assert_eq!(scratch.folder.exists(), spills);
        let written = arranger.write(&mut Folders::default(), &mut writer);
        if most_folders < 3 {
            let error = written.unwrap_err().to_string();
            assert!(error.contains("more than 2 folders"), "{error}");
            return;
        }
        written.unwrap();
        let (files, _) = writer.finish().unwrap();
        let mut found = BTreeMap::new();
        for file in files {
            let (folder, _) = file.name.split_once('/').unwrap();
            let mut rows: Vec<(i64, i64)> = Vec::new();
            for batch in read_staged(&out.path().join(&file.name), None).unwrap() {
                let batch = batch.unwrap();
                let keys = batch.column(1).as_primitive::<Int64Type>().values().iter();
                let numbers = batch.column(2).as_primitive::<Int64Type>().values().iter();
                rows.extend(keys.copied().zip(numbers.copied()));
            }
            assert!(
                found.insert(folder.to_owned(), rows).is_none(),
                "one file each"
            );
        }
        for region in 0..3 {
            let numbers = (0..20_000).filter(|number| number % 3 == region);
            let mut expect: Vec<(i64, i64)> =
                numbers.map(|number| (number * 7919 % 50, number)).collect();
            expect.sort_by_key(|(key, _)| -key);
            assert!(found[&format!("region_value=r{region}")] == expect);
        }
    }

    #[test]
    fn rows_are_arranged_in_any_memory() {
        check(64 << 20, false, 3);
        check(256 << 10, true, 3);
        check(4 << 10, true, MOST_FOLDERS);
    }

    #[test]
    fn more_folders_than_there_may_be_are_refused() {
        check(64 << 20, false, 2);
    }
}
