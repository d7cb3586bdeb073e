//! The trial of one move: made, judged, torn down, and its verdict stored, in this order of care.
use super::{
    RolloutError,
    drive::{Live, Shared},
};
use crate::{
    causes::chain,
    durations,
    platform::{PlatformError, StagingMesh},
};
use foremesh_core::{
    ids::RolloutId,
    rollout::{Action, Attempt},
    trial::{Trial, TrialOrder, TrialReport, TrialSamples, judge},
};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often is looked whether an operator wants it stopped.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// How long one try of the teardown may take.
const CLEARED_WITHIN: Duration = Duration::from_secs(120);
/// Tries of the teardown.
const CLEARS: usize = 3;

impl Shared {
    /// Tries the move that is owed a trial. Whatever comes of it, the staging mesh is empty when this returns, or it is said
    /// that it is not. A planner that is killed in it finds the same state again, and begins anew.
    pub(super) async fn try_move(&self, live: &mut Live) -> Result<(), RolloutError> {
        let id = live.record.id.clone();
        let made = match (live.record.trial.owed().cloned(), self.ports.staging.clone()) {
            (Some(order), Some(staging)) => self.tried(&id, order, &*staging).await,
            (None, _) => Ok(None),
            (_, None) => Err("there is no staging mesh any more (`platform.kubernetes.staging`, or `staging` of the hosts file)".to_owned()),
        };
        let mut next = live.record.clone();
        let error = match made {
            Ok(report) => {
                if let Some(report) = report {
                    tracing::info!(rollout = %id, verdict = report.verdict.name(), why = report.why, "trial judged");
                    next.trial = Trial::Tried { report: Box::new(report) };
                }
                None
            }
            Err(error) => {
                next.attempt += 1;
                tracing::warn!(rollout = %id, attempt = next.attempt, error, "trial could not be made");
                Some(error)
            }
        };
        if next != live.record {
            self.journal.save(&next).await?;
            live.record = next;
        }
        live.attempt = Some(Attempt { action: Action::TryMove, at: self.clock.now(), error });
        Ok(())
    }

    async fn tried(
        &self,
        id: &RolloutId,
        order: TrialOrder,
        staging: &dyn StagingMesh,
    ) -> Result<Option<TrialReport>, String> {
        tracing::info!(rollout = %id, order = order.in_words(), "the move is tried");
        let limit = durations::of_ms(order.limit_ms());
        let made = tokio::select! {
            made = timeout(limit, staging.try_move(id, &order)) => match made {
                Ok(Ok(samples)) => Ok(samples),
                Ok(Err(error)) => Err(chain(&error)),
                Err(_) => Err(format!("the trial did not end within {} s", limit.as_secs())),
            },
            () = self.is_aborted(id) => Err("it was stopped".to_owned()),
        };
        let cleared = clear(id, staging).await;
        let report = match made {
            Ok(samples) => self.judged(order, samples).await?,
            Err(why) => return Err(why),
        };
        match cleared {
            // What runs beside production is no ground to go on.
            Err(error) if Trial::Tried { report: Box::new(report.clone()) }.permits() => {
                Err(format!("the trial passed, but could not be torn down: {}", chain(&error)))
            }
            _ => Ok(Some(report)),
        }
    }

    async fn judged(&self, order: TrialOrder, samples: TrialSamples) -> Result<TrialReport, String> {
        let at = self.clock.now();
        let judging = tokio::task::spawn_blocking(move || judge(&order, &samples, at));
        judging.await.map_err(|error| format!("the judgement ended in a fault of the planner: {error}"))
    }

    /// Ready when an operator wants the rollout stopped.
    async fn is_aborted(&self, id: &RolloutId) {
        while !matches!(self.journal.abort(id).await, Ok(Some(_))) {
            sleep(ASKED_EVERY).await;
        }
    }
}

async fn clear(id: &RolloutId, staging: &dyn StagingMesh) -> Result<(), PlatformError> {
    let mut tries = 1;
    loop {
        let cleared = timeout(CLEARED_WITHIN, staging.clear(id)).await.unwrap_or_else(|_| {
            Err(PlatformError::Refused {
                object: format!("trial of {id}"),
                problem: format!("it was not torn down within {} s", CLEARED_WITHIN.as_secs()),
                remedy: "see whether the API server or the hosts answer; the copies stop by themselves where the platform can see to it".to_owned(),
            })
        });
        match cleared {
            Err(error) if tries < CLEARS => {
                tracing::warn!(rollout = %id, %error, tries, "trial is torn down again");
                tries += 1;
                sleep(ASKED_EVERY).await;
            }
            Err(error) => {
                tracing::error!(rollout = %id, error = chain(&error), "a trial could not be torn down; a human should look");
                return Err(error);
            }
            Ok(()) => return Ok(()),
        }
    }
}
