//! From decisions to deeds: looks, decides and does, until it is done.
use super::{
    Relocate,
    decide::{At, Change, Step},
    seen::{Read, Seen},
};
use crate::{
    client::Written,
    error::{SwarmError, Why},
    surge::Surge,
};
use std::time::Duration;
use tokio::time::Instant;

/// How a call ended.
pub(super) enum Ended {
    Done,
    /// What was begun is to be taken back, because of this.
    TakeBack(SwarmError),
}

impl Relocate {
    /// All that decides the next step of a service.
    pub(super) async fn seen(&self, name: &str) -> Result<Seen, SwarmError> {
        let (nodes, service, surges) =
            futures::try_join!(self.client.nodes(), self.client.service(name), self.client.surges(),)?;
        // `GET /services/NAME` finds an id as well.
        let service = service.filter(|service| service.name() == name);
        let read = service.map(Read::new).transpose().map_err(|problem| {
            let remedy = "report it as a fault of Foremesh, with the spec";
            SwarmError::new(Why::Answer, format!("service `{name}`"), problem, remedy)
        })?;
        let surge = surges.iter().filter_map(Surge::read).find(|surge| surge.name == name);
        let tasks = async {
            match &read {
                Some(read) => self.client.tasks_of(&read.service.id).await,
                None => Ok(Vec::new()),
            }
        };
        let surge_tasks = async {
            match &surge {
                Some(surge) => self.client.tasks_of(&surge.service.id).await,
                None => Ok(Vec::new()),
            }
        };
        let (tasks, surge_tasks) = futures::try_join!(tasks, surge_tasks)?;
        Ok(Seen { nodes, service: read, tasks, surge, surge_tasks })
    }

    /// Looks, decides and does, until it is done.
    pub(super) async fn run(
        &self,
        name: &str,
        within: Duration,
        next: impl Fn(&At<'_>) -> Step + Send + Sync,
    ) -> Result<Ended, SwarmError> {
        let (began, mut begun, mut waits) = (Instant::now(), false, String::new());
        loop {
            let seen = self.seen(name).await?;
            let late = began.elapsed() > within;
            let at = At { name, seen: &seen, late, begun };
            let step = next(&at);
            if began.elapsed() > within * 2 && !matches!(step, Step::Done | Step::Fail(_) | Step::TakeBack(_))
            {
                let problem = format!("it does not come to rest within {:?}", within * 2);
                return Err(at.error(Why::Interfered, problem, "find out who else changes it all the time"));
            }
            let written = match step {
                Step::Done => return Ok(Ended::Done),
                Step::TakeBack(reason) => return Ok(Ended::TakeBack(reason)),
                Step::Fail(error) => return Err(error),
                Step::Wait(what) => {
                    if what != waits {
                        tracing::debug!(service = name, what, "a move waits");
                        waits = what;
                    }
                    Written::Overtaken
                }
                Step::Create(spec) => {
                    tracing::info!(service = name, "a surge service is made");
                    self.client.create(&crate::surge::surge_name(name), &spec).await?
                }
                Step::Note(spec) => match &seen.surge {
                    Some(surge) => self.client.update(&surge.service, &spec).await?,
                    None => Written::Overtaken,
                },
                Step::Write(change, spec) => {
                    tracing::info!(service = name, ?change, "the service is changed");
                    let written = match &seen.service {
                        Some(read) => self.client.update(&read.service, &spec).await?,
                        None => Written::Overtaken,
                    };
                    begun |= change == Change::Moving && written == Written::Stored;
                    written
                }
                Step::Remove(id) => {
                    tracing::info!(service = name, "its surge service is removed");
                    self.client.remove(&id).await?;
                    Written::Stored
                }
            };
            if written == Written::Overtaken {
                tokio::time::sleep(self.settings.poll).await;
            }
        }
    }
}
