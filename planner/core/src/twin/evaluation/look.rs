//! Moves: made, taken back, and looked at.
//!
//! Looking at a move computes the whole layout that it would give. A move that was looked at last is made, and one that
//! was made last is taken back, from what was noted then: the values are the same, and nothing is computed.
use super::{
    super::mesh::{NodeIx, ReplicaIx, ServiceIx},
    Delta, Evaluation,
    journal::{Journal, Step},
};
use std::convert::Infallible;

impl Evaluation<'_> {
    /// Puts a replica on a node. Moving it back undoes it.
    pub fn move_replica(&mut self, replica: ReplicaIx, to: NodeIx) {
        let from = self.node_of(replica);
        if from == to {
            self.steps.looked.clear();
            self.steps.looks = true;
            return;
        }
        if self.steps.looked.step == Some((replica, from, to)) {
            let empty = self.steps.empty();
            let mut journal = std::mem::replace(&mut self.steps.looked, empty);
            self.put(replica, from, to);
            self.exchange(&mut journal);
            self.steps.push(journal);
            return;
        }
        if let Some(mut journal) = self.steps.pop((replica, to, from)) {
            self.put(replica, from, to);
            self.exchange(&mut journal);
            self.steps.look(journal);
            return;
        }
        let mut journal = self.steps.empty();
        let Ok(()) =
            self.change(&mut journal, (replica, from, to), |_| Ok::<_, Infallible>(()), |_, _| Ok(()));
        self.steps.push(journal);
        self.steps.looked.clear();
    }

    /// Changes the part of its service's requests that a replica gets. Those of one service add up to 1.
    pub(super) fn set_share(&mut self, replica: ReplicaIx, share: f32) {
        self.layout.share[replica] = share;
        let rates = &self.mesh.rates[self.mesh.service_of(replica)];
        self.layout.limit(self.mesh, replica, |lane| rates[lane]);
        let node = self.node_of(replica);
        let mut journal = std::mem::take(&mut self.steps.looked);
        let Ok(()) =
            self.change(&mut journal, (replica, node, node), |_| Ok::<_, Infallible>(()), |_, _| Ok(()));
        // A share is not noted, so that nothing of before can be taken back.
        journal.step = None;
        self.steps.looked = journal;
        self.steps.looks = true;
        self.steps.made.clear();
    }

    /// What [`Self::move_replica`] would change; the layout stays.
    pub fn peek(&mut self, replica: ReplicaIx, to: NodeIx) -> Delta {
        self.peek_with(replica, to, |_, delta| delta)
    }

    /// Looks at the layout that [`Self::move_replica`] would give, with what that changes; the layout stays.
    pub fn peek_with<T>(
        &mut self,
        replica: ReplicaIx,
        to: NodeIx,
        look: impl FnOnce(&Self, Delta) -> T,
    ) -> T {
        let Ok(seen) = self.peek_if(replica, to, |_| Ok::<_, Infallible>(()), |_, _| Ok(()), look);
        seen
    }

    /// As [`Self::peek_with`], given up at the first condition that does not hold: `bears` is asked when only places and
    /// use of the nodes are those of the layout that is looked at, `spares` for each service whose latency may change as
    /// soon as that is known, callees before callers.
    ///
    /// # Errors
    /// That of the condition.
    pub fn peek_if<T, E>(
        &mut self,
        replica: ReplicaIx,
        to: NodeIx,
        bears: impl FnOnce(&Self) -> Result<(), E>,
        spares: impl FnMut(&Self, ServiceIx) -> Result<(), E>,
        look: impl FnOnce(&Self, Delta) -> T,
    ) -> Result<T, E> {
        let from = self.node_of(replica);
        self.steps.looks = true;
        if from == to {
            self.steps.looked.clear();
            bears(self)?;
            return Ok(look(self, Delta::default()));
        }
        let (risk, network) = (self.risk_cost, self.network_cost);
        let mut journal = std::mem::take(&mut self.steps.looked);
        let changed = self.change(&mut journal, (replica, from, to), bears, spares);
        self.steps.looked = journal;
        let seen = changed.map(|()| {
            look(self, Delta { risk: self.risk_cost - risk, network: self.network_cost - network })
        });
        self.put(replica, to, from);
        let mut journal = std::mem::take(&mut self.steps.looked);
        self.exchange(&mut journal);
        self.steps.looked = journal;
        seen
    }

    /// Services whose latency the last move may have changed, or the one that is looked at, callees before callers.
    pub fn changed(&self) -> impl Iterator<Item = ServiceIx> + '_ {
        self.steps.services()
    }

    /// Services whose latency a move would change, callees before callers.
    pub fn touched(&mut self, replica: ReplicaIx, to: NodeIx) -> impl Iterator<Item = ServiceIx> + use<> {
        let from = self.node_of(replica);
        let mut touched = Vec::new();
        self.find_touched((replica, from, to), &mut touched);
        touched.into_iter().map(|service| service as usize)
    }

    /// Puts a replica on another node, or computes anew what depends on it where it is, and notes what was there before.
    fn change<E>(
        &mut self,
        journal: &mut Journal,
        step: Step,
        bears: impl FnOnce(&Self) -> Result<(), E>,
        mut spares: impl FnMut(&Self, ServiceIx) -> Result<(), E>,
    ) -> Result<(), E> {
        let (replica, from, to) = step;
        self.note_costs(journal);
        if from != to {
            self.put(replica, from, to);
            self.note_node(journal, from);
        }
        self.note_node(journal, to);
        self.load_node(to);
        bears(self)?;
        if from != to {
            self.load_node(from);
            self.slow_node(from);
            self.add_penalty(journal, from);
        }
        self.slow_node(to);
        self.add_penalty(journal, to);
        let mesh = self.mesh;
        let service = mesh.service_of(replica);
        for edge in mesh.calls.of(service) {
            self.renew_edge(journal, edge);
        }
        for edge in mesh.calls.reaching(service) {
            self.renew_edge(journal, *edge as usize);
        }
        let mut touched = std::mem::take(&mut self.steps.touched);
        self.find_touched(step, &mut touched);
        let spared = touched.iter().try_for_each(|service| {
            self.renew_service(journal, *service as usize);
            spares(self, *service as usize)
        });
        self.steps.touched = touched;
        spared?;
        journal.step = Some(step);
        Ok(())
    }

    fn put(&mut self, replica: ReplicaIx, from: NodeIx, to: NodeIx) {
        let id = replica as u32;
        if let Ok(at) = self.on_node[from].binary_search(&id) {
            self.on_node[from].remove(at);
        }
        if let Err(at) = self.on_node[to].binary_search(&id) {
            self.on_node[to].insert(at, id);
        }
        self.layout.node_of[replica] = to as u32;
    }

    /// Services on both nodes, the replica's own, and whoever waits for one of these, in the order of computation.
    fn find_touched(&mut self, (replica, from, to): Step, touched: &mut Vec<u32>) {
        let mesh = self.mesh;
        touched.clear();
        let marked = &mut self.marked;
        let mut mark = |service: u32, touched: &mut Vec<u32>| {
            if !std::mem::replace(&mut marked[service as usize], true) {
                touched.push(service);
            }
        };
        mark(mesh.replicas[replica].service, touched);
        for on in self.on_node[from].iter().chain(&self.on_node[to]) {
            mark(mesh.replicas[*on as usize].service, touched);
        }
        let mut next = 0;
        while let Some(service) = touched.get(next).copied() {
            for edge in mesh.calls.reaching(service as usize) {
                let call = &mesh.calls.edges[*edge as usize];
                if call.waits {
                    mark(call.caller, touched);
                }
            }
            next += 1;
        }
        for service in touched.iter() {
            self.marked[*service as usize] = false;
        }
        touched.sort_unstable_by_key(|service| mesh.calls.rank[*service as usize]);
    }
}
