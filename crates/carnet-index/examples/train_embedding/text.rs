//! Questions from comments: the first sentence, and what is left of it without the names.

use carnet_index::vectors::words_of;

/// Words that say nothing.
const STOP: &str = " a an the of to in on at by for from with without and or not is are was were be been being it its this \
that these those as if into than then when whether which who whose will would can could should may must do does did has have \
had given returns return sets set gets get creates create used use using all any each same other new only one so such also but \
no their there they them we you your via per up out ";
/// How sentences begin that describe nothing.
const EMPTY: [&str; 20] = [
    "deprecated",
    "todo",
    "fixme",
    "see ",
    "same as",
    "like ",
    "alias",
    "inherit",
    "@",
    "{@",
    "copyright",
    "nolint",
    "go:",
    "test",
    "safety",
    "internal",
    "overload",
    "implement",
    "noop",
    "returns self",
];
/// How lines begin that are no longer the sentence.
const MARKS: [&str; 12] = [
    ":param",
    ":return",
    "@",
    ">>>",
    "```",
    ".. ",
    "#",
    "Args:",
    "Returns:",
    "Parameters",
    "Example",
    "---",
];

/// Returns the first sentence of a comment, where it describes something.
pub fn question(doc: &str) -> Option<String> {
    let mut text = String::new();
    for line in described(doc) {
        let line = line.trim();
        if MARKS.iter().any(|mark| line.starts_with(mark)) {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line);
    }
    let text = text.replace(['`', '*', '[', ']'], "");
    let text =
        text.split_whitespace().filter(|it| !it.starts_with("http")).collect::<Vec<_>>().join(" ");
    let sentence = text[..end_of_sentence(&text)].trim();
    let n_words = sentence
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '\'')
        .filter(|it| it.starts_with(|c: char| c.is_ascii_alphabetic()))
        .count();
    let low = sentence.to_lowercase();
    let n_ascii = sentence.chars().filter(char::is_ascii).count();
    let is_good = (4..=60).contains(&n_words)
        && !EMPTY.iter().any(|start| low.starts_with(start))
        && n_ascii * 100 > sentence.chars().count() * 95;
    is_good.then(|| sentence.to_owned())
}

/// What a summary may begin with.
const TAGS: [&str; 3] = ["@summary", "@description", "@remarks"];

/// Skips what JSDoc says before its summary.
fn described(doc: &str) -> impl Iterator<Item = &str> {
    fn after_tag(line: &str) -> Option<&str> {
        TAGS.iter().find_map(|tag| line.trim().strip_prefix(tag))
    }
    let lines: Vec<&str> = doc.lines().collect();
    let begins_with_tag = lines.first().is_some_and(|line| line.trim().starts_with('@'));
    let tagged = lines.iter().position(|line| begins_with_tag && after_tag(line).is_some());
    let first = tagged.and_then(|at| after_tag(lines[at])).filter(|rest| !rest.trim().is_empty());
    let rest = tagged.map_or(0, |at| at + 1);
    first.into_iter().chain(doc.lines().skip(rest))
}

fn end_of_sentence(text: &str) -> usize {
    let bytes = text.as_bytes();
    for at in 1..bytes.len().saturating_sub(1) {
        let ends = matches!(bytes[at], b'.' | b'!' | b'?') && bytes[at + 1] == b' ';
        let goes_on =
            ["e.g", "i.e", "etc", " vs"].iter().any(|it| bytes[..at].ends_with(it.as_bytes()));
        let begins =
            bytes.get(at + 2).is_none_or(|next| next.is_ascii_uppercase() || *next == b'(');
        if ends && begins && !goes_on {
            return at + 1;
        }
    }
    text.len()
}

/// Returns a question without what looks like an identifier and without the function's own name.
pub fn without_identifiers(question: &str, name: &str) -> Option<String> {
    let kept = question.split(' ').filter(|word| {
        let core = word.trim_matches(|c: char| ".,;:!?()\"'".contains(c));
        let chars: Vec<char> = core.chars().collect();
        let is_identifier = core.contains('_')
            || core.contains("::")
            || core.contains("()")
            || chars.windows(2).any(|it| {
                (it[0].is_ascii_lowercase() || it[0].is_ascii_digit()) && it[1].is_ascii_uppercase()
            })
            || chars.windows(3).any(|it| {
                it[0].is_ascii_alphabetic() && it[1] == '.' && it[2].is_ascii_alphabetic()
            })
            || chars.windows(3).any(|it| {
                it[0].is_ascii_uppercase()
                    && it[1].is_ascii_uppercase()
                    && it[2].is_ascii_lowercase()
            });
        !(is_identifier || core == name)
    });
    enough(kept.collect::<Vec<_>>().join(" "))
}

/// Returns a question without the words of the function's name.
pub fn without_name(question: &str, name: &str) -> Option<String> {
    let stems: Vec<String> = words_of(name).iter().map(|word| stem(word)).collect();
    let flat: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let kept = question.split(' ').filter(|word| {
        let is_named = words_of(word).iter().any(|part| stems.contains(&stem(part)));
        let core: String =
            word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        !(is_named || core.len() >= 4 && flat.contains(&core))
    });
    enough(kept.collect::<Vec<_>>().join(" "))
}

fn enough(text: String) -> Option<String> {
    let words: Vec<_> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|it| !it.is_empty()).collect();
    let n_telling =
        words.iter().filter(|it| !STOP.contains(&format!(" {} ", it.to_lowercase()))).count();
    (words.len() >= 3 && n_telling >= 2).then_some(text)
}

/// Cuts the commonest endings of English; enough to know a word again.
pub fn stem(word: &str) -> String {
    let word = word.to_lowercase();
    for end in ["ations", "ation", "ings", "ing", "ers", "ies", "ed", "es", "er", "s", "e", "y"] {
        if let Some(stem) = word.strip_suffix(end).filter(|it| it.len() >= 3) {
            return stem.to_owned();
        }
    }
    word
}
