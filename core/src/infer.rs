//! Resources without a schema: their records wait on disk until it is known what they look like.
//!
//! ```text
//! pages ─► records as texts ─┬─► joined shape ─► fields ─┐
//!                            └─► spool on disk ──────────┴─► decoder ─► columns
//! ```
//!
//! Memory is bounded by the size of a block and by the number of different fields, never by the
//! number of records.

mod conversions;
mod yaml;

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use connector_decode::{Decoder, DecoderOptions, RAW_COLUMN, RecordSchema, Report, Shape, capture};
use connector_plan::{Field, FieldType, Resource, Step};

pub(crate) use self::conversions::conversions;
pub(crate) use self::yaml::schema_block;
use crate::secret::Redactor;
use crate::{Error, ErrorKind, Result, convert};

/// Records are decoded in blocks of so many bytes, or of one larger record.
const BLOCK_BYTES: usize = 1 << 20;
/// The level of compression: the fastest.
const LEVEL: i32 = 1;

/// Records of a resource without a schema, joined as they come.
pub(crate) struct Inference<'a> {
    resource: &'a Resource,
    redactor: &'a Redactor,
    key: Vec<connector_plan::Path>,
    shape: Shape,
    records: u64,
    /// The records that are not in a block yet: the inside of a JSON array.
    block: Vec<u8>,
}

impl<'a> Inference<'a> {
    pub(crate) fn new(resource: &'a Resource, redactor: &'a Redactor) -> Self {
        let key = resource.primary_key.iter();
        Self {
            resource,
            redactor,
            key: key.map(|name| vec![Step::Key(name.clone())]).collect(),
            shape: Shape::default(),
            records: 0,
            block: Vec::new(),
        }
    }

    /// Adds the records of a batch and gives every full block to `keep`.
    ///
    /// # Errors
    /// When a record has no primary key, or records have too many different fields.
    pub(crate) fn add(
        &mut self,
        batch: &RecordBatch,
        mut keep: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        for record in texts(batch)? {
            self.records += 1;
            self.check_key(record)?;
            self.shape
                .add_record(record.as_bytes())
                .map_err(|error| convert::decode_error(error, self.redactor))?;
            self.block
                .push(if self.block.is_empty() { b'[' } else { b',' });
            self.block.extend_from_slice(record.as_bytes());
            if self.block.len() >= BLOCK_BYTES {
                self.end_block(&mut keep)?;
            }
        }
        Ok(())
    }

    /// Gives the last block to `keep`, and the shape of all records.
    pub(crate) fn finish(mut self, mut keep: impl FnMut(&[u8]) -> Result<()>) -> Result<Shape> {
        self.end_block(&mut keep)?;
        Ok(self.shape)
    }

    fn end_block(&mut self, keep: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.block.push(b']');
        keep(&self.block)?;
        self.block.clear();
        Ok(())
    }

    fn check_key(&self, record: &str) -> Result<()> {
        if self.key.is_empty() {
            return Ok(());
        }
        let values = capture(record.as_bytes(), &self.key)
            .map_err(|error| convert::decode_error(error, self.redactor))?;
        let names = self.resource.primary_key.iter();
        for (name, value) in names.zip(values) {
            if value.is_none_or(|value| value.is_null()) {
                return Err(Error::new(
                    ErrorKind::SchemaContract,
                    format!(
                        "record {} has no `{name}`, which is its primary key",
                        self.records
                    ),
                )
                .hint("correct `primary_key` in the spec, or filter such records out"));
            }
        }
        Ok(())
    }
}

/// What the records of earlier runs looked like.
///
/// # Errors
/// When the state says it in a way that this version does not know: without it, columns would lose
/// what they were widened to.
pub(crate) fn known(shape: &serde_json::Value) -> Result<Shape> {
    Shape::from_json(shape).ok_or_else(|| {
        Error::new(
            ErrorKind::Configuration,
            "what the state knows of the columns cannot be read",
        )
        .hint("restore the state from a backup, or read the resource again with `--full-refresh`")
    })
}

/// The fields of the records of a resource, when all of them together look like this.
///
/// # Errors
/// When the primary key is not a single value.
pub(crate) fn fields(resource: &Resource, shape: &Shape) -> Result<Vec<Field>> {
    let mut fields = shape.fields(&resource.primary_key);
    for name in &resource.primary_key {
        let Some(field) = fields.iter().find(|field| field.name == *name) else {
            // There are no records. Text says the least.
            fields.push(Field {
                name: name.clone(),
                field_type: FieldType::Json,
                nullable: false,
                description: String::new(),
            });
            continue;
        };
        if matches!(
            field.field_type,
            FieldType::Json | FieldType::Object(_) | FieldType::List(_)
        ) {
            return Err(Error::new(
                ErrorKind::SchemaContract,
                format!(
                    "the primary key `{name}` holds values of different types, or no single values"
                ),
            )
            .hint("choose another `primary_key`, or declare its type in a `schema`"));
        }
    }
    // What parents with a schema give has their types, and stands behind the rest.
    for declared in &resource.fields {
        fields.retain(|field| field.name != declared.name);
        let mut field = declared.clone();
        if let FieldType::Timestamp { formats } = &mut field.field_type {
            *formats = vec!["rfc3339".to_owned()];
        }
        fields.push(field);
    }
    Ok(fields)
}

