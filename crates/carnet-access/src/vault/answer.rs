//! What came back: statuses and JSON into values. No IO but [`health`].

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    VaultError,
    http::{Answer, Http, Method},
};
use crate::secrets::{BASE64_FIELD, NAMES_MAX, SecretStoreError, TEXT_FIELD};

/// The fields of one secret. Wiped when dropped.
pub struct Entry(Value);

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Active,
    /// Another one of its cluster answers.
    Standby,
    /// It is sealed.
    Sealed,
    /// It was never initialised.
    Uninitialised,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Health::Active => "active",
            Health::Standby => "standby",
            Health::Sealed => "sealed",
            Health::Uninitialised => "uninitialised",
        })
    }
}

/// Asks a server how it is.
///
/// # Errors
///
/// [`VaultError`].
pub fn health(http: &Http) -> Result<Health, VaultError> {
    let path = "sys/health";
    match http.ask(Method::Get, path, None, None)?.status {
        200 => Ok(Health::Active),
        429 | 472 | 473 => Ok(Health::Standby),
        501 => Ok(Health::Uninitialised),
        503 => Ok(Health::Sealed),
        // Servers that speak less of Vault's language.
        404 => match sealed_now(http)? {
            Some(Health::Active) => Ok(Health::Active),
            Some(other) => Ok(other),
            None => Err(VaultError::Status { path: path.to_owned(), status: 404 }),
        },
        status => Err(VaultError::Status { path: path.to_owned(), status }),
    }
}

/// Whether a server is sealed or uninitialised, by its seal's own word; `None` where it does not say.
fn sealed_now(http: &Http) -> Result<Option<Health>, VaultError> {
    let init = http.ask(Method::Get, "sys/init", None, None)?;
    if member(&init.body, "initialized") == Some(false) {
        return Ok(Some(Health::Uninitialised));
    }
    let seal = http.ask(Method::Get, "sys/seal-status", None, None)?;
    Ok(match member(&seal.body, "sealed") {
        Some(true) => Some(Health::Sealed),
        Some(false) => Some(Health::Active),
        None => None,
    })
}

fn member(body: &[u8], name: &str) -> Option<bool> {
    serde_json::from_slice::<Value>(body).ok()?.get(name)?.as_bool()
}

/// What a status says, where it is not that all is well: `None` means that there is nothing.
///
/// # Errors
///
/// [`VaultError`].
pub fn judged(path: &str, answer: Answer) -> Result<Option<Answer>, VaultError> {
    let (path, status) = (path.to_owned(), answer.status);
    match status {
        200..=299 => Ok(Some(answer)),
        300..=399 => Err(VaultError::Redirected { path, status }),
        401 | 403 => Err(VaultError::Denied { path, status }),
        404 if says_why(&answer.body) => Err(VaultError::Nowhere { path, status }),
        404 => Ok(None),
        501 => Err(VaultError::Uninitialised { path, status }),
        503 => Err(VaultError::Sealed { path, status }),
        _ => Err(VaultError::Status { path, status }),
    }
}

/// Whether a 404 is of the place and not of the entry: no such engine, no such namespace. Of an entry that is not there nothing more is
/// said.
fn says_why(body: &[u8]) -> bool {
    let said = serde_json::from_slice::<Value>(body).unwrap_or_default();
    said["errors"].as_array().is_some_and(|errors| !errors.is_empty())
}

/// Reads a body; one that is empty is `null`.
///
/// # Errors
///
/// [`VaultError::Garbage`], without a byte of what was read.
pub fn json(path: &str, body: &[u8]) -> Result<Value, VaultError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| VaultError::Garbage {
        path: path.to_owned(),
        message: format!("no JSON at line {}, column {}", error.line(), error.column()),
    })
}

fn garbage(path: &str, message: &str) -> VaultError {
    VaultError::Garbage { path: path.to_owned(), message: message.to_owned() }
}

/// Reads an entry; `None` where its last version was deleted.
///
/// # Errors
///
/// [`VaultError::Garbage`].
pub fn entry(path: &str, kv: u8, answer: Value) -> Result<Option<Entry>, VaultError> {
    // Wiped whatever comes of it.
    let mut answer = Entry(answer);
    let fields = match kv {
        1 => answer.0.pointer_mut("/data"),
        _ => answer.0.pointer_mut("/data/data"),
    };
    match fields.map(Value::take) {
        Some(fields @ Value::Object(_)) => Ok(Some(Entry(fields))),
        Some(Value::Null) if kv == 2 => Ok(None),
        _ => Err(garbage(path, "it has no fields")),
    }
}

