//! The build script's part for licences: reads the SPDX list and our own notices and names, writes the index.

#[path = "index_build.rs"]
mod index_build;
#[path = "layout.rs"]
mod layout;
#[path = "template.rs"]
mod template;
#[path = "words.rs"]
mod words;

use std::{collections::BTreeMap, error::Error, fs, path::Path};

use index_build::{DocKind, IndexBuilder};
use template::Piece;
use zlib_rs::{Inflate, InflateFlush, Status};

/// Spellings that the SPDX matching guidelines call equal, and a few more of the same sort.
const SPELLINGS: &[(&str, &str)] = &[
    ("acknowledgement", "acknowledgment"),
    ("acknowledgements", "acknowledgments"),
    ("analogue", "analog"),
    ("analyse", "analyze"),
    ("artefact", "artifact"),
    ("authorisation", "authorization"),
    ("authorised", "authorized"),
    ("calibre", "caliber"),
    ("cancelled", "canceled"),
    ("catalogue", "catalog"),
    ("centre", "center"),
    ("emphasised", "emphasized"),
    ("favor", "favour"),
    ("favorite", "favourite"),
    ("fulfil", "fulfill"),
    ("fulfilment", "fulfillment"),
    ("https", "http"),
    ("initialise", "initialize"),
    ("judgement", "judgment"),
    ("labelling", "labeling"),
    ("labour", "labor"),
    ("licence", "license"),
    ("licenced", "licensed"),
    ("licences", "licenses"),
    ("maximise", "maximize"),
    ("modelled", "modeled"),
    ("modelling", "modeling"),
    ("offence", "offense"),
    ("optimise", "optimize"),
    ("organisation", "organization"),
    ("organise", "organize"),
    ("practise", "practice"),
    ("programme", "program"),
    ("realise", "realize"),
    ("recognise", "recognize"),
    ("signalling", "signaling"),
    ("sublicence", "sublicense"),
    ("utilisation", "utilization"),
    ("whilst", "while"),
    ("wilful", "willful"),
    ("nonfringement", "noninfringement"),
];

/// One record of the list: see `cargo xtask licence-data`.
struct Record<'t> {
    kind: &'t str,
    id: &'t str,
    name: &'t str,
    urls: &'t str,
    template: &'t str,
    header: &'t str,
}

/// Writes `licences.bin` to `out`; `dir` holds the data.
pub(crate) fn write_index(dir: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    for name in ["spdx.txt.gz", "notices.txt", "names.txt"] {
        println!("cargo::rerun-if-changed={}", dir.join(name).display());
    }
    let list = String::from_utf8(gunzip(&fs::read(dir.join("spdx.txt.gz"))?)?)?;
    let mut records: Vec<Record<'_>> = list
        .split_terminator('\x1e')
        .map(record)
        .collect::<Option<_>>()
        .ok_or("a record of the SPDX list has too few fields")?;
    // Of equal texts the first stays: current before deprecated, "-only" before "-or-later".
    records.sort_by_key(|record| (record.kind == "d", record.id.ends_with("-or-later"), record.id));
    let mut index = IndexBuilder::default();
    for (spelling, word) in SPELLINGS {
        index.alias(spelling, word);
    }
    for record in &records {
        let kind = if record.kind == "x" { DocKind::Exception } else { DocKind::Text };
        index.template(record.id, kind, record.template);
    }
    for record in &records {
        // GNU headers are told by the name in them: they differ in too little to be told apart as texts.
        let is_gnu = ["GPL-", "LGPL-", "AGPL-", "GFDL-", "SSPL-"]
            .iter()
            .any(|family| record.id.starts_with(family));
        if record.kind == "l" && !is_gnu && !record.header.is_empty() {
            index.template(record.id, DocKind::Header, record.header);
        }
    }
    notices(&fs::read_to_string(dir.join("notices.txt"))?, &mut index)?;
    names(&fs::read_to_string(dir.join("names.txt"))?, &mut index)?;
    names_of_the_list(&records, &mut index);
    fs::write(out.join("licences.bin"), index.finish())?;
    Ok(())
}

fn record(record: &str) -> Option<Record<'_>> {
    let mut fields = record.split('\x1f');
    let mut next = || fields.next();
    Some(Record {
        kind: next()?,
        id: next()?,
        name: next()?,
        urls: next()?,
        template: next()?,
        header: next()?,
    })
}

fn notices(text: &str, index: &mut IndexBuilder) -> Result<(), String> {
    for notice in text.split("\n= ").skip(1) {
        let (expression, forms) = notice.split_once('\n').ok_or("a notice has no text")?;
        for form in forms.split("\n--\n") {
            index.add(expression.trim(), DocKind::Notice, &notice_pieces(form));
        }
    }
    Ok(())
}

