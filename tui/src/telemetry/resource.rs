//! Who a target is, in the words of OpenTelemetry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{
    common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
    },
    resource::v1::Resource,
};

use super::settings::Settings;

/// A target as resources name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetIdentity {
    /// Process id as this host sees it.
    pub pid: u32,
    /// Process name.
    pub process: String,
    /// Name of the region file: unique for every process of a boot.
    pub region: String,
    /// Executable, as the target gave it.
    pub executable: Option<String>,
}

pub(super) fn text(text: impl Into<String>) -> AnyValue {
    AnyValue {
        value: Some(Value::StringValue(text.into())),
    }
}

pub(super) fn integer(value: i64) -> AnyValue {
    AnyValue {
        value: Some(Value::IntValue(value)),
    }
}

pub(super) fn number(value: f64) -> AnyValue {
    AnyValue {
        value: Some(Value::DoubleValue(value)),
    }
}

pub(super) fn list(values: Vec<AnyValue>) -> AnyValue {
    AnyValue {
        value: Some(Value::ArrayValue(ArrayValue { values })),
    }
}

pub(super) fn map(values: Vec<KeyValue>) -> AnyValue {
    AnyValue {
        value: Some(Value::KvlistValue(KeyValueList { values })),
    }
}

pub(super) fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(value),
        ..KeyValue::default()
    }
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "riptide".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

pub(super) fn nanoseconds(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn unix_ns(time: SystemTime) -> u64 {
    nanoseconds(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The resource of a target, or of riptide itself.
pub(super) fn resource(settings: &Settings, target: Option<&TargetIdentity>) -> Resource {
    let mut attributes = vec![
        attribute("service.name", text(&settings.service_name)),
        attribute("host.name", text(host())),
    ];
    if let Some(target) = target {
        attributes.push(attribute(
            "service.instance.id",
            text(format!("{}/{}", host(), target.region)),
        ));
        attributes.push(attribute("process.pid", integer(i64::from(target.pid))));
        attributes.push(attribute("process.executable.name", text(&target.process)));
        if let Some(path) = &target.executable {
            attributes.push(attribute("process.executable.path", text(path)));
        }
    } else {
        attributes.push(attribute("service.instance.id", text(host())));
    }
    for (key, value) in &settings.attributes {
        attributes.retain(|known| known.key != *key);
        attributes.push(attribute(key, text(value)));
    }
    Resource {
        attributes,
        ..Resource::default()
    }
}

/// The name of this machine.
pub(crate) fn host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
