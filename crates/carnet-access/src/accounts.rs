//! `policy/accounts.toml`: which service accounts there are, what each may do, and what was revoked. No IO.
//!
//! The form is `docs/format/accounts.md`. A file with anything wrong in it is refused whole, every problem at once with line and
//! field. Edits keep what people wrote around them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
};

use carnet_core::Timestamp;
use toml_edit::{ArrayOfTables, Document, DocumentMut, Item, Table, TableLike, value};

use crate::scope::Scope;

/// Where the file stands in a repository.
pub const ACCOUNTS_FILE: &str = "policy/accounts.toml";
/// The format that this version reads and writes.
pub const ACCOUNTS_FORMAT: &str = "carnet/accounts/1";
/// Most accounts, and most revocations, of one file.
const ENTRIES_MAX: usize = 10_000;
/// Longest name, in bytes.
const NAME_MAX: usize = 64;

/// The accounts in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// `iss` of every token.
    pub issuer: String,
    /// `aud` of every token.
    pub audience: String,
    /// By name.
    pub accounts: BTreeMap<String, Account>,
    /// What counts no more.
    pub revoked: Vec<Revoked>,
}

/// One service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// What it is for.
    pub description: String,
}

/// A token, or all of an account's tokens up to a time, that count no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Which.
    pub what: RevokedWhat,
    /// When; an account's tokens that were issued later count.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevokedWhat {
    /// One token, by its `jti`.
    Token(String),
    /// Every token of an account.
    Account(String),
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// The file's name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The key, with its tables; empty when the text as a whole is meant.
    pub field: String,
    /// A lowercase fragment.
    pub message: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.field.is_empty() {
            write!(f, "`{}`: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Tells whether a text can name an account: lowercase letters, digits and dashes, a letter first.
pub fn is_account_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= NAME_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(fits)
}

impl Accounts {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Every [`FileProblem`], in order of lines.
    pub fn parse(file: &str, text: &str) -> Result<Accounts, Vec<FileProblem>> {
        let mut reader = Reader { file, text, problems: vec![] };
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let message = error.message().lines().collect::<Vec<_>>().join(" ");
                reader.add(error.span(), "", message);
                return Err(reader.problems);
            }
        };
        let accounts = reader.accounts(document.as_table());
        if reader.problems.is_empty() {
            return Ok(accounts);
        }
        reader.problems.sort_by_key(|problem| problem.line);
        Err(reader.problems)
    }
}

/// Reads one document and collects what is wrong with it.
struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    problems: Vec<FileProblem>,
}