impl Entry {
    /// Returns the names of its fields.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.as_object().into_iter().flat_map(Map::keys)
    }

    /// Takes the value of a field out; without a name that of `value`, or of the only field.
    ///
    /// # Errors
    ///
    /// [`SecretStoreError::Field`], [`VaultError::Garbage`].
    pub fn value(
        mut self,
        path: &str,
        field: Option<&str>,
    ) -> Result<Zeroizing<Vec<u8>>, SecretStoreError> {
        let missing = |field: &str| SecretStoreError::Field {
            path: path.to_owned(),
            field: field.to_owned(),
        };
        let Value::Object(fields) = &mut self.0 else { return Err(missing(TEXT_FIELD)) };
        let name = match field {
            Some(field) => field.to_owned(),
            None => default_field(fields).ok_or_else(|| missing(TEXT_FIELD))?,
        };
        let value = match fields.get_mut(&name).map(Value::take) {
            Some(Value::String(text)) => Zeroizing::new(text.into_bytes()),
            Some(Value::Null) | None => return Err(missing(&name)),
            Some(other) => Zeroizing::new(Entry(other).0.to_string().into_bytes()),
        };
        if field.is_none() && name == BASE64_FIELD {
            let decoded = STANDARD.decode(&*value).map(Zeroizing::new);
            return Ok(decoded.map_err(|_| garbage(path, "`value_base64` is no base64"))?);
        }
        Ok(value)
    }
}

fn default_field(fields: &Map<String, Value>) -> Option<String> {
    let known = [TEXT_FIELD, BASE64_FIELD].into_iter().find(|name| fields.contains_key(*name));
    let only = fields.keys().next().filter(|_| fields.len() == 1);
    known.or(only.map(String::as_str)).map(str::to_owned)
}

impl Drop for Entry {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites every text of a value.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Reads a listing.
///
/// # Errors
///
/// [`VaultError::Garbage`].
pub fn keys(path: &str, answer: &Value) -> Result<Vec<String>, VaultError> {
    let keys = answer.pointer("/data/keys").and_then(Value::as_array);
    let keys = keys.ok_or_else(|| garbage(path, "it has no names"))?;
    let names = keys.iter().take(NAMES_MAX + 1).map(|it| it.as_str().map(str::to_owned));
    names.collect::<Option<_>>().ok_or_else(|| garbage(path, "a name is no text"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(kv: u8, answer: Value, field: Option<&str>) -> Result<String, String> {
        let entry = entry("p", kv, answer).map_err(|error| error.to_string())?;
        let entry = entry.ok_or("deleted")?;
        let value = entry.value("p", field).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&value).into_owned())
    }

    #[test]
    fn both_versions_of_the_engine_are_read() {
        let v2 = |fields: Value| json!({"data": {"data": fields, "metadata": {"version": 3}}});
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(value(2, v2(json!({"value": "a"})), None), ok("a"));
        assert_eq!(value(1, json!({"data": {"value": "a"}}), None), ok("a"));
        assert_eq!(value(2, v2(json!({"only": "a"})), None), ok("a"));
        assert_eq!(value(2, v2(json!({"value": "a", "b": 7})), Some("b")), ok("7"));
        assert_eq!(value(2, v2(json!({"value_base64": "aGk="})), None), ok("hi"));
        assert_eq!(value(2, v2(json!({"value_base64": "aGk="})), Some("value_base64")), ok("aGk="));
        assert_eq!(
            value(2, v2(json!({"a": "1", "b": "2"})), None),
            Err("`p` has no field `value`".into())
        );
        assert_eq!(value(2, v2(json!({"a": "1"})), Some("b")), Err("`p` has no field `b`".into()));
        assert_eq!(value(2, v2(Value::Null), None), Err("deleted".into()));
    }

    #[test]
    fn what_is_no_answer_is_told_without_a_byte_of_it() {
        for bad in [
            json!(null),
            json!([]),
            json!({"data": "opensesame"}),
            json!({"data": {"data": "opensesame"}}),
        ] {
            let said = value(2, bad, None).unwrap_err();
            assert!(said.contains("not understood") && !said.contains("opensesame"), "{said}");
        }
        let said = json("p", b"{\"data\": opensesame}").unwrap_err().to_string();
        assert!(said.contains("column") && !said.contains("opensesame"), "{said}");
        assert!(keys("p", &json!({"data": {"keys": [1]}})).is_err());
        assert!(keys("p", &json!({"data": {}})).is_err());
        assert!(value(2, json!({"data": {"data": {"value_base64": "!"}}}), None).is_err());
    }

    #[test]
    fn each_status_has_its_word() {
        for (status, word) in [
            (301, "another address"),
            (307, "another address"),
            (400, "with 400"),
            (403, "denies"),
            (500, "with 500"),
            (501, "not initialised"),
            (503, "sealed"),
            (429, "with 429"),
        ] {
            let error = judged("secret/data/p/a", Answer { status, body: Zeroizing::default() });
            let said = error.err().unwrap().to_string();
            assert!(said.contains(word) && said.contains("secret/data/p/a"), "{said}");
            assert!(said.contains(&status.to_string()), "{said}");
        }
        let gone = judged("p", Answer { status: 404, body: Zeroizing::default() });
        assert!(gone.unwrap().is_none());
        let of = |body: &str| {
            let body = Zeroizing::new(body.as_bytes().to_vec());
            judged("p", Answer { status: 404, body }).map(|it| it.is_some())
        };
        for body in [r#"{"errors":[]}"#, r#"{"data":{"data":null}}"#, "<html>"] {
            assert!(matches!(of(body), Ok(false)), "{body}");
        }
        let said = of(r#"{"errors":["namespace not found"]}"#).unwrap_err().to_string();
        assert!(said.contains("no engine or namespace") && !said.contains("not found"), "{said}");
    }
}
