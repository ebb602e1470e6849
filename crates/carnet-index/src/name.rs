//! A name as people ask for it.

/// A name with the last parts of its container.
pub(crate) struct Query<'q> {
    pub container: String,
    pub name: &'q str,
}

impl<'q> Query<'q> {
    pub fn new(text: &'q str) -> Query<'q> {
        let at_dot = text.rfind('.').map(|at| (at, at + 1));
        let at_colons = text.rfind("::").map(|at| (at, at + 2));
        match at_dot.max(at_colons) {
            Some((end, start)) => {
                Query { container: text[..end].replace("::", "."), name: &text[start..] }
            }
            None => Query { container: String::new(), name: text },
        }
    }

    /// Tells whether `container` is the asked one or ends with it at a border.
    pub fn fits(&self, container: &str) -> bool {
        container
            .strip_suffix(self.container.as_str())
            .is_some_and(|outer| outer.is_empty() || outer.ends_with('.'))
    }
}
