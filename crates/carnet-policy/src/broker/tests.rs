//! Policies in, faults and routes out.

mod agreement;
mod policies;
mod routes;

use std::collections::BTreeSet;

use super::*;
use crate::DocumentForm;

fn lanes() -> BTreeSet<String> {
    let names = crate::built_in_files().iter().map(|(name, _)| {
        name.trim_start_matches("allowlists/").trim_end_matches(".toml").to_owned()
    });
    names.filter(|name| name != "deny").collect()
}

fn examined(text: &str) -> Examined {
    let form =
        if text.trim_start().starts_with('{') { DocumentForm::Json } else { DocumentForm::Toml };
    examine(text, form, &Catalogue::built_in(), &lanes())
}

fn sound(text: &str) -> BrokerPolicy {
    let examined = examined(text);
    assert_eq!(examined.errors, vec![]);
    examined.policy.unwrap()
}
