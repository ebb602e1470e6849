//! What every language's extractor shares: where the walk stands, and how findings are noted.
//!
//! A [`Walk`] keeps a stack of frames, one per scope entered; leaving the node that opened a scope puts
//! back what held before it.

use std::{borrow::Cow, collections::HashMap, rc::Rc};

use carnet_core::Region;
use tree_sitter::{Node, Range};

use crate::{
    Argument, Base, Call, CallForm, Import, Imported, Invocation, Language, MacroRule, Parsed,
    ProblemKind, Qualifier, Symbol, SymbolKind, TypeFact, Visibility,
    doc::{PendingDoc, cleaned},
    extract::push_problem,
    limits::{
        BASES_MAX, CALLS_MAX, CONTAINER_BYTES_MAX, IMPORTS_MAX, INVOCATIONS_MAX, MACRO_BODIES_MAX,
        NAME_BYTES_MAX, PATTERN_NODES_MAX, RECEIVER_BYTES_MAX, RULES_MAX, SIGNATURE_BYTES_MAX,
        SYMBOLS_MAX, TYPES_MAX, VALUES_MAX,
    },
    locals::{Closed, Expr, Head, Locals, TOP, Value, type_text},
    visibility,
};

/// The member under which a type keeps what it embeds.
pub(crate) const EMBEDDED: &str = "+";
/// Most types that one embeds.
const EMBEDDED_MAX: usize = 32;

/// Where the walk stands.
#[derive(Clone)]
pub(crate) struct Here {
    /// Container path of what is defined here.
    pub container: Rc<str>,
    /// Innermost symbol around.
    pub enclosing: Option<u32>,
    /// Innermost function scope.
    pub scope: u32,
    /// Container path of the type whose `self` is meant here.
    pub owner: Option<Rc<str>>,
    /// That type, where it is defined around.
    pub owner_symbol: Option<u32>,
    /// What the function around declares to give back.
    pub returned: Option<Rc<str>>,
    /// The name of the receiver variable, in Go, and the scope that binds it.
    pub receiver: Option<(Rc<str>, u32)>,
    /// Type parameters and what bounds them, in Rust.
    pub bounds: Rc<[(String, String)]>,
    /// What can use a member that says nothing itself: after `public:` in C++, in the `impl` of a trait in Rust.
    pub access: Option<Visibility>,
}

struct Frame {
    depth: u32,
    before: Here,
}

struct PendingCall<'s> {
    call: Call,
    scope: u32,
    head: Option<Cow<'s, str>>,
    receiver: Option<Expr<'s>>,
}

struct PendingFact<'s> {
    symbol: u32,
    member: &'s str,
    value: Value<'s>,
}

/// A macro's body, waiting to be read as expressions.
pub(crate) struct MacroBody {
    pub ranges: Vec<Range>,
    pub region: Region,
    /// Whether it holds expressions for sure; else it is read only where all of it can be.
    pub is_known: bool,
    pub here: Here,
    pub depth: u32,
}

/// One walk over one file.
pub(crate) struct Walk<'s> {
    pub language: Language,
    pub source: &'s [u8],
    pub here: Here,
    /// Depth of the node that is being entered.
    pub depth: u32,
    pub is_macro_body: bool,
    /// The function node whose scope was opened by the declaration around it.
    pub claimed: Option<usize>,
    pub macro_bodies: Vec<MacroBody>,
    /// Where the last `export` that was entered ends.
    pub export_end: usize,
    /// The name by which a header says that it was read.
    pub guard: Option<String>,
    /// Where the bodies of classes without a name begin that were announced and not entered yet.
    pub anonymous_bodies: Vec<usize>,
    pub doc: PendingDoc,
    /// Whether reading the method that is defined next calls it.
    pub is_property: bool,
    /// Whether the function that is defined next only says how another is called.
    pub is_overload: bool,
    /// What the matches around look at, innermost last, each with its depth.
    pub subjects: Vec<(u32, Option<Expr<'s>>)>,
    /// Names that are bound when the node at that depth is left.
    later: Vec<(u32, &'s str, Value<'s>)>,
    macro_depth: u32,
    frames: Vec<Frame>,
    parsed: Parsed,
    calls: Vec<PendingCall<'s>>,
    facts: Vec<PendingFact<'s>>,
    locals: Locals<'s>,
    variables: HashMap<&'s str, u32>,
    /// By its node: what a function without a name is, as seen from what it is given to.
    pub callbacks: HashMap<usize, Expr<'s>>,
    is_full: bool,
}

