//! Patterns over whole argument vectors, for rules that allow.
//!
//! Invariant: matching is deterministic. An argument has one reading, so the tool cannot read as an option
//! what the rule took for a name; options that could be read in two ways do not parse.

use crate::element::Element;

/// `argv`, `options` and `after_dashes` of an allow rule.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) lead: Vec<Element>,
    pub(crate) fixed: Vec<Element>,
    pub(crate) tail: Option<Tail>,
    pub(crate) options: Vec<Opt>,
    /// Options of which one must be given, as they stand in `options`; empty where none must.
    pub(crate) needs: Vec<Opt>,
    pub(crate) dashes: Dashes,
}

/// The last positional element, when it may be absent or repeated.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    pub(crate) element: Element,
    pub(crate) required: bool,
    pub(crate) repeated: bool,
}

/// One entry of `options`: one argument, or two.
#[derive(Debug, Clone)]
pub(crate) struct Opt {
    pub(crate) name: Element,
    pub(crate) value: Option<Element>,
}

/// What `--` means to a rule.
#[derive(Debug, Clone)]
pub(crate) enum Dashes {
    Refused,
    EndOptions,
    HandOver { options: Vec<Opt>, elements: Vec<Element> },
}

/// Where an argument vector and a rule part.
#[derive(Debug, Clone)]
pub(crate) struct Mismatch<'p> {
    /// Index into the argument vector; its length when an argument is missing.
    pub(crate) argument_idx: usize,
    pub(crate) expected: Expected<'p>,
    pub(crate) kind: MismatchKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MismatchKind {
    Differs,
    Missing,
    TooMany,
    NoSuchOption,
}

/// What a rule would have taken instead; put into words only for the rule that came nearest.
#[derive(Debug, Clone)]
pub(crate) enum Expected<'p> {
    Element(&'p Element),
    Options(&'p [Opt]),
    Handed { options: &'p [Opt], elements: &'p [Element] },
    Tool(String),
    Nothing,
}

pub(crate) type Matched<'p> = Result<(), Mismatch<'p>>;

impl Expected<'_> {
    /// Says in words what is expected.
    pub(crate) fn describe(&self) -> String {
        match self {
            Expected::Element(element) => element.describe(),
            Expected::Options(options) => list_options(options),
            Expected::Handed { options, elements: [] } => list_options(options),
            Expected::Handed { elements, .. } => {
                elements.iter().map(Element::describe).collect::<Vec<_>>().join(", or ")
            }
            Expected::Tool(name) => format!("`{name}`"),
            Expected::Nothing => "no further argument".to_owned(),
        }
    }
}

impl Pattern {
    /// Tells whether the pattern matches, or where it first does not.
    pub(crate) fn matches(&self, argv: &[String]) -> Matched<'_> {
        for (idx, element) in self.lead.iter().enumerate() {
            expect(element, argv, idx)?;
        }
        let has_needed = self.needs.is_empty();
        let mut walk = Walk { pattern: self, n_fixed: 0, n_tail: 0, has_needed };
        let mut idx = self.lead.len();
        let mut options_ended = false;
        while let Some(argument) = argv.get(idx) {
            if options_ended || !is_option(argument) {
                walk.positional(argv, idx)?;
                idx += 1;
            } else if argument == "--" {
                match &self.dashes {
                    Dashes::EndOptions => options_ended = true,
                    Dashes::Refused => return self.no_such_option(idx),
                    Dashes::HandOver { options, elements } => {
                        walk.finish(idx)?;
                        return handed_over(options, elements, argv, idx + 1);
                    }
                }
                idx += 1;
            } else {
                walk.has_needed |= self.needs.iter().any(|need| need.name.matches(argument));
                match option(&self.options, argv, idx)? {
                    Some(n_arguments) => idx += n_arguments,
                    None => return self.no_such_option(idx),
                }
            }
        }
        walk.finish(argv.len())
    }

    /// Returns every element, for what is done to each.
    pub(crate) fn elements_mut(&mut self) -> impl Iterator<Item = &mut Element> {
        let (handed_options, handed) = match &mut self.dashes {
            Dashes::HandOver { options, elements } => {
                (options.as_mut_slice(), elements.as_mut_slice())
            }
            _ => (&mut [][..], &mut [][..]),
        };
        let options = self.options.iter_mut().chain(handed_options);
        let options =
            options.flat_map(|option| [&mut option.name].into_iter().chain(&mut option.value));
        let tail = self.tail.iter_mut().map(|tail| &mut tail.element);
        self.lead.iter_mut().chain(&mut self.fixed).chain(tail).chain(options).chain(handed)
    }

    fn no_such_option(&self, argument_idx: usize) -> Matched<'_> {
        let expected = Expected::Options(&self.options);
        Err(Mismatch { argument_idx, expected, kind: MismatchKind::NoSuchOption })
    }
}

