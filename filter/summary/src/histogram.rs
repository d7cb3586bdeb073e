//! Latency histograms in the HDR V2 encoding: check, decode, encode and merge.
//!
//! Only one shape is in use: 2 significant digits (so a value is known to 1/128, that is 0.79 %), lowest value 1,
//! not compressed. Two histograms of that shape have the same buckets whatever their highest value, so adding
//! their counts is an exact merge. The encoding is that of the `HdrHistogram` libraries
//! (`HdrHistogram_c/src/hdr_histogram_log.c`): a header of 40 bytes, then zig-zag LEB128-64b9B numbers, where a
//! positive number is the count of the next bucket and a negative one skips so many empty buckets.
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

/// First word of an uncompressed V2 histogram: V2 base cookie 3 with word size 1 (`0x1c84_9300 | 3 | 0x10`).
const COOKIE: u32 = 0x1c84_9313;
/// Bytes before the counts.
const HEADER_BYTES: usize = 40;
/// Significant decimal digits of every histogram.
pub const SIGNIFICANT_DIGITS: u8 = 2;
/// Buckets of the first range, one for each value: 2^ceil(log2(2 · 10^digits)).
const FIRST_RANGE: u64 = 256;
/// Buckets of each further range, which spans one power of two.
const RANGE: usize = 128;
/// Highest value that an encoded histogram may track: 2^40 µs is 12.7 days.
pub const MAX_HIGHEST_US: u64 = 1 << 40;
/// Most bytes of one encoded histogram. All buckets to [`MAX_HIGHEST_US`] filled with 32-bit counts take 22 kB.
pub const MAX_HISTOGRAM_BYTES: usize = 64 * 1024;

/// Why bytes are not a histogram that the planner can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramError {
    /// A part of the encoding has a value that is not allowed.
    #[error("HDR V2 histogram: {part} is {value}, must be {limit}: {remedy}")]
    Part {
        /// The part of the encoding.
        part: &'static str,
        /// Its value.
        value: u64,
        /// What it may be.
        limit: u64,
        /// What the sender has to do.
        remedy: &'static str,
    },
    /// The bytes end in the middle of the header or of a number.
    #[error("HDR V2 histogram: {bytes} bytes end inside {part}: send the whole encoding")]
    Truncated {
        /// What is cut.
        part: &'static str,
        /// Bytes that are there.
        bytes: usize,
    },
    /// More counts than the highest value has buckets, or than a 64-bit count can hold.
    #[error("HDR V2 histogram: counts go beyond {what}: encode the histogram with an HdrHistogram library")]
    Counts {
        /// The bound that is exceeded.
        what: &'static str,
    },
    /// The HDR library refused what the checks here let pass.
    #[error("HDR V2 histogram cannot be built: encode it with an HdrHistogram library")]
    Library,
}

/// Buckets that a histogram with this highest value has.
fn buckets(highest: u64) -> usize {
    // Each further range doubles what the first one covers.
    let ranges = 64 - (highest | (FIRST_RANGE - 1)).leading_zeros() as usize - 8;
    (ranges + 2) * RANGE
}

/// Bucket of a value.
fn bucket_of(value: u64) -> usize {
    let range = (64 - (value | (FIRST_RANGE - 1)).leading_zeros() - 8) as usize;
    range * RANGE + (value >> range) as usize
}

/// Lowest value of a bucket.
fn lowest_of(bucket: usize) -> u64 {
    let range = (bucket / RANGE).saturating_sub(1);
    ((bucket - range * RANGE) as u64) << range
}

/// Reads the big-endian word of `N` bytes at `at`.
fn word<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], HistogramError> {
    bytes
        .get(at..at + N)
        .and_then(|slice| slice.try_into().ok())
        .ok_or(HistogramError::Truncated { part: "the header", bytes: bytes.len() })
}

/// Requires one value of a header part.
fn require(part: &'static str, value: u64, limit: u64) -> Result<(), HistogramError> {
    if value == limit {
        return Ok(());
    }
    Err(HistogramError::Part {
        part,
        value,
        limit,
        remedy: "encode as V2, not compressed, 2 significant digits, lowest value 1",
    })
}

