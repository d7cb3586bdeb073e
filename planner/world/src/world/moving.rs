//! Moves: a second replica starts, takes the traffic step by step, and the first one goes.

use super::events::{Due, Step};
use super::{Instance, World};
use crate::output::{MoveId, MoveState, Refused};
use crate::random::Draw;

/// A replica that is not ready after so many minutes more than usual never gets ready.
const GIVE_UP_AFTER: u32 = 10;

impl World {
    /// Begins to move a replica to another node, from the next minute on.
    ///
    /// The image is pulled if the node has not had it, the new replica starts, and when it is ready it takes
    /// the shares of `ramp` (percent), one a minute, 100 being added when it is not the last. The old replica
    /// keeps the rest until the end of the minute in which the new one has all. Empty: all at once.
    ///
    /// # Errors
    /// When something does not exist, the replica is there or under way already, or the node lacks room.
    pub fn begin_move(
        &mut self,
        workload: &str,
        replica: u32,
        to_node: &str,
        ramp: &[u8],
    ) -> Result<MoveId, Refused> {
        let setup = &self.setup;
        let service = setup
            .services
            .iter()
            .position(|service| *service.id == *workload)
            .ok_or_else(|| Refused::UnknownWorkload(workload.to_owned()))?;
        let of_replica = |instance: &&Instance| instance.service == service && instance.replica == replica;
        let source = self
            .instances
            .iter()
            .filter(of_replica)
            .find(|instance| instance.incoming.is_none())
            .ok_or_else(|| Refused::UnknownReplica { workload: workload.to_owned(), replica })?;
        let to = setup
            .nodes
            .iter()
            .position(|node| *node.id == *to_node)
            .ok_or_else(|| Refused::UnknownNode(to_node.to_owned()))?;
        if self.instances.iter().filter(of_replica).count() > 1 {
            return Err(Refused::Moving { workload: workload.to_owned(), replica });
        }
        if source.node == to {
            return Err(Refused::SameNode {
                workload: workload.to_owned(),
                replica,
                node: to_node.to_owned(),
            });
        }
        if let Some(step) = ramp.iter().find(|step| !(1..=100).contains(*step)) {
            return Err(Refused::Ramp(*step));
        }
        if let Some(step) = ramp.windows(2).find(|pair| pair[0] > pair[1]) {
            return Err(Refused::Ramp(step[1]));
        }
        self.has_room(service, to)?;
        let from = source.node;
        let state = MoveState {
            id: MoveId(self.moves.len() as u32),
            workload: setup.services[service].id.clone(),
            replica,
            from: setup.nodes[from].id.clone(),
            to: setup.nodes[to].id.clone(),
            begun_minute: self.minute,
            ready_minute: None,
            ended_minute: None,
            succeeded: false,
        };
        let id = state.id;
        self.plan(service, replica, to, ramp);
        self.moves.push(state);
        Ok(id)
    }

    /// Takes a move back: the old replica has all traffic again at once, the new one goes.
    ///
    /// Says whether there was anything to take back: false for a move that has ended or was never begun.
    pub fn abort_move(&mut self, id: MoveId) -> bool {
        let number = id.0 as usize;
        let Some(state) = self.moves.get_mut(number).filter(|state| state.ended_minute.is_none()) else {
            return false;
        };
        state.ended_minute = Some(self.minute);
        if let Some(new) = self.instances.iter().position(|instance| instance.incoming == Some(number)) {
            let gone = self.instances.remove(new);
            for instance in &mut self.instances {
                if instance.service == gone.service && instance.replica == gone.replica {
                    instance.share = 1.0;
                }
            }
        }
        true
    }

    /// All moves that were begun, in order.
    pub fn moves(&self) -> &[MoveState] {
        &self.moves
    }