impl Reader<'_> {
    fn add(&mut self, span: Option<Range<usize>>, field: &str, message: impl Into<String>) {
        let start = span.map_or(0, |span| span.start).min(self.text.len());
        let line = 1 + self.text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count();
        let (file, field) = (self.file.to_owned(), field.to_owned());
        self.problems.push(FileProblem { file, line, field, message: message.into() });
    }

    fn accounts(&mut self, root: &Table) -> Accounts {
        let format = self.string(root, "", "format");
        if !format.is_empty() && format != ACCOUNTS_FORMAT {
            let span = root.get("format").and_then(Item::span);
            let message =
                format!("`{format}` is not read by this version; it reads `{ACCOUNTS_FORMAT}`");
            self.add(span, "format", message);
            // What another format means by its keys is unknown.
            return Accounts {
                issuer: format,
                audience: String::new(),
                accounts: BTreeMap::new(),
                revoked: vec![],
            };
        }
        self.only(root, "", &["format", "issuer", "audience", "accounts", "revoked"]);
        let issuer = self.string(root, "", "issuer");
        let audience = self.string(root, "", "audience");
        let mut accounts = BTreeMap::new();
        if let Some(item) = root.get("accounts") {
            match item.as_table_like() {
                None => self.add(item.span(), "accounts", "it must be a table"),
                Some(table) if table.len() > ENTRIES_MAX => {
                    self.add(
                        item.span(),
                        "accounts",
                        format!("more than {ENTRIES_MAX} are not read"),
                    );
                }
                Some(table) => {
                    for (name, item) in table.iter() {
                        let account = self.account(name, item);
                        accounts.extend(account.map(|account| (name.to_owned(), account)));
                    }
                }
            }
        }
        let revoked = match root.get("revoked") {
            None => vec![],
            Some(item) => match item.as_array_of_tables() {
                Some(tables) if tables.len() <= ENTRIES_MAX => {
                    tables.iter().filter_map(|table| self.revoked(table)).collect()
                }
                _ => {
                    self.add(
                        item.span(),
                        "revoked",
                        format!("it must be at most {ENTRIES_MAX} tables `[[revoked]]`"),
                    );
                    vec![]
                }
            },
        };
        Accounts { issuer, audience, accounts, revoked }
    }

    fn account(&mut self, name: &str, item: &Item) -> Option<Account> {
        let field = format!("accounts.{name}");
        if !is_account_name(name) {
            self.add(
                item.span(),
                &field,
                "a name is lowercase letters, digits and dashes, a letter first, 64 at most",
            );
        }
        let Some(table) = item.as_table_like() else {
            self.add(item.span(), &field, "it must be a table");
            return None;
        };
        self.only(table, &field, &["scopes", "description"]);
        let description = match table.get("description") {
            None => String::new(),
            Some(_) => self.string(table, &field, "description"),
        };
        let mut scopes = BTreeSet::new();
        let scopes_field = format!("{field}.scopes");
        match table.get("scopes").map(|item| (item, item.as_array())) {
            Some((_, Some(array))) => {
                for entry in array {
                    match entry.as_str().map(|name| (name, Scope::parse(name))) {
                        Some((_, Some(scope))) if scopes.insert(scope) => {}
                        Some((name, Some(_))) => {
                            self.add(
                                entry.span(),
                                &scopes_field,
                                format!("`{name}` stands there twice"),
                            );
                        }
                        Some((name, None)) => {
                            let message =
                                format!("there is no scope `{name}`; there are {}", Scope::names());
                            self.add(entry.span(), &scopes_field, message);
                        }
                        None => self.add(entry.span(), &scopes_field, "a scope is text"),
                    }
                }
            }
            Some((item, None)) => {
                self.add(item.span(), &scopes_field, "it must be a list of scopes")
            }
            None => self.add(item.span(), &scopes_field, "it is missing"),
        }
        Some(Account { scopes, description })
    }

    fn revoked(&mut self, table: &Table) -> Option<Revoked> {
        self.only(table, "revoked", &["jti", "account", "at", "reason"]);
        let at = self.string(table, "revoked", "at");
        let reason = self.string(table, "revoked", "reason");
        let what = match (table.contains_key("jti"), table.contains_key("account")) {
            (true, false) => RevokedWhat::Token(self.string(table, "revoked", "jti")),
            (false, true) => RevokedWhat::Account(self.string(table, "revoked", "account")),
            _ => {
                self.add(
                    table.span(),
                    "revoked",
                    "it must name a `jti` or an `account`, one of them",
                );
                return None;
            }
        };
        let Some(time) = Timestamp::parse(&at) else {
            if !at.is_empty() {
                let span = table.get("at").and_then(Item::span);
                self.add(span, "revoked.at", format!("`{at}` is no time (RFC 3339)"));
            }
            return None;
        };
        Some(Revoked { what, at: time, reason })
    }

    /// A text that must be there and say something.
    fn string(&mut self, table: &dyn TableLike, parent: &str, key: &str) -> String {
        let field = if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
        match table.get(key).map(|item| (item, item.as_str())) {
            Some((_, Some(text))) if !text.trim().is_empty() => text.to_owned(),
            Some((item, _)) => {
                self.add(item.span(), &field, "it must be a text that says something");
                String::new()
            }
            None => {
                let span = table.iter().find_map(|(_, item)| item.span());
                self.add(span, &field, "it is missing");
                String::new()
            }
        }
    }

    fn only(&mut self, table: &dyn TableLike, parent: &str, known: &[&str]) {
        for (key, item) in table.iter() {
            if !known.contains(&key) {
                let field =
                    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
                let message = format!("there is no such key; there are {}", known.join(", "));
                self.add(item.span(), &field, message);
            }
        }
    }
}

/// A change of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountsEdit {
    /// Add an account, or give it other scopes.
    Add {
        /// Its name.
        name: String,
        /// What it shall be.
        account: Account,
    },
    /// Remove an account: its tokens count no more.
    Remove {
        /// Its name.
        name: String,
    },
    /// Revoke.
    Revoke(Revoked),
}

/// Returns the file with a change made and everything else as it was; the changed file is read again before it is returned.
///
/// - `text`: what stands there; a new file is begun with `begin`, issuer and audience.
///
/// # Errors
///
/// Every [`FileProblem`] of the file as it was, or as it would be.
pub fn edited(
    text: Option<&str>,
    begin: (&str, &str),
    edit: &AccountsEdit,
) -> Result<String, Vec<FileProblem>> {
    let fresh = || {
        format!(
            "# Service accounts: who may present tokens, and what each may do (docs/format/accounts.md).\nformat = \"{ACCOUNTS_FORMAT}\"\nissuer = {}\naudience = {}\n",
            toml_edit::Value::from(begin.0),
            toml_edit::Value::from(begin.1)
        )
    };
    let text = text.map_or_else(fresh, str::to_owned);
    Accounts::parse(ACCOUNTS_FILE, &text)?;
    let mut document: DocumentMut =
        text.parse().expect("because a text that was understood is TOML");
    match edit {
        AccountsEdit::Add { name, account } => {
            let table = document["accounts"].or_insert(Item::Table(implicit_table()));
            let mut new = Table::new();
            let scopes: toml_edit::Array = account.scopes.iter().map(|it| it.name()).collect();
            new["scopes"] = value(scopes);
            if !account.description.is_empty() {
                new["description"] = value(&account.description);
            }
            table[name] = Item::Table(new);
        }
        AccountsEdit::Remove { name } => {
            if let Some(table) = document["accounts"].as_table_like_mut() {
                table.remove(name);
            }
        }
        AccountsEdit::Revoke(revoked) => {
            let tables = document["revoked"].or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
            let mut new = Table::new();
            match &revoked.what {
                RevokedWhat::Token(jti) => new["jti"] = value(jti),
                RevokedWhat::Account(name) => new["account"] = value(name),
            }
            new["at"] = value(revoked.at.to_string());
            new["reason"] = value(&revoked.reason);
            if let Some(tables) = tables.as_array_of_tables_mut() {
                tables.push(new);
            }
        }
    }
    let made = document.to_string();
    Accounts::parse(ACCOUNTS_FILE, &made)?;
    Ok(made)
}