/// Checks the header; gives the highest value and the bytes of the counts.
fn parse_header(bytes: &[u8]) -> Result<(u64, &[u8]), HistogramError> {
    if bytes.len() > MAX_HISTOGRAM_BYTES {
        return Err(HistogramError::Part {
            part: "length in bytes",
            value: bytes.len() as u64,
            limit: MAX_HISTOGRAM_BYTES as u64,
            remedy: "a histogram of this shape is smaller; send fewer bytes",
        });
    }
    require("cookie", u64::from(u32::from_be_bytes(word(bytes, 0)?)), u64::from(COOKIE))?;
    let payload = u64::from(u32::from_be_bytes(word(bytes, 4)?));
    require("normalizing offset", u64::from(u32::from_be_bytes(word(bytes, 8)?)), 0)?;
    let digits = u64::from(u32::from_be_bytes(word(bytes, 12)?));
    require("significant digits", digits, u64::from(SIGNIFICANT_DIGITS))?;
    require("lowest discernible value", u64::from_be_bytes(word(bytes, 16)?), 1)?;
    let highest = u64::from_be_bytes(word(bytes, 24)?);
    if !(2..=MAX_HIGHEST_US).contains(&highest) {
        return Err(HistogramError::Part {
            part: "highest trackable value",
            value: highest,
            limit: if highest < 2 { 2 } else { MAX_HIGHEST_US },
            remedy: "clamp latencies to 2^40 microseconds",
        });
    }
    require("bits of the int to double ratio", u64::from_be_bytes(word(bytes, 32)?), 1.0_f64.to_bits())?;
    let counts = bytes.get(HEADER_BYTES..).unwrap_or_default();
    if payload != counts.len() as u64 {
        return Err(HistogramError::Part {
            part: "payload length in bytes",
            value: payload,
            limit: counts.len() as u64,
            remedy: "send the whole encoding and nothing after it",
        });
    }
    Ok((highest, counts))
}

/// Reads one zig-zag LEB128-64b9B number; gives it and the rest.
#[inline]
fn read_number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut value = 0_u64;
    for at in 0..9 {
        let byte = *bytes.get(at)?;
        if at == 8 {
            // The ninth byte is taken whole: 8 · 7 + 8 = 64 bits.
            value |= u64::from(byte) << 56;
        } else {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 != 0 {
                continue;
            }
        }
        let number = (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
        return Some((number, bytes.get(at + 1..).unwrap_or_default()));
    }
    None
}

/// Walks the non-empty buckets of an encoded histogram; `visit` gets bucket and count. Gives the total.
fn walk(bytes: &[u8], mut visit: impl FnMut(usize, u64)) -> Result<u64, HistogramError> {
    let (highest, mut rest) = parse_header(bytes)?;
    let end = buckets(highest);
    let mut bucket = 0_usize;
    let mut total = 0_u64;
    while let Some((&first, after_first)) = rest.split_first() {
        // Most numbers are one byte long, and this loop is what the planner does most.
        let (number, after) = if first < 0x80 {
            (i64::from(first >> 1) ^ -i64::from(first & 1), after_first)
        } else {
            read_number(rest).ok_or(HistogramError::Truncated { part: "a count", bytes: bytes.len() })?
        };
        rest = after;
        let step = if number < 0 { usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX) } else { 1 };
        let next = bucket.saturating_add(step);
        if next > end {
            return Err(HistogramError::Counts { what: "the bucket of the highest value" });
        }
        if number > 0 {
            total = total
                .checked_add(number.unsigned_abs())
                .filter(|total| i64::try_from(*total).is_ok())
                .ok_or(HistogramError::Counts { what: "a total of 2^63 - 1" })?;
            visit(bucket, number.unsigned_abs());
        }
        bucket = next;
    }
    Ok(total)
}

/// Checks an encoded histogram without building it, and gives the number of values in it.
///
/// # Errors
/// Any part of the header or the counts that is not of the one allowed shape.
pub fn validate_v2(bytes: &[u8]) -> Result<u64, HistogramError> {
    walk(bytes, |_, _| {})
}

/// Decodes a histogram after the checks of [`validate_v2`].
///
/// # Errors
/// As [`validate_v2`].
pub fn decode_histogram(bytes: &[u8]) -> Result<Histogram<u64>, HistogramError> {
    validate_v2(bytes)?;
    let mut reader = bytes;
    let mut histogram: Histogram<u64> =
        Deserializer::new().deserialize(&mut reader).map_err(|_| HistogramError::Library)?;
    histogram.auto(true);
    Ok(histogram)
}

/// Encodes a histogram of 2 significant digits as V2, not compressed.
///
/// # Errors
/// A histogram of another shape, or counts above 2^63 - 1.
pub fn encode_histogram(histogram: &Histogram<u64>) -> Result<Vec<u8>, HistogramError> {
    require("significant digits", u64::from(histogram.sigfig()), u64::from(SIGNIFICANT_DIGITS))?;
    require("lowest discernible value", histogram.low(), 1)?;
    let mut out = Vec::new();
    V2Serializer::new().serialize(histogram, &mut out).map_err(|_| HistogramError::Library)?;
    Ok(out)
}

/// Adds the values of `from` to `into`, exactly; `into` grows as needed.
///
/// # Errors
/// A histogram of another shape than 2 significant digits from 1.
pub fn merge_histogram(into: &mut Histogram<u64>, from: &Histogram<u64>) -> Result<(), HistogramError> {
    for histogram in [&*into, from] {
        require("significant digits", u64::from(histogram.sigfig()), u64::from(SIGNIFICANT_DIGITS))?;
        require("lowest discernible value", histogram.low(), 1)?;
    }
    into.auto(true);
    into.add(from).map_err(|_| HistogramError::Library)
}

/// The sum of many encoded histograms, without building each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accumulator {
    counts: Vec<u64>,
    total: u64,
}

