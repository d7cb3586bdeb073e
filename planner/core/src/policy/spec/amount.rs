//! Amounts as people write them: `80%`, `800m`, `1.5`, `512Mi`, `50MB/s`.
use crate::policy::Resource;

/// Bytes of each unit; the two-letter binary ones before the letters that they begin with.
const BYTES: [(&str, f64); 12] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
];

/// A percentage as a share; `None` when the text is none.
pub(super) fn share(text: &str) -> Option<f64> {
    number(text.trim().strip_suffix('%')?).map(|percent| percent / 100.0)
}

/// An amount of a resource in its unit: millicores, bytes, bytes per second; `None` when the text is none.
pub(super) fn amount(text: &str, resource: Resource) -> Option<f64> {
    let text = text.trim();
    match resource {
        Resource::Cpu => match text.strip_suffix('m') {
            Some(millicores) => number(millicores),
            None => number(text).map(|cores| cores * 1e3),
        },
        Resource::Memory | Resource::Disk => bytes(text),
        Resource::DiskIo => bytes(text.strip_suffix("/s")?),
    }
}

/// How an amount of a resource is written.
pub(super) const fn example(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "`800m` or `1.5` for CPU",
        Resource::Memory | Resource::Disk => "`512Mi` or `2GB` for bytes",
        Resource::DiskIo => "`50MB/s` or `20Mi/s` for bytes per second",
    }
}

fn bytes(text: &str) -> Option<f64> {
    // `MiB` is `Mi`, and `B` alone is nothing to multiply by.
    let text = text.strip_suffix("iB").map_or_else(|| text.to_owned(), |start| format!("{start}i"));
    match BYTES.iter().find(|(unit, _)| text.ends_with(unit)) {
        Some((unit, factor)) => number(text.strip_suffix(unit)?).map(|count| count * factor),
        None => number(text.strip_suffix('B').unwrap_or(&text)),
    }
}

/// A plain number of digits, with a fraction or without; nothing that `f64` reads beyond that, such as `inf` or `1e9`.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_amounts_are_read() {
        for (text, want) in
            [("80%", Some(0.8)), ("99.9 %", Some(0.999)), ("80", None), ("-1%", None), ("%", None)]
        {
            let found = share(text);
            assert!(found.zip(want).is_none_or(|(a, b)| (a - b).abs() < 1e-12), "{text}: {found:?}");
            assert_eq!(found.is_some(), want.is_some(), "{text}");
        }
        for (text, resource, want) in [
            ("800m", Resource::Cpu, Some(800.0)),
            ("1.5", Resource::Cpu, Some(1500.0)),
            ("512Mi", Resource::Memory, Some(536_870_912.0)),
            ("512MiB", Resource::Memory, Some(536_870_912.0)),
            ("2GB", Resource::Disk, Some(2e9)),
            ("100", Resource::Memory, Some(100.0)),
            ("100B", Resource::Memory, Some(100.0)),
            ("50MB/s", Resource::DiskIo, Some(5e7)),
            ("50MB", Resource::DiskIo, None),
            ("inf", Resource::Cpu, None),
            ("1e9", Resource::Memory, None),
            ("", Resource::Cpu, None),
        ] {
            assert_eq!(amount(text, resource), want, "{text} of {}", resource.name());
        }
    }
}
