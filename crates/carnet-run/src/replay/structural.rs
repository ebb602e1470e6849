//! Data apart from its writing: JSON whatever the order of members, SQLite whatever the pages. No IO.

use serde_json::Value;

use super::{normalise::as_text, sqlite};

/// Data in a form that can be compared.
#[derive(Debug, PartialEq)]
pub(super) enum Structure {
    /// One JSON text, or one per line.
    Json(Vec<Value>),
    /// Every table of an SQLite database, by name.
    Sqlite(sqlite::Tables),
}

/// Reads data; `None` when the bytes are of no known form, or not wholly understood.
pub(super) fn structure(bytes: &[u8]) -> Option<Structure> {
    if bytes.starts_with(sqlite::MAGIC) {
        return sqlite::read(bytes).map(Structure::Sqlite);
    }
    let text = as_text(bytes)?;
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let values: Vec<_> = values.collect::<Result<_, _>>().ok()?;
    (!values.is_empty()).then_some(Structure::Json(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &str, b: &str, same: bool) {
        let (left, right) = (structure(a.as_bytes()), structure(b.as_bytes()));
        assert_eq!(left.is_some() && left == right, same, "{a} {b}");
    }

    #[test]
    fn members_of_json_have_no_order_and_elements_have() {
        check(r#"{"a":1,"b":[1,2]}"#, "{ \"b\": [1, 2], \"a\": 1 }\n", true);
        check(r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, false);
        check("{\"a\":1}\n{\"b\":2}\n", "{\"a\": 1}\n{\"b\": 2}", true);
        check("{\"a\":1}\n{\"b\":2}\n", "{\"b\":2}\n{\"a\":1}\n", false);
    }

    #[test]
    fn what_is_not_wholly_understood_has_no_structure() {
        for text in ["", "{", "{} x", "hello"] {
            assert_eq!(structure(text.as_bytes()), None, "{text:?}");
        }
    }
}
