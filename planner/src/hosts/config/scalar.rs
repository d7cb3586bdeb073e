//! Values of a hosts file that may be written in more than one way.
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use std::{collections::BTreeMap, fmt};

/// CPU in millicores: `2000m` or `2000`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cpu(pub(super) f64);

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
