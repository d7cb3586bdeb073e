//! A wire to a network namespace of the test's own: traffic over it is counted by the kernel and reaches nobody else.
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    process::{self, Command},
};

/// The far end; the kernel sends what comes for it into the namespace, where nobody listens.
const FAR: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 197, 113, 2), 9);
const NEAR: &str = "10.197.113.1/30";

/// A pair of connected devices, one of them in a namespace; dropping it removes both.
pub(crate) struct Wire {
    namespace: String,
}

impl Wire {
    /// Makes it. cAdvisor leaves out devices named `veth…`, so ours has another name.
    pub(crate) fn lay() -> Self {
        let wire = Self { namespace: format!("foremesh-{}", process::id()) };
        let (near, far) = (format!("fm{}a", process::id()), format!("fm{}b", process::id()));
        let name = wire.namespace.as_str();
        ip(&["netns", "add", name]);
        ip(&["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", name]);
        ip(&["addr", "add", NEAR, "dev", &near]);
        ip(&["link", "set", &near, "up"]);
        ip(&["-n", name, "addr", "add", &format!("{}/30", FAR.ip()), "dev", &far]);
        ip(&["-n", name, "link", "set", &far, "up"]);
        wire
    }

    /// An address at its far end.
    pub(crate) const FAR: SocketAddrV4 = FAR;
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The devices go with the namespace.
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).status();
    }
}

fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).output().expect("ip is there; run `scripts/setup signals`");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {}: {said}; it needs root", arguments.join(" "));
}