fn implicit_table() -> Table {
    let mut table = Table::new();
    table.set_implicit(true);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "format = \"carnet/accounts/1\"\nissuer = \"i\"\naudience = \"a\"\n";

    /// Lines and fields of what is wrong with the head and `rest`.
    fn check(rest: &str, expect: &[&str]) {
        let problems = Accounts::parse("f", &format!("{HEAD}{rest}")).err().unwrap_or_default();
        let found: Vec<_> = problems.iter().map(|it| format!("{}:{}", it.line, it.field)).collect();
        assert_eq!(found, expect, "{problems:?}");
    }

    #[test]
    fn every_problem_is_named_with_line_and_field() {
        check("", &[]);
        check("[accounts.ci]\nscopes = [\"pex.start\"]\n", &[]);
        check("[accounts.ci]\nscopes = [\"pex.stop\"]\n", &["5:accounts.ci.scopes"]);
        check(
            "[accounts.ci]\nscopes = [\"pex.start\", \"pex.start\"]\n",
            &["5:accounts.ci.scopes"],
        );
        check("[accounts.ci]\nscope = []\n", &["4:accounts.ci.scopes", "5:accounts.ci.scope"]);
        check("[accounts.Ci]\nscopes = []\n", &["4:accounts.Ci"]);
        check("[[revoked]]\nat = \"2026-01-02T00:00:00Z\"\nreason = \"r\"\n", &["4:revoked"]);
        check("[[revoked]]\njti = \"j\"\nat = \"soon\"\nreason = \"r\"\n", &["6:revoked.at"]);
        check(
            "[[revoked]]\njti = \"j\"\nat = \"2026-01-02\"\nreason = \"\"\n",
            &["7:revoked.reason"],
        );
        check("[[[", &["4:"]);
        check("colour = 1\n", &["4:colour"]);
    }

    #[test]
    fn a_doubled_key_and_a_format_from_the_future_are_refused() {
        check("issuer = \"other\"\n", &["4:"]);
        check("[accounts.ci]\nscopes = []\n[accounts.ci]\nscopes = []\n", &["6:"]);
        let future = HEAD.replace("accounts/1", "accounts/2");
        let problems = Accounts::parse("f", &format!("{future}new = 1\n")).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].to_string().starts_with("f:1: `format`: `carnet/accounts/2` is not read")
        );
    }

    #[test]
    fn edits_keep_what_people_wrote() {
        let text =
            format!("# ours\n{HEAD}\n[accounts.ci] # the builder\nscopes = [\"pex.start\"]\n");
        let account =
            Account { scopes: [Scope::ArtifactRead].into(), description: "reads".to_owned() };
        let add = AccountsEdit::Add { name: "reader".to_owned(), account };
        let made = edited(Some(&text), ("", ""), &add).unwrap();
        assert!(made.starts_with(&text), "{made}");
        let what = RevokedWhat::Account("ci".to_owned());
        let at = Timestamp::from_millis(0);
        let revoke = AccountsEdit::Revoke(Revoked { what, at, reason: "lost".to_owned() });
        let made = edited(Some(&made), ("", ""), &revoke).unwrap();
        let remove = AccountsEdit::Remove { name: "reader".to_owned() };
        let made = edited(Some(&made), ("", ""), &remove).unwrap();
        let read = Accounts::parse("f", &made).unwrap();
        assert_eq!(read.accounts.keys().collect::<Vec<_>>(), ["ci"]);
        assert_eq!(read.revoked.len(), 1);
        assert!(made.contains("# the builder"), "{made}");
        assert!(edited(Some("[[["), ("i", "a"), &remove).is_err());
        let fresh = edited(None, ("https://x", "x"), &add).unwrap();
        assert_eq!(Accounts::parse("f", &fresh).unwrap().issuer, "https://x");
    }
}
