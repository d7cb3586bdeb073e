//! What is in force at a start: files must be good, feeds go on with what was good before.
use super::{
    fetch::Validators,
    files::{self, CalendarError},
    settings::CalendarSettings,
    sources::{FileSource, Sources},
    table::Table,
};
use crate::causes::chain;
use foremesh_calendar::FeedSource;
use foremesh_core::time::Timestamp;
use std::path::Path;

/// Reads the files of all sources, and those feeds that are files: what is on this machine must be good at a start.
pub(super) fn open_files(settings: &[CalendarSettings], now: Timestamp) -> Result<Sources, CalendarError> {
    let mut sources = Sources::default();
    for settings in settings {
        sources.files.push(FileSource::open(settings, now)?);
    }
    sources.check_names()?;
    sources.list_feeds(now);
    let local: Vec<(String, String)> = sources
        .feeds
        .iter()
        .filter_map(|(key, feed)| match &feed.source {
            FeedSource::File(path) => Some((key.clone(), path.clone())),
            FeedSource::Url(_) => None,
        })
        .collect();
    for (key, path) in local {
        let text = files::text(Path::new(&path))?;
        sources.apply(&key, &text)?;
        if let Some(feed) = sources.feeds.get_mut(&key) {
            (feed.text, feed.good_at) = (Some(text), Some(now));
            feed.next_at = now.plus_ms(feed.refresh_ms);
        }
    }
    Ok(sources)
}

/// Takes up the last good text of feeds that are elsewhere. They are due at once all the same.
pub(super) fn resume_feeds(sources: &mut Sources, table: &Table) -> Result<(), CalendarError> {
    let remote: Vec<String> = sources
        .feeds
        .iter()
        .filter(|(_, feed)| matches!(feed.source, FeedSource::Url(_)) && feed.text.is_none())
        .map(|(key, _)| key.clone())
        .collect();
    for key in remote {
        let Some(cached) = table.feed(&key)? else { continue };
        let Some(text) = sources.feeds.get_mut(&key).and_then(|feed| {
            feed.resume(cached);
            feed.text.clone()
        }) else {
            continue;
        };
        if let Err(error) = sources.apply(&key, &text) {
            tracing::warn!(
                feed = key,
                error = chain(&error),
                "what the feed said before is not understood any more"
            );
            if let Some(feed) = sources.feeds.get_mut(&key) {
                // Asked for in full: the server must not answer that it is still the same.
                (feed.text, feed.good_at, feed.validators) = (None, None, Validators::default());
            }
        }
    }
    Ok(())
}
