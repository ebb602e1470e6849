//! Rust: methods that a trait lends to types which are not known here, as `impl<I: Iterator> Itertools for I` does.

use std::{cell::OnceCell, collections::HashMap};

use carnet_parse::{Imported, Language, SymbolKind};

use super::{
    Decision, Held, Resolver, Sought, decided, hold,
    types::{At, Ty},
};
use crate::{
    Evidence,
    link::{QualifierRow, StringId, SymbolIdx},
};

/// Methods of the standard library's types and traits, sorted.
#[rustfmt::skip]
const STANDARD: [&str; 369] = [
    "abs", "add", "all", "and", "and_then", "any", "append", "as_bytes", "as_deref", "as_deref_mut", "as_mut", "as_mut_ptr",
    "as_mut_slice", "as_os_str", "as_path", "as_ptr", "as_raw_fd", "as_ref", "as_slice", "as_str", "binary_search",
    "binary_search_by", "binary_search_by_key", "borrow", "borrow_mut", "by_ref", "bytes", "canonicalize", "capacity", "ceil",
    "chain", "char_indices", "chars", "checked_add", "checked_div", "checked_mul", "checked_sub", "chunk_by", "chunks",
    "chunks_exact", "chunks_mut", "clamp", "clear", "clone", "clone_from", "cloned", "cmp", "collect", "compare_exchange",
    "components", "concat", "connect", "contains", "contains_key", "copied", "copy_from_slice", "copy_within", "count", "cycle",
    "dedup", "dedup_by", "dedup_by_key", "default", "deref", "deref_mut", "difference", "display", "div", "downcast",
    "downcast_mut", "downcast_ref", "drain", "drop", "elapsed", "ends_with", "entry", "enumerate", "eq", "err", "escape_debug",
    "escape_default", "exists", "exp", "expect", "expect_err", "extend", "extend_from_slice", "extension", "fetch_add", "fetch_sub",
    "file_name", "file_stem", "fill", "filter", "filter_map", "finalize", "find", "find_map", "finish", "first", "first_mut",
    "flat_map", "flatten", "flush", "fmt", "fold", "for_each", "from", "from_str", "front", "fuse", "ge", "get", "get_mut",
    "get_or_insert", "get_or_insert_with", "get_unchecked", "get_unchecked_mut", "gt", "hash", "index", "index_mut", "insert",
    "insert_str", "inspect", "intersection", "into", "into_boxed_slice", "into_bytes", "into_inner", "into_iter", "into_keys",
    "into_os_string", "into_owned", "into_raw_fd", "into_string", "into_values", "is_absolute", "is_alphabetic", "is_alphanumeric",
    "is_ascii", "is_char_boundary", "is_dir", "is_disjoint", "is_empty", "is_err", "is_file", "is_finite", "is_infinite",
    "is_lowercase", "is_nan", "is_none", "is_numeric", "is_ok", "is_relative", "is_some", "is_some_and", "is_sorted", "is_subset",
    "is_superset", "is_symlink", "is_uppercase", "is_whitespace", "iter", "iter_mut", "join", "keys", "kill", "kind", "last",
    "last_mut", "le", "leading_zeros", "len", "lines", "ln", "load", "lock", "log", "lt", "map", "map_err", "map_or", "map_or_else",
    "map_while", "matches", "max", "max_by", "max_by_key", "metadata", "min", "min_by", "min_by_key", "modified", "mul", "ne",
    "neg", "next", "next_back", "not", "notify_all", "notify_one", "nth", "nth_back", "ok", "ok_or", "ok_or_else", "open", "or",
    "or_else", "or_insert", "or_insert_with", "output", "parent", "parse", "partial_cmp", "partition", "partition_point", "peek",
    "peekable", "poll", "pop", "pop_back", "pop_front", "position", "pow", "powf", "powi", "product", "push", "push_back",
    "push_front", "push_str", "range", "read", "read_dir", "read_exact", "read_line", "read_to_end", "read_to_string", "recv",
    "recv_timeout", "reduce", "rem", "remove", "repeat", "replace", "replacen", "reserve", "resize", "resume", "retain", "rev",
    "reverse", "rfind", "rfold", "rotate_left", "rotate_right", "round", "rposition", "rsplit", "rsplit_once", "rsplitn",
    "saturating_add", "saturating_sub", "scan", "seek", "send", "set", "set_len", "shrink_to_fit", "shutdown", "size_hint", "skip",
    "skip_while", "sleep", "sort", "sort_by", "sort_by_cached_key", "sort_by_key", "sort_unstable", "sort_unstable_by",
    "sort_unstable_by_key", "spawn", "splice", "split", "split_at", "split_at_mut", "split_first", "split_last", "split_off",
    "split_once", "split_whitespace", "splitn", "sqrt", "starts_with", "status", "stderr", "stdin", "stdout", "step_by", "store",
    "stream_position", "strip_prefix", "strip_suffix", "sub", "sum", "swap", "swap_remove", "symmetric_difference", "take",
    "take_while", "to_ascii_lowercase", "to_ascii_uppercase", "to_be_bytes", "to_le_bytes", "to_lowercase", "to_owned",
    "to_path_buf", "to_str", "to_string", "to_string_lossy", "to_uppercase", "to_vec", "trailing_zeros", "trim", "trim_end",
    "trim_end_matches", "trim_start", "trim_start_matches", "truncate", "try_clone", "try_fold", "try_for_each", "try_from",
    "try_into", "try_lock", "try_next", "try_recv", "try_send", "type_id", "union", "unwrap", "unwrap_err", "unwrap_or",
    "unwrap_or_default", "unwrap_or_else", "unzip", "upgrade", "values", "values_mut", "wait", "wait_timeout", "wake",
    "wake_by_ref", "windows", "with", "with_extension", "with_file_name", "wrapping_add", "wrapping_mul", "wrapping_sub", "write",
    "write_all", "write_char", "write_fmt", "write_str", "write_vectored", "zip",
];

