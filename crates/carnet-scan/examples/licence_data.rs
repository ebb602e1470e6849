//! Writes the records of `licences/spdx.txt.gz`, before packing: `cargo xtask licence-data DIR`.
//!
//! `DIR` is the `json` folder of a checkout of spdx/license-list-data. A record is kind (`l`icence, `d`eprecated one,
//! e`x`ception), id, name, addresses, template and header, parted by U+001F and ended by U+001E.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a chore reads files and prints"
)]

use std::{error::Error, fs, path::Path};

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: licence_data DIR")?;
    let mut records = Vec::new();
    for value in values(&Path::new(&dir).join("details"))? {
        let kind = if value["isDeprecatedLicenseId"] == true { "d" } else { "l" };
        let header = ["standardLicenseHeaderTemplate", "standardLicenseHeader"];
        let header = header.iter().find_map(|key| value[key].as_str()).unwrap_or_default();
        records.push(record(kind, &value, "licenseId", "standardLicenseTemplate", header)?);
    }
    for value in values(&Path::new(&dir).join("exceptions"))? {
        let text = ["licenseExceptionTemplate", "licenseExceptionText"];
        let text = text
            .into_iter()
            .find(|key| value[key].is_string())
            .ok_or("an exception has no text")?;
        records.push(record("x", &value, "licenseExceptionId", text, "")?);
    }
    records.sort();
    for (_, record) in records {
        print!("{record}\u{1e}");
    }
    Ok(())
}

fn values(dir: &Path) -> Result<Vec<Value>, Box<dyn Error>> {
    let mut values = Vec::new();
    for entry in fs::read_dir(dir)? {
        values.push(serde_json::from_slice(&fs::read(entry?.path())?)?);
    }
    Ok(values)
}

/// Returns the id and the record.
fn record(
    kind: &str,
    value: &Value,
    id: &str,
    template: &str,
    header: &str,
) -> Result<(String, String), Box<dyn Error>> {
    let text = |key: &str| value[key].as_str().ok_or_else(|| format!("a record has no `{key}`"));
    let addresses = value["seeAlso"].as_array().map(Vec::as_slice).unwrap_or_default();
    let addresses: Vec<&str> = addresses.iter().filter_map(Value::as_str).collect();
    let addresses = addresses.join(" ");
    let fields = [kind, text(id)?, text("name")?, &addresses, text(template)?, header];
    if fields.iter().any(|field| field.contains(['\u{1e}', '\u{1f}'])) {
        return Err("a record holds a separator".into());
    }
    Ok((text(id)?.to_owned(), fields.join("\u{1f}")))
}
