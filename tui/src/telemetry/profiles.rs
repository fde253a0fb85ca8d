//! Four heap profiles of a target: `alloc_objects`, `alloc_space`, `inuse_objects`, `inuse_space`.
//!
//! Experimental, as the protocol is (`v1development`). A profile of the protocol has one type of value,
//! so there are four that share one dictionary. The first entry of each table is the empty one, to
//! which index 0 refers for "none".

use std::{collections::HashMap, hash::Hash};

use opentelemetry_proto::tonic::{
    collector::profiles::v1development::ExportProfilesServiceRequest,
    profiles::v1development::{
        Function, KeyValueAndUnit, Line, Link, Location, Mapping, Profile, ProfilesDictionary,
        ResourceProfiles, Sample, ScopeProfiles, Stack, ValueType,
    },
};
use riptide_reader::{
    export::{Capture, Metric},
    profile::{Frame, StackProfile},
};

use super::{
    resource::{TargetIdentity, resource, scope, text},
    settings::Settings,
};

/// A table without duplicates; the first entry is the empty one.
struct Table<T> {
    entries: Vec<T>,
    known: HashMap<T, i32>,
}

impl<T: Clone + Default + Eq + Hash> Default for Table<T> {
    fn default() -> Self {
        let mut table = Self {
            entries: Vec::new(),
            known: HashMap::new(),
        };
        table.index(T::default());
        table
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    fn index(&mut self, entry: T) -> i32 {
        if let Some(known) = self.known.get(&entry) {
            return *known;
        }
        let index = i32::try_from(self.entries.len()).unwrap_or(0);
        self.entries.push(entry.clone());
        self.known.insert(entry, index);
        index
    }
}

/// Functions and lines of a location, innermost first.
type Lines = Vec<(i32, i64)>;

#[derive(Default)]
struct Dictionary {
    strings: Table<String>,
    functions: Table<(i32, i32)>,
    mappings: Table<(u64, u64, u64, i32, Vec<u8>)>,
    locations: Table<(i32, u64, Lines)>,
    stacks: Table<Vec<i32>>,
}

/// One request with the profiles of one target.
pub(super) fn request(
    settings: &Settings,
    identity: &TargetIdentity,
    capture: &Capture,
) -> ExportProfilesServiceRequest {
    let mut dictionary = Dictionary::default();
    let stacks: Vec<i32> = capture
        .stacks
        .iter()
        .map(|stack| dictionary.stack(stack, capture))
        .collect();
    let profiles = [
        ("alloc_objects", "count", Metric::AllocatedObjects),
        ("alloc_space", "bytes", Metric::AllocatedBytes),
        ("inuse_objects", "count", Metric::LiveObjects),
        ("inuse_space", "bytes", Metric::LiveBytes),
    ]
    .map(|(name, unit, metric)| dictionary.profile(name, unit, metric, &stacks, capture));
    ExportProfilesServiceRequest {
        resource_profiles: vec![ResourceProfiles {
            resource: Some(resource(settings, Some(identity))),
            scope_profiles: vec![ScopeProfiles {
                scope: Some(scope()),
                profiles: profiles.into(),
                ..ScopeProfiles::default()
            }],
            ..ResourceProfiles::default()
        }],
        dictionary: Some(dictionary.finish()),
    }
}

impl Dictionary {
    fn string(&mut self, text: &str) -> i32 {
        self.strings.index(text.to_owned())
    }

    /// Frames that were inlined into one address are the lines of one location, innermost first.
    fn stack(&mut self, stack: &StackProfile, capture: &Capture) -> i32 {
        let groups: Vec<&[Frame]> = stack
            .frames
            .split_inclusive(|frame| !frame.inlined)
            .collect();
        let has_addresses = groups.len() == stack.addresses.len();
        let mut locations = Vec::new();
        for (place, frames) in groups.into_iter().enumerate() {
            let address = stack.addresses.get(place).filter(|_| has_addresses);
            // Inside the call, as for pprof.
            let address = address.map_or(0, |address| address.saturating_sub(1));
            let mapping = self.mapping(address, capture);
            let lines = frames.iter().map(|frame| self.line(frame)).collect();
            locations.push(self.locations.index((mapping, address, lines)));
        }
        self.stacks.index(locations)
    }