/// Adds an encoded histogram; gives the number of values added. An invalid one adds nothing.
///
/// # Errors
/// As [`validate_v2`], and a total above 2^63 - 1.
pub fn merge_v2(into: &mut Accumulator, bytes: &[u8]) -> Result<u64, HistogramError> {
    let added = validate_v2(bytes)?;
    let total = into
        .total
        .checked_add(added)
        .filter(|total| i64::try_from(*total).is_ok())
        .ok_or(HistogramError::Counts { what: "a total of 2^63 - 1" })?;
    walk(bytes, |bucket, count| into.add(bucket, count))?;
    into.total = total;
    Ok(added)
}

/// [`merge_v2`] in one pass instead of two, for bytes that were checked before, or for a sum that is dropped on an
/// error: after one, a part of the values may have been added.
///
/// # Errors
/// As [`merge_v2`].
pub fn merge_checked(into: &mut Accumulator, bytes: &[u8]) -> Result<u64, HistogramError> {
    let added = walk(bytes, |bucket, count| into.add(bucket, count))?;
    into.total = into
        .total
        .checked_add(added)
        .filter(|total| i64::try_from(*total).is_ok())
        .ok_or(HistogramError::Counts { what: "a total of 2^63 - 1" })?;
    Ok(added)
}

impl Accumulator {
    /// An empty sum.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Takes all values out, and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.counts.clear();
        self.total = 0;
    }

    /// Adds one value, clamped to [`MAX_HIGHEST_US`].
    pub fn record(&mut self, value_us: u64) {
        self.add(bucket_of(value_us.min(MAX_HIGHEST_US)), 1);
        self.total = self.total.saturating_add(1);
    }

    fn add(&mut self, bucket: usize, count: u64) {
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        if let Some(cell) = self.counts.get_mut(bucket) {
            *cell = cell.saturating_add(count);
        }
    }

    /// Smallest value that at least `quantile` (0 to 1) of the values do not exceed, as the highest value of its
    /// bucket: the same answer as `hdrhistogram::Histogram::value_at_quantile`. `None` when there is no value.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        let rank = ((quantile.clamp(0.0, 1.0) * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0_u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return Some(lowest_of(bucket + 1) - 1);
            }
        }
        None
    }

    /// Adds all values of another sum.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (cell, count) in self.counts.iter_mut().zip(&other.counts) {
            *cell = cell.saturating_add(*count);
        }
        self.total = self.total.saturating_add(other.total);
    }

    /// [`Self::quantile`] for several quantiles, given in ascending order, in one pass.
    pub fn quantiles<const N: usize>(&self, ascending: [f64; N]) -> Option<[u64; N]> {
        if self.total == 0 {
            return None;
        }
        let mut ranks = ascending
            .map(|quantile| ((quantile.clamp(0.0, 1.0) * self.total as f64).ceil() as u64).max(1))
            .into_iter();
        let mut values = [0; N];
        let mut seen = 0_u64;
        let mut cells = self.counts.iter().enumerate();
        let mut highest = 0;
        for value in &mut values {
            let rank = ranks.next().unwrap_or(self.total);
            while seen < rank {
                let Some((bucket, count)) = cells.next() else { break };
                seen = seen.saturating_add(*count);
                highest = bucket;
            }
            *value = lowest_of(highest + 1) - 1;
        }
        Some(values)
    }

    /// The sum as V2, not compressed; the same bytes as [`encode_histogram`] of the same values gives, but for the
    /// highest trackable value in the header.
    pub fn encode(&self) -> Vec<u8> {
        let used = self.counts.iter().rposition(|count| *count > 0).map_or(1, |last| last + 1);
        let highest = (lowest_of(used) - 1).clamp(2, MAX_HIGHEST_US);
        let mut out = Vec::with_capacity(HEADER_BYTES + used);
        out.extend_from_slice(&COOKIE.to_be_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&u32::from(SIGNIFICANT_DIGITS).to_be_bytes());
        out.extend_from_slice(&1_u64.to_be_bytes());
        out.extend_from_slice(&highest.to_be_bytes());
        out.extend_from_slice(&1.0_f64.to_be_bytes());
        let mut zeros = 0_i64;
        let flush = |zeros: &mut i64, out: &mut Vec<u8>| match std::mem::take(zeros) {
            0 => {}
            1 => write_number(0, out),
            many => write_number(-many, out),
        };
        for count in self.counts.iter().take(used) {
            if *count == 0 {
                zeros += 1;
            } else {
                flush(&mut zeros, &mut out);
                write_number(i64::try_from(*count).unwrap_or(i64::MAX), &mut out);
            }
        }
        flush(&mut zeros, &mut out);
        let payload = u32::try_from(out.len() - HEADER_BYTES).unwrap_or(u32::MAX);
        if let Some(length) = out.get_mut(4..8) {
            length.copy_from_slice(&payload.to_be_bytes());
        }
        out
    }
}

/// Writes one zig-zag LEB128-64b9B number.
fn write_number(number: i64, out: &mut Vec<u8>) {
    let mut value = ((number << 1) ^ (number >> 63)).cast_unsigned();
    for _ in 0..8 {
        if value < 0x80 {
            out.push(value as u8);
            return;
        }
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests;
