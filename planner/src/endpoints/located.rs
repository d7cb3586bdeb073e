//! Where the replica runs that a caller's proxy names, which it knows from the endpoint's metadata.
use foremesh_summary::wire::{Direction, WindowSummary};

/// Says of each outbound route whose peer is a replica such as `cart@h1` or `shop_web.1@node-2` on which node that is, so that
/// the store counts it as what that replica did: what gates and forecasts read is then there without a proxy beside it. The
/// observations themselves, and so what a proxy has lost, stay as they are. Whether anything was changed.
///
/// The proxy beside the replica must not report too, because the same requests would be counted twice at its node.
pub fn located(summary: &mut WindowSummary) -> bool {
    let mut changed = false;
    for route in summary.routes.iter_mut().filter(|route| route.direction() == Direction::Outbound) {
        if let Some((replica, node)) = route.peer.rsplit_once('@')
            && !replica.is_empty()
            && !node.is_empty()
            && route.peer_node != node
        {
            route.peer_node = node.to_owned();
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use foremesh_summary::wire::RouteWindow;

    #[test]
    fn the_node_of_a_replica_stands_after_its_last_at() {
        let cases = [
            (Direction::Outbound, "cart@h1", "h1"),
            (Direction::Outbound, "shop_web.1@node-2", "node-2"),
            (Direction::Outbound, "a@b@c", "c"),
            (Direction::Outbound, "cart", ""),
            (Direction::Outbound, "@h1", ""),
            (Direction::Outbound, "cart@", ""),
            (Direction::Outbound, "", ""),
            (Direction::Inbound, "cart@h1", ""),
        ];
        for (direction, peer, node) in cases {
            let route = RouteWindow {
                direction: direction.into(),
                peer: peer.to_owned(),
                ok: 3,
                ..RouteWindow::default()
            };
            let mut summary =
                WindowSummary { routes: vec![route], cumulative: 3, ..WindowSummary::default() };
            let before = summary.clone();
            assert_eq!(located(&mut summary), !node.is_empty(), "{peer}");
            assert_eq!(summary.routes[0].peer_node, node, "{peer}");
            let once = summary.clone();
            assert!(!located(&mut summary), "once is enough");
            assert_eq!(summary, once);
            summary.routes[0].peer_node.clear();
            assert_eq!(summary, before, "nothing else is changed");
        }
    }
}