/// How far the positional arguments have come.
struct Walk<'p> {
    pattern: &'p Pattern,
    n_fixed: usize,
    n_tail: usize,
    has_needed: bool,
}

impl<'p> Walk<'p> {
    fn positional(&mut self, argv: &[String], idx: usize) -> Matched<'p> {
        if let Some(element) = self.pattern.fixed.get(self.n_fixed) {
            self.n_fixed += 1;
            return expect(element, argv, idx);
        }
        match &self.pattern.tail {
            Some(tail) if tail.repeated || self.n_tail == 0 => {
                self.n_tail += 1;
                expect(&tail.element, argv, idx)
            }
            _ => Err(Mismatch {
                argument_idx: idx,
                expected: Expected::Nothing,
                kind: MismatchKind::TooMany,
            }),
        }
    }

    fn finish(&self, argument_idx: usize) -> Matched<'p> {
        let tail = self.pattern.tail.as_ref().filter(|tail| tail.required && self.n_tail == 0);
        let missing = self.pattern.fixed.get(self.n_fixed).or(tail.map(|tail| &tail.element));
        match missing {
            None if self.has_needed => Ok(()),
            None => {
                let expected = Expected::Options(&self.pattern.needs);
                Err(Mismatch { argument_idx, expected, kind: MismatchKind::Missing })
            }
            Some(element) => {
                let expected = Expected::Element(element);
                Err(Mismatch { argument_idx, expected, kind: MismatchKind::Missing })
            }
        }
    }
}

/// Tells whether a tool would take the argument for an option; `-` alone is a name.
fn is_option(argument: &str) -> bool {
    argument.len() > 1 && argument.starts_with('-')
}

fn expect<'p>(element: &'p Element, argv: &[String], idx: usize) -> Matched<'p> {
    let kind = match argv.get(idx) {
        Some(argument) if element.matches(argument) => return Ok(()),
        Some(_) => MismatchKind::Differs,
        None => MismatchKind::Missing,
    };
    Err(Mismatch { argument_idx: idx, expected: Expected::Element(element), kind })
}

/// Returns how many arguments the option at `idx` takes; `None` when no option is spelled so.
fn option<'p>(
    options: &'p [Opt],
    argv: &[String],
    idx: usize,
) -> Result<Option<usize>, Mismatch<'p>> {
    let Some(found) = options.iter().find(|option| option.name.matches(&argv[idx])) else {
        return Ok(None);
    };
    match &found.value {
        None => Ok(Some(1)),
        Some(first) => {
            // The same name may stand with several values: any of them will do.
            let literal = found.name.as_literal();
            let same = |option: &&Opt| option.name.as_literal() == literal;
            let values = options.iter().filter(same).filter_map(|option| option.value.as_ref());
            match values.map(|value| expect(value, argv, idx + 1)).find(Result::is_ok) {
                Some(_) => Ok(Some(2)),
                None => expect(first, argv, idx + 1).map(|()| Some(2)),
            }
        }
    }
}

fn handed_over<'p>(
    options: &'p [Opt],
    elements: &'p [Element],
    argv: &[String],
    start: usize,
) -> Matched<'p> {
    let mut idx = start;
    while let Some(argument) = argv.get(idx) {
        if is_option(argument) {
            match option(options, argv, idx)? {
                Some(n_arguments) => idx += n_arguments,
                None => {
                    let expected = Expected::Options(options);
                    let kind = MismatchKind::NoSuchOption;
                    return Err(Mismatch { argument_idx: idx, expected, kind });
                }
            }
        } else if elements.iter().any(|element| element.matches(argument)) {
            idx += 1;
        } else {
            let expected = Expected::Handed { options, elements };
            return Err(Mismatch { argument_idx: idx, expected, kind: MismatchKind::Differs });
        }
    }
    Ok(())
}

fn list_options(options: &[Opt]) -> String {
    if options.is_empty() {
        return "no option".to_owned();
    }
    let spelled = options.iter().map(|option| match &option.value {
        None => format!("`{}`", option.name),
        Some(value) => format!("`{} {value}`", option.name),
    });
    format!("one of the options {}", spelled.collect::<Vec<_>>().join(", "))
}

/// Leading words, positional elements, tail.
type Words = (Vec<Element>, Vec<Element>, Option<Tail>);

/// Parses `argv`: leading words, positional elements, tail.
pub(crate) fn parse_argv(argv: &[String]) -> Result<Words, String> {
    let Some((last, before)) = argv.split_last() else {
        return Err("has no element".to_owned());
    };
    let mut elements = Vec::new();
    for text in before {
        if is_tail(text) {
            return Err(format!("`{}` stands before the last element", crate::show(text)));
        }
        elements.push(Element::parse(text)?);
    }
    let tail = if is_tail(last) { Some(parse_tail(last)?) } else { None };
    if tail.is_none() {
        elements.push(Element::parse(last)?);
    }
    check_tool(elements.first())?;
    let leads = |element: &Element| element.words().is_some() || element.starts_with_dash();
    let n_lead = elements.iter().take_while(|element| leads(element)).count();
    let fixed = elements.split_off(n_lead);
    match fixed.iter().find(|element| element.starts_with_dash()) {
        Some(element) => Err(format!("`{element}` stands behind a hole: list it in `options`")),
        None => Ok((elements, fixed, tail)),
    }
}

