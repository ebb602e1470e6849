//! SPDX templates: text with optional and replaceable parts, as the list publishes them.
//!
//! # Source
//!
//! The SPDX specification, annex "License matching guidelines and templates".

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    /// Text that must be there, or may be.
    Text { text: &'t str, optional: bool },
    /// A part that may be left out begins.
    Begin,
    /// It ends.
    End,
    /// Something may stand here instead of `original`: at most so many words.
    Var { original: &'t str, n_words_max: usize },
}

/// Cuts a template into pieces; a mark that is never closed is text.
pub(crate) fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut depth = 0usize;
    let mut rest = template;
    while let Some(open) = rest.find("<<") {
        let Some(close) = mark_end(&rest[open..]) else { break };
        let mark = &rest[open + 2..open + close - 2];
        let text = &rest[..open];
        if !mark.starts_with("beginOptional") && mark != "endOptional" && !mark.starts_with("var;")
        {
            pieces.push(Piece::Text { text: &rest[..open + 2], optional: depth > 0 });
            rest = &rest[open + 2..];
            continue;
        }
        pieces.push(Piece::Text { text, optional: depth > 0 });
        rest = &rest[open + close..];
        match mark {
            "endOptional" => {
                depth = depth.saturating_sub(1);
                pieces.push(Piece::End);
            }
            _ if mark.starts_with("beginOptional") => {
                depth += 1;
                pieces.push(Piece::Begin);
            }
            _ => pieces.push(var(mark)),
        }
    }
    pieces.push(Piece::Text { text: rest, optional: depth > 0 });
    pieces
}

/// Where the mark at the start of `text` ends; `>>` inside quotation marks does not end it.
fn mark_end(text: &str) -> Option<usize> {
    let end = text.find(">>")?;
    if !text.starts_with("<<var;") {
        return Some(end + 2);
    }
    let last = text.find("\">>")?;
    Some(last + 3)
}

fn var(mark: &str) -> Piece<'_> {
    let original = field(mark, "original").unwrap_or_default();
    let matches = field(mark, "match").unwrap_or(".+");
    let n_words = |text: &str| text.split_whitespace().count();
    let n_words_max = match matches {
        ".{0,20}" => 3,
        ".{0,5000}" => 800,
        _ if matches.contains(".+") || matches.contains(".*") => 40,
        _ => n_words(original).max(matches.split('|').map(n_words).max().unwrap_or(0)) + 2,
    };
    Piece::Var { original, n_words_max }
}

fn field<'t>(mark: &'t str, name: &str) -> Option<&'t str> {
    let start = mark.find(&format!(";{name}=\""))? + name.len() + 3;
    let rest = &mark[start..];
    let end = if name == "match" { rest.rfind('"')? } else { rest.find("\";match=")? };
    Some(&rest[..end])
}
