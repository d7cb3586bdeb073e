//! Questions about the mesh as people and programs write them: of the API, and of `foremesh simulate`.
use crate::api::parse_time;
use foremesh_core::{
    time::Timestamp,
    what_if::{AskedMove, Question},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

const DAY_MS: i64 = 24 * 3_600_000;

/// What would be, if.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WhatIf {
    /// Moves that are made, one after the other.
    pub moves: Vec<WhatIfMove>,
    /// The moment to look at, within the longest look-ahead of a rule: RFC 3339, or `18:00` for the next one in UTC. The
    /// worst moment of each service when not given.
    pub at: Option<String>,
    /// Load of services as factors of their forecasts; whom they call gets more in proportion.
    pub load: BTreeMap<String, f64>,
    /// Nodes that fail.
    pub node_down: BTreeSet<String>,
}

/// One move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIfMove {
    /// What moves.
    pub workload: String,
    /// Which replica; when not given one on a failed node, else the first that is not there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// Where it goes.
    pub to: String,
}

/// Why a question cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not a moment.
    #[error("`{0}` is no moment; write it as 18:00 (UTC) or as 2026-11-24T18:00:00Z")]
    Moment(String),
    /// Not a move.
    #[error("`{0}` is no move; write it as WORKLOAD=NODE or WORKLOAD/REPLICA=NODE")]
    Move(String),
    /// Not a load.
    #[error("`{0}` is no load; write it as SERVICE=FACTOR, such as cart=1.5")]
    Load(String),
}

impl WhatIf {
    /// From the texts of a command line.
    ///
    /// # Errors
    /// [`Unreadable`] with the first text that cannot be read.
    pub fn parse(
        moves: &[String],
        load: &[String],
        node_down: &[String],
        at: Option<&str>,
    ) -> Result<Self, Unreadable> {
        let moved = |text: &String| {
            let (what, to) = text.rsplit_once('=').filter(|(what, to)| !what.is_empty() && !to.is_empty())?;
            // Names of workloads may have slashes themselves, as in `shop/cart`: a replica follows the last one, and
            // only where two are written.
            let (workload, replica) = match what
                .rsplit_once("//")
                .or_else(|| (what.matches('/').count() == 1).then(|| what.rsplit_once('/')).flatten())
            {
                Some((workload, replica)) => (workload, Some(replica.to_owned())),
                None => (what, None),
            };
            Some(WhatIfMove { workload: workload.to_owned(), replica, to: to.to_owned() })
        };
        let loaded = |text: &String| {
            let (service, factor) = text.rsplit_once('=')?;
            Some((service.to_owned(), factor.parse().ok()?))
        };
        Ok(Self {
            moves: each(moves, moved, Unreadable::Move)?,
            load: each(load, loaded, Unreadable::Load)?.into_iter().collect(),
            node_down: node_down.iter().cloned().collect(),
            at: at.map(str::to_owned),
        })
    }

    /// The question to the core, for inputs of the moment `now`.
    ///
    /// # Errors
    /// [`Unreadable::Moment`] when the moment cannot be read.
    pub fn question(&self, now: Timestamp) -> Result<Question, Unreadable> {
        let moment = |text: &String| moment(text, now).ok_or_else(|| Unreadable::Moment(text.clone()));
        Ok(Question {
            moves: self
                .moves
                .iter()
                .map(|asked| AskedMove {
                    workload: asked.workload.as_str().into(),
                    replica: asked.replica.as_deref().map(Into::into),
                    to: asked.to.as_str().into(),
                })
                .collect(),
            at: self.at.as_ref().map(moment).transpose()?,
            load: self.load.iter().map(|(service, factor)| (service.as_str().into(), *factor)).collect(),
            node_down: self.node_down.iter().map(|node| node.as_str().into()).collect(),
        })
    }
}

fn each<T>(
    texts: &[String],
    read: impl Fn(&String) -> Option<T>,
    wrong: fn(String) -> Unreadable,
) -> Result<Vec<T>, Unreadable> {
    texts.iter().map(|text| read(text).ok_or_else(|| wrong(text.clone()))).collect()
}

/// A moment as RFC 3339, or the next time of day in UTC.
fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(at) = parse_time(text) {
        return Some(at);
    }
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if !(0..24).contains(&hours) || !(0..60).contains(&minutes) {
        return None;
    }
    let midnight = now.unix_ms().div_euclid(DAY_MS) * DAY_MS;
    let at = midnight + (hours * 60 + minutes) * 60_000;
    Some(Timestamp::from_unix_ms(if at < now.unix_ms() { at + DAY_MS } else { at }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_ms(20_000 * DAY_MS + DAY_MS / 2);

    #[test]
    fn moments_are_times_of_day_or_whole() {
        for (text, ahead_min) in [
            ("12:00", Some(0)),
            ("12:30", Some(30)),
            ("11:59", Some(24 * 60 - 1)),
            ("24:00", None),
            ("12:60", None),
            ("noon", None),
        ] {
            let found = moment(text, NOON).map(|at| at.ms_since(NOON) / 60_000);
            assert_eq!(found, ahead_min, "{text}");
        }
        let whole = moment("2026-11-24T18:00:00Z", NOON).unwrap();
        assert_eq!(whole.unix_ms() % DAY_MS, 18 * 3_600_000);
    }

    #[test]
    fn words_of_the_command_line_become_a_question() {
        let words = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let asked = WhatIf::parse(
            &words(&["cart=b", "cart/cart-7=c", "shop/web//web-1=d"]),
            &words(&["cart=1.5"]),
            &words(&["a"]),
            Some("18:00"),
        )
        .unwrap();
        let moved = |at: usize| {
            let WhatIfMove { workload, replica, to } = &asked.moves[at];
            (workload.as_str(), replica.as_deref(), to.as_str())
        };
        assert_eq!(moved(0), ("cart", None, "b"));
        assert_eq!(moved(1), ("cart", Some("cart-7"), "c"));
        assert_eq!(moved(2), ("shop/web", Some("web-1"), "d"));
        assert_eq!(asked.load["cart"].to_bits(), 1.5f64.to_bits());
        let question = asked.question(NOON).unwrap();
        assert_eq!(question.at.unwrap().ms_since(NOON), 6 * 3_600_000);
        for (moves, load, wrong) in [
            (words(&["cart"]), vec![], Unreadable::Move("cart".to_owned())),
            (words(&["=b"]), vec![], Unreadable::Move("=b".to_owned())),
            (vec![], words(&["cart=much"]), Unreadable::Load("cart=much".to_owned())),
        ] {
            assert_eq!(WhatIf::parse(&moves, &load, &[], None), Err(wrong));
        }
        let late = WhatIf { at: Some("late".to_owned()), ..WhatIf::default() };
        assert!(late.question(NOON).unwrap_err().to_string().contains("write it as 18:00"));
    }
}
