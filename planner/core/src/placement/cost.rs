//! What a layout costs, in one unit: tier-weighted requests per second at risk.
use serde::{Deserialize, Serialize};

/// Cost of a layout, or a change of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Requests that would be slow: tier weight, times probability of a breach, times throughput; and what overfull
    /// nodes add.
    pub risk: f64,
    /// Calls per second times milliseconds between their ends, as requests.
    pub network: f64,
    /// Price of the nodes by the share of them that replicas ask for or use, as requests.
    pub money: f64,
    /// The moves themselves.
    pub disruption: f64,
}

impl Cost {
    /// The sum; lower is better.
    pub fn total(&self) -> f64 {
        self.risk + self.network + self.money + self.disruption
    }
}
