//! How long the audit trail goes back.
use super::{Audit, AuditError};
use foremesh_core::time::Timestamp;
use rusqlite::params;
use std::sync::PoisonError;

/// Three limits, each a time before which rows of one kind may be deleted. The row is written before anything is
/// deleted, so the triggers hold with it and it tells how far back the trail is whole.
///
/// A pass is idle when it recorded no service, because nothing changed: it says only that the planner looked. Rows of a
/// plan and its rollouts are few, and are what `explain` is asked about. The newest plan stays: its generation counts on.
pub(super) const SCHEMA: &str = "
CREATE TABLE kept_since (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    plans_ms INTEGER NOT NULL,
    others_ms INTEGER NOT NULL,
    idle_ms INTEGER NOT NULL
);
INSERT INTO kept_since VALUES (1, 0, 0, 0);
ALTER TABLE audit ADD COLUMN idle INTEGER
    AS (kind = 'decision' AND plan IS NULL AND json_array_length(record, '$.services') = 0) VIRTUAL;
CREATE INDEX audit_by_time ON audit (at_ms) WHERE plan IS NULL;
CREATE INDEX audit_plans_by_time ON audit (at_ms) WHERE plan IS NOT NULL;
CREATE INDEX audit_idle_by_time ON audit (at_ms) WHERE idle;
DROP TRIGGER audit_is_never_deleted;
CREATE TRIGGER audit_is_not_deleted_before_its_time BEFORE DELETE ON audit
WHEN NOT (
    CASE
        WHEN OLD.plan IS NOT NULL THEN OLD.at_ms < (SELECT plans_ms FROM kept_since)
        WHEN OLD.idle THEN OLD.at_ms < (SELECT max(idle_ms, others_ms) FROM kept_since)
        ELSE OLD.at_ms < (SELECT others_ms FROM kept_since)
    END
    AND NOT (OLD.kind = 'plan' AND OLD.id = (SELECT max(id) FROM audit WHERE kind = 'plan'))
)
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
";

/// How long records are kept, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditRetention {
    /// Plans, and everything about them.
    pub plans_ms: i64,
    /// Passes, and what happened.
    pub others_ms: i64,
    /// Passes in which nothing changed.
    pub idle_ms: i64,
    /// What plans were made from.
    pub records_ms: i64,
}

