//! Which hosts a lane's runs may reach.

use carnet_core::HostPort;

use crate::{problem::Problems, reader::TableReader};

/// Hosts of one lane at most.
const HOSTS_MAX: usize = 64;

/// Returns what both let through.
pub(crate) fn common(ours: &[HostPort], theirs: &[HostPort]) -> Vec<HostPort> {
    ours.iter().filter(|host| theirs.contains(host)).cloned().collect()
}

pub(crate) fn read(
    network: Option<TableReader<'_, '_>>,
    problems: &mut Problems<'_>,
) -> Vec<HostPort> {
    let Some(mut network) = network else { return Vec::new() };
    let mut hosts: Vec<HostPort> = Vec::new();
    for text in network.strings("hosts", problems) {
        let shown = crate::show(&text.value);
        let problem = match text.value.parse::<HostPort>() {
            Err(error) => format!("`{shown}`: {error}"),
            Ok(host) if host.to_string() != text.value => format!("`{shown}` is written `{host}`"),
            Ok(host) if hosts.contains(&host) => format!("`{shown}` adds nothing"),
            Ok(_) if hosts.len() >= HOSTS_MAX => format!("more than {HOSTS_MAX} hosts"),
            Ok(host) => {
                hosts.push(host);
                continue;
            }
        };
        problems.add(&text.span, "network.hosts", problem);
    }
    network.finish(problems);
    hosts
}

#[cfg(test)]
mod tests {
    use crate::Lane;

    fn lane(network: &str) -> Result<Lane, Vec<String>> {
        let head = |name: &str| {
            format!("format = \"carnet/allowlist/1\"\nlane = \"{name}\"\ndescription = \"x\"\n")
        };
        let limits = "[limits]\nmax_cpu_pct = 80\nmax_mem_mb = 64\nmax_exec_seconds = 9\nmax_parallel = 1\nmax_processes = 9\nmax_disk_mb = 9\nmax_output_mb = 1\n";
        let text = format!("{}{limits}{network}", head("net"));
        let read = Lane::parse(("net.toml", &text), ("deny.toml", &head("deny")));
        read.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_lane_names_hosts_and_none_by_default() {
        assert_eq!(lane("").unwrap().network(), []);
        let read = lane("[network]\nhosts = [\"registry.npmjs.org:443\", \"[2606::1]:80\"]\n");
        let hosts: Vec<_> = read.unwrap().network().iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["registry.npmjs.org:443", "[2606::1]:80"]);
    }

    #[test]
    fn what_is_no_host_or_adds_nothing_closes_the_lane() {
        for bad in [
            "\"registry.npmjs.org\"",
            "\"Registry.npmjs.org:443\"",
            "\"*.npmjs.org:443\"",
            "\"a.example.:443\"",
            "\"a.example:443\", \"a.example:443\"",
        ] {
            let problems = lane(&format!("[network]\nhosts = [{bad}]\n")).unwrap_err();
            assert!(problems.iter().any(|it| it.contains("network.hosts")), "{problems:?}");
        }
        assert!(lane("[network]\nhosts = []\nall = true\n").is_err());
    }

    #[test]
    fn a_work_tree_can_only_take_hosts_away() {
        let ours = lane("[network]\nhosts = [\"a.example:443\", \"b.example:443\"]\n").unwrap();
        let theirs = lane("[network]\nhosts = [\"b.example:443\", \"c.example:443\"]\n").unwrap();
        let both = ours.tightened_by(theirs);
        assert_eq!(both.network(), ["b.example:443".parse().unwrap()]);
    }
}
