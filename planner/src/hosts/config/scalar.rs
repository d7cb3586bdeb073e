//! Values of a hosts file that may be written in more than one way.
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use std::{collections::BTreeMap, fmt};

/// CPU in millicores: `2000m` or `2000`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cpu(pub(super) f64);

/// Memory in bytes: `16Gi`, `512Mi`, `2G` or a whole number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Memory(pub(super) f64);

/// One port for every host, or one for each.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ports {
    Same(u16),
    Each(BTreeMap<String, u16>),
}

struct CpuVisitor;

impl Visitor<'_> for CpuVisitor {
    type Value = Cpu;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CPU in millicores, such as 2000m or 2000 for two cores")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Cpu, E> {
        Ok(Cpu(value as f64))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Cpu, E> {
        Ok(Cpu(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Cpu, E> {
        Ok(Cpu(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cpu, E> {
        let number = text.strip_suffix('m').and_then(|number| number.parse().ok());
        number.map(Cpu).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Cpu {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CpuVisitor)
    }
}

struct MemoryVisitor;

/// Endings of amounts of memory.
const UNITS: [(&str, f64); 8] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
];

impl Visitor<'_> for MemoryVisitor {
    type Value = Memory;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory in bytes, such as 16Gi, 512Mi or 2000000000")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Memory, E> {
        Ok(Memory(value as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Memory, E> {
        let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
        let unit = UNITS.iter().find_map(|(ending, times)| Some((text.strip_suffix(ending)?, *times)));
        let (number, times) = unit.unwrap_or((text, 1.0));
        let number: f64 = number.parse().map_err(|_| wrong())?;
        if number.is_finite() && number > 0.0 { Ok(Memory(number * times)) } else { Err(wrong()) }
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemoryVisitor)
    }
}

struct PortsVisitor;

impl<'de> Visitor<'de> for PortsVisitor {
    type Value = Ports;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port from 1 to 65535, or a map from host to port")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Ports, E> {
        let port = u16::try_from(value)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(value), &self))?;
        Ok(Ports::Same(port))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ports, A::Error> {
        let mut ports = BTreeMap::new();
        while let Some((host, port)) = map.next_entry()? {
            ports.insert(host, port);
        }
        Ok(Ports::Each(ports))
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortsVisitor)
    }
}
