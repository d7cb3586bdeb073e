//! Streams in the file.
use super::super::{
    StoreError,
    streams::{ProxyStream, Sequences, Stream},
};
use super::rows::user_error;
use foremesh_core::time::Timestamp;
use foremesh_summary::wire::Proxy;
use rusqlite::{Connection, Row, Transaction, params};

/// 64 bits as `SQLite` keeps them.
const fn bits(value: u64) -> i64 {
    value.cast_signed()
}

pub(super) fn save_stream(transaction: &Transaction<'_>, stream: &Stream) -> rusqlite::Result<()> {
    let known = &stream.known;
    let proxy = &known.proxy;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO streams (mesh, cluster, namespace, workload, pod, epoch, node, zone, first_seen_ms,
             last_seen_ms, first_sequence, highest, floor, gaps, summaries, observations, cumulative, before_first,
             duplicates, overflow, failed_pushes, fallbacks, config_error, ahead) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,
             ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)",
        )?
        .execute(params![
            proxy.mesh,
            proxy.cluster,
            proxy.namespace,
            proxy.workload,
            proxy.pod,
            bits(known.epoch),
            proxy.node,
            proxy.zone,
            known.first_seen.unix_ms(),
            known.last_seen.unix_ms(),
            bits(stream.first_sequence),
            bits(stream.sequences.highest),
            bits(stream.sequences.floor),
            stream.sequences.gaps_text(),
            bits(known.summaries),
            bits(known.observations),
            bits(known.cumulative),
            bits(known.before_first),
            bits(known.duplicates),
            bits(known.overflow),
            bits(known.failed_pushes),
            bits(known.fallbacks),
            known.config_error,
            bits(known.ahead),
        ])?;
    Ok(())
}

pub(super) fn delete_stream(transaction: &Transaction<'_>, stream: &Stream) -> rusqlite::Result<()> {
    let proxy = &stream.known.proxy;
    transaction
        .prepare_cached(
            "DELETE FROM streams WHERE mesh = ?1 AND cluster = ?2 AND namespace = ?3 AND workload = ?4 AND pod = ?5
             AND epoch = ?6",
        )?
        .execute(params![
            proxy.mesh,
            proxy.cluster,
            proxy.namespace,
            proxy.workload,
            proxy.pod,
            bits(stream.known.epoch)
        ])?;
    Ok(())
}

/// Reads all streams.
pub(super) fn load_streams(connection: &Connection) -> Result<Vec<Stream>, StoreError> {
    let read = |source| StoreError::Read { what: "streams", source };
    let mut select = connection
        .prepare(
            "SELECT mesh, cluster, namespace, workload, pod, epoch, node, zone, first_seen_ms, last_seen_ms,
             first_sequence, highest, floor, gaps, summaries, observations, cumulative, before_first, duplicates,
             overflow, failed_pushes, fallbacks, config_error, ahead FROM streams",
        )
        .map_err(read)?;
    let streams = select.query_map([], read_stream).map_err(read)?;
    streams.collect::<Result<_, _>>().map_err(read)
}

fn read_stream(row: &Row<'_>) -> rusqlite::Result<Stream> {
    let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
    let time = |at: usize| row.get::<_, i64>(at).map(Timestamp::from_unix_ms);
    let gaps: String = row.get(13)?;
    let sequences = Sequences::from_parts(number(11)?, number(12)?, &gaps).ok_or_else(|| {
        user_error(13, StoreError::Corrupt { what: "the gaps of a stream", reason: format!("`{gaps}`") })
    })?;
    Ok(Stream {
        first_sequence: number(10)?,
        known: ProxyStream {
            proxy: Proxy {
                mesh: row.get(0)?,
                cluster: row.get(1)?,
                namespace: row.get(2)?,
                workload: row.get(3)?,
                pod: row.get(4)?,
                node: row.get(6)?,
                zone: row.get(7)?,
            },
            epoch: number(5)?,
            first_seen: time(8)?,
            last_seen: time(9)?,
            newest_sequence: 0,
            missing: 0,
            summaries: number(14)?,
            observations: number(15)?,
            cumulative: number(16)?,
            lost: 0,
            before_first: number(17)?,
            duplicates: number(18)?,
            overflow: number(19)?,
            failed_pushes: number(20)?,
            fallbacks: number(21)?,
            config_error: row.get(22)?,
            ahead: number(23)?,
        },
        sequences,
    })
}
