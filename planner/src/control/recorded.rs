//! What was last recorded of each service, so that a decision that did not change is counted and not repeated.
use foremesh_core::time::Timestamp;
use std::collections::BTreeMap;

/// What is only shown and comes back after so many steps at most is no news. Forecasts change with each step, so one that is
/// close to a limit may be beyond it in one step and not in the next.
pub(super) const BACK_WITHIN_STEPS: usize = 5;

/// Whether a decision is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is another one.
    New,
    /// It is the same as in the pass before; this pass recorded it.
    Unchanged(u64),
    /// What is only shown was gone for a moment and is back; this pass recorded it.
    Back(u64),
}

/// A decision as it was recorded.
#[derive(Clone, Debug)]
struct Last {
    kind: String,
    pass: u64,
}

/// The last decision of each service.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    last: BTreeMap<String, Last>,
    /// Of those that are only shown the last ones, with when they last stood.
    shown: BTreeMap<String, (Last, Timestamp)>,
}

impl Recorded {
    /// Takes note of what `pass` decided for a service at a time. `kind` is what makes it another decision; `shown` says
    /// that it is only shown, which is forgotten when it did not stand for `back_within_ms` milliseconds.
    pub(super) fn news(
        &mut self,
        service: &str,
        kind: String,
        shown: bool,
        (pass, now, back_within_ms): (u64, Timestamp, i64),
    ) -> News {
        let before = self.last.get(service).filter(|last| last.kind == kind).map(|last| last.pass);
        let stood = self.shown.get(service).filter(|(last, at)| {
            shown && last.kind == kind && (0..=back_within_ms).contains(&now.ms_since(*at))
        });
        let stood = stood.map(|(last, _)| last.pass);
        let news = match (before, stood) {
            (Some(since), _) => News::Unchanged(since),
            (None, Some(recorded)) => News::Back(recorded),
            (None, None) => News::New,
        };
        if shown {
            let recorded = stood.or(before).unwrap_or(pass);
            self.shown.insert(service.to_owned(), (Last { kind: kind.clone(), pass: recorded }, now));
        }
        if before.is_none() {
            self.last.insert(service.to_owned(), Last { kind, pass });
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn what_comes_back_soon_is_no_news() {
        /// Minute, what is decided, whether it is only shown, whether that is news.
        type Pass = (i64, &'static str, bool, News);
        let cases: &[(&str, &[Pass])] = &[
            (
                "gone for one step",
                &[
                    (0, "recommend a b", true, News::New),
                    (1, "recommend a b", true, News::Unchanged(0)),
                    (2, "nothing", false, News::New),
                    (3, "recommend a b", true, News::Back(0)),
                    (4, "recommend a b", true, News::Unchanged(3)),
                    (5, "nothing", false, News::New),
                    (6, "recommend a b", true, News::Back(0)),
                ],
            ),
            (
                "gone for longer",
                &[
                    (0, "recommend a b", true, News::New),
                    (1, "nothing", false, News::New),
                    (6, "recommend a b", true, News::New),
                ],
            ),
            (
                "another target meanwhile",
                &[
                    (0, "recommend a b", true, News::New),
                    (1, "recommend a c", true, News::New),
                    (2, "recommend a b", true, News::New),
                ],
            ),
            (
                "what is carried out is always news",
                &[
                    (0, "move 1", false, News::New),
                    (1, "nothing", false, News::New),
                    (2, "move 1", false, News::New),
                ],
            ),
            (
                "the clock was set back",
                &[
                    (9, "recommend a b", true, News::New),
                    (9, "nothing", false, News::New),
                    (1, "recommend a b", true, News::New),
                ],
            ),
        ];
        for (name, passes) in cases {
            let mut recorded = Recorded::default();
            for (pass, (minute, kind, shown, want)) in (0..).zip(*passes) {
                let at = (pass, Timestamp::from_unix_ms(minute * MINUTE), 5 * MINUTE);
                let got = recorded.news("shop", (*kind).to_owned(), *shown, at);
                assert_eq!(got, *want, "case: {name}, pass {pass}");
            }
        }
    }
}
