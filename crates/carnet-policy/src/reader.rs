//! Reads TOML by hand, so that every problem has its line and none hides another.
//!
//! Invariant: a key that nobody asked for is a problem; [`TableReader::finish`] says so.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::problem::Problems;

/// Largest policy file, in bytes.
pub(crate) const FILE_BYTES_MAX: usize = 1 << 20;

/// A value with the place it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// Parses a whole file; `None`, with problems, when it is too large or no TOML.
pub(crate) fn parse_document<'t>(
    text: &'t str,
    problems: &mut Problems<'_>,
) -> Option<Spanned<DeTable<'t>>> {
    if text.len() > FILE_BYTES_MAX {
        problems.add(&(0..0), "", format!("larger than {FILE_BYTES_MAX} bytes"));
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        problems.add(&error.span().unwrap_or(0..0), "", first_line(error.message()));
    }
    errors.is_empty().then_some(table)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("not valid TOML")
}

/// Reads the keys of one table.
pub(crate) struct TableReader<'t, 'i> {
    table: &'t DeTable<'i>,
    span: Range<usize>,
    prefix: String,
    asked: Vec<&'static str>,
}

impl<'t, 'i> TableReader<'t, 'i> {
    pub(crate) fn new(table: &'t DeTable<'i>, span: Range<usize>, prefix: &str) -> Self {
        TableReader { table, span, prefix: prefix.to_owned(), asked: Vec::new() }
    }

    /// Reports every key that was not asked for.
    pub(crate) fn finish(self, problems: &mut Problems<'_>) {
        for (key, _) in self.table.iter() {
            if !self.asked.iter().any(|asked| *asked == key.get_ref()) {
                problems.add(&key.span(), &self.field(key.get_ref()), "unknown key");
            }
        }
    }

