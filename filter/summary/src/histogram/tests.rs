use super::*;
use proptest::prelude::*;

fn histogram_of(values: &[(u64, u64)]) -> Histogram<u64> {
    let mut histogram = Histogram::new(SIGNIFICANT_DIGITS).unwrap();
    for (value, count) in values {
        histogram.record_n(*value, *count).unwrap();
    }
    histogram
}

fn values() -> impl Strategy<Value = Vec<(u64, u64)>> {
    // The exponent is drawn evenly, so that small and large latencies are as likely as each other.
    let value = (0_u32..=40, any::<u64>()).prop_map(|(bits, raw)| raw & ((1_u64 << bits) - 1));
    prop::collection::vec((value, 1_u64..1_000_000), 0..60)
}

proptest! {
    #[test]
    fn encode_then_decode_gives_the_same_histogram(values in values()) {
        let histogram = histogram_of(&values);
        let bytes = encode_histogram(&histogram).unwrap();
        prop_assert_eq!(validate_v2(&bytes), Ok(histogram.len()));
        prop_assert_eq!(decode_histogram(&bytes).unwrap(), histogram);
    }

    #[test]
    fn accumulator_agrees_with_the_library(a in values(), b in values(), quantile in 0.0..=1.0_f64) {
        let (ha, hb) = (histogram_of(&a), histogram_of(&b));
        let mut sum = Accumulator::new();
        prop_assert_eq!(merge_v2(&mut sum, &encode_histogram(&ha).unwrap()), Ok(ha.len()));
        merge_v2(&mut sum, &encode_histogram(&hb).unwrap()).unwrap();
        let mut merged = histogram_of(&[]);
        merge_histogram(&mut merged, &ha).unwrap();
        merge_histogram(&mut merged, &hb).unwrap();
        prop_assert_eq!(sum.count(), merged.len());
        let again = decode_histogram(&sum.encode()).unwrap();
        prop_assert_eq!(&again, &merged);
        if !merged.is_empty() {
            prop_assert_eq!(sum.quantile(quantile), Some(merged.value_at_quantile(quantile)));
        }
    }

    #[test]
    fn accumulator_records_as_the_library_does(values in values()) {
        let mut sum = Accumulator::new();
        let mut histogram = histogram_of(&[]);
        for (value, _) in values {
            sum.record(value);
            histogram.record(value).unwrap();
        }
        prop_assert_eq!(decode_histogram(&sum.encode()).unwrap(), histogram);
    }

    #[test]
    fn hostile_counts_never_panic(counts in prop::collection::vec(any::<u8>(), 0..200), highest in any::<u64>()) {
        let mut bytes = encode_histogram(&histogram_of(&[])).unwrap();
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(&counts);
        bytes[4..8].copy_from_slice(&(counts.len() as u32).to_be_bytes());
        for highest in [highest, highest % MAX_HIGHEST_US, 2, 255, 256] {
            bytes[24..32].copy_from_slice(&highest.to_be_bytes());
            // What passes the check must be what the library reads.
            if let Ok(count) = validate_v2(&bytes) {
                prop_assert_eq!(decode_histogram(&bytes).unwrap().len(), count);
            }
        }
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(validate_v2(&bytes).is_err());
        prop_assert!(decode_histogram(&bytes).is_err());
    }
}

#[test]
fn a_bucket_knows_its_values() {
    for value in (0..100_000).chain((17..40).map(|bits| (1 << bits) + 12_345)) {
        let bucket = bucket_of(value);
        assert!(lowest_of(bucket) <= value && value < lowest_of(bucket + 1), "{value} in bucket {bucket}");
        assert!(bucket < buckets(value.max(2)), "{value}");
    }
}

#[test]
fn each_bad_header_part_is_named_with_its_remedy() {
    let good = encode_histogram(&histogram_of(&[(1234, 5)])).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        validate_v2(&bad).unwrap_err().to_string()
    };
    let shape = "encode as V2, not compressed, 2 significant digits, lowest value 1";
    let cases = [
        (with(0, &[0; 4]), format!("HDR V2 histogram: cookie is 0, must be 478450451: {shape}")),
        (with(8, &[0, 0, 0, 7]), format!("HDR V2 histogram: normalizing offset is 7, must be 0: {shape}")),
        (with(12, &[0, 0, 0, 5]), format!("HDR V2 histogram: significant digits is 5, must be 2: {shape}")),
        (
            with(24, &[255; 8]),
            "HDR V2 histogram: highest trackable value is 18446744073709551615, must be 1099511627776: clamp \
             latencies to 2^40 microseconds"
                .to_owned(),
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    assert!(matches!(validate_v2(&good[..20]), Err(HistogramError::Truncated { .. })));
    let payload = with(4, &[0x7f, 0xff, 0xff, 0xff]);
    assert!(payload.contains("payload length in bytes is 2147483647"), "{payload}");
}

#[test]
fn counts_beyond_the_bounds_are_refused() {
    let mut bytes = encode_histogram(&histogram_of(&[])).unwrap();
    bytes.truncate(HEADER_BYTES);
    let mut with = |numbers: &[i64]| {
        bytes.truncate(HEADER_BYTES);
        for number in numbers {
            write_number(*number, &mut bytes);
        }
        let payload = (bytes.len() - HEADER_BYTES) as u32;
        bytes[4..8].copy_from_slice(&payload.to_be_bytes());
        validate_v2(&bytes)
    };
    assert_eq!(with(&[-3, 5]), Ok(5));
    assert!(matches!(with(&[i64::MIN, 5]), Err(HistogramError::Counts { .. })));
    assert!(matches!(with(&[-1_000_000, 5]), Err(HistogramError::Counts { .. })));
    assert!(matches!(with(&[i64::MAX, 1]), Err(HistogramError::Counts { .. })));
}
