//! Calendars from text to occurrences.
#[cfg(test)]
mod calendars;
#[cfg(test)]
mod daylight_saving;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod freezes;
#[cfg(test)]
mod texts;
