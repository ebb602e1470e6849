//! `--model ADDRESS`: the model on this machine that a run may ask.

use std::sync::Arc;

use carnet_core::{ExitCode, Host, HostPort};
use carnet_daemon::http::{Outgoing, ask};
use carnet_run::model::{Ask, Model};
use carnet_sandbox::{DoorReply, DoorRequest};

use crate::error::CommandError;

/// Reads an address, and returns who asks there.
///
/// Only this machine is asked, in plain HTTP, and only below the address's path: a lane without hosts has no network, and what
/// leaves the machine leaves it through the broker.
pub fn model_at(address: &str) -> Result<Model, CommandError> {
    let wrong = |why: &str| {
        CommandError::new(ExitCode::Usage, format!("`{address}` is no address of a model: {why}"))
            .hint("Name one on this machine: `--model http://127.0.0.1:8080/v1`.")
    };
    let rest =
        address.strip_prefix("http://").ok_or_else(|| wrong("it must begin with http://"))?;
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = HostPort::parse(authority, Some(80)).map_err(|error| wrong(&error.to_string()))?;
    let is_here = match &host.host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(name) => name.as_str() == "localhost",
    };
    if !is_here {
        return Err(wrong("it is not on this machine"));
    }
    if path.ends_with('/') || path.contains(['?', '#', '%']) || path.split('/').any(|it| it == "..")
    {
        return Err(wrong("its path must be a plain one, without a slash at its end"));
    }
    let (server, below) = (host.to_string(), format!("{path}/"));
    let ask: Ask = Arc::new(move |request: &DoorRequest| {
        let is_plain = !request.path.split(['/', '?']).any(|part| part == ".." || part == ".");
        if !request.path.starts_with(&below) || !is_plain {
            return Err(format!("nothing is asked outside `{below}`"));
        }
        let DoorRequest { method, path, headers, body } = request.clone();
        let answered = ask(&server, Outgoing { method, path, headers, body });
        let answered = answered.map_err(|error| error.to_string())?;
        let (status, headers, body) = (answered.status, answered.headers, answered.body);
        Ok(DoorReply { status, headers, body })
    });
    Ok(Model::Live(ask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked() {
        for good in ["http://127.0.0.1:8080/v1", "http://localhost:80", "http://[::1]:9/a/b"] {
            assert!(model_at(good).is_ok(), "{good}");
        }
        for bad in [
            "https://127.0.0.1:8080/v1",
            "http://api.example:80/v1",
            "http://10.0.0.1:80/v1",
            "http://localhost.evil.example:80/v1",
            "http://127.0.0.1:8080/v1/",
            "http://127.0.0.1:8080/v1/../x",
            "http://user@127.0.0.1:8080/v1",
            "127.0.0.1:8080",
            "",
        ] {
            assert!(model_at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_asked_outside_the_path_that_was_named() {
        let Ok(Model::Live(ask)) = model_at("http://127.0.0.1:9/v1") else { panic!() };
        for path in ["/admin", "/v1x", "/v1/../admin", "/v1"] {
            let (method, path) = ("GET".to_owned(), path.to_owned());
            let request = DoorRequest { method, path, headers: vec![], body: vec![] };
            assert!(ask(&request).unwrap_err().contains("outside `/v1/`"));
        }
    }
}
