//! Which hosts a run may reach: none, unless they are named.

use carnet_core::HostPort;

/// Hosts named for one run at most.
const HOSTS_MAX: usize = 64;

/// What a run may reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    hosts: Vec<HostPort>,
    reaches_this_machine: bool,
}

impl Network {
    /// Lets a run reach `hosts`, at public addresses only; the first 64 count. Without any there is no proxy.
    pub fn new(hosts: Vec<HostPort>) -> Network {
        let mut hosts = hosts;
        hosts.truncate(HOSTS_MAX);
        Network { hosts, reaches_this_machine: false }
    }

    /// As [`Network::new`], with loopback addresses allowed: for tests with servers of their own, never for a run.
    #[doc(hidden)]
    pub fn of_a_test(hosts: Vec<HostPort>) -> Network {
        Network { reaches_this_machine: true, ..Network::new(hosts) }
    }

    /// Returns the hosts, as they were named.
    pub fn hosts(&self) -> &[HostPort] {
        &self.hosts
    }

    /// Tells whether nothing can be reached.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Tells whether a request for `to` may be made.
    #[cfg(target_os = "linux")]
    pub(crate) fn allows(&self, to: &HostPort) -> bool {
        self.hosts.contains(to)
    }

    /// Tells whether `address` may be dialled.
    #[cfg(target_os = "linux")]
    pub(crate) fn allows_address(&self, address: std::net::IpAddr) -> bool {
        crate::proxy::is_public(address) || (self.reaches_this_machine && address.is_loopback())
    }
}