impl Audit {
    /// Deletes what is over its retention at `now`, the oldest first and at most `limit` rows of each kind; gives how
    /// many.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn forget(&self, now: Timestamp, kept: AuditRetention, limit: u32) -> Result<usize, AuditError> {
        let since = |ms: i64| now.plus_ms(-ms).unix_ms();
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut work = || -> rusqlite::Result<usize> {
            let transaction = connection.transaction()?;
            // A clock that goes back does not take back what was allowed.
            transaction.execute(
                "UPDATE kept_since SET plans_ms = max(plans_ms, ?1), others_ms = max(others_ms, ?2),
                 idle_ms = max(idle_ms, ?3), records_ms = max(records_ms, ?4)",
                params![
                    since(kept.plans_ms),
                    since(kept.others_ms),
                    since(kept.idle_ms),
                    since(kept.records_ms)
                ],
            )?;
            let mut deleted = 0;
            for (which, limit_column) in [
                ("idle", "idle_ms"),
                ("plan IS NULL", "others_ms"),
                (
                    "plan IS NOT NULL AND NOT (kind = 'plan' AND id = (SELECT max(id) FROM audit WHERE kind = 'plan'))",
                    "plans_ms",
                ),
            ] {
                deleted += transaction
                    .prepare_cached(&format!(
                        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE {which}
                         AND at_ms < (SELECT {limit_column} FROM kept_since) ORDER BY at_ms LIMIT ?1)"
                    ))?
                    .execute([limit])?;
            }
            deleted += transaction
                .prepare_cached(
                    "DELETE FROM decision_record WHERE plan IN (SELECT plan FROM decision_record
                     WHERE at_ms < (SELECT records_ms FROM kept_since) ORDER BY at_ms LIMIT ?1)",
                )?
                .execute([limit])?;
            transaction.commit()?;
            Ok(deleted)
        };
        work().map_err(|source| AuditError::Database { path: self.path.clone(), action: "shortened", source })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;
    use rusqlite::Connection;
    use serde_json::json;

    const DAY: i64 = 24 * 3_600_000;
    const KEPT: AuditRetention =
        AuditRetention { plans_ms: 400 * DAY, others_ms: 90 * DAY, idle_ms: 7 * DAY, records_ms: 30 * DAY };

    fn day(number: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_700_000_000_000 + number * DAY)
    }

    /// One record of each sort on each of the days 0 to 9: an idle pass, one that recorded a service, a plan, an event.
    fn trail(folder: &std::path::Path) -> Audit {
        let audit = Audit::open(&folder.join("audit.db")).unwrap();
        for number in 0..10 {
            let at = day(number);
            let plan = format!("plan-{number}");
            audit.append(at, Kind::Decision, None, &json!({"pass": 1, "services": []})).unwrap();
            audit.append(at, Kind::Decision, None, &json!({"pass": 2, "services": [{"record": 1}]})).unwrap();
            audit.append(at, Kind::Plan, Some(&plan), &json!({"generation": number})).unwrap();
            audit.append(at, Kind::Event, None, &json!({"event": "planner_started"})).unwrap();
        }
        audit
    }

    /// Idle passes, other passes, plans and events that are left.
    fn left(audit: &Audit) -> [usize; 4] {
        let entries = audit.newest(None, None, 1000).unwrap();
        let count = |kind: &str, services: Option<usize>| {
            let of_kind = entries.iter().filter(|entry| entry.kind == kind);
            of_kind.filter(|entry| entry.record["services"].as_array().map(Vec::len) == services).count()
        };
        [count("decision", Some(0)), count("decision", Some(1)), count("plan", None), count("event", None)]
    }

    #[test]
    fn each_sort_of_record_goes_at_its_own_time_and_the_newest_plan_stays() {
        let folder = tempfile::tempdir().unwrap();
        let audit = trail(folder.path());
        for (now, want) in [
            (7, [10, 10, 10, 10]),
            (12, [5, 10, 10, 10]),
            (93, [0, 7, 10, 7]),
            (399, [0, 0, 10, 0]),
            (404, [0, 0, 6, 0]),
            (1000, [0, 0, 1, 0]),
        ] {
            while audit.forget(day(now), KEPT, 100).unwrap() > 0 {}
            assert_eq!(left(&audit), want, "day {now}");
        }
        assert_eq!(audit.last_generation().unwrap(), Some(("plan-9".to_owned(), 9)), "plans count on");
    }

    #[test]
    fn pieces_are_bounded_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let audit = trail(folder.path());
        let mut pieces = Vec::new();
        while pieces.last() != Some(&0) {
            pieces.push(audit.forget(day(500), KEPT, 4).unwrap());
        }
        assert!(pieces.iter().all(|piece| *piece <= 12), "{pieces:?}");
        assert_eq!(pieces.iter().sum::<usize>(), 39);
    }

    #[test]
    fn what_is_younger_cannot_be_deleted_by_anybody() {
        let folder = tempfile::tempdir().unwrap();
        let audit = trail(folder.path());
        audit.forget(day(12), KEPT, 100).unwrap();
        let other = Connection::open(folder.path().join("audit.db")).unwrap();
        for (which, refused) in [
            ("kind = 'event'", true),
            ("kind = 'plan'", true),
            ("idle", true),
            ("at_ms < 1700000000000", false),
        ] {
            let done = other.execute(&format!("DELETE FROM audit WHERE {which}"), []);
            assert_eq!(done.is_err(), refused, "{which}: {done:?}");
        }
        assert_eq!(left(&audit), [5, 10, 10, 10]);
    }

    #[test]
    fn a_trail_of_the_first_version_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(super::super::MIGRATIONS[0]).unwrap();
        old.execute_batch(
            "PRAGMA user_version = 1;
             INSERT INTO audit (at_ms, kind, record) VALUES (5, 'decision', '{\"services\": []}');
             INSERT INTO audit (at_ms, kind, record) VALUES (5, 'event', '{\"event\": \"planner_started\"}');",
        )
        .unwrap();
        drop(old);
        let audit = Audit::open(&path).unwrap();
        let now = Timestamp::from_unix_ms(8 * DAY);
        assert_eq!(audit.forget(now, KEPT, 10).unwrap(), 1);
        assert_eq!(left(&audit), [0, 0, 0, 1]);
    }
}
