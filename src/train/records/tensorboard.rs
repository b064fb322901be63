//! TensorBoard event files: TFRecord framing around the few protobuf messages that TensorBoard reads.
//!
//! Message and field numbers are those of TensorFlow's `event.proto`, `summary.proto` and `tensor.proto`.

use crate::{size::Size, weights::iso_date};
use anyhow::{Context, Result};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Writes one event file. Every event reaches the operating system before the call returns.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
}

impl EventWriter {
    /// Opens a new event file in `folder`, which is created where it is missing.
    ///
    /// # Errors
    /// Folder or file cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create the log folder {}", folder.display()))?;
        let seconds = since_epoch(SystemTime::now()).as_secs();
        // TensorBoard recognises a file by "tfevents" in its name, and reads files of a folder in the order of the time
        let path = folder.join(format!("events.out.tfevents.{seconds:010}.lora-wgpu.{}.0", process::id()));
        let file = File::create(&path).with_context(|| format!("cannot create the log file {}", path.display()))?;
        let mut writer = Self { file, path };
        writer.write_event(0, Message::default().bytes(event::FILE_VERSION, b"brain.Event:2"))?;
        Ok(writer)
    }

    /// One point of the curve `tag`.
    ///
    /// # Errors
    /// The file cannot be written (a full disk).
    pub fn scalar(&mut self, tag: &str, value: f64, step: u32) -> Result<()> {
        let value = Message::default().bytes(value::TAG, tag.as_bytes()).float(value::SIMPLE_VALUE, value as f32);
        self.write_summary(step, value)
    }

    /// A text in Markdown, shown under the tab Text.
    ///
    /// # Errors
    /// The file cannot be written (a full disk).
    pub fn text(&mut self, tag: &str, markdown: &str, step: u32) -> Result<()> {
        const STRING: u64 = 7;
        let one_element = Message::default().message(shape::DIM, Message::default().varint(dim::SIZE, 1));
        let text = Message::default()
            .varint(tensor::DTYPE, STRING)
            .message(tensor::SHAPE, one_element)
            .bytes(tensor::STRING_VAL, markdown.as_bytes());
        let plugin = Message::default().bytes(plugin::NAME, b"text");
        let value = Message::default()
            .bytes(value::TAG, format!("{tag}/text_summary").as_bytes())
            .message(value::TENSOR, text)
            .message(value::METADATA, Message::default().message(metadata::PLUGIN, plugin));
        self.write_summary(step, value)
    }

    /// A PNG file of `size` pixels, shown under the tab Images.
    ///
    /// # Errors
    /// The file cannot be written (a full disk).
    pub fn picture(&mut self, tag: &str, png: &[u8], size: Size, step: u32) -> Result<()> {
        const RGB: u64 = 3;
        let picture = Message::default()
            .varint(picture::HEIGHT, size.height as u64)
            .varint(picture::WIDTH, size.width as u64)
            .varint(picture::COLOURS, RGB)
            .bytes(picture::ENCODED, png);
        self.write_summary(step, Message::default().bytes(value::TAG, tag.as_bytes()).message(value::PICTURE, picture))
    }

    fn write_summary(&mut self, step: u32, value: Message) -> Result<()> {
        let summary = Message::default().message(summary::VALUE, value);
        self.write_event(step, Message::default().message(event::SUMMARY, summary))
    }

    fn write_event(&mut self, step: u32, what: Message) -> Result<()> {
        let now = since_epoch(SystemTime::now()).as_secs_f64();
        let event = Message::default().double(event::WALL_TIME, now).varint(event::STEP, u64::from(step)).then(what);
        self.file
            .write_all(&framed(&event.0))
            .with_context(|| format!("cannot write the log file {}", self.path.display()))
    }
}

/// The folder of one run, as sd-scripts names it: prefix and time stamp (UTC, `YYYYMMDDhhmmss`) in `logging_dir`.
pub fn run_folder(logging_dir: &Path, log_prefix: &str, started: SystemTime) -> PathBuf {
    let mut stamp = iso_date(since_epoch(started).as_secs_f64());
    stamp.retain(|sign| sign.is_ascii_digit());
    logging_dir.join(format!("{log_prefix}{stamp}"))
}

