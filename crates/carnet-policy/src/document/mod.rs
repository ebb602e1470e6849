//! A JSON or TOML file as one value, with the place of everything in it; and a JSON Schema to hold it against.
//!
//! Refuses what has two meanings: a member that stands twice. Invariants: every value has its place; depth and size are
//! bounded; nothing here knows what a document is about.

mod places;
mod schema;

use std::{collections::BTreeMap, fmt, ops::Range};

use carnet_core::LineIndex;
use serde_json::{Map, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

pub(crate) use schema::{Schema, unknown};

use crate::reader::FILE_BYTES_MAX;

/// Most faults that are kept for one file; the first ones are the ones to mend.
const FAULTS_MAX: usize = 200;
/// Values within values, at most: less than either reader of text allows.
const DEPTH_MAX: usize = 60;

/// Which of the two forms a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentForm {
    /// JSON (RFC 8259).
    Json,
    /// TOML 1.0.
    Toml,
}

impl DocumentForm {
    /// Returns the form that a file's name speaks of; JSON where it speaks of none.
    pub fn of_file(name: &str) -> DocumentForm {
        let is_toml = name.rsplit('.').next().is_some_and(|end| end.eq_ignore_ascii_case("toml"));
        if is_toml { DocumentForm::Toml } else { DocumentForm::Json }
    }
}

/// One thing that is wrong in a document, or worth a warning, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentFault {
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// The value that is meant, as a JSON pointer (RFC 6901); empty for the whole document.
    pub pointer: String,
    /// A lowercase fragment.
    pub message: String,
}

impl fmt::Display for DocumentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.pointer.is_empty() {
            write!(f, "{}: ", crate::show(&self.pointer))?;
        }
        f.write_str(&self.message)
    }
}

/// A document that was read, and where its values and keys stand.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) value: Value,
    places: BTreeMap<String, Place>,
    lines: LineIndex,
}

/// First bytes of a key (of its value, in a list) and of a value.
#[derive(Debug, Clone, Copy)]
struct Place {
    key: usize,
    value: usize,
}

/// Collects faults, at most [`FAULTS_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<DocumentFault>);

impl Faults {
    pub(crate) fn push(&mut self, fault: DocumentFault) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(fault);
        }
    }

    /// Tells whether something is wrong with the value at `pointer`.
    pub(crate) fn has(&self, pointer: &str) -> bool {
        self.0.iter().any(|fault| fault.pointer == pointer)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns them in the order of their places, each once.
    pub(crate) fn finish(mut self) -> Vec<DocumentFault> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}

impl Document {
    /// Reads a text; `None`, with faults, when it is too large, too deep or not of the form. A doubled member is a fault
    /// as well, and its last value counts so that the rest can be looked at.
    pub(crate) fn parse(text: &str, form: DocumentForm, faults: &mut Faults) -> Option<Document> {
        let lines = LineIndex::new(text.as_bytes());
        let mut reading = Reading { lines: &lines, places: BTreeMap::new(), faults };
        if text.len() > FILE_BYTES_MAX {
            reading.fault(0, "", format!("larger than {FILE_BYTES_MAX} bytes"));
            return None;
        }
        let value = match form {
            DocumentForm::Json => reading.json(text),
            DocumentForm::Toml => reading.toml(text),
        }?;
        let places = reading.places;
        Some(Document { value, places, lines })
    }

    /// A fault of the value at `pointer`.
    pub(crate) fn fault(&self, pointer: &str, message: impl Into<String>) -> DocumentFault {
        self.fault_at(self.place(pointer).value, pointer, message)
    }

    /// A fault of the key that names the value at `pointer`.
    pub(crate) fn key_fault(&self, pointer: &str, message: impl Into<String>) -> DocumentFault {
        self.fault_at(self.place(pointer).key, pointer, message)
    }

    /// Where a value stands; one that is not there stands where its parent does.
    fn place(&self, pointer: &str) -> Place {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return *place;
            }
            match pointer.rsplit_once('/') {
                Some((parent, _)) => pointer = parent,
                None => return Place { key: 0, value: 0 },
            }
        }
    }

    fn fault_at(&self, offset: usize, pointer: &str, message: impl Into<String>) -> DocumentFault {
        let (line, column) = self.lines.line_column(offset);
        DocumentFault { line, column, pointer: pointer.to_owned(), message: message.into() }
    }
}

