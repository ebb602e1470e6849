//! One host and port that a run may reach, spelled in exactly one way.
//!
//! Refuses every second spelling of a host (trailing dots, user names, escapes, letters of other scripts, addresses as
//! one number or in octal), so that whoever compares two of them compares what they mean.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Bytes of a name at most (RFC 1035 §2.3.4, without the final dot).
const NAME_BYTES_MAX: usize = 253;
/// Bytes of one label at most.
const LABEL_BYTES_MAX: usize = 63;

/// A host: a name in lower case, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Letters, digits and inner hyphens between dots; names of other scripts only as `xn--…`.
    Name(String),
    /// `192.0.2.1` or `[2001:db8::1]`.
    Address(IpAddr),
}

/// A host with a port, written `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Where.
    pub host: Host,
    /// 1 to 65535.
    pub port: u16,
}

/// Why a text is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No port, or one that is no number from 1 to 65535.
    #[error("a port from 1 to 65535 must follow the last `:`")]
    Port,
    /// Nothing, or more than a name may have.
    #[error("a host has 1 to 253 bytes")]
    Length,
    /// Something else than letters, digits, hyphens and dots in their places.
    #[error(
        "a host is labels of `a-z`, `0-9` and inner `-` between single dots, `192.0.2.1` or `[2001:db8::1]`"
    )]
    Form,
    /// A last label that some would read as a number, and so the whole as an address.
    #[error("a host that ends in a number must be an address in its usual form")]
    NumberLast,
}

impl Host {
    /// Reads a host; upper-case letters are lowered.
    ///
    /// # Errors
    ///
    /// [`HostError`] for every other spelling than the one.
    pub fn parse(text: &str) -> Result<Host, HostError> {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(HostError::Length);
        }
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: Ipv6Addr = inner.parse().map_err(|_| HostError::Form)?;
            return Ok(Host::Address(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Host::Address(address.into()));
        }
        if !text.split('.').all(is_label) {
            return Err(HostError::Form);
        }
        let last = text.rsplit('.').next().unwrap_or(text).to_ascii_lowercase();
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
        if is_number || last.strip_prefix("0x").is_some_and(is_hexadecimal) {
            return Err(HostError::NumberLast);
        }
        Ok(Host::Name(text.to_ascii_lowercase()))
    }
}

impl HostPort {
    /// Reads `host:port`, or `host` alone where `usual_port` stands for the missing port.
    ///
    /// # Errors
    ///
    /// [`HostError`].
    pub fn parse(text: &str, usual_port: Option<u16>) -> Result<HostPort, HostError> {
        let is_bare = !text.contains(':') || text.ends_with(']');
        match (is_bare, usual_port) {
            (true, Some(port)) => Ok(HostPort { host: Host::parse(text)?, port }),
            (true, None) => Err(HostError::Port),
            (false, _) => {
                let (host, port) = text.rsplit_once(':').ok_or(HostError::Port)?;
                let is_plain = port.bytes().all(|byte| byte.is_ascii_digit())
                    && port.len() <= 5
                    && !port.starts_with('0');
                let port = port.parse().ok().filter(|_| is_plain).ok_or(HostError::Port)?;
                Ok(HostPort { host: Host::parse(host)?, port })
            }
        }
    }
}

impl FromStr for HostPort {
    type Err = HostError;

    fn from_str(text: &str) -> Result<HostPort, HostError> {
        HostPort::parse(text, None)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for HostPort {
    /// Writes the form that is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn is_label(label: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(is_plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_hexadecimal(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_is_read_and_written() {
        for text in [
            "registry.npmjs.org:443",
            "localhost:8080",
            "xn--bcher-kva.example:80",
            "192.0.2.1:443",
            "[2001:db8::1]:443",
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        let shouted: HostPort = "Registry.NPMJS.org:443".parse().unwrap();
        assert_eq!(shouted.to_string(), "registry.npmjs.org:443");
        assert_eq!(HostPort::parse("a.example", Some(80)).unwrap().to_string(), "a.example:80");
        assert_eq!(HostPort::parse("[::1]", Some(80)).unwrap().to_string(), "[::1]:80");
    }

    #[test]
    fn hostile_spellings_are_refused() {
        for bad in [
            "",
            ":443",
            "a.example",
            "a.example:",
            "a.example:0",
            "a.example:0443",
            "a.example:+443",
            "a.example:65536",
            "a.example.:443",
            ".a.example:443",
            "a..example:443",
            "-a.example:443",
            "a-.example:443",
            "a.example\0.evil:443",
            "a.example@evil.example:443",
            "a.example/x:443",
            "a.example%2eevil:443",
            "a_b.example:443",
            "a.example :443",
            "аpple.example:443",
            "a。example:443",
            "a.example:443:443",
            "127.1:80",
            "0x7f.0.0.1:80",
            "0x7f000001:80",
            "2130706433:80",
            "0177.0.0.1:80",
            "127.0.0.01:80",
            "1.2.3.4.5:80",
            "::1:80",
            "[::1%lo]:80",
            "[127.0.0.1]:80",
            "[::1:80",
            "*.example:443",
        ] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad:?}");
        }
        let long = format!("{}:443", "a.".repeat(130) + "b");
        assert_eq!(long.parse::<HostPort>(), Err(HostError::Length));
        let label = format!("{}.example:443", "a".repeat(64));
        assert_eq!(label.parse::<HostPort>(), Err(HostError::Form));
    }
}
