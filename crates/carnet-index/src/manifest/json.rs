//! Reads `package.json` and `tsconfig.json`: JSON, in which comments and trailing commas are let pass.
//!
//! What does not hold is none at all: half a configuration would name other modules than the whole one.

use serde_json::{Map, Value};

use super::{Config, Package, Rule, Target};

/// Largest file that is read, in bytes. Its depth is bounded by the reader of JSON.
const SOURCE_BYTES_MAX: usize = 1 << 20;
/// Most conditions inside conditions.
const CONDITIONS_DEPTH_MAX: u32 = 8;
/// What `exports` is asked for, in this order, after what calls itself source.
const CONDITIONS: [&str; 7] =
    ["types", "import", "module", "development", "default", "node", "require"];

/// Reads a `package.json`.
pub(super) fn package(source: &[u8]) -> Option<Package> {
    let value = value(source)?;
    let fields = value.as_object()?;
    let text = |field| fields.get(field).and_then(Value::as_str);
    let entries =
        [("source", false), ("types", true), ("typings", true), ("module", false), ("main", false)];
    let entry = |(field, is_types)| Some(Target { path: text(field)?.to_owned(), is_types });
    let exports = fields.get("exports").filter(|exports| !exports.is_null());
    Some(Package {
        name: text("name").map(str::to_owned),
        exports: exports.map(exported),
        imports: match fields.get("imports") {
            Some(Value::Object(imports)) => rules(imports),
            _ => Vec::new(),
        },
        entries: entries.into_iter().filter_map(entry).collect(),
    })
}

/// Reads a `tsconfig.json`.
pub(super) fn config(source: &[u8]) -> Option<Config> {
    let value = value(source)?;
    let fields = value.as_object()?;
    let none = Map::new();
    let options = fields.get("compilerOptions").map_or(Some(&none), Value::as_object)?;
    let base_url = options.get("baseUrl").map(owned_text);
    let paths = options.get("paths").map(|paths| paths.as_object()?.iter().map(path).collect());
    let extends = match fields.get("extends") {
        None => Vec::new(),
        Some(Value::Array(several)) => several.iter().map(owned_text).collect::<Option<_>>()?,
        Some(one) => vec![owned_text(one)?],
    };
    let has_no_files = fields.get("files").and_then(Value::as_array).is_some_and(Vec::is_empty);
    let references = fields.get("references").filter(|_| has_no_files).and_then(Value::as_array);
    let reference = |it: &Value| it.get("path").and_then(owned_text);
    Some(Config {
        base_url: possible(base_url)?,
        paths: possible(paths)?,
        extends,
        references: references
            .map_or(Some(Vec::new()), |several| several.iter().map(reference).collect())?,
    })
}

/// Returns what may be absent but not odd.
fn possible<T>(found: Option<Option<T>>) -> Option<Option<T>> {
    match found {
        Some(None) => None,
        Some(sound) => Some(sound),
        None => Some(None),
    }
}

fn owned_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn path((pattern, targets): (&String, &Value)) -> Option<Rule> {
    let target = |path: &Value| Some(Target { path: owned_text(path)?, is_types: false });
    let targets = targets.as_array()?.iter().map(target).collect::<Option<_>>()?;
    Some(Rule { pattern: pattern.clone(), targets })
}

fn exported(exports: &Value) -> Vec<Rule> {
    match exports {
        Value::Object(map) if map.keys().any(|key| key.starts_with('.')) => rules(map),
        of_package => vec![rule(".", of_package)],
    }
}

fn rules(map: &Map<String, Value>) -> Vec<Rule> {
    map.iter().map(|(pattern, targets)| rule(pattern, targets)).collect()
}

fn rule(pattern: &str, value: &Value) -> Rule {
    let mut targets = Vec::new();
    add_targets(value, false, 0, &mut targets);
    Rule { pattern: pattern.to_owned(), targets }
}