fn notice_pieces(form: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut optional = false;
    let mut rest = form;
    while let Some(at) = rest.find(['{', '[', ']']) {
        pieces.push(Piece::Text { text: &rest[..at], optional });
        match &rest[at..=at] {
            "[" => {
                optional = true;
                pieces.push(Piece::Begin);
            }
            "]" => {
                optional = false;
                pieces.push(Piece::End);
            }
            _ => pieces.push(Piece::Var { original: "", n_words_max: 40 }),
        }
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('}') {
            rest = after;
        }
    }
    pieces.push(Piece::Text { text: rest, optional });
    pieces
}

/// Meanings of phrases: `F family default flags version` or `L id`, with `?` in front where licensing must
/// be spoken of nearby, and `!` where "license" must stand right before.
fn names(text: &str, index: &mut IndexBuilder) -> Result<(), String> {
    let mut meaning = String::new();
    for line in
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["=", "family", family, default] => meaning = format!("F {family} {default} -"),
            ["=", "family", family, default, "gnu"] => {
                meaning = format!("F {family} {default} gnu")
            }
            ["=", "license", id] => meaning = format!("L {id}"),
            ["=", "exception", id] => meaning = format!("X {id}"),
            _ if meaning.is_empty() => {
                return Err(format!("names.txt: `{line}` stands before any licence"));
            }
            [name @ .., "?"] => {
                index.phrase(&name.join(" "), &format!("?{meaning}"));
                if let (["F", ..], [short]) =
                    (meaning.split(' ').collect::<Vec<_>>().as_slice(), name)
                {
                    for version in ["1", "2", "3", "1.0", "1.1", "2.0", "2.1", "3.0", "1.2", "1.3"]
                    {
                        let digits = version.replace('.', "");
                        for joined in [
                            format!("{short}v{digits}"),
                            format!("{short}{digits}"),
                            format!("{short}v{version}"),
                            format!("{short}{version}"),
                        ] {
                            index.phrase(&joined, &format!("{meaning} {version}"));
                        }
                    }
                }
            }
            name => index.phrase(&name.join(" "), &meaning),
        }
    }
    Ok(())
}

/// Names, ids and addresses that the list itself gives.
fn names_of_the_list(records: &[Record<'_>], index: &mut IndexBuilder) {
    let mut addresses: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for record in records {
        let letter = if record.kind == "x" { 'X' } else { 'L' };
        let meaning = format!("{letter} {}", record.id);
        let plain: String = record.name.split(['(', ')']).step_by(2).collect();
        for name in [record.name, &plain] {
            let name = name.trim_start_matches("The ").replace(['"', '\''], "");
            for form in [name.clone(), name.replace(" v", " version "), name.replace(" v", " ")] {
                let n_words = form.split([' ', '-', '.']).filter(|word| !word.is_empty()).count();
                if n_words >= 3 {
                    index.phrase(&form, &meaning);
                } else if n_words == 2 {
                    index.phrase(&form, &format!("?{meaning}"));
                } else {
                    index.phrase(&form, &format!("!{meaning}"));
                }
            }
        }
        let n_parts = record.id.split(['-', '.']).count();
        if n_parts == 1 {
            index.phrase(record.id, &format!("!{meaning}"));
        } else {
            index.phrase(
                record.id,
                &if n_parts >= 3 { meaning.clone() } else { format!("?{meaning}") },
            );
        }
        for place in ["opensource org licenses", "opensource org license", "spdx org licenses"] {
            index.phrase(&format!("{place} {}", record.id), &meaning);
        }
        for url in record.urls.split(' ').filter(|url| !url.is_empty()) {
            let bare =
                url.split_once("://").map_or(url, |(_, rest)| rest).trim_start_matches("www.");
            let bare = bare
                .trim_end_matches('/')
                .trim_end_matches(".html")
                .trim_end_matches(".txt")
                .trim_end_matches(".php");
            if bare.contains('/') && !bare.contains("web.archive.org") {
                addresses.entry(bare.to_owned()).or_default().push(record.id);
            }
        }
    }
    for (address, ids) in addresses {
        if ids.len() <= 4 {
            index.phrase(&address, &format!("L {}", ids[0]));
        }
    }
}

/// Unpacks what `gzip -n` packed.
fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let body = bytes.strip_prefix(b"\x1f\x8b\x08\x00").and_then(|rest| rest.get(6..));
    let body = body.ok_or("spdx.txt.gz has another header than `gzip -n` writes")?;
    let mut inflate = Inflate::new(false, 15);
    let mut text = vec![0; 16 * 1024 * 1024];
    match inflate.decompress(body, &mut text, InflateFlush::Finish) {
        Ok(Status::StreamEnd) => {}
        other => return Err(format!("spdx.txt.gz: {other:?}")),
    }
    text.truncate(usize::try_from(inflate.total_out()).map_err(|error| error.to_string())?);
    Ok(text)
}
