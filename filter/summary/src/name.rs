//! Names that travel in a summary: what they may be, and how a foreign one is made to fit.

/// Longest name in bytes: that of a DNS name (RFC 1035, 255 octets on the wire, 253 as text), because a callee is
/// one. Longer names are cut by the filter and refused by the planner.
pub const MAX_NAME_BYTES: usize = 253;

/// Whether `name` can travel as it is: short enough and without control characters, so that it can be shown in a
/// log or a table as it stands.
pub fn is_clean(name: &str, max_bytes: usize) -> bool {
    name.len() <= max_bytes && !name.chars().any(char::is_control)
}

/// Makes a name out of bytes that the proxy gave: invalid UTF-8 and control characters become `\u{fffd}` and `_`,
/// what goes beyond `max_bytes` is cut at a character boundary.
pub fn clean(bytes: &[u8], max_bytes: usize) -> String {
    let mut name: String =
        String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    let mut end = max_bytes.min(name.len());
    while !name.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    name.truncate(end);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_names_pass_unchanged() {
        for name in ["", "cart.shop.svc.cluster.local", "größe", "a b"] {
            assert!(is_clean(name, 253), "{name:?}");
            assert_eq!(clean(name.as_bytes(), 253), name);
        }
    }

    #[test]
    fn foreign_bytes_become_a_clean_name() {
        let cases: [(&[u8], usize, &str); 4] = [
            (b"a\nb\0", 253, "a_b_"),
            (b"\xff\xfeab", 253, "\u{fffd}\u{fffd}ab"),
            ("ééé".as_bytes(), 3, "é"),
            (b"abc", 0, ""),
        ];
        for (bytes, max, want) in cases {
            let got = clean(bytes, max);
            assert_eq!(got, want);
            assert!(is_clean(&got, max));
        }
    }
}