/// Adds the targets under all conditions, those first that are nearest to the source.
fn add_targets(value: &Value, is_types: bool, depth: u32, targets: &mut Vec<Target>) {
    match value {
        Value::String(path) => targets.push(Target { path: path.clone(), is_types }),
        Value::Array(several) if depth < CONDITIONS_DEPTH_MAX => {
            several.iter().for_each(|value| add_targets(value, is_types, depth + 1, targets));
        }
        Value::Object(conditions) if depth < CONDITIONS_DEPTH_MAX => {
            let sources = conditions.iter().filter(|(name, _)| name.ends_with("source"));
            sources.for_each(|(_, value)| add_targets(value, is_types, depth + 1, targets));
            for name in CONDITIONS {
                let Some(value) = conditions.get(name) else { continue };
                add_targets(value, is_types || name == "types", depth + 1, targets);
            }
        }
        _ => {}
    }
}

fn value(source: &[u8]) -> Option<Value> {
    if source.len() > SOURCE_BYTES_MAX {
        return None;
    }
    let source = source.strip_prefix(b"\xef\xbb\xbf").unwrap_or(source);
    serde_json::from_slice(&plain(source)).ok()
}

/// Makes blanks of comments and of commas before a closing bracket.
fn plain(source: &[u8]) -> Vec<u8> {
    let mut plain = source.to_vec();
    let (mut at, mut comma) = (0, None);
    while at < source.len() {
        let rest = &source[at..];
        let end = at
            + match rest[0] {
                b'"' => string_len(rest),
                b'/' if rest.starts_with(b"//") => {
                    memchr::memchr(b'\n', rest).unwrap_or(rest.len())
                }
                b'/' if rest.starts_with(b"/*") => {
                    memchr::memmem::find(&rest[2..], b"*/").map_or(rest.len(), |inner| inner + 4)
                }
                _ => 1,
            };
        match source[at] {
            b'/' if end > at + 1 => plain[at..end].fill(b' '),
            b',' => comma = Some(at),
            b'}' | b']' => {
                if let Some(comma) = comma.take() {
                    plain[comma] = b' ';
                }
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => comma = None,
        }
        at = end;
    }
    plain
}

/// Returns how long the string is that begins here, with its quotes.
fn string_len(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_blanks_outside_of_strings() {
        let source =
            b"\xef\xbb\xbf{ // one, }\n \"a\\\"//\": [\"/*\", 1, /* , */ ], \"b\": \"x,}\", }";
        let expected = serde_json::json!({"a\"//": ["/*", 1], "b": "x,}"});
        assert_eq!(value(source), Some(expected));
        for damaged in ["{\"a\": \"", "{\"a\\", "{,}}", "{} /*", "/", "", "[,,]", "{\"a\" 1}"] {
            let read = value(damaged.as_bytes());
            assert!(read.is_none() || damaged == "{} /*", "{damaged}: {read:?}");
        }
    }

    #[test]
    fn what_is_deep_or_large_is_not_read() {
        assert_eq!(value("[".repeat(SOURCE_BYTES_MAX).as_bytes()), None);
        assert_eq!(value(format!("[{}]", " ".repeat(SOURCE_BYTES_MAX)).as_bytes()), None);
    }

    #[test]
    fn targets_come_in_the_order_of_their_conditions() {
        let read = package(
            br#"{"exports": {"./x": {"require": "./r", "import": {"default": "./i", "types": "./t"}, "@a/source": "./s"}, "./no": null}}"#,
        );
        let exports = read.unwrap().exports.unwrap();
        let of = |rule: &Rule| -> Vec<_> {
            rule.targets.iter().map(|it| (it.path.clone(), it.is_types)).collect()
        };
        assert!(exports.iter().any(|rule| rule.pattern == "./no" && rule.targets.is_empty()));
        let x = exports.iter().find(|rule| rule.pattern == "./x").unwrap();
        let expected = [("./s", false), ("./t", true), ("./i", false), ("./r", false)];
        assert_eq!(of(x), expected.map(|(path, is_types)| (path.to_owned(), is_types)));
    }

    #[test]
    fn a_configuration_that_is_odd_is_none() {
        for odd in ["[]", r#"{"compilerOptions": {"paths": {"a": "b"}}}"#, r#"{"extends": 1}"#] {
            assert_eq!(config(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(config(b"{}"), Some(Config::default()));
    }
}
