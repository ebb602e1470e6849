//! What local names stand for, and expressions in which no local name is left.
//!
//! A receiver is worth keeping only when it can be read outside its function. So each local name is put down with what it was
//! declared as or assigned from, and at the end of the file an expression is *closed*: its first name is replaced by what that
//! name stands for, until it is one that the whole file sees. What cannot be closed is not known; nothing is guessed.

use std::{collections::HashMap, fmt::Write as _, rc::Rc};

use tree_sitter::Node;

use crate::limits::{EXPRESSION_BYTES_MAX, SCOPES_MAX, STEPS_MAX, TYPE_BYTES_MAX, VALUES_MAX};

/// The scope of names outside every function.
pub(crate) const TOP: u32 = 0;
/// Most names that one expression is closed through.
const CLOSINGS_MAX: u32 = 8;

/// One step from a value to another.
#[derive(Clone, Copy)]
pub(crate) enum Step<'s> {
    /// `.name`
    Member(&'s str),
    /// `(…)`, `new`
    Call,
    /// `[…]`
    Index,
    /// What iterating gives.
    Each,
    /// A part of a tuple, from 0.
    Part(u8),
    /// `await`, `?`
    Awaited,
    /// What `with` gives.
    Entered,
    /// A sequence of such values.
    Sequence,
    /// A function that it is given.
    Callback,
    /// A parameter of that function, from 0.
    Parameter(u8),
}

/// What an expression begins with.
#[derive(Clone)]
pub(crate) enum Head<'s> {
    /// A name, or a path of names.
    Name(&'s str),
    /// `self` in the type at a container path.
    Own(Rc<str>),
    /// That type itself.
    OwnType(Rc<str>),
    /// `super` in that type.
    Super(Rc<str>),
    /// A value of a declared type.
    Declared(String),
    /// A definition of this file.
    Symbol(u32),
}

/// An expression without its arguments, in the scope it stands in.
#[derive(Clone)]
pub(crate) struct Expr<'s> {
    head: Head<'s>,
    steps: String,
    scope: u32,
}

impl<'s> Expr<'s> {
    /// Returns a name as it is used in a scope.
    pub fn name(name: &'s str, scope: u32) -> Expr<'s> {
        Expr { head: Head::Name(name), steps: String::new(), scope }
    }

    /// Returns what names a definition.
    pub fn symbol(symbol: u32) -> Expr<'s> {
        Expr { head: Head::Symbol(symbol), steps: String::new(), scope: TOP }
    }

    /// Returns a value of a declared type.
    pub fn of_type(ty: String) -> Expr<'s> {
        Expr { head: Head::Declared(ty), steps: String::new(), scope: TOP }
    }

    /// Tells whether it begins with a name.
    pub fn is_named(&self) -> bool {
        matches!(self.head, Head::Name(_))
    }

    /// Returns it with one more step.
    pub fn then(mut self, step: Step<'s>) -> Expr<'s> {
        write_step(&mut self.steps, step);
        self
    }
}

/// The steps of an expression, read from its end to its head.
pub(crate) struct Chain<'s> {
    steps: [Step<'s>; STEPS_MAX],
    n: usize,
}

impl<'s> Chain<'s> {
    pub fn new() -> Chain<'s> {
        Chain { steps: [Step::Call; STEPS_MAX], n: 0 }
    }

    /// Adds the step before those added; `None` when there are too many.
    pub fn push(&mut self, step: Step<'s>) -> Option<()> {
        *self.steps.get_mut(self.n)? = step;
        self.n += 1;
        Some(())
    }

    pub fn of(&self, head: Head<'s>, scope: u32) -> Expr<'s> {
        let mut steps = String::new();
        for step in self.steps[..self.n].iter().rev() {
            write_step(&mut steps, *step);
        }
        Expr { head, steps, scope }
    }
}

fn write_step(text: &mut String, step: Step<'_>) {
    match step {
        Step::Member(name) => {
            text.push('.');
            text.push_str(name);
        }
        Step::Call => text.push_str("()"),
        Step::Index => text.push_str("[]"),
        Step::Each => text.push('*'),
        Step::Part(part) => {
            let _infallible = write!(text, "#{part}");
        }
        Step::Awaited => text.push('!'),
        Step::Entered => text.push('='),
        Step::Sequence => text.push('+'),
        Step::Callback => text.push('&'),
        Step::Parameter(parameter) => {
            let _infallible = write!(text, "~{parameter}");
        }
    }
}

/// What a name is declared as, or assigned from.
pub(crate) enum Value<'s> {
    Declared(String),
    From(Expr<'s>),
    /// Nothing that says a type, like `None`.
    Nothing,
    Unknown,
}

#[derive(Default)]
struct Local<'s> {
    /// Whether it is a parameter that nothing else is said of.
    is_parameter: bool,
    is_unknown: bool,
    declared: Option<String>,
    values: Vec<Expr<'s>>,
}

/// The local names of one file, by scope.
#[derive(Default)]
pub(crate) struct Locals<'s> {
    locals: HashMap<(u32, &'s str), Local<'s>>,
    parents: Vec<u32>,
    symbols: Vec<Option<u32>>,
}

/// What was closed already, by scope and name; a name that is being closed is not known.
pub(crate) type Closed<'s> = HashMap<(u32, &'s str), Option<Rc<str>>>;