    fn has_room(&self, service: usize, node: usize) -> Result<(), Refused> {
        let setup = &self.setup;
        let here = || self.instances.iter().filter(|instance| instance.node == node);
        let free_m = setup.nodes[node].cores * 1000.0
            - here().map(|instance| setup.services[instance.service].request_m).sum::<f64>();
        let free_bytes = setup.nodes[node].memory_bytes
            - here().map(|instance| setup.services[instance.service].memory_bytes).sum::<f64>();
        let wanted = &setup.services[service];
        for (resource, needed, free) in
            [("millicores", wanted.request_m, free_m), ("bytes of memory", wanted.memory_bytes, free_bytes)]
        {
            if needed > free {
                return Err(Refused::NoRoom {
                    node: setup.nodes[node].id.to_string(),
                    resource,
                    needed,
                    free,
                });
            }
        }
        Ok(())
    }

    /// Adds the new end of the move that is about to be pushed, and puts its steps into the queue.
    fn plan(&mut self, service: usize, replica: u32, to: usize, ramp: &[u8]) {
        let number = self.moves.len();
        let moves = &self.setup.spec.moves;
        let key =
            self.key(Draw::Pull).with(service as u64).with(u64::from(replica)).with(u64::from(self.minute));
        let varied =
            |minutes: i64, part: u64| (minutes as f64 * key.with(part).between(0.5, 1.5)).ceil() as u32;
        let pull = if self.images.contains(&(service, to)) { 0 } else { varied(moves.image_pull.0, 0) };
        let ready = self.minute + pull + varied(moves.start_up.0, 1);
        let fails = self.key(Draw::Failure).with(key.bits()).unit() < moves.failure_share;
        let mut steps: Vec<(u32, Step)> = Vec::new();
        if fails {
            steps.push((ready + GIVE_UP_AFTER, Step::GiveUp));
        } else {
            steps.push((ready, Step::Ready));
            let all = if ramp.last() == Some(&100) { &[][..] } else { &[100][..] };
            let shifts: Vec<u8> = ramp.iter().chain(all).copied().collect();
            for (after, percent) in shifts.iter().enumerate() {
                steps.push((ready + after as u32, Step::Shift(*percent)));
            }
            steps.push((ready + shifts.len() as u32, Step::Retire));
        }
        self.instances.push(Instance {
            service,
            replica,
            node: to,
            share: 0.0,
            cold_since: None,
            starting: true,
            incoming: Some(number),
            throttled: 0.0,
        });
        for (order, (minute, step)) in steps.into_iter().enumerate() {
            self.due.push(Due { minute, order: order as u32, number, step });
        }
    }

    /// Lets everything happen that is due at this minute.
    pub(super) fn happen(&mut self) {
        while self.due.peek().is_some_and(|due| due.minute <= self.minute) {
            if let Some(due) = self.due.pop() {
                self.step(due);
            }
        }
    }

    fn step(&mut self, due: Due) {
        let Some(new) = self.instances.iter().position(|instance| instance.incoming == Some(due.number))
        else {
            return;
        };
        let (service, replica) = (self.instances[new].service, self.instances[new].replica);
        let old = self.instances.iter().position(|instance| {
            instance.service == service && instance.replica == replica && instance.incoming.is_none()
        });
        let state = &mut self.moves[due.number];
        match due.step {
            Step::Ready => {
                self.instances[new].starting = false;
                self.instances[new].cold_since = Some(self.minute);
                state.ready_minute = Some(self.minute);
                self.images.push((service, self.instances[new].node));
            }
            Step::Shift(percent) => {
                let share = f64::from(percent) / 100.0;
                self.instances[new].share = share;
                if let Some(old) = old {
                    self.instances[old].share = 1.0 - share;
                }
            }
            Step::Retire => {
                state.ended_minute = Some(self.minute);
                state.succeeded = true;
                self.instances[new].incoming = None;
                self.instances[new].share = 1.0;
                if let Some(old) = old {
                    // In the place of the old one, so that the order says nothing about moves.
                    self.instances.swap(old, new);
                    self.instances.remove(new);
                }
            }
            Step::GiveUp => {
                state.ended_minute = Some(self.minute);
                self.instances.remove(new);
            }
        }
    }
}