/// The methods of a repository by name.
#[derive(Default)]
pub(super) struct Methods(OnceCell<HashMap<StringId, Held>>);

impl Resolver<'_> {
    /// Decides about a method called on something unknown: the only method of that name in the repository is meant where it is a
    /// trait's that is in scope, and the standard library has none of that name.
    pub(super) fn of_trait_in_scope(
        &self,
        sought: Sought,
        qualifier: QualifierRow,
    ) -> Option<Decision> {
        let is_method = matches!(qualifier, QualifierRow::Value(_) | QualifierRow::Own(_));
        if !is_method || self.language(sought.file) != Language::Rust {
            return None;
        }
        let Held::One(method) = *self.methods().get(&sought.name)? else { return None };
        let of_trait = self.linker.symbols[method as usize].parent?;
        let is_trait = self.linker.symbols[of_trait as usize].kind == SymbolKind::Trait;
        let name = self.linker.strings.text(sought.name);
        let is_meant = is_trait
            && STANDARD.binary_search(&&*name).is_err()
            && self.is_in_scope(of_trait, sought);
        is_meant.then(|| decided(Held::One(method), Evidence::TraitInScope))
    }

    fn methods(&self) -> &HashMap<StringId, Held> {
        self.types.rust_methods.0.get_or_init(|| {
            let mut methods = HashMap::new();
            for (idx, symbol) in self.linker.symbols.iter().enumerate() {
                let is_method = symbol.kind == SymbolKind::Method;
                if is_method && self.language(symbol.file) == Language::Rust {
                    hold(methods.entry(symbol.name), idx as SymbolIdx);
                }
            }
            methods
        })
    }

    fn is_in_scope(&self, of_trait: SymbolIdx, sought: Sought) -> bool {
        let at = At { file: sought.file, enclosing: sought.enclosing, own: None };
        let name = self.linker.strings.text(self.linker.symbols[of_trait as usize].name);
        if self.rust_type(&name, at) == Some(Ty::Type(of_trait)) {
            return true;
        }
        // `use Trait as _`, or as another name.
        self.linker.files[sought.file as usize].imports.iter().any(|import| {
            matches!(&import.imported, Imported::Name(it) if *it == *name)
                && import.alias.is_some()
                && self.rust_type(&format!("{}::{name}", import.module), at)
                    == Some(Ty::Type(of_trait))
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_methods_of_the_standard_library_are_sorted() {
        assert!(super::STANDARD.is_sorted());
    }
}
