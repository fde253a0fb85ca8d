//! pprof's profile.proto (<https://github.com/google/pprof/blob/main/proto/profile.proto>), gzipped,
//! with the value types of a Go heap profile.
//!
//! A location is an address with the functions that were inlined there as its lines, innermost
//! first. Addresses are return addresses less one, as the format wants addresses inside the call.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use flate2::{Compression, write::GzEncoder};
use prost::Message;

use super::{Capture, Metric, module_of};
use crate::profile::{Frame, StackProfile};

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    memory_start: u64,
    #[prost(uint64, tag = "3")]
    memory_limit: u64,
    #[prost(uint64, tag = "4")]
    file_offset: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(int64, tag = "6")]
    build_id: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
    #[prost(bool, tag = "8")]
    has_filenames: bool,
    #[prost(bool, tag = "9")]
    has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

pub(super) fn write(capture: &Capture, metric: Metric, out: &mut dyn Write) -> io::Result<()> {
    let bytes = Builder::new(capture).build(metric).encode_to_vec();
    let mut encoder = GzEncoder::new(out, Compression::default());
    encoder.write_all(&bytes)?;
    encoder.finish()?;
    Ok(())
}

/// Name and unit of a metric in Go's heap profiles, which tools look for.
fn value_type(metric: Metric) -> (&'static str, &'static str) {
    match metric {
        Metric::AllocatedObjects => ("alloc_objects", "count"),
        Metric::AllocatedBytes => ("alloc_space", "bytes"),
        Metric::LiveObjects => ("inuse_objects", "count"),
        Metric::LiveBytes => ("inuse_space", "bytes"),
    }
}

struct Builder<'a> {
    capture: &'a Capture,
    profile: Profile,
    strings: HashMap<String, i64>,
    functions: HashMap<(i64, i64), u64>,
    /// By address, or by frames where there is none.
    locations: HashMap<(u64, Vec<Line>), u64>,
}

impl<'a> Builder<'a> {
    fn new(capture: &'a Capture) -> Self {
        Self {
            capture,
            // The first string must be empty.
            profile: Profile {
                string_table: vec![String::new()],
                ..Profile::default()
            },
            strings: HashMap::from([(String::new(), 0)]),
            functions: HashMap::new(),
            locations: HashMap::new(),
        }
    }

    fn build(mut self, metric: Metric) -> Profile {
        for metric in Metric::ALL {
            let value_type = self.value_type(metric);
            self.profile.sample_type.push(value_type);
        }
        let (default, _) = value_type(metric);
        self.profile.default_sample_type = self.string(default);
        self.profile.period_type = Some(ValueType {
            r#type: self.string("space"),
            unit: self.string("bytes"),
        });
        self.profile.period = self.capture.snapshot.sampling.interval_bytes.cast_signed();
        self.profile.time_nanos = self.capture.unix_ns;
        self.profile.duration_nanos = self.capture.lived_ns;
        for line in self.capture.provenance() {
            let line = self.string(&line);
            self.profile.comment.push(line);
        }
        self.mappings();
        for stack in &self.capture.stacks {
            let values = Metric::ALL.map(|metric| metric.of(stack).cast_signed());
            if values.iter().all(|value| *value == 0) {
                continue;
            }
            let location_id = self.locations(stack);
            self.profile.sample.push(Sample {
                location_id,
                value: values.to_vec(),
            });
        }
        self.profile
    }

    fn value_type(&mut self, metric: Metric) -> ValueType {
        let (name, unit) = value_type(metric);
        ValueType {
            r#type: self.string(name),
            unit: self.string(unit),
        }
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(place) = self.strings.get(text) {
            return *place;
        }
        let place = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), place);
        place
    }

    fn mappings(&mut self) {
        // The program itself first, as tools take the first mapping for it.
        for (place, module) in self.capture.modules.iter().enumerate() {
            let build_id: String = module
                .build_id()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let mapping = Mapping {
                id: place as u64 + 1,
                memory_start: module.text_start,
                memory_limit: module.text_end,
                file_offset: module.file_offset,
                filename: self.string(&String::from_utf8_lossy(module.path())),
                build_id: self.string(&build_id),
                // Names are in the profile: nothing is left to look up.
                has_functions: true,
                has_filenames: true,
                has_line_numbers: true,
                has_inline_frames: true,
            };
            self.profile.mapping.push(mapping);
        }
        let executable = self.capture.snapshot.target.executable.as_deref();
        let is_executable = |mapping: &Mapping| {
            let path = usize::try_from(mapping.filename)
                .ok()
                .and_then(|place| self.profile.string_table.get(place));
            path.is_some_and(|path| Some(std::path::Path::new(path)) == executable)
        };
        let first = self.profile.mapping.iter().position(is_executable);
        if let Some(first) = first {
            self.profile.mapping.swap(0, first);
        }
    }

    /// Locations of a stack, leaf first: its frames put together by address.
    fn locations(&mut self, stack: &StackProfile) -> Vec<u64> {
        let groups: Vec<&[Frame]> = stack
            .frames
            .split_inclusive(|frame| !frame.inlined)
            .collect();
        let has_addresses = groups.len() == stack.addresses.len();
        groups
            .into_iter()
            .enumerate()
            .map(|(place, frames)| {
                let address = stack
                    .addresses
                    .get(place)
                    .filter(|_| has_addresses)
                    .map_or(0, |address| address.saturating_sub(1));
                self.location(address, frames)
            })
            .collect()
    }

    fn location(&mut self, address: u64, frames: &[Frame]) -> u64 {
        let line: Vec<Line> = frames
            .iter()
            .map(|frame| Line {
                function_id: self.function(frame),
                line: frame.line.map_or(0, i64::from),
            })
            .collect();
        let next = self.profile.location.len() as u64 + 1;
        let modules = &self.capture.modules;
        let profile = &mut self.profile;
        *self
            .locations
            .entry((address, line))
            .or_insert_with_key(|(address, line)| {
                profile.location.push(Location {
                    id: next,
                    mapping_id: module_of(modules, *address).map_or(0, |place| place as u64 + 1),
                    address: *address,
                    line: line.clone(),
                });
                next
            })
    }

    fn function(&mut self, frame: &Frame) -> u64 {
        let name = self.string(&frame.function);
        let filename = frame.file.as_deref().map_or(0, |file| self.string(file));
        let next = self.profile.function.len() as u64 + 1;
        let profile = &mut self.profile;
        *self.functions.entry((name, filename)).or_insert_with(|| {
            profile.function.push(Function {
                id: next,
                name,
                system_name: name,
                filename,
            });
            next
        })
    }
}