impl<'s> Locals<'s> {
    pub fn new() -> Locals<'s> {
        Locals { parents: vec![TOP], symbols: vec![None], ..Locals::default() }
    }

    /// Opens a function's scope inside another; `symbol` is the function.
    pub fn open(&mut self, outer: u32, symbol: Option<u32>) -> u32 {
        let scope = self.parents.len() as u32;
        self.parents.push(outer);
        self.symbols.push(symbol);
        scope
    }

    /// Returns the function whose scope it is; none for one without a name.
    pub fn symbol_of(&self, scope: u32) -> Option<u32> {
        self.symbols[scope as usize]
    }

    pub fn bind(&mut self, scope: u32, name: &'s str, value: Value<'s>) {
        if scope == TOP {
            return;
        }
        let local = self.locals.entry((scope, name)).or_default();
        local.is_parameter = false;
        match value {
            Value::Unknown => local.is_unknown = true,
            Value::Declared(ty) => local.declared = local.declared.take().or(Some(ty)),
            Value::From(_) if local.values.len() >= VALUES_MAX => local.is_unknown = true,
            Value::From(expr) => local.values.push(expr),
            Value::Nothing => {}
        }
    }

    /// Binds a parameter of which nothing is known.
    pub fn bind_parameter(&mut self, scope: u32, name: &'s str) {
        if scope == TOP {
            return;
        }
        let local = Local { is_parameter: true, is_unknown: true, ..Local::default() };
        self.locals.insert((scope, name), local);
    }

    /// Tells whether all that is said of a name is that it is a parameter of that very scope's function.
    pub fn is_parameter(&self, scope: u32, name: &str) -> bool {
        self.locals.get(&(scope, name)).is_some_and(|it| it.is_parameter)
    }

    /// Takes back what was said of a name in that very scope.
    pub fn forget(&mut self, scope: u32, name: &'s str) {
        self.locals.remove(&(scope, name));
    }

    /// Tells whether that very scope binds a name.
    pub fn is_bound_in(&self, scope: u32, name: &'s str) -> bool {
        self.locals.contains_key(&(scope, name))
    }

    /// Returns the scope that binds a name, looked for outward from `scope`: none for a name that the whole file sees.
    pub fn binding_scope(&self, name: &str, mut scope: u32) -> Option<u32> {
        for _ in 0..SCOPES_MAX {
            if scope == TOP {
                return None;
            }
            if self.locals.contains_key(&(scope, name)) {
                return Some(scope);
            }
            scope = self.parents[scope as usize];
        }
        Some(scope) // Too deep to know: say that it may be local.
    }

    /// Returns an expression's text with no local name left; `None` when it cannot be known.
    pub fn closed(&self, expr: &Expr<'s>, closed: &mut Closed<'s>) -> Option<String> {
        self.close(expr, closed, CLOSINGS_MAX)
    }

    fn close(&self, expr: &Expr<'s>, closed: &mut Closed<'s>, n_left: u32) -> Option<String> {
        let mut text = match &expr.head {
            Head::Own(path) => format!("@{path}\n"),
            Head::OwnType(path) => format!("^{path}\n"),
            Head::Super(path) => format!("${path}\n"),
            Head::Declared(ty) => format!(":{ty}\n"),
            Head::Symbol(symbol) => format!("%{symbol}\n"),
            Head::Name(name) => match self.binding_scope(name, expr.scope) {
                None => (*name).to_owned(),
                Some(scope) => self.local(scope, name, closed, n_left.checked_sub(1)?)?.to_string(),
            },
        };
        text.push_str(&expr.steps);
        (text.len() <= EXPRESSION_BYTES_MAX).then_some(text)
    }

    fn local(
        &self,
        scope: u32,
        name: &'s str,
        closed: &mut Closed<'s>,
        n_left: u32,
    ) -> Option<Rc<str>> {
        if let Some(known) = closed.get(&(scope, name)) {
            return known.clone();
        }
        closed.insert((scope, name), None);
        let local = self.locals.get(&(scope, name))?;
        let text = match &local.declared {
            Some(ty) => Some(format!(":{ty}\n")),
            None if local.is_unknown => None,
            None => self.same(&local.values, closed, n_left),
        };
        let text = text.map(Rc::from);
        closed.insert((scope, name), text.clone());
        text
    }

    /// Returns what all values are; `None` when they differ or one is not known.
    fn same(&self, values: &[Expr<'s>], closed: &mut Closed<'s>, n_left: u32) -> Option<String> {
        let (first, rest) = values.split_first()?;
        let text = self.close(first, closed, n_left)?;
        let is_same = |other: &Expr<'s>| self.close(other, closed, n_left).as_ref() == Some(&text);
        rest.iter().all(is_same).then_some(text)
    }
}

/// Returns a type's text on one line; `None` when it is too long to be of use.
pub(crate) fn type_text(source: &[u8], node: Node<'_>) -> Option<String> {
    let text = source.get(node.byte_range()).filter(|text| text.len() <= TYPE_BYTES_MAX)?;
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_whitespace();
    let mut line = words.next()?.to_owned();
    for word in words {
        line.push(' ');
        line.push_str(word);
    }
    Some(line)
}