impl<'s> Walk<'s> {
    pub fn new(language: Language, source: &'s [u8]) -> Walk<'s> {
        let here = Here {
            container: Rc::from(""),
            enclosing: None,
            scope: TOP,
            owner: None,
            owner_symbol: None,
            returned: None,
            receiver: None,
            bounds: Rc::from([]),
            access: None,
        };
        Walk {
            language,
            source,
            here,
            depth: 0,
            is_macro_body: false,
            claimed: None,
            macro_bodies: Vec::new(),
            export_end: 0,
            guard: None,
            anonymous_bodies: Vec::new(),
            doc: PendingDoc::default(),
            is_property: false,
            is_overload: false,
            subjects: Vec::new(),
            later: Vec::new(),
            macro_depth: 0,
            frames: Vec::new(),
            parsed: Parsed::default(),
            calls: Vec::new(),
            facts: Vec::new(),
            locals: Locals::new(),
            variables: HashMap::new(),
            callbacks: HashMap::new(),
            is_full: false,
        }
    }

    /// Settles what local names stand for, sorts, and returns the result.
    pub fn finish(mut self) -> Parsed {
        let mut parsed = std::mem::take(&mut self.parsed);
        let calls = std::mem::take(&mut self.calls);
        let mut closed = Closed::new();
        parsed.calls = calls
            .into_iter()
            .map(|pending| {
                let bound = |head: &str| self.locals.binding_scope(head, pending.scope).is_some();
                let is_local = pending.head.as_deref().is_some_and(bound);
                // A path of names that the whole file sees says itself what it is.
                let is_said = !is_local && matches!(pending.call.qualifier, Qualifier::Path(_));
                let is_free = pending.call.qualifier == Qualifier::Bare && !is_local;
                let receiver = pending.receiver.filter(|it| !(is_free || is_said && it.is_named()));
                let receiver =
                    receiver.and_then(|receiver| self.locals.closed(&receiver, &mut closed));
                // A function that a local name is defined as is as good as one that the file sees.
                let is_bare = pending.call.qualifier == Qualifier::Bare;
                let receiver =
                    receiver.filter(|it| !is_bare || (it.starts_with('%') && it.ends_with('\n')));
                let is_local = is_local && !(is_bare && receiver.is_some());
                Call { is_local, receiver, ..pending.call }
            })
            .collect();
        parsed.calls.sort_by_key(|call| (call.region.start, call.region.end));
        parsed.types = self.closed_facts(&mut closed);
        if self.is_macro_body {
            in_source_order(&mut parsed);
        }
        parsed
    }

    /// Returns what is known of definitions and members: what is declared, else what they are given, each once.
    fn closed_facts(&mut self, closed: &mut Closed<'s>) -> Vec<TypeFact> {
        let mut facts = std::mem::take(&mut self.facts);
        facts.sort_by_key(|fact| (fact.symbol, fact.member));
        let mut types: Vec<TypeFact> = vec![];
        for group in facts.chunk_by(|a, b| (a.symbol, a.member) == (b.symbol, b.member)) {
            let is_one = group[0].member != "&";
            let declared = group.iter().filter_map(|fact| match &fact.value {
                Value::Declared(ty) if is_one => Some(format!(":{ty}\n")),
                _ => None,
            });
            let n_max = if group[0].member == EMBEDDED { EMBEDDED_MAX } else { 1 };
            let mut texts: Vec<String> = declared.take(n_max).collect();
            if texts.is_empty() {
                for fact in group {
                    let Value::From(expr) = &fact.value else { continue };
                    let Some(text) = self.locals.closed(expr, closed) else { continue };
                    if !texts.contains(&text) {
                        texts.push(text);
                    }
                }
            }
            let n_max = n_max.max(if is_one { VALUES_MAX } else { 2 * VALUES_MAX });
            if texts.len() <= n_max && types.len() + texts.len() <= TYPES_MAX {
                let (symbol, member) = (group[0].symbol, group[0].member);
                let fact = |text| TypeFact { symbol, member: member.to_owned(), text };
                types.extend(texts.into_iter().map(fact));
            }
        }
        types
    }

    /// Leaves every scope opened at `depth` or deeper.
    pub fn leave(&mut self, depth: u32) {
        while self.frames.last().is_some_and(|frame| frame.depth >= depth) {
            if let Some(frame) = self.frames.pop() {
                self.here = frame.before;
            }
        }
        while self.subjects.last().is_some_and(|(at, _)| *at >= depth) {
            self.subjects.pop();
        }
        let first = self.later.iter().position(|(at, ..)| *at >= depth).unwrap_or(self.later.len());
        for (_, name, value) in self.later.split_off(first) {
            self.bind_here(name, value);
        }
    }

    /// Begins reading a macro's body: the walk stands where the macro stood.
    pub fn begin_macro_body(&mut self, body: MacroBody) {
        self.frames.clear();
        self.subjects.clear();
        self.later.clear();
        self.here = body.here;
        self.macro_depth = body.depth;
        self.is_macro_body = true;
    }

    /// Queues a macro's body.
    pub fn queue_macro_body(&mut self, ranges: Vec<Range>, region: Region, is_known: bool) {
        if self.macro_bodies.len() < MACRO_BODIES_MAX {
            let (here, depth) = (self.here.clone(), self.macro_depth + 1);
            self.macro_bodies.push(MacroBody { ranges, region, is_known, here, depth });
        }
    }

    pub fn problem(&mut self, kind: ProblemKind, region: Region) {
        push_problem(&mut self.parsed, kind, region);
    }

    fn note_full(&mut self, region: Region) {
        if !self.is_full {
            self.is_full = true;
            self.problem(ProblemKind::TooMany, region);
        }
    }

    /// Returns a node's text, at most `bytes_max` bytes, cut at a character; invalid UTF-8 is replaced.
    fn text_within(&self, node: Node<'_>, bytes_max: usize) -> String {
        let (start, end) = (node.start_byte(), node.end_byte().min(self.source.len()));
        let bytes = self.source.get(start..end).unwrap_or_default();
        let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(bytes_max)]).into_owned();
        truncate(&mut text, bytes_max);
        text
    }

    /// Returns the text of a name.
    pub fn text(&self, node: Node<'_>) -> String {
        self.text_within(node, NAME_BYTES_MAX)
    }

    /// Tells whether a node's text is exactly `text`.
    pub fn is_text(&self, node: Node<'_>, text: &str) -> bool {
        self.source.get(node.byte_range()) == Some(text.as_bytes())
    }

    /// Returns the kind of the innermost symbol around.
    pub fn enclosing_kind(&self) -> Option<SymbolKind> {
        let idx = self.here.enclosing?;
        self.parsed.symbols.get(idx as usize).map(|symbol| symbol.kind)
    }

    /// Tells whether the walk stands outside every function.
    pub fn is_top_scope(&self) -> bool {
        self.here.scope == TOP
    }

    /// Notes a definition and returns its position; `None` when there are too many or the name is empty.
    ///
    /// - `whole`: the definition with its body; `signature_end`: where its signature ends.
    pub fn define(
        &mut self,
        kind: SymbolKind,
        name_node: Node<'_>,
        whole: Node<'_>,
        signature_end: Option<usize>,
    ) -> Option<u32> {
        let name = self.text(name_node);
        if name.is_empty() {
            return None;
        }
        if self.parsed.symbols.len() >= SYMBOLS_MAX {
            self.note_full(region(whole));
            return None;
        }
        let visibility = visibility::of(self, &name, whole);
        let doc = self.doc.take(whole.start_position().row, self.source);
        let symbol = Symbol {
            kind,
            name,
            container: self.here.container.to_string(),
            parent: self.here.enclosing,
            name_region: region(name_node),
            region: region(whole),
            signature: self.signature(whole, signature_end),
            visibility,
            doc,
        };
        self.parsed.symbols.push(symbol);
        Some(self.parsed.symbols.len() as u32 - 1)
    }

    /// Notes that a definition only says how the next one of its name is called.
    pub fn overload(&mut self, symbol_idx: Option<u32>) {
        self.parsed.overloads.extend(symbol_idx);
    }

    /// Gives a symbol the docstring that stands in its body.
    pub fn set_doc(&mut self, symbol_idx: Option<u32>, docstring: Node<'_>) {
        let doc = cleaned(self.source.get(docstring.byte_range()).unwrap_or_default());
        let symbol = symbol_idx.and_then(|idx| self.parsed.symbols.get_mut(idx as usize));
        if let Some(symbol) = symbol {
            symbol.doc = doc;
        }
    }

    /// Notes that `subtype`, which `symbol_idx` defines, extends or implements the type named by `supertype`.
    ///
    /// - `qualifier`: what stands before its name.
    pub fn base(
        &mut self,
        subtype: String,
        symbol: Option<u32>,
        supertype: Node<'_>,
        qualifier: Option<Node<'_>>,
    ) {
        let name = self.text(supertype);
        if name.is_empty() || subtype.is_empty() {
            return;
        }
        if self.parsed.bases.len() >= BASES_MAX {
            return self.note_full(region(supertype));
        }
        self.parsed.bases.push(Base {
            subtype,
            symbol,
            supertype: name,
            qualifier: qualifier.map(|it| self.text(it)).unwrap_or_default(),
            region: region(supertype),
        });
    }

    fn signature(&self, whole: Node<'_>, end: Option<usize>) -> String {
        let end = end.unwrap_or(whole.end_byte()).min(self.source.len());
        let bytes = self.source.get(whole.start_byte()..end).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(SIGNATURE_BYTES_MAX * 2)];
        let mut text = String::new();
        for word in String::from_utf8_lossy(bytes).split_whitespace() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        truncate(&mut text, SIGNATURE_BYTES_MAX);
        text.truncate(text.trim_end_matches([' ', '{', '=']).len());
        text
    }

    fn push_frame(&mut self) {
        self.frames.push(Frame { depth: self.depth, before: self.here.clone() });
    }

    /// Enters a scope named `name` until the current node is left.
    pub fn enter_container(&mut self, name: &str) {
        self.push_frame();
        self.extend_container(name);
    }

    fn extend_container(&mut self, name: &str) {
        let container = &self.here.container;
        if container.len() + name.len() < CONTAINER_BYTES_MAX {
            self.here.container = match &**container {
                "" => Rc::from(name),
                container => Rc::from(format!("{container}.{name}")),
            };
        }
    }

    /// Enters the text of a symbol until the current node is left; what is inside has it as container.
    pub fn enter_symbol(&mut self, symbol_idx: Option<u32>) {
        self.push_frame();
        let Some(idx) = symbol_idx else { return };
        let name = self.parsed.symbols[idx as usize].name.clone();
        self.extend_container(&name);
        self.here.enclosing = symbol_idx;
    }

    /// Says that `self` means the type of the current container until the current scope is left.
    pub fn own_container(&mut self) {
        self.here.owner = Some(self.here.container.clone());
        self.here.owner_symbol = self.here.enclosing;
    }

    /// Opens the scope of a function that has no name, inside the scope entered last.
    pub fn enter_function_scope(&mut self) {
        self.enter_scope_of(None);
    }

    /// Opens a function's scope for local names inside the scope entered last; `symbol_idx` is the function.
    pub fn enter_scope_of(&mut self, symbol_idx: Option<u32>) {
        self.push_frame();
        self.here.scope = self.locals.open(self.here.scope, symbol_idx);
        self.here.access = None;
        self.here.returned = None;
    }

    /// Opens a block of the function around: what it binds is not seen behind it.
    pub fn enter_block(&mut self) {
        if self.here.scope != TOP {
            self.push_frame();
            self.open_block();
        }
    }

    fn open_block(&mut self) {
        let symbol = self.locals.symbol_of(self.here.scope);
        self.here.scope = self.locals.open(self.here.scope, symbol);
    }

    /// Binds a name from here to the end of the block; another one of that name is hidden from here on.
    pub fn bind_here(&mut self, name: &'s str, value: Value<'s>) {
        if self.here.scope == TOP || name == "_" {
            return;
        }
        if self.locals.is_bound_in(self.here.scope, name) {
            self.open_block();
        }
        self.locals.bind(self.here.scope, name, value);
    }

    /// Binds a name as soon as the current node is left.
    pub fn bind_after(&mut self, name: &'s str, value: Value<'s>) {
        self.later.push((self.depth, name, value));
    }

    /// The same for a name that keeps its value where the block binds it already.
    pub fn bind_first_after(&mut self, name: &'s str, value: Value<'s>) {
        if !self.locals.is_bound_in(self.here.scope, name) {
            self.bind_after(name, value);
        }
    }

    /// Returns the head of a name, for languages where a name is bound before it is used, and the scope to look it up in.
    pub fn name_here(&self, name: &'s str) -> (Head<'s>, u32) {
        (Head::Name(name), self.locals.binding_scope(name, self.here.scope).unwrap_or(TOP))
    }

    /// Returns the source of a node, where it is UTF-8.
    pub fn str(&self, node: Node<'_>) -> Option<&'s str> {
        std::str::from_utf8(self.source.get(node.byte_range())?).ok()
    }

    /// Notes every name in `pattern` as a local name of which nothing is known; nothing outside functions.
    pub fn bind(&mut self, pattern: Node<'_>) {
        if self.here.scope == TOP {
            return;
        }
        let mut cursor = pattern.walk();
        for _ in 0..PATTERN_NODES_MAX {
            let node = cursor.node();
            if matches!(
                node.kind(),
                "identifier"
                    | "shorthand_property_identifier_pattern"
                    | "shorthand_field_identifier"
                    | "self"
            ) {
                self.bind_as(node, Value::Unknown);
            }
            if cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return;
                }
            }
        }
    }

    /// Notes a local name and what it is; nothing outside functions.
    pub fn bind_as(&mut self, name: Node<'_>, value: Value<'s>) {
        if let Some(name) = self.str(name) {
            self.locals.bind(self.here.scope, name, value);
        }
    }

    /// Binds a parameter of which nothing is known.
    pub fn bind_parameter(&mut self, name: Node<'_>) {
        if let Some(name) = self.str(name) {
            self.locals.bind_parameter(self.here.scope, name);
        }
    }

    /// Tells whether all that is said of a name is that it is a parameter of the function around.
    pub fn is_parameter(&self, name: &str) -> bool {
        self.locals.is_parameter(self.here.scope, name)
    }

    /// Takes back what was said of a name of the scope around.
    pub fn forget(&mut self, name: &'s str) {
        self.locals.forget(self.here.scope, name);
    }

    /// Notes that a local name is given another value; or a variable of the file is.
    pub fn bind_again(&mut self, name: Node<'_>, value: Value<'s>) {
        let Some(name) = self.str(name) else { return };
        match self.locals.binding_scope(name, self.here.scope) {
            Some(scope) => self.locals.bind(scope, name, value),
            None => self.fact(self.variables.get(name).copied(), "", value),
        }
    }

    /// Notes a variable that the whole file sees, so that what it is given later counts.
    pub fn variable(&mut self, name: Node<'_>, symbol: Option<u32>) {
        if let (Some(name), Some(symbol)) = (self.str(name), symbol) {
            self.variables.insert(name, symbol);
        }
    }

    /// Notes that a local name is a definition of this file; nothing outside functions.
    pub fn bind_symbol(&mut self, name: Node<'_>, symbol: Option<u32>) {
        if let Some(symbol) = symbol {
            self.bind_as(name, Value::From(Expr::symbol(symbol)));
        }
    }

    /// Returns a value of the type that the function around declares to give back.
    pub fn returned_type(&self) -> Option<Expr<'s>> {
        Some(Expr::of_type(self.here.returned.as_deref()?.to_owned()))
    }

    /// Returns a declared type as a value.
    pub fn declared(&self, ty: Node<'_>) -> Value<'s> {
        type_text(self.source, ty).map_or(Value::Unknown, Value::Declared)
    }

    /// Notes what a definition is, or gives back, or its member `member` is.
    pub fn fact(&mut self, symbol: Option<u32>, member: &'s str, value: Value<'s>) {
        let is_told = matches!(value, Value::Declared(_) | Value::From(_));
        if let Some(symbol) = symbol.filter(|_| is_told && self.facts.len() < TYPES_MAX) {
            self.facts.push(PendingFact { symbol, member, value });
        }
    }

    /// Notes what the function around gives back; nothing for one without a name.
    pub fn returns(&mut self, value: Value<'s>) {
        self.fact(self.locals.symbol_of(self.here.scope), "", value);
    }

    /// Notes a call of the name in `name_node`.
    pub fn call(&mut self, name_node: Node<'_>, qualifier: Qualifier, form: CallForm) {
        self.call_on(name_node, qualifier, form, None);
    }

    /// Notes a call of the name in `name_node`, and what its receiver is.
    pub fn call_on(
        &mut self,
        name_node: Node<'_>,
        qualifier: Qualifier,
        form: CallForm,
        receiver: Option<Expr<'s>>,
    ) {
        let name = self.text(name_node);
        if name.is_empty() {
            return;
        }
        if self.calls.len() >= CALLS_MAX {
            self.note_full(region(name_node));
            return;
        }
        // Where a name is bound before it is used, what is bound later does not count.
        let is_sequential = matches!(self.language, Language::Go | Language::Rust);
        let owned = |text: &str| Cow::Owned(text.to_owned());
        let head = match &qualifier {
            Qualifier::Bare => self.str(name_node).map(Cow::Borrowed),
            Qualifier::Own(_) => None,
            Qualifier::Path(text) | Qualifier::Value(text) => head_of(text).map(owned),
        };
        let receiver = match (&qualifier, receiver) {
            (Qualifier::Bare, None) if self.here.scope != TOP && !is_sequential => {
                self.str(name_node).map(|name| Expr::name(name, self.here.scope))
            }
            (_, receiver) => receiver,
        };
        let call = Call {
            name,
            qualifier,
            receiver: None,
            form,
            enclosing: self.here.enclosing,
            is_local: false,
            region: region(name_node),
        };
        let is_free = |head: &str| self.locals.binding_scope(head, self.here.scope).is_none();
        let scope = match &head {
            Some(head) if is_sequential && is_free(head) => TOP,
            _ => self.here.scope,
        };
        self.calls.push(PendingCall { call, scope, head, receiver });
    }

    /// Returns the qualifier for a receiver that is not the own type: plain names or an expression.
    pub fn receiver(&self, node: Node<'_>) -> Qualifier {
        let mut text = self.text_within(node, RECEIVER_BYTES_MAX);
        let is_whole = text.len() == node.end_byte() - node.start_byte();
        let is_name = |part: &str| {
            !part.is_empty()
                && !part.starts_with(|c: char| c.is_ascii_digit())
                && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
        };
        if is_whole && text.split('.').all(is_name) {
            return Qualifier::Path(text);
        }
        if let Some(line_end) = text.find('\n') {
            text.truncate(line_end);
        }
        Qualifier::Value(text)
    }

    /// Notes an import.
    pub fn import(
        &mut self,
        module: &str,
        imported: Imported,
        alias: Option<String>,
        at: Node<'_>,
    ) {
        self.import_as(module, imported, alias, at, false, true);
    }

    /// Notes an import that may be handed on, or not be usable here.
    pub fn import_as(
        &mut self,
        module: &str,
        imported: Imported,
        alias: Option<String>,
        at: Node<'_>,
        is_reexport: bool,
        is_local: bool,
    ) {
        if self.parsed.imports.len() >= IMPORTS_MAX {
            self.note_full(region(at));
            return;
        }
        let mut module = module.to_owned();
        truncate(&mut module, NAME_BYTES_MAX);
        let container = self.here.container.to_string();
        let region = region(at);
        let import = Import { module, imported, alias, container, is_reexport, is_local, region };
        self.parsed.imports.push(import);
    }

    /// Notes a rule of a macro.
    pub fn rule(&mut self, rule: MacroRule) {
        if self.parsed.rules.len() < RULES_MAX {
            self.parsed.rules.push(rule);
        }
    }

    /// Notes a macro that stands where items stand; `doc` and the scope are taken from here.
    pub fn invocation(
        &mut self,
        path: Node<'_>,
        whole: Node<'_>,
        arguments: Vec<Argument>,
        is_whole: bool,
        n_arguments: Option<u32>,
    ) {
        if self.parsed.invocations.len() >= INVOCATIONS_MAX {
            return self.note_full(region(whole));
        }
        let doc = self.doc.take(whole.start_position().row, self.source);
        let invocation = Invocation {
            path: self.text(path),
            container: self.here.container.to_string(),
            parent: self.here.enclosing,
            is_member: self.here.owner.as_deref() == Some(&*self.here.container),
            region: region(whole),
            doc,
            arguments,
            is_whole,
            n_arguments,
        };
        self.parsed.invocations.push(invocation);
    }
}

