//! Free ports on loopback.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use rand::RngExt;

/// Lowest port that is tried; below it live the well-known services.
const LOWEST: u16 = 10_240;

/// Ports that Linux gives to outgoing connections when nothing else is configured.
const DEFAULT_EPHEMERAL: (u16, u16) = (32_768, 60_999);

/// Fewest ports beside the outgoing ones that make a search worth it.
const MIN_SPAN: u16 = 1_000;

/// What this process was given before: two worlds that start beside each other must not get the same port, of which one
/// Envoy would not tell the other, for they share ports where they can.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Why no free ports were found.
#[derive(Debug, thiserror::Error)]
#[error(
    "found {found} of {wanted} free ports in {tries} tries from {lowest} to {highest}: end other servers on loopback"
)]
pub struct PortError {
    found: usize,
    wanted: usize,
    tries: usize,
    lowest: u16,
    highest: u16,
}

/// Finds different ports on which nobody listens now, and which this process was not given before.
///
/// They are not reserved: another process may take one before it is used, so the user tries again with other
/// ports. They lie outside of the range that the kernel gives to outgoing connections, because a service may start minutes
/// after its port was chosen, and by then a port from that range may belong to a connection of the load.
pub fn free_ports(wanted: usize) -> Result<Vec<u16>, PortError> {
    let (lowest, highest) = range(ephemeral());
    let tries = 100 * wanted;
    let mut random = rand::rng();
    let mut found = BTreeSet::new();
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..tries {
        if found.len() == wanted {
            break;
        }
        let port = random.random_range(lowest..highest);
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            found.insert(port);
        }
    }
    given.extend(&found);
    drop(given);
    if found.len() < wanted {
        return Err(PortError { found: found.len(), wanted, tries, lowest, highest });
    }
    Ok(found.into_iter().collect())
}

/// First and last port that the kernel gives to outgoing connections.
fn ephemeral() -> (u16, u16) {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ports = text.split_whitespace().map(str::parse);
    match (ports.next(), ports.next()) {
        (Some(Ok(first)), Some(Ok(last))) => (first, last),
        _ => DEFAULT_EPHEMERAL,
    }
}

/// Ports to choose from: below the outgoing ones, else above them, else all where they leave no room.
fn range((first, last): (u16, u16)) -> (u16, u16) {
    if first >= LOWEST + MIN_SPAN {
        (LOWEST, first)
    } else if last <= u16::MAX - MIN_SPAN {
        (last + 1, u16::MAX)
    } else {
        (LOWEST, u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_different_and_free() {
        // Nothing listens on the first ten when the others are chosen.
        let ports = [free_ports(10).unwrap(), free_ports(10).unwrap()].concat();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 20);
        assert!(ports.iter().all(|port| *port >= LOWEST));
    }

    #[test]
    fn outgoing_ports_are_avoided_where_that_is_possible() {
        let cases = [
            ("the default", (32_768, 60_999), (LOWEST, 32_768)),
            ("outgoing ports begin low", (1_024, 60_999), (61_000, u16::MAX)),
            ("outgoing ports everywhere", (1_024, 65_535), (LOWEST, u16::MAX)),
        ];
        for (name, outgoing, want) in cases {
            assert_eq!(range(outgoing), want, "case {name}");
        }
    }
}