/// Turns blocks of records into batches.
pub(crate) struct Blocks<'a> {
    decoder: Decoder,
    redactor: &'a Redactor,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(fields: &[Field], redactor: &'a Redactor) -> Result<Self> {
        Decoder::new(RecordSchema::new(fields), DecoderOptions::default())
            .map(|decoder| Self { decoder, redactor })
            .map_err(|error| convert::decode_error(error, redactor))
    }

    /// Decodes a block; gives a batch when there is enough for one.
    pub(crate) fn add(&mut self, block: &[u8]) -> Result<Option<RecordBatch>> {
        self.decoder
            .decode_page(block)
            .map_err(|error| convert::decode_error(error, self.redactor))?;
        if self.decoder.is_full() {
            self.take().map(Some)
        } else {
            Ok(None)
        }
    }

    /// The last batch, if any, and what went to `_rescued`.
    pub(crate) fn finish(mut self) -> Result<(Option<RecordBatch>, Report)> {
        let last = if self.decoder.rows() > 0 {
            Some(self.take()?)
        } else {
            None
        };
        Ok((last, self.decoder.report()))
    }

    fn take(&mut self) -> Result<RecordBatch> {
        self.decoder
            .take_batch()
            .map_err(|error| convert::decode_error(error, self.redactor))
    }
}

/// A few records without a schema, decoded.
pub(crate) struct Decoded {
    pub shape: Shape,
    pub fields: Vec<Field>,
    pub batches: Vec<RecordBatch>,
    pub report: Report,
}

/// Infers the fields of a few records in memory, and decodes them.
pub(crate) fn in_memory(
    resource: &Resource,
    batches: &[RecordBatch],
    redactor: &Redactor,
) -> Result<Decoded> {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut keep = |block: &[u8]| {
        kept.push(block.to_vec());
        Ok(())
    };
    let mut inference = Inference::new(resource, redactor);
    for batch in batches {
        inference.add(batch, &mut keep)?;
    }
    let shape = inference.finish(&mut keep)?;
    let fields = fields(resource, &shape)?;
    let mut blocks = Blocks::new(&fields, redactor)?;
    let mut decoded = Vec::new();
    for block in &kept {
        decoded.extend(blocks.add(block)?);
    }
    let (last, report) = blocks.finish()?;
    decoded.extend(last);
    Ok(Decoded {
        shape,
        fields,
        batches: decoded,
        report,
    })
}

/// Blocks of records in a file, which is gone when this is dropped.
pub(crate) struct Spool {
    path: PathBuf,
    file: Option<zstd::Encoder<'static, File>>,
}

impl Spool {
    /// An empty file at this path, in a folder that is there.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let failed = |error| spool_error(&path, error);
        let file = File::create(&path).map_err(failed)?;
        let file = zstd::Encoder::new(file, LEVEL).map_err(failed)?;
        Ok(Self {
            path,
            file: Some(file),
        })
    }

    /// Appends a block.
    pub(crate) fn write(&mut self, block: &[u8]) -> Result<()> {
        let length = (block.len() as u64).to_le_bytes();
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.write_all(&length)
            .and_then(|()| file.write_all(block))
            .map_err(|error| spool_error(&self.path, error))
    }

    /// Reads all blocks again, in their order. Nothing can be written any more.
    pub(crate) fn read(&mut self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if let Some(file) = self.file.take() {
            let end = file.finish().map(drop);
            end.map_err(|error| spool_error(&self.path, error))?;
        }
        let failed = |error| spool_error(&self.path, error);
        let file = File::open(&self.path).map_err(failed)?;
        let mut file = BufReader::new(zstd::Decoder::new(file).map_err(failed)?);
        let mut block = Vec::new();
        loop {
            let mut length = [0; 8];
            let read = file.read(&mut length[..1]).map_err(failed)?;
            if read == 0 {
                return Ok(());
            }
            file.read_exact(&mut length[1..]).map_err(failed)?;
            let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
            block.clear();
            file.by_ref()
                .take(length as u64)
                .read_to_end(&mut block)
                .map_err(failed)?;
            if block.len() != length {
                return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
            }
            each(&block)?;
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // What stays is deleted with the folder of the run.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The records of a batch, as texts.
pub(crate) fn texts(batch: &RecordBatch) -> Result<impl Iterator<Item = &str>> {
    let column = batch
        .column_by_name(RAW_COLUMN)
        .and_then(|column| column.as_string_opt::<i32>())
        .ok_or_else(|| Error::new(ErrorKind::Internal, "a batch holds no texts of records"))?;
    Ok((0..column.len()).map(|row| column.value(row)))
}

fn spool_error(path: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Destination,
        "records cannot be kept aside until their fields are known",
    )
    .with("file", path.display())
    .caused_by(error)
}