/// Returns the pointer of a member or an element below `parent`.
pub(crate) fn below(parent: &str, part: impl fmt::Display) -> String {
    format!("{parent}/{}", part.to_string().replace('~', "~0").replace('/', "~1"))
}

struct Reading<'r> {
    lines: &'r LineIndex,
    places: BTreeMap<String, Place>,
    faults: &'r mut Faults,
}

impl Reading<'_> {
    fn fault(&mut self, offset: usize, pointer: &str, message: impl Into<String>) {
        let (line, column) = self.lines.line_column(offset);
        let (pointer, message) = (pointer.to_owned(), message.into());
        self.faults.push(DocumentFault { line, column, pointer, message });
    }

    fn json(&mut self, text: &str) -> Option<Value> {
        // serde_json judges what is JSON; places and doubled members are found in what it accepted.
        match serde_json::from_str(text) {
            Ok(value) => places::of_json(text, self).then_some(value),
            Err(error) => {
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or("not valid JSON");
                self.faults.push(DocumentFault {
                    line: u32::try_from(error.line()).unwrap_or(u32::MAX).max(1),
                    column: u32::try_from(error.column()).unwrap_or(u32::MAX).max(1),
                    pointer: String::new(),
                    message: message.to_owned(),
                });
                None
            }
        }
    }

    fn toml(&mut self, text: &str) -> Option<Value> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let message = error.message().lines().next().unwrap_or("not valid TOML");
            self.fault(error.span().unwrap_or(0..0).start, "", message);
        }
        if !errors.is_empty() {
            return None;
        }
        self.note("", 0, 0);
        self.toml_table(table.get_ref(), "", 0)
    }

    fn toml_table(&mut self, table: &DeTable<'_>, pointer: &str, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        for (key, value) in table.iter() {
            let member = below(pointer, key.get_ref());
            let value = self.toml_value(value, &key.span(), &member, depth + 1)?;
            map.insert(key.get_ref().to_string(), value);
        }
        Some(Value::Object(map))
    }

    fn toml_value(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        key: &Range<usize>,
        pointer: &str,
        depth: usize,
    ) -> Option<Value> {
        let start = value.span().start;
        if !self.deep_enough(start, pointer, depth) {
            return None;
        }
        self.note(pointer, key.start, start);
        match value.get_ref() {
            DeValue::String(text) => Some(Value::String(text.to_string())),
            DeValue::Boolean(truth) => Some(Value::Bool(*truth)),
            DeValue::Integer(digits) => {
                let number = i64::from_str_radix(digits.as_str(), digits.radix());
                self.number(number.ok().map(Value::from), start, pointer)
            }
            DeValue::Float(digits) => {
                let number = digits.as_str().parse::<f64>().ok();
                let number = number.and_then(serde_json::Number::from_f64).map(Value::Number);
                self.number(number, start, pointer)
            }
            DeValue::Datetime(_) => {
                self.fault(start, pointer, "a date has no quotes and is none here: write a string");
                None
            }
            DeValue::Array(elements) => {
                let mut list = Vec::new();
                for (idx, element) in elements.iter().enumerate() {
                    let place = element.span();
                    list.push(self.toml_value(element, &place, &below(pointer, idx), depth + 1)?);
                }
                Some(Value::Array(list))
            }
            DeValue::Table(table) => self.toml_table(table, pointer, depth),
        }
    }

    fn number(&mut self, number: Option<Value>, start: usize, pointer: &str) -> Option<Value> {
        if number.is_none() {
            self.fault(start, pointer, "is no number that can be counted with");
        }
        number
    }

    fn note(&mut self, pointer: &str, key: usize, value: usize) {
        self.places.insert(pointer.to_owned(), Place { key, value });
    }

    /// Tells whether a value is not too deep, and reports one that is.
    fn deep_enough(&mut self, start: usize, pointer: &str, depth: usize) -> bool {
        if depth > DEPTH_MAX {
            self.fault(start, pointer, format!("more than {DEPTH_MAX} values within values"));
        }
        depth <= DEPTH_MAX
    }
}

#[cfg(test)]
mod tests;
