//! Reads the built-in rule files with every check that a user's files get, and leaves their texts and a table
//! of what a scan needs. A broken rule file breaks the build, named by file, line and field.
#![expect(dead_code, reason = "of the crate's modules the build needs a part")]

#[path = "src/checksum.rs"]
mod checksum;
#[path = "src/content_class.rs"]
mod content_class;
#[path = "src/generic/mod.rs"]
mod generic;
#[path = "src/glob.rs"]
mod glob;
#[path = "src/keyword_proof.rs"]
mod keyword_proof;
#[path = "src/licence/build.rs"]
mod licence;
#[path = "src/pattern.rs"]
mod pattern;
#[path = "src/placeholder.rs"]
mod placeholder;
#[path = "src/rule.rs"]
mod rule;
#[path = "src/rule_digest.rs"]
mod rule_digest;
#[path = "src/rule_encode.rs"]
mod rule_encode;
#[path = "src/rule_file.rs"]
mod rule_file;
#[path = "src/rule_keywords.rs"]
mod rule_keywords;
#[path = "src/rule_table.rs"]
mod rule_table;

use std::{env, error::Error, fmt::Write, fs, path::Path};

use rule_file::{Checks, Reading};
use rule_table::Table;

/// A rule file as it stands in the crate.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RuleFile {
    name: String,
    path: String,
    text: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=rules");
    let crate_dir = env::var("CARGO_MANIFEST_DIR")?;
    let crate_dir = Path::new(&crate_dir);
    let files = rule_files(&crate_dir.join("rules"))?;
    let mut reading = Reading::default();
    for file in &files {
        reading.read(&file.name, &file.text, Checks::All);
    }
    if !reading.problems.is_empty() {
        let problems: Vec<String> = reading.problems.iter().map(ToString::to_string).collect();
        return Err(problems.join("\n").into());
    }
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    fs::write(out.join("built_in_table.bin"), rule_encode::encode(&Table::new(reading.rules)))?;
    fs::write(out.join("built_in_files.rs"), list(&files)?)?;
    licence::write_index(&crate_dir.join("licences"), out)?;
    Ok(())
}

/// Returns the rule files, sorted by name.
fn rule_files(dir: &Path) -> Result<Vec<RuleFile>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name =
                path.file_name().and_then(|name| name.to_str()).ok_or("name is not UTF-8")?;
            let text = fs::read_to_string(&path)?;
            let place = path.to_str().ok_or("path is not UTF-8")?;
            files.push(RuleFile { name: name.to_owned(), path: place.to_owned(), text });
        }
    }
    files.sort();
    Ok(files)
}

/// Returns the declaration of `BUILT_IN_FILES`.
fn list(files: &[RuleFile]) -> Result<String, std::fmt::Error> {
    let mut code = String::from(
        "/// The built-in rule files as (name, text), sorted by name; input for [`crate::RuleSet::parse`].\n\
         pub const BUILT_IN_FILES: &[(&str, &str)] = &[\n",
    );
    for RuleFile { name, path, .. } in files {
        writeln!(code, "    ({name:?}, include_str!({path:?})),")?;
    }
    code.push_str("];\n");
    Ok(code)
}