/// Puts back into the order of the source what was read after the rest.
fn in_source_order(parsed: &mut Parsed) {
    let mut order: Vec<usize> = (0..parsed.symbols.len()).collect();
    order.sort_by_key(|idx| {
        let region = &parsed.symbols[*idx].region;
        (region.start, std::cmp::Reverse(region.end), *idx)
    });
    let mut places = vec![0; order.len()];
    for (place, idx) in order.iter().enumerate() {
        places[*idx] = place as u32;
    }
    let place = |idx: &mut Option<u32>| *idx = idx.map(|idx| places[idx as usize]);
    parsed.symbols.iter_mut().for_each(|symbol| place(&mut symbol.parent));
    parsed.calls.iter_mut().for_each(|call| place(&mut call.enclosing));
    parsed.bases.iter_mut().for_each(|base| place(&mut base.symbol));
    parsed.types.iter_mut().for_each(|fact| fact.symbol = places[fact.symbol as usize]);
    parsed.rules.iter_mut().for_each(|rule| rule.symbol = places[rule.symbol as usize]);
    parsed.rules.sort_by_key(|rule| rule.symbol);
    parsed.invocations.iter_mut().for_each(|invocation| place(&mut invocation.parent));
    parsed.invocations.sort_by_key(|invocation| invocation.region.start);
    parsed.types.sort_by(|a, b| (a.symbol, &a.member).cmp(&(b.symbol, &b.member)));
    let mut symbols: Vec<Option<Symbol>> =
        std::mem::take(&mut parsed.symbols).into_iter().map(Some).collect();
    parsed.symbols = order.into_iter().filter_map(|idx| symbols[idx].take()).collect();
    parsed.imports.sort_by_key(|import| import.region.start);
    parsed.bases.sort_by_key(|base| base.region.start);
}

/// Cuts `text` to at most `bytes_max` bytes at a character.
pub(crate) fn truncate(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

/// Returns the first name in a receiver's text.
fn head_of(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(['(', '&', '*', '!']);
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
    let head = &text[..end.unwrap_or(text.len())];
    (!head.is_empty()).then_some(head)
}

/// Returns where a node stands.
pub(crate) fn region(node: Node<'_>) -> Region {
    let (start, end) = (node.start_position(), node.end_position());
    Region {
        start: node.start_byte(),
        end: node.end_byte(),
        start_line: start.row as u32 + 1,
        start_column: start.column as u32 + 1,
        end_line: end.row as u32 + 1,
        end_column: end.column as u32 + 1,
    }
}

/// Returns the child in a field.
pub(crate) fn field<'t>(node: Node<'t>, name: &str) -> Option<Node<'t>> {
    node.child_by_field_name(name)
}