    fn line(&mut self, frame: &Frame) -> (i32, i64) {
        let name = self.string(&frame.function);
        let file = self.string(frame.file.as_deref().unwrap_or_default());
        let function = self.functions.index((name, file));
        (function, frame.line.map_or(0, i64::from))
    }

    fn mapping(&mut self, address: u64, capture: &Capture) -> i32 {
        let Some(module) = capture.module_of(address) else {
            return 0;
        };
        let path = self.string(&String::from_utf8_lossy(module.path()));
        self.mappings.index((
            module.text_start,
            module.text_end,
            module.file_offset,
            path,
            module.build_id().to_vec(),
        ))
    }

    fn profile(
        &mut self,
        name: &str,
        unit: &str,
        metric: Metric,
        stacks: &[i32],
        capture: &Capture,
    ) -> Profile {
        let value_type = |of: &mut Self, name, unit| ValueType {
            type_strindex: of.string(name),
            unit_strindex: of.string(unit),
        };
        let samples = capture
            .stacks
            .iter()
            .zip(stacks)
            .map(|(stack, index)| (metric.of(stack), *index))
            .filter(|(value, _)| *value > 0)
            .map(|(value, stack_index)| Sample {
                stack_index,
                values: vec![i64::try_from(value).unwrap_or(i64::MAX)],
                ..Sample::default()
            });
        let lived = u64::try_from(capture.lived_ns).unwrap_or(0);
        let now = u64::try_from(capture.unix_ns).unwrap_or(0);
        Profile {
            sample_type: Some(value_type(self, name, unit)),
            samples: samples.collect(),
            // From the start of the process, over what it has lived: totals are since then.
            time_unix_nano: now.saturating_sub(lived),
            duration_nano: lived,
            period_type: Some(value_type(self, "space", "bytes")),
            period: i64::try_from(capture.snapshot.sampling.interval_bytes).unwrap_or(i64::MAX),
            ..Profile::default()
        }
    }

    fn finish(mut self) -> ProfilesDictionary {
        let mut attribute_table = vec![KeyValueAndUnit::default()];
        let key = self.string("process.executable.build_id.gnu");
        let mapping_table = std::mem::take(&mut self.mappings.entries)
            .into_iter()
            .map(
                |(memory_start, memory_limit, file_offset, filename_strindex, build_id)| {
                    let mut attribute_indices = Vec::new();
                    if !build_id.is_empty() {
                        let hex: String =
                            build_id.iter().map(|byte| format!("{byte:02x}")).collect();
                        attribute_indices.push(i32::try_from(attribute_table.len()).unwrap_or(0));
                        attribute_table.push(KeyValueAndUnit {
                            key_strindex: key,
                            value: Some(text(hex)),
                            unit_strindex: 0,
                        });
                    }
                    Mapping {
                        memory_start,
                        memory_limit,
                        file_offset,
                        filename_strindex,
                        attribute_indices,
                    }
                },
            )
            .collect();
        let functions = self.functions.entries.into_iter();
        let locations = self.locations.entries.into_iter();
        let stacks = self.stacks.entries.into_iter();
        ProfilesDictionary {
            mapping_table,
            location_table: locations
                .map(|(mapping_index, address, lines)| Location {
                    mapping_index,
                    address,
                    lines: lines
                        .into_iter()
                        .map(|(function_index, line)| Line {
                            function_index,
                            line,
                            column: 0,
                        })
                        .collect(),
                    ..Location::default()
                })
                .collect(),
            function_table: functions
                .map(|(name_strindex, filename_strindex)| Function {
                    name_strindex,
                    filename_strindex,
                    ..Function::default()
                })
                .collect(),
            link_table: vec![Link::default()],
            string_table: self.strings.entries,
            attribute_table,
            stack_table: stacks
                .map(|location_indices| Stack { location_indices })
                .collect(),
        }
    }
}