/// A clock set before 1970 counts as 1970.
fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Field numbers of the messages written here.
mod event {
    pub const WALL_TIME: u32 = 1;
    pub const STEP: u32 = 2;
    pub const FILE_VERSION: u32 = 3;
    pub const SUMMARY: u32 = 5;
}
mod summary {
    pub const VALUE: u32 = 1;
}
mod value {
    pub const TAG: u32 = 1;
    pub const SIMPLE_VALUE: u32 = 2;
    pub const PICTURE: u32 = 4;
    pub const TENSOR: u32 = 8;
    pub const METADATA: u32 = 9;
}
mod picture {
    pub const HEIGHT: u32 = 1;
    pub const WIDTH: u32 = 2;
    pub const COLOURS: u32 = 3;
    pub const ENCODED: u32 = 4;
}
mod metadata {
    pub const PLUGIN: u32 = 1;
}
mod plugin {
    pub const NAME: u32 = 1;
}
mod tensor {
    pub const DTYPE: u32 = 1;
    pub const SHAPE: u32 = 2;
    pub const STRING_VAL: u32 = 8;
}
mod shape {
    pub const DIM: u32 = 2;
}
mod dim {
    pub const SIZE: u32 = 1;
}

/// A protobuf message under construction, in wire format.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, field: u32, value: u64) -> Self {
        self.key(field, 0);
        self.push_varint(value);
        self
    }

    fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, 2);
        self.push_varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn message(self, field: u32, message: Message) -> Self {
        self.bytes(field, &message.0)
    }

    /// The fields of both messages.
    fn then(mut self, fields: Message) -> Self {
        self.0.extend(fields.0);
        self
    }

    fn key(&mut self, field: u32, wire_type: u32) {
        self.push_varint(u64::from(field << 3 | wire_type));
    }

    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A TFRecord: length, its checksum, the data, its checksum.
fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked_crc32c(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc32c(data).to_le_bytes());
    record
}

/// CRC-32C, masked as TFRecord has it, so that a checksum of checksums is no special case.
fn masked_crc32c(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// CRC-32 with Castagnoli's polynomial, bit by bit: a few hundred bytes a step, and a picture now and then, need no
/// table.
fn crc32c(data: &[u8]) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82F6_3B78;
    let crc = data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (REVERSED_POLYNOMIAL & (crc & 1).wrapping_neg()))
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32C's definition, the example of RFC 3720, B.4, and the length field (24) that opens every
    /// event file TensorFlow writes.
    #[test]
    fn checksums() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(masked_crc32c(&24u64.to_le_bytes()), 0x224B_7FA3);
    }

    /// A scalar event byte by byte, apart from time and checksums.
    #[test]
    fn a_scalar_event_has_the_documented_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(&folder.path().join("new")).unwrap();
        writer.scalar("loss", 0.5, 300).unwrap();
        let bytes = fs::read(&writer.path).unwrap();
        let records = records(&bytes);
        assert_eq!(records.len(), 2);
        assert!(records[0].ends_with(b"\x1a\x0dbrain.Event:2"));
        let event = &records[1];
        assert_eq!(event[0], 1 << 3 | 1);
        assert_eq!(event[9..], *b"\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f");
    }

    #[test]
    fn a_picture_event_has_the_documented_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path()).unwrap();
        writer.picture("samples", b"PNG", Size::new(300, 2), 1).unwrap();
        let event = &records(&fs::read(&writer.path).unwrap())[1];
        let picture = b"\x22\x0c\x08\x02\x10\xac\x02\x18\x03\x22\x03PNG";
        assert!(event.ends_with(&[&b"\x0a\x07samples"[..], picture].concat()), "{event:?}");
    }

    /// The data of each record, its two checksums verified.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let crc = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            assert_eq!(crc(8), masked_crc32c(&bytes[..8]));
            assert_eq!(crc(12 + length), masked_crc32c(&bytes[12..12 + length]));
            records.push(bytes[12..12 + length].to_vec());
            bytes = &bytes[16 + length..];
        }
        records
    }

    #[test]
    fn run_folders_carry_the_date() {
        for (seconds, stamp) in [
            (0, "19700101000000"),
            (951_782_399, "20000228235959"),
            (951_782_400, "20000229000000"),
            (1_709_251_199, "20240229235959"),
            (1_767_225_599, "20251231235959"),
        ] {
            let folder = run_folder(Path::new("logs"), "a_", UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(folder, Path::new("logs").join(format!("a_{stamp}")));
        }
    }
}