    pub(crate) fn field(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}.{key}", self.prefix) }
    }

    pub(crate) fn span(&self) -> &Range<usize> {
        &self.span
    }

    /// Returns the value of a key and notes that it was asked for.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.asked.push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn required(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<&'t Spanned<DeValue<'i>>> {
        let value = self.take(key);
        if value.is_none() {
            problems.add(&self.span, &self.field(key), "is missing");
        }
        value
    }

    /// Takes `format` and says so when it is not `expected`.
    pub(crate) fn format(&mut self, expected: &str, problems: &mut Problems<'_>) {
        if let Some(format) = self.string("format", problems)
            && format.value != expected
        {
            let message = format!("must be `{expected}`, not `{}`", crate::show(&format.value));
            problems.add(&format.span, "format", message);
        }
    }

    /// Reads a string that must be there and must not be empty.
    pub(crate) fn string(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<Located<String>> {
        let value = self.required(key, problems)?;
        as_string(value, &self.field(key), problems)
    }

    /// Reads a string that may be absent.
    pub(crate) fn string_if_any(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<Located<String>> {
        let value = self.take(key)?;
        as_string(value, &self.field(key), problems)
    }

    /// Reads a boolean that must be there.
    pub(crate) fn boolean(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<bool> {
        let value = self.required(key, problems)?;
        match value.get_ref() {
            DeValue::Boolean(truth) => Some(*truth),
            other => wrong_type(&value.span(), &self.field(key), "true or false", other, problems),
        }
    }

    /// Reads a whole number in a range, both ends included.
    pub(crate) fn integer(
        &mut self,
        key: &'static str,
        (least, most): (u64, u64),
        problems: &mut Problems<'_>,
    ) -> Option<u64> {
        let value = self.required(key, problems)?;
        let DeValue::Integer(digits) = value.get_ref() else {
            let field = self.field(key);
            return wrong_type(&value.span(), &field, "a whole number", value.get_ref(), problems);
        };
        let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!("must be {least} to {most}, not `{}`", digits.as_str());
            problems.add(&value.span(), &self.field(key), message);
        }
        number
    }

    /// Reads a day that must be there, as `YYYY-MM-DD`; a TOML date without time and zone.
    pub(crate) fn day(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<String> {
        let value = self.required(key, problems)?;
        match value.get_ref() {
            DeValue::Datetime(day) if day.time.is_none() && day.offset.is_none() => {
                Some(day.to_string())
            }
            other => wrong_type(&value.span(), &self.field(key), "a day", other, problems),
        }
    }

    /// Reads a list of strings; an absent key is an empty list.
    pub(crate) fn strings(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Vec<Located<String>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        as_strings(value, &self.field(key), problems).unwrap_or_default()
    }

    /// Reads a list of lists of strings; an absent key is an empty list.
    pub(crate) fn lists(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Vec<Located<Vec<String>>> {
        let field = self.field(key);
        let Some(value) = self.take(key) else { return Vec::new() };
        let DeValue::Array(rows) = value.get_ref() else {
            wrong_type::<()>(&value.span(), &field, "a list of lists", value.get_ref(), problems);
            return Vec::new();
        };
        let rows = rows.iter().filter_map(|row| {
            let items = as_strings(row, &field, problems)?;
            let value = items.into_iter().map(|item| item.value).collect();
            Some(Located { value, span: row.span() })
        });
        rows.collect()
    }

    /// Reads a table that may be absent.
    pub(crate) fn table_if_any(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<TableReader<'t, 'i>> {
        let field = self.field(key);
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(TableReader::new(table, value.span(), &field)),
            other => wrong_type(&value.span(), &field, "a table", other, problems),
        }
    }

    /// Reads a table that must be there.
    pub(crate) fn table(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<TableReader<'t, 'i>> {
        self.required(key, problems)?;
        self.table_if_any(key, problems)
    }

    /// Reads an array of tables; an absent key is an empty one.
    pub(crate) fn tables(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Vec<TableReader<'t, 'i>> {
        let field = self.field(key);
        let Some(value) = self.take(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            let other = value.get_ref();
            wrong_type::<()>(&value.span(), &field, "an array of tables", other, problems);
            return Vec::new();
        };
        let tables = items.iter().filter_map(|item| match item.get_ref() {
            DeValue::Table(table) => Some(TableReader::new(table, item.span(), &field)),
            other => wrong_type(&item.span(), &field, "a table", other, problems),
        });
        tables.collect()
    }

    /// Reads a whole table of strings with free keys, in the order of the text.
    pub(crate) fn into_pairs(
        self,
        problems: &mut Problems<'_>,
    ) -> Vec<(Located<String>, Located<String>)> {
        let pairs = self.table.iter().filter_map(|(key, value)| {
            let field = self.field(key.get_ref());
            let name = Located { value: key.get_ref().to_string(), span: key.span() };
            match value.get_ref() {
                DeValue::String(text) => {
                    Some((name, Located { value: text.to_string(), span: value.span() }))
                }
                other => wrong_type(&value.span(), &field, "a string", other, problems),
            }
        });
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_by_key(|(name, _)| name.span.start);
        pairs
    }
}

fn as_string(
    value: &Spanned<DeValue<'_>>,
    field: &str,
    problems: &mut Problems<'_>,
) -> Option<Located<String>> {
    match value.get_ref() {
        DeValue::String(text) if text.is_empty() => {
            problems.add(&value.span(), field, "is empty");
            None
        }
        DeValue::String(text) => Some(Located { value: text.to_string(), span: value.span() }),
        other => wrong_type(&value.span(), field, "a string", other, problems),
    }
}

fn as_strings(
    value: &Spanned<DeValue<'_>>,
    field: &str,
    problems: &mut Problems<'_>,
) -> Option<Vec<Located<String>>> {
    let DeValue::Array(items) = value.get_ref() else {
        return wrong_type(&value.span(), field, "a list of strings", value.get_ref(), problems);
    };
    let strings = items.iter().map(|item| match item.get_ref() {
        DeValue::String(text) => Some(Located { value: text.to_string(), span: item.span() }),
        other => wrong_type(&item.span(), field, "a string", other, problems),
    });
    // Collected first, so that every wrong item is reported.
    let strings: Vec<_> = strings.collect();
    strings.into_iter().collect()
}

fn wrong_type<T>(
    span: &Range<usize>,
    field: &str,
    expected: &str,
    found: &DeValue<'_>,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    problems.add(span, field, format!("must be {expected}, not {found}"));
    None
}
