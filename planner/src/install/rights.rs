//! What the planner may do in a cluster: one table, from which its roles and `docs/rights.md` are made.
//!
//! A test on a real cluster compares the table with what the API server says the planner has done. Who needs another verb
//! adds a row, or a verb to a row, and says what it is for.
mod roles;
mod table;
mod words;

pub use roles::{Granted, roles};
pub use table::RIGHTS;
pub use words::markdown;

/// Where a right holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// In the whole cluster: decisions need the whole picture.
    Everywhere,
    /// Where workloads move: everywhere, or only in the namespaces that the installation names.
    Moved,
    /// In the planner's own namespace.
    Own,
    /// In the namespace of istiod.
    Istiod,
    /// In the namespace that moves are tried in.
    Staging,
}

/// What a right is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// To see, forecast and recommend.
    Read,
    /// To move workloads.
    Move,
    /// To try moves first.
    Try,
    /// To try those whose pods need secrets.
    TrySecrets,
}

/// When a right is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// By every planner, in every move.
    Usually,
    /// Only then.
    When(&'static str),
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// API group; empty for the core.
    pub group: &'static str,
    /// Plural names, with subresources after a slash.
    pub resources: &'static [&'static str],
    /// The only objects that it is about; any when empty.
    pub names: &'static [&'static str],
    /// What may be done.
    pub verbs: &'static [&'static str],
    /// Where.
    pub scope: Scope,
    /// What it is for.
    pub need: Need,
    /// When it is used.
    pub used: Used,
    /// Why it is needed.
    pub why: &'static str,
}

impl Right {
    /// Whether it allows a request.
    pub fn allows(&self, asked: &Asked<'_>, places: &Places<'_>) -> bool {
        let here = match self.scope {
            Scope::Everywhere | Scope::Moved => true,
            Scope::Own => asked.namespace == places.own,
            Scope::Istiod => asked.namespace == places.istiod,
            Scope::Staging => asked.namespace == places.staging,
        };
        here && self.group == asked.group
            && self.resources.contains(&asked.resource)
            && self.verbs.contains(&asked.verb)
            && (self.names.is_empty() || self.names.contains(&asked.name))
    }
}

/// The namespaces in which some rights hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places<'a> {
    /// The planner's own.
    pub own: &'a str,
    /// That of istiod.
    pub istiod: &'a str,
    /// That of trials.
    pub staging: &'a str,
}

/// A request as the API server's audit log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked<'a> {
    /// API group; empty for the core.
    pub group: &'a str,
    /// Plural name, with the subresource after a slash.
    pub resource: &'a str,
    /// What was to be done.
    pub verb: &'a str,
    /// Where; empty for the whole cluster.
    pub namespace: &'a str,
    /// The object; empty for all.
    pub name: &'a str,
}

#[cfg(test)]
mod tests;
