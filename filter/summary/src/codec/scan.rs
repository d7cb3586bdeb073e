//! Counts the repeated entries of a body before prost builds them.
//!
//! An empty route takes 2 bytes on the wire and more than 200 in memory, so a body within its limit could
//! otherwise claim a hundred times its length.
use super::{DecodeError, Limits, MAX_GRPC_COUNTS};

/// Field numbers that are repeated.
const ROUTES: u64 = 11;
const GRPC: u64 = 9;

/// One field of a message.
struct Field<'a> {
    number: u64,
    /// Content of a length-delimited field.
    content: Option<&'a [u8]>,
}

/// Refuses a body with more routes, or a route with more gRPC counts, than the limits allow.
pub(super) fn scan(body: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    let mut routes = 0_usize;
    let mut rest = body;
    while let Some(found) = next_field(body.len(), &mut rest)? {
        let (ROUTES, Some(route)) = (found.number, found.content) else { continue };
        routes += 1;
        if routes > limits.routes {
            return Err(DecodeError::Field {
                field: "routes".into(),
                value: format!("more than {}", limits.routes),
                limit: limits.routes.to_string(),
                remedy: "lower max_keys of the sender",
            });
        }
        scan_route(body.len(), routes - 1, route)?;
    }
    Ok(())
}

fn scan_route(length: usize, at: usize, route: &[u8]) -> Result<(), DecodeError> {
    let mut counts = 0_usize;
    let mut rest = route;
    while let Some(found) = next_field(length, &mut rest)? {
        counts += usize::from(found.number == GRPC);
        if counts > MAX_GRPC_COUNTS {
            return Err(DecodeError::Field {
                field: format!("routes[{at}].grpc"),
                value: format!("more than {MAX_GRPC_COUNTS} entries"),
                limit: MAX_GRPC_COUNTS.to_string(),
                remedy: "send one count for each status",
            });
        }
    }
    Ok(())
}

/// Takes the next field off `rest`. Positions in errors are counted from the start of the body or of the route.
fn next_field<'a>(length: usize, rest: &mut &'a [u8]) -> Result<Option<Field<'a>>, DecodeError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let at = length - rest.len();
    let broken = |what| DecodeError::Wire { what, at };
    let key = varint(rest).ok_or_else(|| broken("a field key is cut or too long"))?;
    let content = match key & 7 {
        0 => {
            varint(rest).ok_or_else(|| broken("a number is cut or too long"))?;
            None
        }
        1 => Some(take(rest, 8).ok_or_else(|| broken("a 64-bit field is cut"))?).and(None),
        5 => Some(take(rest, 4).ok_or_else(|| broken("a 32-bit field is cut"))?).and(None),
        2 => {
            let bytes = varint(rest).ok_or_else(|| broken("a length is cut or too long"))?;
            Some(take(rest, bytes).ok_or_else(|| broken("a field is longer than the body"))?)
        }
        _ => return Err(broken("a field has a wire type that proto3 does not use")),
    };
    Ok(Some(Field { number: key >> 3, content }))
}

/// Takes `bytes` bytes off `rest`.
fn take<'a>(rest: &mut &'a [u8], bytes: u64) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(usize::try_from(bytes).ok()?)?;
    *rest = after;
    Some(taken)
}

/// Takes one varint of at most 10 bytes off `rest`.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
