//! What plans were made from, beside the audit trail and in the same file: compressed, because it is large, and with a
//! retention of its own, because it is needed while somebody may ask.
use super::{Audit, AuditError};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use foremesh_core::{record::DecisionRecord, time::Timestamp};
use rusqlite::{OptionalExtension, params};
use std::{
    io::{Read, Write as _},
    sync::PoisonError,
};

/// Records are as append-only as the trail: never changed, and deleted only when they are over their retention, of
/// which the row says so.
pub(super) const SCHEMA: &str = "
CREATE TABLE decision_record (
    plan TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    gzip BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX decision_record_by_time ON decision_record (at_ms);
ALTER TABLE kept_since ADD COLUMN records_ms INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER decision_record_is_never_updated BEFORE UPDATE ON decision_record
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER decision_record_is_not_deleted_before_its_time BEFORE DELETE ON decision_record
WHEN OLD.at_ms >= (SELECT records_ms FROM kept_since)
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
";

/// Longest record that is unpacked: far above that of any mesh, and far below what would hurt.
const MAX_UNPACKED: u64 = 1 << 30;

/// Why a record cannot be packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not gzip, or was cut off.
    #[error("the record cannot be unpacked: it is damaged, or no record of a decision")]
    Damaged(#[source] std::io::Error),
    /// Its text is not a record.
    #[error("the record cannot be read; it may be of another version of the planner")]
    NotARecord(#[source] serde_json::Error),
    /// It has no JSON form.
    #[error("the record cannot be written")]
    Unwritable(#[source] serde_json::Error),
}

/// A record as it is kept and sent: gzip of its JSON.
///
/// # Errors
/// [`RecordError::Unwritable`] when it has no JSON form.
pub fn pack(record: &DecisionRecord) -> Result<Vec<u8>, RecordError> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut packed, record).map_err(RecordError::Unwritable)?;
    packed.flush().and_then(|()| packed.finish()).map_err(RecordError::Damaged)
}

/// The record in packed bytes.
///
/// # Errors
/// [`RecordError`] when they are none.
pub fn unpack(packed: &[u8]) -> Result<DecisionRecord, RecordError> {
    let mut text = Vec::new();
    GzDecoder::new(packed).take(MAX_UNPACKED).read_to_end(&mut text).map_err(RecordError::Damaged)?;
    serde_json::from_slice(&text).map_err(RecordError::NotARecord)
}

impl Audit {
    /// Keeps what a plan was made from; it is durable when this returns. The same plan is kept once.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn keep_record(&self, at: Timestamp, plan: &str, packed: &[u8]) -> Result<(), AuditError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .prepare_cached(
                "INSERT INTO decision_record (plan, at_ms, gzip) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )
            .and_then(|mut insert| insert.execute(params![plan, at.unix_ms(), packed]))
            .map(drop)
            .map_err(|source| AuditError::Database { path: self.path.clone(), action: "written", source })
    }

    /// What a plan was made from, packed; `None` when it is not kept, or not any more.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn record_of(&self, plan: &str) -> Result<Option<(Timestamp, Vec<u8>)>, AuditError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .query_row("SELECT at_ms, gzip FROM decision_record WHERE plan = ?1", [plan], |row| {
                Ok((Timestamp::from_unix_ms(row.get(0)?), row.get(1)?))
            })
            .optional()
            .map_err(|source| AuditError::Database { path: self.path.clone(), action: "read", source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditRetention;
    use rusqlite::Connection;

    const DAY: i64 = 24 * 3_600_000;

    #[test]
    fn a_record_is_kept_once_and_goes_at_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.db");
        let audit = Audit::open(&path).unwrap();
        let at = Timestamp::from_unix_ms(100 * DAY);
        audit.keep_record(at, "plan-1", b"one").unwrap();
        audit.keep_record(at, "plan-1", b"other").unwrap();
        assert_eq!(audit.record_of("plan-1").unwrap(), Some((at, b"one".to_vec())));
        assert_eq!(audit.record_of("plan-2").unwrap(), None);
        let other = Connection::open(&path).unwrap();
        for change in ["DELETE FROM decision_record", "UPDATE decision_record SET gzip = x''"] {
            assert!(other.execute(change, []).unwrap_err().to_string().contains("append-only"), "{change}");
        }
        let kept =
            AuditRetention { plans_ms: 400 * DAY, others_ms: 90 * DAY, idle_ms: DAY, records_ms: 30 * DAY };
        assert_eq!(audit.forget(at.plus_ms(30 * DAY), kept, 10).unwrap(), 0);
        assert_eq!(audit.forget(at.plus_ms(30 * DAY + 1), kept, 10).unwrap(), 1);
        assert_eq!(audit.record_of("plan-1").unwrap(), None);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert!(matches!(unpack(b"no gzip"), Err(RecordError::Damaged(_))));
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"{}").unwrap();
        let packed = packed.finish().unwrap();
        assert!(matches!(unpack(&packed), Err(RecordError::NotARecord(_))));
        assert!(matches!(unpack(&packed[..packed.len() - 9]), Err(RecordError::Damaged(_))));
    }
}
