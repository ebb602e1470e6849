//! From where a definition can be used, as each language says it.

use tree_sitter::Node;

use crate::{Language, SymbolKind, Visibility, walk::Walk};

/// Returns from where the definition `whole` named `name` can be used.
pub(crate) fn of(walk: &Walk<'_>, name: &str, whole: Node<'_>) -> Visibility {
    match walk.language {
        Language::Python => of_python(name),
        Language::Go if name.starts_with(char::is_uppercase) => Visibility::Public,
        Language::Go => Visibility::Restricted,
        Language::Rust => of_rust(walk, whole),
        Language::Java => of_java(walk, whole),
        Language::C | Language::Cpp => of_c(walk, whole),
        Language::TypeScript | Language::Tsx | Language::JavaScript => of_ecma(walk, name, whole),
    }
}

fn of_python(name: &str) -> Visibility {
    let is_special = name.starts_with("__") && name.ends_with("__");
    if name.starts_with('_') && !is_special { Visibility::Private } else { Visibility::Public }
}

fn of_rust(walk: &Walk<'_>, whole: Node<'_>) -> Visibility {
    match leading(whole, "visibility_modifier") {
        Some(modifier) if walk.is_text(modifier, "pub") => Visibility::Public,
        Some(_) => Visibility::Restricted,
        None if matches!(walk.enclosing_kind(), Some(SymbolKind::Trait | SymbolKind::Enum)) => {
            Visibility::Public
        }
        None => walk.here.access.unwrap_or(Visibility::Private),
    }
}

fn of_java(walk: &Walk<'_>, whole: Node<'_>) -> Visibility {
    let modifiers = leading(whole, "modifiers").map(|it| walk.text(it)).unwrap_or_default();
    let says = |word: &str| modifiers.split_whitespace().any(|it| it == word);
    let is_open = matches!(walk.enclosing_kind(), Some(SymbolKind::Interface))
        || whole.kind() == "enum_constant";
    match () {
        () if says("private") => Visibility::Private,
        () if says("public") || is_open => Visibility::Public,
        () => Visibility::Restricted,
    }
}

fn of_c(walk: &Walk<'_>, whole: Node<'_>) -> Visibility {
    let is_static = leading(whole, "storage_class_specifier")
        .is_some_and(|specifier| walk.is_text(specifier, "static"));
    match walk.here.access {
        Some(access) => access,
        None if is_static => Visibility::Private,
        None => Visibility::Public,
    }
}

fn of_ecma(walk: &Walk<'_>, name: &str, whole: Node<'_>) -> Visibility {
    let accessibility = leading(whole, "accessibility_modifier").map(|it| walk.text(it));
    match accessibility.as_deref() {
        Some("private") => return Visibility::Private,
        Some("protected") => return Visibility::Restricted,
        _ if name.starts_with('#') => return Visibility::Private,
        _ => {}
    }
    // A member can be used by whoever has the value; a name of the module, when it is exported.
    let is_member = !walk.here.container.is_empty() && walk.is_top_scope();
    if is_member || whole.start_byte() < walk.export_end {
        return Visibility::Public;
    }
    Visibility::Private
}

/// Returns the first child of a kind among those that stand before a name.
fn leading<'t>(whole: Node<'t>, kind: &str) -> Option<Node<'t>> {
    let mut cursor = whole.walk();
    whole.children(&mut cursor).take(6).find(|child| child.kind() == kind)
}
