//! Processor sharing: how long a request takes when it shares a node's CPU with everything else on it.

/// CPU time of one request in milliseconds of one full core, from CPU use and throughput. A millicore is one
/// millisecond of core time per second, so the quotient needs no factor (the utilisation law, Denning and Buzen
/// 1978). `None` without throughput, or where CPU use was not noticeable.
pub fn demand_core_ms(used_millicores: f64, throughput_rps: f64) -> Option<f64> {
    let demand = used_millicores / throughput_rps;
    (throughput_rps > 0.0 && demand.is_finite() && demand > 0.0).then_some(demand)
}

/// Latency in milliseconds at a quantile for a request that needs `demand_core_ms` on a node whose CPU is in use up
/// to `utilisation` by everything, the request's own workload included. `None` when the node is saturated.
///
/// Mean: `D / (1 - utilisation)`, which holds for M/G/1 processor sharing whatever the distribution of demand
/// (Kleinrock 1967, "Time-shared systems: a theoretical treatment"). `D` is the demand at the full speed of one core,
/// or of the node where it has less than one: a request is taken to use one core at a time and nothing but CPU.
/// On nodes with many cores this overstates the slowdown at low use, the same on both ends of a move.
///
/// Quantile: `mean * ln(1 / (1 - q))`, an exponential tail: exact for exponential demand in the limit of heavy
/// traffic, an approximation else, which calibration against measured latency corrects.
pub fn latency_ms(
    demand_core_ms: f64,
    capacity_millicores: f64,
    utilisation: f64,
    quantile: f64,
) -> Option<f64> {
    if utilisation >= 1.0 || capacity_millicores <= 0.0 {
        return None;
    }
    let speed = (capacity_millicores / 1e3).min(1.0);
    let mean = demand_core_ms / speed / (1.0 - utilisation);
    let latency = mean * -(1.0 - quantile).ln();
    latency.is_finite().then_some(latency)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-9 * b.abs().max(1.0))
    }

    #[test]
    fn demand_is_cpu_over_throughput() {
        assert!(close(demand_core_ms(500.0, 100.0), 5.0));
        assert_eq!(demand_core_ms(500.0, 0.0), None);
        assert_eq!(demand_core_ms(0.0, 100.0), None);
        assert_eq!(demand_core_ms(f64::NAN, 100.0), None);
    }

    #[test]
    fn latency_rises_with_use_and_ends_in_saturation() {
        let tail = 100f64.ln();
        let cases = [
            ("idle node", 1000.0, 0.0, Some(10.0 * tail)),
            ("half in use", 1000.0, 0.5, Some(20.0 * tail)),
            ("more cores do not speed one request up", 8000.0, 0.5, Some(20.0 * tail)),
            ("half a core takes twice as long", 500.0, 0.5, Some(40.0 * tail)),
            ("full", 1000.0, 1.0, None),
            ("more than full", 1000.0, 1.3, None),
            ("no CPU at all", 0.0, 0.0, None),
        ];
        for (name, capacity, utilisation, want) in cases {
            let got = latency_ms(10.0, capacity, utilisation, 0.99);
            match want {
                Some(want) => assert!(close(got, want), "case: {name}: {got:?}, want {want}"),
                None => assert_eq!(got, None, "case: {name}"),
            }
        }
        assert!(close(latency_ms(10.0, 1000.0, 0.0, 0.5), 10.0 * 2f64.ln()));
    }
}