/// Checks that the first element names tools that are to be looked up, not found by a path.
fn check_tool(first: Option<&Element>) -> Result<(), String> {
    let names = first.and_then(Element::words);
    match names {
        Some(names) if names.iter().all(|name| crate::admit::is_bare_tool_name(name)) => Ok(()),
        _ => Err("must begin with the bare name of a tool, or `{one-of:…}` of them".to_owned()),
    }
}

fn is_tail(text: &str) -> bool {
    text.starts_with('[') || text.ends_with("...")
}

fn parse_tail(text: &str) -> Result<Tail, String> {
    let inner = text.strip_prefix('[').map(|rest| rest.strip_suffix(']'));
    let (inner, required) = match inner {
        Some(None) => return Err(format!("`{}` has a bracket not closed", crate::show(text))),
        Some(Some(inner)) => (inner, false),
        None => (text, true),
    };
    let (body, repeated) = match inner.strip_suffix("...") {
        Some(body) => (body, true),
        None => (inner, false),
    };
    if body.is_empty() {
        return Err("`...` needs a hole before it; only a deny rule has it alone".to_owned());
    }
    let element = Element::parse(body)?;
    if element.as_literal().is_some() || element.starts_with_dash() {
        return Err(format!("`{}` may be absent or repeated only as a hole", crate::show(text)));
    }
    Ok(Tail { element, required, repeated })
}

/// Parses `options`; the flag tells whether `--` is among them.
pub(crate) fn parse_options(texts: &[String]) -> Result<(Vec<Opt>, bool), String> {
    let mut options = Vec::new();
    let mut dashes = false;
    for (idx, text) in texts.iter().enumerate() {
        if texts[..idx].contains(text) {
            return Err(format!("`{}` stands twice", crate::show(text)));
        }
        match text.as_str() {
            "--" => dashes = true,
            _ => options.push(parse_option(text)?),
        }
    }
    check_unambiguous(&options)?;
    Ok((options, dashes))
}

/// Parses `needs`: entries of `options`, of which one must be given.
pub(crate) fn parse_needs(texts: &[String], options: &[String]) -> Result<Vec<Opt>, String> {
    if let Some(other) = texts.iter().find(|text| !options.contains(text)) {
        return Err(format!("`{}` does not stand in `options` so", crate::show(other)));
    }
    texts.iter().map(|text| parse_option(text)).collect()
}

/// Parses `after_dashes`: options, and elements for what does not begin with `-`.
pub(crate) fn parse_after_dashes(texts: &[String]) -> Result<(Vec<Opt>, Vec<Element>), String> {
    let (dashed, plain): (Vec<_>, Vec<_>) = texts.iter().partition(|text| text.starts_with('-'));
    let dashed: Vec<String> = dashed.into_iter().cloned().collect();
    let (options, again) = parse_options(&dashed)?;
    if again {
        return Err("`--` cannot stand behind `--`".to_owned());
    }
    let elements = plain.into_iter().map(|text| Element::parse(text)).collect::<Result<_, _>>()?;
    Ok((options, elements))
}

fn parse_option(text: &str) -> Result<Opt, String> {
    let shown = crate::show(text);
    let space = text.find(' ').filter(|space| text.find('{').is_none_or(|brace| *space < brace));
    let (name, value) = match space {
        Some(space) => (&text[..space], Some(&text[space + 1..])),
        None => (text, None),
    };
    let listed = name.starts_with("-{int:") || name.starts_with("-{one-of:");
    let nameless = name.starts_with("--=") || name.starts_with("--{") || name.starts_with("-{");
    if !is_option(name) || (nameless && !listed) {
        return Err(format!("`{shown}` does not begin with the name of an option"));
    }
    let name = Element::parse(name)?;
    let value = value.map(Element::parse).transpose()?;
    if value.as_ref().is_some_and(|value| value.starts_with_dash()) {
        return Err(format!("`{shown}` has a value that begins with `-`"));
    }
    Ok(Opt { name, value })
}

/// Refuses a name that one entry reads as a whole option and another as waiting for its value.
fn check_unambiguous(options: &[Opt]) -> Result<(), String> {
    for option in options {
        if option.value.is_none() {
            continue;
        }
        let Some(name) = option.name.as_literal() else {
            return Err(format!("`{}` takes a second argument and must be literal", option.name));
        };
        let rival = |other: &&Opt| other.value.is_none() && other.name.matches(name);
        if let Some(other) = options.iter().find(rival) {
            return Err(format!("`{name}` with a value could also be read as `{}`", other.name));
        }
    }
    Ok(())
}
